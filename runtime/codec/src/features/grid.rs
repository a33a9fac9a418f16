//! How the elements of a tensor lie: channels, at positions of a plane, in blocks.
//!
//! | shape            | channels | plane                                          | example                     |
//! |------------------|----------|------------------------------------------------|-----------------------------|
//! | `[C]`            | C        | 1 x 1                                          | an embedding                |
//! | `[N, C]`         | C        | N x 1                                          | a batch of embeddings       |
//! | `[1, T, C]`      | C        | T x 1                                          | tokens                      |
//! | `[C, H, W]`      | C        | H x W                                          | a picture without its batch |
//! | `[N, C, H, W]`   | C        | N · H x W                                      | pictures                    |
//! | `[N, C, D, H, W]`| C        | N · D · H x W                                  | volumes                     |
//!
//! A scalar has one channel at one position.

use thalweg_planner::TensorSpec;

/// The longest side of a block: what follows it costs more to transform and gains little.
pub(crate) const SIDE_MAX: usize = 16;
/// The shortest side of a block that a transform is worth.
const SIDE_MIN: usize = 4;

/// Channels, and positions in rows and columns, divided into blocks of equal size.
///
/// Where blocks do not divide the plane evenly, its last row and column are repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grid {
    pub(crate) channels: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    /// Rows of a block.
    pub(crate) rows: usize,
    /// Columns of a block.
    pub(crate) columns: usize,
    /// Elements from one position to the next.
    position_stride: usize,
    /// Elements from one channel to the next.
    channel_stride: usize,
    /// Positions in a row after which the next plane of the same channel begins.
    plane: usize,
}

impl Grid {
    /// The grid of such a tensor with blocks of one position; `None` for one without elements or of more than 5 axes.
    pub(crate) fn of(spec: &TensorSpec) -> Option<Self> {
        let (channels, height, width, plane, innermost) = match *spec.shape.as_slice() {
            [] => (1, 1, 1, 1, true),
            [channels] => (channels, 1, 1, 1, true),
            [count, channels] | [1, count, channels] => (channels, count, 1, count, true),
            [channels, height, width] => (channels, height, width, height.checked_mul(width)?, false),
            [count, channels, height, width] => {
                (channels, count.checked_mul(height)?, width, height.checked_mul(width)?, false)
            }
            [count, channels, depth, height, width] => {
                let rows = depth.checked_mul(height)?;
                (channels, count.checked_mul(rows)?, width, rows.checked_mul(width)?, false)
            }
            _ => return None,
        };
        if spec.is_empty() || u32::try_from(spec.len()).is_err() {
            return None;
        }
        let (position_stride, channel_stride) = if innermost { (channels, 1) } else { (1, plane) };
        Some(Self { channels, height, width, rows: 1, columns: 1, position_stride, channel_stride, plane })
    }

    /// The same elements in blocks of this many rows and columns.
    pub(crate) fn with_blocks(self, rows: usize, columns: usize) -> Self {
        Self { rows, columns, ..self }
    }

    /// The side that blocks of an axis of `size` have: the longest of those that leave the least to repeat.
    pub(crate) fn side(size: usize) -> usize {
        if size <= SIDE_MAX {
            return size;
        }
        let repeated = |side: usize| size.div_ceil(side) * side - size;
        (SIDE_MIN..=SIDE_MAX).rev().min_by_key(|side| repeated(*side)).unwrap_or(1)
    }

    /// Positions of a block, each of which becomes a spatial frequency.
    pub(crate) fn block(&self) -> usize {
        self.rows * self.columns
    }

    /// Positions of the plane.
    pub(crate) fn positions(&self) -> usize {
        self.height * self.width
    }

    /// Blocks in the plane.
    pub(crate) fn blocks(&self) -> usize {
        self.height.div_ceil(self.rows) * self.width.div_ceil(self.columns)
    }

    /// For each position in the order of blocks, with their repeated ones, where its first channel lies in the tensor.
    pub(crate) fn places(&self) -> Vec<u32> {
        let mut places = Vec::with_capacity(self.blocks() * self.block());
        for top in (0..self.height).step_by(self.rows) {
            for left in (0..self.width).step_by(self.columns) {
                for row in (top..top + self.rows).map(|row| row.min(self.height - 1)) {
                    for column in (left..left + self.columns).map(|column| column.min(self.width - 1)) {
                        places.push(self.place(row * self.width + column) as u32);
                    }
                }
            }
        }
        places
    }

    /// Where the first channel of a position lies.
    fn place(&self, position: usize) -> usize {
        let (outer, inner) = (position / self.plane, position % self.plane);
        outer * self.plane * self.channels + inner * self.position_stride
    }

    /// Elements from one channel of a position to the next.
    pub(crate) fn channel_stride(&self) -> usize {
        self.channel_stride
    }
}
