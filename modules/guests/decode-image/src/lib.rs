//! JPEG and PNG photos become the input of an image model: decoded, turned upright, brought to a size, made numbers.
//!
//! A photo is 8-bit sRGB: at least one pixel, rows from the top, pixels from the left, channels R, G, B.

mod decode;
mod fit;
mod numbers;
mod settings;
mod module;
mod error;

pub use decode::{PIXELS_MAX, Photo};
pub use error::ImageError;
pub use fit::proportioned;
pub use module::DecodeImage;
pub use numbers::luma;
pub use settings::{Colour, Fit, Layout, SIDE_MAX, Settings};
