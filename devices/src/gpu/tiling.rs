//! Which tile a product of matrices gets, and in how many parts its sums are done, by a model of a GPU.
//!
//! A processor runs a few workgroups side by side. In each turn one reads the next tiles, which takes as long as memory takes
//! to answer, and multiplies the latest; others compute meanwhile. With times in cycles of a processor that does 128
//! multiply-adds in one:
//!
//! ```text
//! turn  = max(workgroups side by side · work, max(latency, work) + barriers)
//! total = rounds · turns · turn + write + (more than one part ? reduction : 0)
//! ```
//!
//! The constants were fitted to what 30 products took on an H100, most of which this tells within a third; what matters is the
//! order of the candidates.

use super::lower::Bounds;
use super::matrix::{Right, TILES, Tile};

/// Cycles until memory answers; how many more for each element of which a thread computes the place in an image.
const LATENCY: f64 = 900.0;
const LATENCY_OF_IMAGE: f64 = 100.0;
/// Cycles in which a workgroup's threads wait for each other.
const BARRIERS: f64 = 300.0;
/// Cycles of a lane to bring an element into a tile: as it lies, and from an image.
const BRING: f64 = 2.0;
const BRING_OF_IMAGE: f64 = 40.0;
/// With so few threads a processor waits for what it has read from workgroup memory: so much longer does it take.
const FEW: f64 = 256.0;
const ALONE: f64 = 1.27;
/// Cycles to write an element.
const WRITE: f64 = 0.006;
/// Cycles that the reduction of parts takes at least, for each element that it makes, and for each that it reads.
const REDUCTION: f64 = 6500.0;
const REDUCTION_MADE: f64 = 0.01;
const REDUCTION_READ: f64 = 0.0035;
/// Multiply-adds of a processor in a cycle.
const LANES: f64 = 128.0;

/// The tile and the number of parts that take the least time. None where no tile fits.
pub(super) fn tiling(sizes: (usize, usize, usize, usize), right: Right, bounds: Bounds) -> Option<(Tile, usize)> {
    let fits = |tile: &&Tile| tile.threads() <= bounds.threads && tile.memory() <= bounds.shared;
    let candidates = TILES.iter().filter(fits).flat_map(|tile| [1, 2, 4, 8, 16].map(|parts| (*tile, parts)));
    let candidates = candidates.filter(|(tile, parts)| *parts == 1 || sizes.2 >= 2 * tile.depth * parts);
    candidates.min_by(|one, other| {
        let time = |(tile, parts): &(Tile, usize)| cycles(sizes, *tile, *parts, right, bounds.processors);
        time(one).total_cmp(&time(other))
    })
}

fn cycles(
    (m, n, k, batch): (usize, usize, usize, usize),
    tile: Tile,
    parts: usize,
    right: Right,
    processors: usize,
) -> f64 {
    let groups = (m.div_ceil(tile.bm) * n.div_ceil(tile.bn) * batch * parts) as f64;
    let turns = k.div_ceil(parts).div_ceil(tile.depth) as f64;
    // What a thread keeps in registers bounds how many there are. The fewer elements it makes, the more it reads for each.
    let (threads, multiply) = match tile.tm * tile.tn {
        64.. => (512, 1.6),
        32.. => (768, 1.93),
        _ => (1024, 2.44),
    };
    let side_by_side = (threads / tile.threads()).min(16) as f64;
    let rounds = (groups / (processors as f64 * side_by_side)).ceil();
    let together = (groups / processors as f64).ceil().min(side_by_side);
    let alone = if together * tile.threads() as f64 <= FEW { ALONE } else { 1.0 };
    let depth = tile.depth as f64;
    let each = tile.bn as f64 * depth / tile.threads() as f64;
    let (bring, latency) = match right {
        Right::Strided | Right::Wide => (BRING, LATENCY),
        Right::Image | Right::Spread => (BRING_OF_IMAGE, LATENCY + each * LATENCY_OF_IMAGE),
    };
    let work = depth / LANES
        * ((tile.bm * tile.bn) as f64 * multiply * alone + tile.bm as f64 * BRING + tile.bn as f64 * bring);
    let turn = (together * work).max(latency.max(work) + BARRIERS);
    let each = REDUCTION_MADE + parts as f64 * REDUCTION_READ;
    let reduction = if parts > 1 { REDUCTION + (m * n * batch) as f64 * each } else { 0.0 };
    let write = (m * n * batch * parts) as f64 * WRITE;
    rounds * turns * turn + write + reduction
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Precision;

    const DISCRETE: Bounds = Bounds {
        buffers: 8,
        groups: 65_535,
        bytes: 1 << 30,
        threads: 1024,
        shared: 48 << 10,
        processors: 128,
        precision: Precision::F32,
    };

    #[test]
    fn large_products_get_large_tiles_and_long_thin_ones_get_parts() {
        let tiling = |sizes| tiling(sizes, Right::Wide, DISCRETE).map(|(tile, parts)| (tile.bm * tile.bn, parts));
        assert_eq!(tiling((4096, 4096, 4096, 1)), Some((128 * 128, 1)));
        assert_eq!(tiling((1024, 1024, 1024, 1)), Some((128 * 64, 1)));
        assert!(tiling((256, 196, 2304, 1)).is_some_and(|(_, parts)| parts >= 4));
        assert_eq!(tiling((96, 12544, 16, 1)).map(|(_, parts)| parts), Some(1));
    }

    #[test]
    fn a_tile_fits_the_device() {
        let small = Bounds { threads: 64, shared: 16 << 10, processors: 16, ..DISCRETE };
        let (tile, _) = tiling((4096, 4096, 4096, 1), Right::Image, small).expect("one fits");
        assert!(tile.threads() <= 64 && tile.memory() <= 16 << 10);
        assert_eq!(tiling((64, 64, 64, 1), Right::Image, Bounds { shared: 1024, ..small }), None);
    }
}
