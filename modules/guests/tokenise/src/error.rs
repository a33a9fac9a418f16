//! Why a text could not be turned into tokens.

use crate::{LENGTH_MAX, TEXT_BYTES_MAX};

/// What is wrong with a vocabulary, settings or a text. Each message says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokeniseError {
    /// A vocabulary without a token that every text needs.
    #[error("the vocabulary has no line `{token}`: take the vocab.txt that belongs to the model")]
    Missing {
        /// The token.
        token: &'static str,
    },
    /// A token that stands twice in a vocabulary.
    #[error("line {line} of the vocabulary repeats `{token}` of line {first}: take the vocab.txt of the model")]
    Repeated {
        /// The token.
        token: String,
        /// Where it stands first, counted from 1.
        first: i64,
        /// Where it stands again, counted from 1.
        line: i64,
    },
    /// A length that no model has.
    #[error("setting `length` is {length}: it takes 2 to {LENGTH_MAX} tokens")]
    Length {
        /// Its value.
        length: usize,
    },
    /// A text that is no sentence or page.
    #[error(
        "the text has {bytes} bytes, more than {TEXT_BYTES_MAX}: cut it into parts, the model sees its beginning only"
    )]
    TextTooLong {
        /// Its size.
        bytes: usize,
    },
}
