//! The pieces of words that a model knows.

use std::collections::BTreeMap;

use crate::TokeniseError;

/// Words with more letters are unknown as a whole, as BERT has it.
const LETTERS_MAX: usize = 100;

/// Tokens and their numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vocabulary {
    /// Those that begin a word.
    beginnings: BTreeMap<String, i64>,
    /// Those that go on with one, without the `##` before them.
    continuations: BTreeMap<String, i64>,
    /// The most bytes of a token.
    longest: usize,
    pub(crate) padding: i64,
    pub(crate) unknown: i64,
    pub(crate) start: i64,
    pub(crate) end: i64,
}

impl Vocabulary {
    /// Reads a text with one token a line, numbered from 0, as `vocab.txt` of BERT's models: space at the end of a line
    /// does not count. It has `[PAD]`, `[UNK]`, `[CLS]` and `[SEP]`, and no token twice.
    pub fn read(text: &str) -> Result<Self, TokeniseError> {
        let (mut beginnings, mut continuations) = (BTreeMap::new(), BTreeMap::new());
        for (number, line) in (0_i64..).zip(text.lines()) {
            let line = line.trim_end();
            let (tokens, piece) = match line.strip_prefix("##") {
                Some(piece) if !piece.is_empty() => (&mut continuations, piece),
                _ => (&mut beginnings, line),
            };
            if let Some(first) = tokens.insert(piece.to_owned(), number) {
                return Err(TokeniseError::Repeated { token: line.to_owned(), first: first + 1, line: number + 1 });
            }
        }
        let special = |token: &'static str| beginnings.get(token).copied().ok_or(TokeniseError::Missing { token });
        let (padding, unknown) = (special("[PAD]")?, special("[UNK]")?);
        let (start, end) = (special("[CLS]")?, special("[SEP]")?);
        let longest = beginnings.keys().chain(continuations.keys()).map(String::len).max().unwrap_or_default();
        Ok(Self { beginnings, continuations, longest, padding, unknown, start, end })
    }

    /// The pieces of a word, each the longest that is known from where the last one ended; the unknown token alone
    /// where there is none for some part, and for words of more than 100 letters.
    pub(crate) fn pieces(&self, word: &str) -> Vec<i64> {
        let (mut pieces, mut rest, mut tokens) = (Vec::new(), word, &self.beginnings);
        if word.chars().nth(LETTERS_MAX).is_some() {
            return vec![self.unknown];
        }
        while !rest.is_empty() {
            let longest = rest.len().min(self.longest);
            let ends = (1..=longest).rev().filter(|end| rest.is_char_boundary(*end));
            let Some((number, end)) = ends.filter_map(|end| Some((*tokens.get(&rest[..end])?, end))).next() else {
                return vec![self.unknown];
            };
            pieces.push(number);
            rest = &rest[end..];
            tokens = &self.continuations;
        }
        pieces
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn vocabulary(more: &str) -> Result<Vocabulary, TokeniseError> {
        Vocabulary::read(&format!("[PAD]\n[UNK]\r\n[CLS]\n[SEP]\n{more}"))
    }

    #[test]
    fn the_longest_piece_comes_first() {
        let vocabulary = vocabulary("un\nuna\n##aff\n##able\n##ff\n##a\n##\n").unwrap();
        assert_eq!(vocabulary.pieces("unaffable"), [5, 8, 7]);
        assert_eq!(vocabulary.pieces("unx"), [vocabulary.unknown]);
        assert_eq!(vocabulary.pieces("aff"), [vocabulary.unknown], "continuations begin no word");
        assert_eq!(vocabulary.pieces("##"), [10]);
        assert_eq!(vocabulary.pieces("é"), [vocabulary.unknown]);
    }

    #[test]
    fn letters_are_counted_and_not_bytes() {
        let vocabulary = vocabulary("é\n##é\n").unwrap();
        assert_eq!(vocabulary.pieces(&"é".repeat(100)).len(), 100);
        assert_eq!(vocabulary.pieces(&"é".repeat(101)), [vocabulary.unknown]);
    }

    #[test]
    fn vocabularies_with_faults_are_refused() {
        assert_eq!(Vocabulary::read(""), Err(TokeniseError::Missing { token: "[PAD]" }));
        assert_eq!(Vocabulary::read("[PAD]\n[UNK]\n[CLS]"), Err(TokeniseError::Missing { token: "[SEP]" }));
        let repeated = TokeniseError::Repeated { token: "##a".to_owned(), first: 5, line: 7 };
        assert_eq!(vocabulary("##a\na\n##a \n"), Err(repeated));
    }
}
