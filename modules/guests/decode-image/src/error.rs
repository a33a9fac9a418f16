//! Why a photo could not become an input.

use crate::{PIXELS_MAX, SIDE_MAX};

/// What is wrong with a photo or with settings. Each message says what to do.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ImageError {
    /// A file of another format, or no picture at all.
    #[error("the photo is {found}, not JPEG or PNG: convert it to one of them")]
    Format {
        /// What it looks like.
        found: String,
    },
    /// A photo whose end is missing.
    #[error("the photo is cut short: its last part is missing; send it again")]
    CutShort,
    /// A photo with other faults.
    #[error("the photo does not decode as {format}: {reason}; check the file or save it again")]
    Damaged {
        /// JPEG or PNG.
        format: &'static str,
        /// What the decoder says.
        reason: String,
    },
    /// More pixels than are decoded.
    #[error("the photo has {width} x {height} pixels, more than {} million: scale it down", PIXELS_MAX / 1_000_000)]
    TooLarge {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
    },
    /// A size that a photo cannot be given.
    #[error("a photo cannot be resized to {width} x {height}: each side takes 1 to {SIDE_MAX} pixels")]
    Size {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
    },
    /// Numbers that levels cannot be normalised with.
    #[error("mean {mean} and scale {scale} of channel {channel}: both must be finite, and the scale not zero")]
    Normalise {
        /// Counted from 0.
        channel: usize,
        /// What is subtracted.
        mean: f32,
        /// What is divided by.
        scale: f32,
    },
}
