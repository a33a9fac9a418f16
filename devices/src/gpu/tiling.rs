//! Which tile a product of matrices gets, and in how many parts its sums are done, by a model of a GPU.
//!
//! A processor runs a few workgroups side by side. Each turn of one reads tiles, which takes as long as memory takes to
//! answer, and multiplies them; others compute meanwhile. With times in cycles of a processor that does 128 multiply-adds in
//! one:
//!
//! ```text
//! turn  = max(workgroups side by side · work, latency + work)
//! total = rounds · turns · turn + (more than one part ? reduction : 0)
//! ```
//!
//! The constants were fitted to products on an H100; what matters is the order of the candidates.

use super::lower::Bounds;
use super::matrix::{Right, TILES, Tile};

/// Cycles until memory answers, as far as nothing hides them.
const LATENCY: f64 = 900.0;
/// Cycles to bring an element into a tile: as it lies, and where its place in an image is computed.
const BRING: f64 = 2.0;
const BRING_OF_IMAGE: f64 = 12.0;
/// Cycles that the reduction of parts takes at least, and bytes that it reads in one.
const REDUCTION: f64 = 5000.0;
const REDUCTION_BYTES: f64 = 550.0;
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
        64.. => (512, 1.7),
        32.. => (768, 2.0),
        _ => (1024, 2.5),
    };
    let side_by_side = (threads / tile.threads()).min(16) as f64;
    let rounds = (groups / (processors as f64 * side_by_side)).ceil();
    let together = (groups / processors as f64).ceil().min(side_by_side);
    let bring = match right {
        Right::Strided | Right::Wide => BRING,
        Right::Image | Right::Spread => BRING_OF_IMAGE,
    };
    let depth = tile.depth as f64;
    let work =
        depth / LANES * ((tile.bm * tile.bn) as f64 * multiply + tile.bm as f64 * BRING + tile.bn as f64 * bring);
    let turn = (together * work).max(LATENCY + work);
    let bytes = (m * n * batch * parts * 4) as f64;
    let reduction = if parts > 1 { REDUCTION + bytes / REDUCTION_BYTES } else { 0.0 };
    rounds * turns * turn + reduction
}

#[cfg(test)]
mod tests {
    use super::*;

    const DISCRETE: Bounds =
        Bounds { buffers: 8, groups: 65_535, bytes: 1 << 30, threads: 1024, shared: 48 << 10, processors: 128 };

    #[test]
    fn large_products_get_large_tiles_and_long_thin_ones_get_parts() {
        let tiling = |sizes| tiling(sizes, Right::Wide, DISCRETE).map(|(tile, parts)| (tile.bm * tile.bn, parts));
        assert_eq!(tiling((4096, 4096, 4096, 1)), Some((128 * 128, 1)));
        let (elements, parts) = tiling((256, 196, 2304, 1)).expect("one fits");
        assert!(elements <= 64 * 64 && parts >= 4, "{elements} in {parts}");
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
