//! A language model's embeddings of tokens become one of the sentence: their mean, of length 1.
//!
//! Reimers and Gurevych, "Sentence-BERT" (2019), section 3, strategy MEAN; tokens that only fill up the input do not
//! count.

mod pool;
mod module;
mod error;

pub use error::PoolError;
pub use module::MeanPool;
pub use pool::mean;
