//! Convolution of f32 as it is written down: for each place of the window one multiply-add of many windows at a time.
//!
//! A product of matrices reads its operands from packed copies, which pays where each element is used many times. Where windows
//! see few channels it is not: each element is used as often as the window has places, and packing takes longer than that.

use std::ops::Range;
use std::{array, mem};

use pulp::{Arch, Simd, WithSimd};
use smallvec::SmallVec;
use tract_onnx::tract_hir::internal::*;

use super::convolution::{Convolution, filled, floats, room, with_scratch};
use super::operator::operator;
use super::pieces;
use super::steps::{Kind, Ready, Step, Steps, done, of_channel};
use super::window::{TAPS, keep};

/// A convolution whose windows see few channels: depthwise, or the first one of a network.
///
/// Beside the inputs of [`Convolution`] it takes weights `[output channels, channels of a group, window]`, and a bias for
/// each output channel or one for all. No step adds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Direct(pub(super) Convolution);

operator!(Direct, "Direct", |op| op.0.shape, op.0.cost());

impl Direct {
    /// With the instructions of `arch`.
    pub(super) fn run_on(&self, arch: Arch, inputs: &[TValue]) -> TractResult<TVec<TValue>> {
        let [image, weights, bias] = inputs else { bail!("a convolution takes three tensors") };
        let (op, image, weights) = (&self.0, floats(image)?, floats(weights)?);
        op.check(image.len(), None)?;
        if weights.len() != op.groups * op.channels[1] * op.places() {
            bail!("a convolution by other weights than it was made for");
        }
        let bias = Ready::By(Kind::Add, floats(bias)?);
        let steps: &Steps = &[bias].into_iter().chain(Step::ready(&op.steps, &[])?).collect();
        let ([_, plane], [_, outputs], count) = (op.window.planes(), op.channels, pieces::count(op.macs()));
        filled(&op.shape, |output| {
            let has_groups = output.len() / plane >= count * outputs;
            let step = if has_groups || !outputs.is_multiple_of(ROWS) { outputs } else { ROWS };
            pieces::each(pieces::planes(output, plane, count, step), |(first, output)| {
                with_scratch(|scratch| arch.dispatch(Run { op, image, weights, steps, first, output, scratch }));
            });
        })
    }
}

/// Windows of so many rows are computed at a time, so that what is made of them stays in the nearest cache.
const WINDOWS_MAX: usize = 512;
/// Output channels that are computed at a time where windows of several have the same input: what is read is used so often.
const ROWS: usize = 4;

/// One run.
struct Run<'a> {
    op: &'a Convolution,
    image: &'a [f32],
    weights: &'a [f32],
    steps: &'a [Ready<'a>],
    /// Of the planes of the output.
    first: usize,
    output: &'a mut [f32],
    scratch: &'a mut Vec<f32>,
}

impl WithSimd for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { op, image, weights, steps, mut first, mut output, scratch } = self;
        let (padded, [inputs, outputs]) = (op.window.padded(), op.channels);
        let [plane_in, plane_out] = op.window.planes();
        let windows = op.window.output[0] * padded.pitch + S::F32_LANES;
        let padded_len = op.window.padded_len(&padded, windows);
        let of_channel = |channel: usize| padded.taps.iter().map(move |tap| channel * padded_len + tap);
        let taps: SmallVec<[usize; 4 * TAPS]> = (0..inputs).flat_map(of_channel).collect();
        let made_len = ROWS * (WINDOWS_MAX.max(padded.pitch) + S::F32_LANES);
        let (from, made) = room(scratch, padded_len * inputs + made_len).split_at_mut(padded_len * inputs);
        from.fill(0.0);
        while !output.is_empty() {
            let (number, channel) = (first / outputs, first % outputs);
            let channels = (outputs - channel).min(output.len() / plane_out);
            let planes = image[number * inputs * plane_in..].chunks_exact(plane_in);
            for (plane, from) in planes.zip(from.chunks_exact_mut(padded_len)) {
                op.window.pad(&padded, plane, from);
            }
            let channel = number % op.groups * outputs + channel;
            let weights = &weights[channel * taps.len()..][..channels * taps.len()];
            let group = Group { op, pitch: padded.pitch, taps: &taps, from, weights, steps, first: channel };
            let (made_of_it, rest) = mem::take(&mut output).split_at_mut(channels * plane_out);
            group.fill(simd, made, made_of_it);
            (first, output) = (first + channels, rest);
        }
    }
}

