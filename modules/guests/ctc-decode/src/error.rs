//! Why scores could not be read as text.

/// What is wrong with a dictionary or with scores. Each message says what to do.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CtcError {
    /// A dictionary without a character.
    #[error("the dictionary is empty: write one character a line, in the order of the model's classes")]
    EmptyDictionary,
    /// A line of a dictionary without a character.
    #[error(
        "line {line} of the dictionary is empty: each line is the text of one class, take the one that was trained"
    )]
    EmptyLine {
        /// Counted from 1.
        line: usize,
    },
    /// A dictionary that belongs to another model.
    #[error(
        "the scores have {classes} classes, but the dictionary makes {expected} with the blank: take the dictionary \
         that belongs to the model, and say whether it ends with a space"
    )]
    Classes {
        /// Classes of the scores.
        classes: usize,
        /// Classes of the dictionary.
        expected: usize,
    },
    /// Scores that are not as many as their shape says.
    #[error("{found} scores do not make {steps} steps of {classes} classes: check the shape of the model's output")]
    Shape {
        /// How many scores there are.
        found: usize,
        /// Steps by the shape.
        steps: usize,
        /// Classes by the shape.
        classes: usize,
    },
    /// A score that cannot be compared.
    #[error("score {class} of step {step} is {score}: the model or its input is broken")]
    NotANumber {
        /// Counted from 0.
        step: usize,
        /// Counted from 0.
        class: usize,
        /// The score.
        score: f32,
    },
    /// A best score that is no probability although it should be.
    #[error(
        "score {class} of step {step} is {score}, which is no probability: if the model ends without a softmax, say \
         that its scores are logits"
    )]
    NotAProbability {
        /// Counted from 0.
        step: usize,
        /// Counted from 0.
        class: usize,
        /// The score.
        score: f32,
    },
}
