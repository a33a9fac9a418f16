//! Convolution by windows of 3x3, in steps of one, with 16 multiplications for four outputs in the place of 36.
//!
//! ```text
//!  image      4x4 elements of    16 matrices        16 products       16 sums of each      output
//!             a tile, 2 apart    channels x tiles   by weights        output and tile
//!  ┌─┬─┬─┐                          ┌──────┐           ┌──────┐                           ┌─┬─┐
//!  ├─┼─┼─┤    d  ──────────────────▶│BᵀdB  │──────────▶│ Σ uv │──────────────────────────▶├─┼─┤ AᵀmA
//!  └─┴─┴─┘                          └──────┘           └──────┘                           └─┴─┘
//! ```
//! F(2x2, 3x3) of Lavin and Gray, "Fast algorithms for convolutional neural networks" (2015), whose names the matrices have,
//! over as many tiles at a time as a block of [`super::product`] has columns. Larger tiles take fewer multiplications still,
//! but their sums are off by more than the bound that kernels keep.

use std::iter::zip;
use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::blocks::Blocks;
use super::convolution::Convolution;
use super::pieces::Region;
use super::product::{Block, ROOM, ROWS, Run, multiplied, vectors};
use super::steps::{Ready, done, load, of_channel, store};
use super::window::{Window, rows};

/// Elements of a tile, and so matrices.
pub(super) const TILE: usize = 16;
/// Vectors of what tiles make that steps are done to at a time.
const FINISHED: usize = 2;
/// Bytes that weights may grow by for each window: with more, time goes into reading them.
const GROWTH_MAX: usize = 100 << 10;
/// What it takes to turn an input channel of a tile, and an output channel, in multiplications that could be saved then. Measured:
/// 8.5 ns and 12 ns, where a multiplication by 36 weights took 1.1 ns and by 16 0.45 ns; and some more, to be sure.
const TURNS: [usize; 2] = [16, 20];

/// Whether a convolution can be computed this way, and is faster then.
pub(super) fn is_worth(of: &Convolution) -> bool {
    let window = &of.window;
    if [window.kernel, window.strides, window.dilations] != [[3, 3], [1, 1], [1, 1]] {
        return false;
    }
    let ([_, windows], [inputs, outputs]) = (window.planes(), of.channels);
    let growth = (TILE - window.places()) * inputs * outputs * size_of::<f32>();
    let saves = TURNS[0] * inputs + TURNS[1] * outputs <= inputs * outputs;
    saves && growth <= GROWTH_MAX * windows
}

/// The weights of each element of a tile, from those of windows: `[.., 3, 3]` to `[16, ..]`.
pub(super) fn weights(windows: &[f32]) -> Vec<f32> {
    // G g Gᵀ
    let along = |[a, b, c]: [f64; 3]| [a, (a + b + c) / 2.0, (a - b + c) / 2.0, c];
    let windows = windows.as_chunks::<9>().0;
    let mut made = vec![0.0; TILE * windows.len()];
    for (at, window) in windows.iter().enumerate() {
        let window = window.map(f64::from);
        let rows = [0, 1, 2].map(|row| along([window[3 * row], window[3 * row + 1], window[3 * row + 2]]));
        for column in 0..4 {
            for (row, weight) in along(rows.map(|row| row[column])).into_iter().enumerate() {
                made[(4 * row + column) * windows.len() + at] = weight as f32;
            }
        }
    }
    made
}

/// Elements of work for a run: a matrix of tiles and one of sums for each element of a tile.
pub(super) fn room_len(of: &Convolution) -> usize {
    let [inputs, outputs] = of.channels;
    TILE * (inputs + outputs.next_multiple_of(ROWS)) * ROOM
}

/// One run.
pub(super) struct Winograd<'a>(pub(super) Run<'a>);

