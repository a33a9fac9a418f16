//! Why no boxes could be found.

use crate::CANDIDATES_MAX;

/// What is wrong with a map or with settings. Each message says what to do.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TextBoxError {
    /// A map that is not as large as its shape says, or without a cell.
    #[error("{found} probabilities do not make a map of {height} rows and {width} columns: check the model's output")]
    Shape {
        /// How many there are.
        found: usize,
        /// Rows by the shape.
        height: usize,
        /// Columns by the shape.
        width: usize,
    },
    /// A cell that is no number.
    #[error("the map has {value} in row {row}, column {column}: the model or its input is broken")]
    NotANumber {
        /// Counted from 0.
        row: usize,
        /// Counted from 0.
        column: usize,
        /// The value.
        value: f32,
    },
    /// A photo without a pixel.
    #[error("a photo of {width} x {height} pixels has no boxes: give the size of the photo that the map was made from")]
    PhotoSize {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
    },
    /// A setting outside its range.
    #[error("setting `{name}` is {value}: it takes 0 to {max}")]
    Setting {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: f32,
        /// The largest value it takes.
        max: f32,
    },
    /// A number of areas or boxes outside its range.
    #[error("setting `{name}` is {count}: it takes 1 to {CANDIDATES_MAX}")]
    Count {
        /// Its name.
        name: &'static str,
        /// Its value.
        count: usize,
    },
}
