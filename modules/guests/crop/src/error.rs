//! Why nothing could be cut out.

use crate::{Corners, PIXELS_MAX};

/// What is wrong with a photo, a quadrilateral or settings. Each message says what to do.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CropError {
    /// Bytes that do not make the photo.
    #[error("{found} bytes do not make a photo of {width} x {height} pixels: give 3 bytes a pixel, R, G and B")]
    Photo {
        /// How many there are.
        found: usize,
        /// Pixels across.
        width: usize,
        /// Pixels down.
        height: usize,
    },
    /// A corner that no finder of boxes would give.
    #[error("the corner {corner:?} is not in or near the photo of {width} x {height} pixels: check the box's scale")]
    Corner {
        /// x and y.
        corner: [f32; 2],
        /// Pixels across.
        width: usize,
        /// Pixels down.
        height: usize,
    },
    /// Four points that no rectangle looks like.
    #[error(
        "{corners:?} enclose no convex area: give upper left, upper right, lower right and lower left, each different"
    )]
    NotConvex {
        /// The points.
        corners: Corners,
    },
    /// A picture without a pixel, or with too many.
    #[error("a line of {width} x {height} pixels cannot be made: it takes 1 to {PIXELS_MAX} pixels")]
    Size {
        /// Pixels across.
        width: usize,
        /// Pixels down.
        height: usize,
    },
    /// A line that is longer than the input it should fill.
    #[error("the line is {width} pixels wide, but the input takes {input}: cut it out with `width_max` {input}")]
    TooWide {
        /// Pixels of the line.
        width: usize,
        /// Pixels of the input.
        input: usize,
    },
}