impl WithSimd for Winograd<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Run { op, image, weights, steps, mut output, block } = self.0;
        let ([plane_in, _], [inputs, outputs]) = (op.window.planes(), op.channels);
        let tiles = tiles(&op.window);
        let of_tiles = |columns: usize| columns.div_ceil(step(op)) * tiles.output[1];
        let all = of_tiles(output.columns().start)..of_tiles(output.columns().end);
        let (seen, sums) = block.as_chunks_mut::<ROOM>().0.split_at_mut(TILE * inputs);
        let panels = weights.len() / op.groups;
        for (number, image) in image.chunks_exact(inputs * plane_in).enumerate() {
            let weights = &weights[number % op.groups * panels..][..panels];
            let size = Blocks::size::<S>();
            for start in all.clone().step_by(size) {
                let some = start..all.end.min(start + size);
                for (channel, image) in image.chunks_exact(plane_in).enumerate() {
                    see(simd, &tiles, image, some.clone(), &mut seen[channel..], inputs);
                }
                multiply(simd, seen, weights, sums, [inputs, some.len()]);
                let rows = sums.len() / TILE;
                for channel in 0..outputs {
                    let made = Made { op, steps, number, channel, tiles: &tiles };
                    made.put(simd, some.clone(), &sums[channel..], rows, &mut output);
                }
            }
        }
    }
}

/// Columns of the output that a row of tiles makes: a piece has no part of such a row.
pub(super) fn step(of: &Convolution) -> usize {
    2 * of.window.output[1]
}

/// Where tiles lie in the image: as windows of 4x4 in steps of two do.
fn tiles(window: &Window) -> Window {
    let output = window.output.map(|size| size.div_ceil(2));
    Window { output, kernel: [4, 4], strides: [2, 2], ..window.clone() }
}

/// `BᵀdB` of some tiles of a channel, to the row of this channel in each matrix, of which they have so many.
#[inline(always)]
fn see<S: Simd>(simd: S, tiles: &Window, image: &[f32], some: Range<usize>, into: &mut [[f32; ROOM]], channels: usize) {
    // By row of the tile, its even columns and its odd ones.
    let mut lines = [[[0.0; ROOM]; 2]; 4];
    for ([y, x], range) in rows(some, tiles.output[1]) {
        for (row, lines) in lines.iter_mut().enumerate() {
            for (odd, line) in lines.iter_mut().enumerate() {
                tiles.see(image, [2 * y + row, 2 * x + odd], &mut line[..range.len() + 1]);
            }
        }
        for at in (0..range.len()).step_by(S::F32_LANES) {
            let mut tile = [[simd.splat_f32s(0.0); 4]; 4];
            for (tile, lines) in zip(&mut tile, &lines) {
                for (column, element) in tile.iter_mut().enumerate() {
                    *element = vector::<S>(&lines[column % 2][at + column / 2..]);
                }
            }
            let to = range.start + at;
            for (matrix, made) in twice(simd, &tile, seen).as_flattened().iter().enumerate() {
                store(simd, &mut into[matrix * channels][to..to + S::F32_LANES], &[*made]);
            }
        }
    }
}

/// `Bᵀd` of one column.
#[inline(always)]
pub(super) fn seen<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 4] {
    [simd.sub_f32s(a, c), simd.add_f32s(b, c), simd.sub_f32s(c, b), simd.sub_f32s(b, d)]
}

/// `Aᵀm` of one column.
#[inline(always)]
pub(super) fn summed<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 2] {
    [simd.add_f32s(simd.add_f32s(a, b), c), simd.sub_f32s(simd.sub_f32s(b, c), d)]
}

/// What is done to each column of a tile, and then to each row of what that makes.
#[inline(always)]
pub(super) fn twice<S: Simd, const N: usize>(
    simd: S,
    [a, b, c, d]: &[[S::f32s; 4]; 4],
    along: impl Fn(S, [S::f32s; 4]) -> [S::f32s; N],
) -> [[S::f32s; N]; N] {
    let mut columns = [[simd.splat_f32s(0.0); 4]; N];
    for column in 0..4 {
        let made = along(simd, [a[column], b[column], c[column], d[column]]);
        for (columns, made) in zip(&mut columns, &made) {
            columns[column] = *made;
        }
    }
    let mut rows = [[simd.splat_f32s(0.0); N]; N];
    for (rows, columns) in zip(&mut rows, &columns) {
        *rows = along(simd, *columns);
    }
    rows
}

/// The first vector of a row.
#[inline(always)]
fn vector<S: Simd>(row: &[f32]) -> S::f32s {
    S::as_simd_f32s(&row[..S::F32_LANES]).0[0]
}

