//! Text becomes the numbers of a BERT-type model's vocabulary.
//!
//! Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding" (2019), in the
//! form of its `BasicTokenizer` and `WordpieceTokenizer`; the pieces are those of Wu et al., "Google's Neural Machine
//! Translation System" (2016), section 4.1. A text that holds the name of a special token, such as `[SEP]`, is text:
//! it cannot end a sentence.

mod vocabulary;
mod words;
mod encode;
mod module;
mod error;

pub use encode::{Encoding, LENGTH_MAX, Settings, TEXT_BYTES_MAX, Tokeniser};
pub use error::TokeniseError;
pub use module::Tokenise;
pub use vocabulary::Vocabulary;
