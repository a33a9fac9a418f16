//! Convolution by windows of 3x3 over tensors with channels in blocks, with the multiplications of [`crate::cpu::winograd`]: of its
//! 16 matrices each is a convolution of tiles, whose windows see one each.

use std::iter::zip;
use std::ops::Range;

use pulp::{Simd, WithSimd};
use tract_onnx::tract_hir::internal::TVec;

use super::BLOCK;
use super::convolution::{Group, Run, groups};
use super::read::Planes;
use super::tile::{constant, load, store, tiles};
use crate::cpu::convolution::Convolution;
use crate::cpu::pieces::Region;
use crate::cpu::steps::{Ready, done};
use crate::cpu::window::Window;
use crate::cpu::winograd::{self, TILE, seen, summed, twice};

/// Elements of a matrix of tiles and of what becomes of it, about: with weights for a group they stay in the second cache.
const MATRIX_MAX: usize = 1 << 17;
/// Tiles at a time.
const TILES_MAX: usize = 240;

/// Whether a convolution over blocks is computed this way: where whole rows of tiles are not too many at a time.
pub(super) fn is_worth(of: &Convolution) -> bool {
    winograd::is_worth(of) && of.window.output[1].div_ceil(2) <= TILES_MAX
}

/// Columns of the output that a row of tiles makes: a piece has no part of such a row.
pub(super) fn columns(of: &Convolution) -> usize {
    2 * of.window.output[1]
}

/// The same to as many rows and columns as whole tiles make.
fn whole(window: &Window) -> Window {
    Window { output: window.output.map(|size| size.next_multiple_of(2)), ..window.clone() }
}

/// Rows of tiles that are computed at a time.
fn rows(of: &Convolution, planes: Planes) -> usize {
    let [height, width] = of.window.output.map(|size| size.div_ceil(2));
    let channels = (planes.count + of.channels[1].div_ceil(BLOCK)) * BLOCK;
    let tiles = (MATRIX_MAX / channels).min(TILES_MAX);
    (tiles / width).clamp(1, height)
}

/// Elements of work for a run: what tiles see, their matrices, and what becomes of these.
pub(super) fn room_len(of: &Convolution, planes: Planes) -> usize {
    let rows = rows(of, planes);
    let blocks = planes.count + of.channels[1].div_ceil(BLOCK);
    planes.copied_len(&whole(&of.window), 2 * rows) + TILE * rows * of.window.output[1].div_ceil(2) * blocks * BLOCK
}

/// One run.
pub(super) struct Winograd<'a>(pub(super) Run<'a>);

impl WithSimd for Winograd<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Run { op, planes, image, weights, steps, mut output, room } = self.0;
        let ([plane_in, _], [_, outputs]) = (op.window.planes(), op.channels);
        let (window, [_, width], rows_max) = (whole(&op.window), op.window.output, rows(op, planes));
        let (columns, across) = (output.columns(), width.div_ceil(2));
        let all = columns.start / BLOCK / width / 2..(columns.end / BLOCK / width).div_ceil(2);
        for (number, image) in image.chunks_exact(planes.count * BLOCK * plane_in).enumerate() {
            for first in all.clone().step_by(rows_max) {
                let rows = first..all.end.min(first + rows_max);
                let tiles = rows.len() * across;
                let (copy, room) = room.split_at_mut(planes.copied_len(&window, 2 * rows_max));
                let (matrices, sums) = room.split_at_mut(TILE * rows_max * across * planes.count * BLOCK);
                let windows = 2 * rows.start * window.output[1]..2 * rows.end * window.output[1];
                let band = planes.band(&window, windows);
                let image = band.read(image, copy);
                let matrices = &mut matrices[..TILE * tiles * planes.count * BLOCK];
                let [plane, row] = band.sizes();
                let see = See { image, row, plane, across };
                see.all(simd, planes.count, tiles, matrices);
                let sums = &mut sums[..TILE * tiles * output.channels().len() * BLOCK];
                Matrices { op, planes, tiles, all: matrices }.multiply(simd, weights, &output.channels(), sums);
                let made = Made { op, steps, number, all: outputs.div_ceil(BLOCK), across };
                let matrix = tiles * output.channels().len() * BLOCK;
                for (at, block) in output.channels().enumerate() {
                    made.put(simd, block, rows.clone(), (&sums[at * tiles * BLOCK..], matrix), &mut output);
                }
            }
        }
    }
}

/// Rows of an image between zeros.
struct See<'a> {
    image: &'a [f32],
    row: usize,
    plane: usize,
    /// Tiles of a row.
    across: usize,
}

