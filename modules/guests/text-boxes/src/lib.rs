//! A text detector's map of probabilities becomes boxes around lines of text.
//!
//! Liao et al., "Real-time Scene Text Detection with Differentiable Binarization" (2020), section 3.4, in the form that
//! PaddleOCR's `DBPostProcess` gives it. A map has shape [height, width]; its cell in column x and row y covers the
//! square from (x, y) to (x + 1, y + 1), and so its middle lies at (x + 0.5, y + 0.5). PaddleOCR leaves the half away,
//! which moves all boxes by half a cell to the upper left.
//!
//! Of each area of text PaddleOCR takes all contours; here it is the outer one only: those of holes lie within it and
//! would be boxes within boxes. A smallest rectangle needs a contour's convex hull only, which is the hull of the
//! ends of the area's rows, so no contour is followed.

mod settings;
mod areas;
mod rectangle;
mod score;
mod find;
mod order;
mod module;
mod error;

pub use error::TextBoxError;
pub use find::{TextBox, find};
pub use module::TextBoxes;
pub use settings::{CANDIDATES_MAX, Settings};

/// A point; x grows to the right and y downwards.
type Point = [f64; 2];
