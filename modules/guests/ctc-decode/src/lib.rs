//! Class scores of a text recogniser become text: best path decoding of connectionist temporal classification.
//!
//! Graves et al., "Connectionist Temporal Classification: Labelling Unsegmented Sequence Data with Recurrent Neural
//! Networks" (2006), section 3.2: of each step the best class; equal neighbours are one; blanks are taken out. The
//! confidence is PaddleOCR's: the mean of the probabilities of the steps that are kept, each the first of its run.

mod dictionary;
mod decode;
mod module;
mod error;

pub use decode::{Character, Line, Scores, decode};
pub use dictionary::Dictionary;
pub use error::CtcError;
pub use module::CtcDecode;
