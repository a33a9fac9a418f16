//! A quadrilateral of a photo becomes the picture of a line of text, and that a text recogniser's input.
//!
//! What PaddleOCR does in two steps (`get_rotate_crop_image`, `resize_norm_img`) is one here: each pixel of the result
//! is looked up in the photo, so nothing is blurred twice. Places in a photo are x and y in pixels from its upper left
//! corner: the pixel in column x and row y covers the square from (x, y) to (x + 1, y + 1).

mod homography;
mod crop;
mod input;
mod module;
mod error;

pub use crop::{PIXELS_MAX, Photo, Picture, Settings, crop};
pub use error::CropError;
pub use homography::Homography;
pub use input::{Channels, input};
pub use module::Crop;

/// Corners of a quadrilateral: upper left, upper right, lower right, lower left of what is written in it.
pub type Corners = [[f32; 2]; 4];
