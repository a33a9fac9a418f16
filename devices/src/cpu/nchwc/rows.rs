//! Products of rows by constant weights: channels that lie last are one block of all of them.

use std::ops::Range;
use std::sync::Arc;

use pulp::{Arch, Simd, WithSimd};
use tract_onnx::tract_hir::internal::*;

use super::BLOCK;
use super::convolution::{DEPTH_MAX, groups, packed_weights, vectors_of};
use super::tile::{Seen, Taps, ask, constant, tiles, vectors_max};
use crate::cpu::convolution::{filled, floats};
use crate::cpu::operator::operator;
use crate::cpu::pieces::{self, Region};
use crate::cpu::steps::{Ready, Step, done};
use crate::cpu::weights::kept;

/// Rows that are computed at a time: what they see of a part of the weights stays in the second cache.
const ROWS_MAX: usize = 504;

/// Rows by a matrix.
///
/// Inputs: rows `[.., inputs]`, and what is added, if a step adds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::cpu) struct Rows {
    /// Elements of a row of the input, and of the output: whole blocks.
    channels: [usize; 2],
    shape: TVec<usize>,
    steps: Vec<Step>,
    /// As those of a convolution over blocks.
    weights: Arc<Tensor>,
}

operator!(Rows, "Rows", |op| op.shape, op.cost());

impl Rows {
    /// By weights `[outputs, inputs]`, to a tensor of this shape.
    pub(in crate::cpu) fn new(weights: &Tensor, shape: &[usize], steps: Vec<Step>) -> TractResult<Self> {
        let [outputs, inputs] = *weights.shape() else { bail!("weights that are no matrix") };
        let is_whole = outputs.is_multiple_of(BLOCK) && shape.last() == Some(&outputs);
        ensure!(is_whole, "a product by other weights than it was made for");
        let steps = Step::for_convolution(steps, outputs)?;
        let packed = packed_weights(floats(weights)?, [inputs, outputs], 1, BLOCK);
        Ok(Self { channels: [inputs, outputs], shape: shape.into(), steps, weights: kept(&packed)? })
    }

    fn cost(&self) -> TVec<(Cost, TDim)> {
        let weights = (Cost::Params(f32::datum_type()), self.weights.len().into());
        tvec!((Cost::FMA(f32::datum_type()), self.macs().into()), weights)
    }

    fn macs(&self) -> usize {
        self.shape.iter().product::<usize>() * self.channels[0]
    }

    /// With the instructions of `arch`.
    pub(in crate::cpu) fn run_on(&self, arch: Arch, inputs: &[TValue]) -> TractResult<TVec<TValue>> {
        let [image, rest @ ..] = inputs else { bail!("a product of nothing") };
        let added = rest.first().map(|added| floats(added)).transpose()?;
        let (image, weights, [inputs, outputs]) = (floats(image)?, floats(&self.weights)?, self.channels);
        let made: usize = self.shape.iter().product();
        let is_whole = image.len() * outputs == made * inputs && added.is_none_or(|added| added.len() == made);
        ensure!(is_whole, "a product of other rows than it was made for");
        let steps = &Step::ready(&self.steps, added.as_slice())?;
        let (count, rows) = (pieces::count(self.macs()), made / outputs);
        // Of weights that are more than the rows each thread reads its own.
        let columns = if weights.len() > image.len() { BLOCK } else { outputs };
        filled(&self.shape, |output| {
            let regions = Region::whole(output, outputs, rows).split(count, 1, columns);
            pieces::each(regions, |output| {
                arch.dispatch(Run { channels: self.channels, image, weights, steps, output });
            });
        })
    }
}

/// One run.
struct Run<'a> {
    channels: [usize; 2],
    image: &'a [f32],
    weights: &'a [f32],
    steps: &'a [Ready<'a>],
    /// Its channels are rows, and its columns are outputs.
    output: Region<'a>,
}

/// Some blocks of outputs, of some of the inputs.
struct Part<'a> {
    taps: Taps,
    weights: &'a [f32],
    /// Of the next part, as many.
    next: &'a [f32],
    rows: Range<usize>,
    /// The first output, and how many there are.
    first: usize,
    width: usize,
    is_first: bool,
    is_last: bool,
}