impl See<'_> {
    /// `BᵀdB` of all tiles, to `[TILE, blocks, tiles, BLOCK]`.
    #[inline(always)]
    fn all<S: Simd>(&self, simd: S, blocks: usize, tiles: usize, into: &mut [f32]) {
        let matrix = blocks * tiles * BLOCK;
        for block in 0..blocks {
            for tile in 0..tiles {
                let begins =
                    block * self.plane + (2 * (tile / self.across)) * self.row + 2 * (tile % self.across) * BLOCK;
                let lines: [&[f32]; 4] = [0, 1, 2, 3].map(|y| &self.image[begins + y * self.row..][..4 * BLOCK]);
                for channel in (0..BLOCK).step_by(S::F32_LANES) {
                    let mut elements = [[simd.splat_f32s(0.0); 4]; 4];
                    for (elements, line) in zip(&mut elements, &lines) {
                        *elements = load::<S, 4>(line, channel);
                    }
                    let made = twice(simd, &elements, seen);
                    let to = (block * tiles + tile) * BLOCK + channel;
                    for (at, made) in made.as_flattened().iter().enumerate() {
                        S::as_mut_simd_f32s(&mut into[at * matrix + to..][..S::F32_LANES]).0[0] = *made;
                    }
                }
            }
        }
    }
}

/// What tiles see.
struct Matrices<'a> {
    op: &'a Convolution,
    planes: Planes,
    tiles: usize,
    /// `[TILE, blocks, tiles, BLOCK]`.
    all: &'a [f32],
}

impl Matrices<'_> {
    /// Each by its weights for some blocks of output channels, to `[TILE, blocks, tiles, BLOCK]`.
    #[inline(always)]
    fn multiply<S: Simd>(&self, simd: S, weights: &[f32], blocks: &Range<usize>, sums: &mut [f32]) {
        let (sizes, ones) = ([1, self.tiles], [1, 1]);
        let window =
            Window { input: sizes, output: sizes, kernel: ones, strides: ones, dilations: ones, before: [0, 0] };
        let channels = self.op.channels;
        let op = &Convolution { window, groups: 1, channels, shape: TVec::new(), steps: Vec::new() };
        let band = &self.planes.band(&op.window, 0..self.tiles);
        let (row, all) = (channels[0] * BLOCK, blocks.len());
        let mut output = Region::whole(sums, self.tiles * BLOCK, all);
        let matrices = self.all.chunks_exact(self.all.len() / TILE);
        for (number, (image, weights)) in zip(matrices, weights.chunks_exact(weights.len() / TILE)).enumerate() {
            for (stored, some) in groups(blocks, channels[1].div_ceil(BLOCK)) {
                let weights = &weights[stored.start * row..stored.end * row];
                let (planes, before, steps) = (self.planes, blocks.start, &[][..]);
                let group =
                    Group { op, planes, band, image, weights, steps, number, stored, blocks: some, before, all };
                group.fill(simd, &mut output);
            }
        }
    }
}

/// What becomes of the sums of tiles.
struct Made<'a> {
    op: &'a Convolution,
    steps: &'a [Ready<'a>],
    /// Of the image.
    number: usize,
    /// Blocks of the output.
    all: usize,
    /// Tiles of a row.
    across: usize,
}

impl Made<'_> {
    /// `AᵀmA` of some rows of tiles of a block, from sums that are so far apart for each element, and the steps that follow.
    #[inline(always)]
    fn put<S: Simd>(
        &self,
        simd: S,
        block: usize,
        rows: Range<usize>,
        (sums, matrix): (&[f32], usize),
        output: &mut Region,
    ) {
        let [height, width] = self.op.window.output;
        for (at, y) in rows.enumerate() {
            for channel in (0..BLOCK).step_by(S::F32_LANES) {
                for x in 0..self.across {
                    let begins = (at * self.across + x) * BLOCK + channel;
                    let mut elements = [[simd.splat_f32s(0.0); 4]; 4];
                    for (element, into) in elements.as_flattened_mut().iter_mut().enumerate() {
                        let sum = &sums[element * matrix + begins..][..S::F32_LANES];
                        *into = S::as_simd_f32s(sum).0[0];
                    }
                    for (y, made) in (2 * y..height).zip(&twice(simd, &elements, summed)) {
                        let first = y * width + 2 * x;
                        let some = (width - 2 * x).min(2);
                        let into = output.row(self.number, block, first * BLOCK..(first + some) * BLOCK);
                        for (into, made) in into.as_chunks_mut::<BLOCK>().0.iter_mut().zip(made) {
                            S::as_mut_simd_f32s(&mut into[channel..]).0[0] = *made;
                        }
                    }
                }
                let windows = 2 * y * width..height.min(2 * y + 2) * width;
                tiles!(windows, 8, |window, P| self.finish::<S, P>(simd, (block, channel, window), output));
            }
        }
    }

    /// The steps that follow, for P windows.
    #[inline(always)]
    fn finish<S: Simd, const P: usize>(
        &self,
        simd: S,
        (block, channel, window): (usize, usize, usize),
        output: &mut Region,
    ) {
        let ([_, plane], elements) = (self.op.window.planes(), window * BLOCK..(window + P) * BLOCK);
        let sums = load::<S, P>(output.row(self.number, block, elements.clone()), channel);
        let by = |numbers: &[f32]| constant(simd, numbers, block * BLOCK + channel);
        let made = done(simd, self.steps, by, sums, |tensor| {
            load::<S, P>(&tensor[(self.number * self.all + block) * plane * BLOCK..][elements.clone()], channel)
        });
        store::<S, P>(output.row(self.number, block, elements), channel, &made);
    }
}
