//! Words in pieces, as BERT's uncased models take them (Devlin et al., 2019; Wu et al., "Google's Neural Machine
//! Translation System", 2016, section 4.1). Accents stay, which the original takes off: the descriptions have next
//! to none.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use crate::Failure;

/// The pieces that a model knows, and their numbers.
pub(crate) struct Vocabulary(HashMap<String, i64>);

impl Vocabulary {
    /// A line a piece, numbered from 0.
    pub(crate) fn read(file: &Path) -> Result<Self, Failure> {
        let text = fs::read_to_string(file)?;
        Ok(Self((0..).zip(text.lines()).map(|(number, piece)| (piece.to_owned(), number)).collect()))
    }

    /// At most `most` tokens of a text, with the marks of its beginning and end.
    pub(crate) fn tokens(&self, text: &str, most: usize) -> Vec<i64> {
        let lower = text.to_lowercase();
        let mut tokens = vec![self.number("[CLS]")];
        for word in words(&lower) {
            tokens.extend(self.pieces(word));
        }
        tokens.truncate(most - 1);
        tokens.push(self.number("[SEP]"));
        tokens
    }

    fn number(&self, piece: &str) -> i64 {
        self.0.get(piece).copied().unwrap_or_default()
    }

    /// From its beginning on, each time the longest piece that is known; one unknown token where none is.
    fn pieces(&self, word: &str) -> Vec<i64> {
        let (mut pieces, mut from) = (Vec::new(), 0);
        while from < word.len() {
            let prefix = if from == 0 { "" } else { "##" };
            let ends = (from + 1..=word.len()).rev().filter(|end| word.is_char_boundary(*end));
            let known = |end: usize| Some((end, *self.0.get(&format!("{prefix}{}", &word[from..end]))?));
            let Some((end, number)) = ends.filter_map(known).next() else { return vec![self.number("[UNK]")] };
            pieces.push(number);
            from = end;
        }
        pieces
    }
}

/// Words between spaces; each sign of punctuation is a word.
fn words(text: &str) -> Vec<&str> {
    let sign = |letter: char| letter.is_ascii_punctuation() || (!letter.is_ascii() && !letter.is_alphanumeric());
    let mut words = Vec::new();
    for mut word in text.split_whitespace() {
        while let Some(first) = word.chars().next() {
            let len = if sign(first) { first.len_utf8() } else { word.find(sign).unwrap_or(word.len()) };
            words.push(&word[..len]);
            word = &word[len..];
        }
    }
    words
}
