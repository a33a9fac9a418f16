//! Why there is no embedding of a sentence.

/// What is wrong with embeddings or a mask. Each message says what to do. All counts begin at 0.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PoolError {
    /// Numbers that do not make embeddings.
    #[error(
        "{found} numbers do not make {tokens} embeddings of {width} numbers: check the shape of the model's output"
    )]
    Shape {
        /// How many there are.
        found: usize,
        /// Tokens by the mask.
        tokens: usize,
        /// Numbers of an embedding.
        width: usize,
    },
    /// A mask that says neither yes nor no.
    #[error("the mask of token {token} is {value}: it takes 1 for a token of the text and 0 for padding")]
    Mask {
        /// The token.
        token: usize,
        /// What stands there.
        value: i64,
    },
    /// A mask that leaves nothing.
    #[error("all {tokens} tokens are padding: give the mask that was given to the model")]
    Empty {
        /// How many there are.
        tokens: usize,
    },
    /// An embedding that is broken.
    #[error("number {at} of token {token} is {value}: the model or its input is broken")]
    NotANumber {
        /// The token.
        token: usize,
        /// The place in its embedding.
        at: usize,
        /// What stands there.
        value: f32,
    },
    /// A mean without a direction.
    #[error("the embeddings of the tokens add up to zero: the model or its input is broken")]
    Zero,
}