/// Some output channels of one group of one image.
struct Group<'a> {
    op: &'a Convolution,
    pitch: usize,
    /// Where the places of a window are, in the order of its weights.
    taps: &'a [usize],
    from: &'a [f32],
    weights: &'a [f32],
    steps: &'a [Ready<'a>],
    /// Of these channels, in all groups.
    first: usize,
}

impl Group<'_> {
    #[inline(always)]
    fn fill<S: Simd>(&self, simd: S, made: &mut [f32], output: &mut [f32]) {
        let [rows, _] = self.op.window.output;
        let at_once = (WINDOWS_MAX / self.pitch).max(1);
        for y in (0..rows).step_by(at_once) {
            let rows = y..rows.min(y + at_once);
            let channels = self.weights.len() / self.taps.len();
            let mut channel = 0;
            while channel + ROWS <= channels {
                self.block::<S, ROWS>(simd, (channel, rows.clone()), made, output);
                channel += ROWS;
            }
            for channel in channel..channels {
                self.block::<S, 1>(simd, (channel, rows.clone()), made, output);
            }
        }
    }

    /// Some rows of windows of so many output channels.
    #[inline(always)]
    fn block<S: Simd, const M: usize>(
        &self,
        simd: S,
        (channel, rows): (usize, Range<usize>),
        made: &mut [f32],
        output: &mut [f32],
    ) {
        let len = (rows.len() * self.pitch).next_multiple_of(S::F32_LANES);
        let mut made: [&mut [f32]; M] = split(&mut made[..M * len]);
        let mut at = 0;
        while at < len {
            let vectors = ((len - at) / S::F32_LANES).min(8 / M);
            let (from, into) = (rows.start * self.pitch + at, made.each_mut().map(|made| &mut made[at..]));
            match vectors {
                8.. => self.tile::<S, M, 8>(simd, channel, from, into),
                4.. => self.tile::<S, M, 4>(simd, channel, from, into),
                2.. => self.tile::<S, M, 2>(simd, channel, from, into),
                _ => self.tile::<S, M, 1>(simd, channel, from, into),
            }
            at += (1 << vectors.ilog2()) * S::F32_LANES;
        }
        let [height, columns] = self.op.window.output;
        for (made, plane) in made.iter().zip(output.chunks_exact_mut(height * columns).skip(channel)) {
            let made = &made[..rows.len() * self.pitch];
            keep::<S>((made, self.pitch), (&mut plane[rows.start * columns..], columns));
        }
    }

    /// So many vectors of windows of so many output channels: with eight in all the latency of a multiply-add is hidden.
    #[inline(always)]
    fn tile<S: Simd, const M: usize, const N: usize>(
        &self,
        simd: S,
        channel: usize,
        from: usize,
        into: [&mut [f32]; M],
    ) {
        let (len, taps) = (N * S::F32_LANES, self.taps);
        let mut sums = [[simd.splat_f32s(0.0); N]; M];
        let weights: [&[f32]; M] = array::from_fn(|m| &self.weights[(channel + m) * taps.len()..][..taps.len()]);
        for (at, tap) in taps.iter().enumerate() {
            let (windows, _) = S::as_simd_f32s(&self.from[tap + from..tap + from + len]);
            for (sums, weights) in sums.iter_mut().zip(weights) {
                let weight = simd.splat_f32s(weights[at]);
                for (sum, windows) in sums.iter_mut().zip(windows) {
                    *sum = simd.mul_add_e_f32s(weight, *windows, *sum);
                }
            }
        }
        for ((into, sums), channel) in into.into_iter().zip(sums).zip(self.first + channel..) {
            // Windows lie otherwise here than in a tensor that could be added.
            let made = done(simd, self.steps, of_channel(simd, channel), sums, |_| [simd.splat_f32s(0.0); N]);
            S::as_mut_simd_f32s(&mut into[..len]).0.copy_from_slice(&made);
        }
    }
}

/// In so many pieces of one length.
#[inline(always)]
fn split<const M: usize>(mut all: &mut [f32]) -> [&mut [f32]; M] {
    let each = all.len() / M;
    array::from_fn(|_| {
        let (first, rest) = mem::take(&mut all).split_at_mut(each);
        all = rest;
        first
    })
}
