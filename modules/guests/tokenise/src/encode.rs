//! Words become a model's inputs.

use serde::{Deserialize, Serialize};

use crate::words::words;
use crate::{TokeniseError, Vocabulary};

/// The longest input that may be asked for, in tokens: more than any model of this family takes.
pub const LENGTH_MAX: usize = 65_536;

/// The largest text, in bytes.
pub const TEXT_BYTES_MAX: usize = 1 << 20;

/// How texts are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The most tokens of a text, with the two that mark its beginning and end, from 2 to 65,536. What follows is
    /// cut off.
    pub length: usize,
    /// Whether shorter texts are filled up to the length.
    pub pad: bool,
    /// Whether letters become small and lose their accents, as `uncased` models need it.
    pub lower_case: bool,
}

impl Default for Settings {
    /// Those of sentence transformers.
    fn default() -> Self {
        Self { length: 128, pad: false, lower_case: true }
    }
}

/// A model's inputs, all of one length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoding {
    /// The numbers of the tokens: `[CLS]`, the text, `[SEP]`, and `[PAD]` up to the length.
    pub input_ids: Vec<i64>,
    /// 1 for tokens, 0 for padding.
    pub attention_mask: Vec<i64>,
    /// 0: a text is one sentence.
    pub token_type_ids: Vec<i64>,
}

/// A vocabulary and how texts are read with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokeniser {
    vocabulary: Vocabulary,
    settings: Settings,
}

impl Tokeniser {
    /// Checks the settings.
    pub fn new(vocabulary: Vocabulary, settings: Settings) -> Result<Self, TokeniseError> {
        match settings.length {
            2..=LENGTH_MAX => Ok(Self { vocabulary, settings }),
            length => Err(TokeniseError::Length { length }),
        }
    }

    /// The inputs for a text. No more of it is looked at than fits.
    pub fn encode(&self, text: &str) -> Result<Encoding, TokeniseError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(TokeniseError::TextTooLong { bytes: text.len() });
        }
        let Settings { length, pad, lower_case } = self.settings;
        let pieces = words(text, lower_case).flat_map(|word| self.vocabulary.pieces(&word));
        let mut input_ids = vec![self.vocabulary.start];
        input_ids.extend(pieces.take(length - 2));
        input_ids.push(self.vocabulary.end);
        let mut attention_mask = vec![1; input_ids.len()];
        if pad {
            input_ids.resize(length, self.vocabulary.padding);
            attention_mask.resize(length, 0);
        }
        let token_type_ids = vec![0; input_ids.len()];
        Ok(Encoding { input_ids, attention_mask, token_type_ids })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn tokeniser(length: usize, pad: bool) -> Result<Tokeniser, TokeniseError> {
        let vocabulary = Vocabulary::read("[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nb\n##b\n").unwrap();
        Tokeniser::new(vocabulary, Settings { length, pad, ..Settings::default() })
    }

    #[test]
    fn texts_are_marked_filled_up_and_cut_off() {
        let encoding = tokeniser(6, true).unwrap().encode("A abb").unwrap();
        assert_eq!(encoding.input_ids, [2, 4, 4, 6, 6, 3]);
        let encoding = tokeniser(5, true).unwrap().encode("A abb").unwrap();
        assert_eq!(encoding.input_ids, [2, 4, 4, 6, 3]);
        let encoding = tokeniser(6, true).unwrap().encode("b?").unwrap();
        assert_eq!(encoding.input_ids, [2, 5, 1, 3, 0, 0]);
        assert_eq!(encoding.attention_mask, [1, 1, 1, 1, 0, 0]);
        assert_eq!(encoding.token_type_ids, [0; 6]);
        assert_eq!(tokeniser(6, false).unwrap().encode("").unwrap().input_ids, [2, 3]);
        assert_eq!(tokeniser(2, true).unwrap().encode("a a a").unwrap().input_ids, [2, 3]);
    }

    #[test]
    fn a_special_token_in_a_text_is_text() {
        let encoding = tokeniser(9, false).unwrap().encode("[SEP]").unwrap();
        assert_eq!(encoding.input_ids, [2, 1, 1, 1, 3]);
    }

    #[test]
    fn lengths_and_texts_are_bounded() {
        for length in [0, 1, LENGTH_MAX + 1, usize::MAX] {
            assert_eq!(tokeniser(length, true), Err(TokeniseError::Length { length }));
        }
        let tokeniser = tokeniser(LENGTH_MAX, true).unwrap();
        assert_eq!(tokeniser.encode(&"a".repeat(TEXT_BYTES_MAX)).unwrap().input_ids[..3], [2, 1, 3]);
        let bytes = TEXT_BYTES_MAX + 1;
        assert_eq!(tokeniser.encode(&" ".repeat(bytes)), Err(TokeniseError::TextTooLong { bytes }));
    }

    proptest! {
        #[test]
        fn arbitrary_texts_never_panic(text in any::<String>(), length in 2usize..20) {
            let encoding = tokeniser(length, true).unwrap().encode(&text).unwrap();
            prop_assert_eq!(encoding.input_ids.len(), length);
            prop_assert_eq!(encoding.input_ids.iter().filter(|id| **id == 3).count(), 1);
        }
    }
}