impl WithSimd for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let ([inputs, outputs], weights) = (self.channels, self.weights);
        let (all, some) = (self.output.channels(), self.output.columns());
        for begins in all.clone().step_by(ROWS_MAX) {
            let rows = begins..all.end.min(begins + ROWS_MAX);
            for (stored, blocks) in groups(&(some.start / BLOCK..some.end / BLOCK), outputs / BLOCK) {
                let (first, width) = (stored.start * BLOCK, stored.len() * BLOCK);
                let (after, vectors) = (&weights[first * inputs..], vectors_of::<S>(&blocks, &stored));
                for input in (0..inputs).step_by(DEPTH_MAX) {
                    let end = inputs.min(input + DEPTH_MAX);
                    let taps = Taps::new([input].into_iter(), end - input);
                    let (weights, next) = after[input * width..].split_at((end - input) * width);
                    let next = &next[..next.len().min(weights.len())];
                    let (is_first, is_last) = (input == 0, end == inputs);
                    let part = Part { taps, weights, next, rows: rows.clone(), first, width, is_first, is_last };
                    for vector in vectors.clone().step_by(vectors_max::<S>()) {
                        let rows = rows.clone();
                        match (vectors.end - vector).min(vectors_max::<S>()) {
                            4.. => tiles!(rows, 6, |row, P| self.tile::<S, 4, P>(simd, &part, (vector, row))),
                            3 => tiles!(rows, 8, |row, P| self.tile::<S, 3, P>(simd, &part, (vector, row))),
                            2 => tiles!(rows, 6, |row, P| self.tile::<S, 2, P>(simd, &part, (vector, row))),
                            _ => tiles!(rows, 12, |row, P| self.tile::<S, 1, P>(simd, &part, (vector, row))),
                        }
                    }
                }
            }
        }
    }
}

impl Run<'_> {
    /// P rows by V vectors of outputs.
    #[inline(always)]
    fn tile<S: Simd, const V: usize, const P: usize>(&mut self, simd: S, part: &Part, (vector, row): (usize, usize)) {
        let [inputs, outputs] = self.channels;
        let (first, len) = (part.first + vector * S::F32_LANES, V * S::F32_LANES);
        let mut sums = [[simd.splat_f32s(0.0); V]; P];
        if !part.is_first {
            for (at, sums) in sums.iter_mut().enumerate() {
                *sums = vectors::<S, V>(self.output.row(0, row + at, first..first + len));
            }
        }
        let mut at = [0; P];
        for (number, at) in at.iter_mut().enumerate() {
            *at = (row + number) * inputs;
        }
        ask::<P>(part.next, &part.rows, row);
        let seen = Seen::new(self.image, at, &part.taps);
        let sums = seen.multiplied(simd, sums, (part.weights, part.width, vector * S::F32_LANES));
        let mut made = sums;
        if part.is_last {
            for vector in 0..V {
                let channel = first + vector * S::F32_LANES;
                let mut column = [simd.splat_f32s(0.0); P];
                column.iter_mut().zip(&sums).for_each(|(column, sums)| *column = sums[vector]);
                let by = |numbers: &[f32]| constant(simd, numbers, channel);
                let begins = row * outputs + channel;
                let column = done(simd, self.steps, by, column, |tensor| {
                    let mut others = [simd.splat_f32s(0.0); P];
                    for (at, other) in others.iter_mut().enumerate() {
                        *other = S::as_simd_f32s(&tensor[begins + at * outputs..][..S::F32_LANES]).0[0];
                    }
                    others
                });
                made.iter_mut().zip(&column).for_each(|(made, column)| made[vector] = *column);
            }
        }
        for (at, made) in made.iter().enumerate() {
            let into = self.output.row(0, row + at, first..first + len);
            S::as_mut_simd_f32s(into).0.copy_from_slice(made);
        }
    }
}

/// V vectors that lie together.
#[inline(always)]
fn vectors<S: Simd, const V: usize>(from: &[f32]) -> [S::f32s; V] {
    *S::as_simd_f32s(from).0.first_chunk().expect("V vectors")
}