/// Each matrix of tiles by its weights.
#[inline(always)]
fn multiply<S: Simd>(
    simd: S,
    seen: &[[f32; ROOM]],
    weights: &[[f32; ROWS]],
    sums: &mut [[f32; ROOM]],
    [inputs, tiles]: [usize; 2],
) {
    let (matrix, rows) = (weights.len() / TILE, sums.len() / TILE);
    let matrices = zip(seen.chunks_exact(inputs), sums.chunks_exact_mut(rows));
    for ((seen, sums), weights) in matrices.zip(weights.chunks_exact(matrix)) {
        let mut at = 0;
        while at < tiles {
            let vectors = vectors::<S>(tiles - at);
            for (panel, sums) in zip(weights.chunks_exact(inputs), sums.as_chunks_mut::<ROWS>().0) {
                match vectors {
                    4.. => tile::<S, 4>(simd, seen, panel, sums, at),
                    3 => tile::<S, 3>(simd, seen, panel, sums, at),
                    2 => tile::<S, 2>(simd, seen, panel, sums, at),
                    _ => tile::<S, 1>(simd, seen, panel, sums, at),
                }
            }
            at += vectors * S::F32_LANES;
        }
    }
}

/// So many vectors of tiles of one matrix, from this one on, by a panel of its weights.
#[inline(always)]
fn tile<S: Simd, const N: usize>(
    simd: S,
    seen: &[[f32; ROOM]],
    panel: &[[f32; ROWS]],
    sums: &mut [[f32; ROOM]; ROWS],
    at: usize,
) {
    let block = Block { rows: seen.as_flattened(), pitch: ROOM, first: 0 };
    let made = multiplied::<S, N>(simd, [[simd.splat_f32s(0.0); N]; ROWS], panel, &block, at);
    for (row, made) in zip(sums, &made) {
        store(simd, &mut row[at..at + N * S::F32_LANES], made);
    }
}

/// What becomes of the sums of an output channel.
struct Made<'a> {
    op: &'a Convolution,
    steps: &'a [Ready<'a>],
    /// Of the group, of all images.
    number: usize,
    channel: usize,
    tiles: &'a Window,
}

impl Made<'_> {
    /// `AᵀmA` of some tiles, from the row of the channel in each matrix, of so many, to its plane.
    #[inline(always)]
    fn put<S: Simd>(&self, simd: S, some: Range<usize>, sums: &[[f32; ROOM]], channels: usize, output: &mut Region) {
        let [height, width] = self.op.window.output;
        // By row that tiles make, its even columns and its odd ones.
        let mut lines = [[[0.0; ROOM]; 2]; 2];
        for ([y, x], range) in rows(some, self.tiles.output[1]) {
            for at in (0..range.len()).step_by(S::F32_LANES) {
                let mut tile = [[simd.splat_f32s(0.0); 4]; 4];
                for (matrix, element) in tile.as_flattened_mut().iter_mut().enumerate() {
                    *element = vector::<S>(&sums[matrix * channels][range.start + at..]);
                }
                for (lines, made) in zip(&mut lines, &twice(simd, &tile, summed)) {
                    for (line, made) in zip(lines, made) {
                        store(simd, &mut line[at..at + S::F32_LANES], &[*made]);
                    }
                }
            }
            for (y, [even, odd]) in (2 * y..height).zip(&lines) {
                let begins = y * width + 2 * x;
                let mut line = [[0.0; 2]; ROOM];
                for (pair, (even, odd)) in zip(&mut line, zip(even, odd)).take(range.len()) {
                    *pair = [*even, *odd];
                }
                let line = &line.as_flattened()[..(2 * range.len()).min(width - 2 * x)];
                self.finish(simd, line, begins, output.row(self.number, self.channel, begins..begins + line.len()));
            }
        }
    }

    /// The steps that follow, on a part of a row that begins there in the plane.
    #[inline(always)]
    fn finish<S: Simd>(&self, simd: S, line: &[f32], begins: usize, output: &mut [f32]) {
        let ([_, plane], [_, outputs]) = (self.op.window.planes(), self.op.channels);
        let len = FINISHED * S::F32_LANES;
        for (at, (from, into)) in zip(line.chunks(len), output.chunks_mut(len)).enumerate() {
            let begins = (self.number * outputs + self.channel) * plane + begins + at * len;
            let added = |tensor: &[f32]| load(simd, &tensor[begins..begins + from.len()]);
            let channel = self.number % self.op.groups * outputs + self.channel;
            let made = done(simd, self.steps, of_channel(simd, channel), load::<S, FINISHED>(simd, from), added);
            store(simd, into, &made);
        }
    }
}
