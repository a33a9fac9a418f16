//! Convolution of f32 over tensors with channels in blocks: each element that a window sees by a vector of weights for as many
//! output channels.

use std::mem;
use std::ops::Range;
use std::sync::Arc;

use pulp::{Arch, Simd, WithSimd};
use tract_onnx::tract_hir::internal::*;

use super::read::{Band, Planes};
use super::tile::{Seen, Taps, ask, constant, load, store, tiles, vectors_max};
use super::{BLOCK, packed, winograd as by_tiles};
use crate::cpu::convolution::{Convolution, filled, floats, room, with_scratch};
use crate::cpu::operator::operator;
use crate::cpu::pieces::{self, Region};
use crate::cpu::steps::{Ready, Step, done};
use crate::cpu::weights::kept;
use crate::cpu::winograd;

/// Blocks of output channels that share what is read.
pub(super) const GROUP: usize = 4;
/// A multiple of the windows of a tile, of whatever vectors.
const WINDOWS: usize = 24;
/// Elements of a window that are taken at a time: weights for a group stay in the first cache.
pub(super) const DEPTH_MAX: usize = 128;

/// A convolution in one group.
///
/// Inputs: a tensor with channels in blocks, or as it is if there are fewer than BLOCK; and what is added, in blocks too. Constants of
/// steps are for all channels of the last block.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::cpu) struct Blocked {
    pub(in crate::cpu) of: Convolution,
    /// Of what it makes.
    shape: TVec<usize>,
    /// Of each GROUP of blocks `[input blocks, window, input channels of the block, output channels]`.
    weights: Arc<Tensor>,
}

operator!(Blocked, "Blocked", |op| op.shape, op.of.cost_with(&op.weights));

/// The planes of the image: in blocks, or as they are where these are few.
pub(super) fn planes(of: &Convolution) -> Planes {
    let [inputs, _] = of.channels;
    let unit = if inputs < BLOCK { 1 } else { BLOCK };
    Planes { count: inputs.div_ceil(unit), unit, beyond: 0.0 }
}

/// Weights as tiles read them: of each matrix `[output channels, input channels, window]`, and each GROUP of output blocks, `[input
/// blocks, window, input channels of the block, output channels]`.
pub(super) fn packed_weights(matrices: &[f32], [inputs, outputs]: [usize; 2], places: usize, unit: usize) -> Vec<f32> {
    let row = inputs * places;
    let mut data = Vec::with_capacity(matrices.len() / outputs * outputs.next_multiple_of(BLOCK));
    for matrix in matrices.chunks_exact(outputs * row) {
        for group in (0..outputs).step_by(GROUP * BLOCK) {
            let channels = group..group + (outputs - group).next_multiple_of(BLOCK).min(GROUP * BLOCK);
            for block in (0..inputs).step_by(unit) {
                for place in 0..places {
                    for input in block..inputs.min(block + unit) {
                        let weight = |output: usize| matrix.get(output * row + input * places + place).copied();
                        data.extend(channels.clone().map(|output| weight(output).unwrap_or(0.0)));
                    }
                }
            }
        }
    }
    data
}

impl Blocked {
    /// By weights `[output channels, input channels, window]`. What it makes has channels along an axis.
    pub(in crate::cpu) fn new(mut of: Convolution, axis: usize, weights: &Tensor) -> TractResult<Self> {
        let (outputs, places, unit) = (of.channels[1], of.window.places(), planes(&of).unit);
        let weights = floats(weights)?;
        let is_whole = of.groups == 1 && weights.len() == outputs * of.places();
        ensure!(is_whole, "a convolution by other weights than it was made for");
        let data = if by_tiles::is_worth(&of) {
            packed_weights(&winograd::weights(weights), of.channels, 1, unit)
        } else {
            packed_weights(weights, of.channels, places, unit)
        };
        of.steps = Step::for_convolution(mem::take(&mut of.steps), outputs.next_multiple_of(BLOCK))?;
        Ok(Self { shape: packed(&of.shape, axis), of, weights: kept(&data)? })
    }

    /// With the instructions of `arch`.
    pub(in crate::cpu) fn run_on(&self, arch: Arch, inputs: &[TValue]) -> TractResult<TVec<TValue>> {
        let [image, rest @ ..] = inputs else { bail!("a convolution of nothing") };
        let added = rest.first().map(|added| floats(added)).transpose()?;
        let (op, image, weights) = (&self.of, floats(image)?, floats(&self.weights)?);
        let ([plane_in, plane], planes) = (op.window.planes(), planes(op));
        let (image_len, blocks) = (planes.count * planes.unit * plane_in, op.channels[1].div_ceil(BLOCK));
        let made: usize = self.shape.iter().product();
        let is_whole =
            image.len() / image_len * blocks * plane * BLOCK == made && image.len().is_multiple_of(image_len);
        ensure!(
            is_whole && added.is_none_or(|added| added.len() == made),
            "a convolution of other tensors than it was made for"
        );
        let steps = &Step::ready(&op.steps, added.as_slice())?;
        let count = pieces::count(op.macs());
        let is_winograd = by_tiles::is_worth(op);
        // Of weights that are more than the image each thread reads its own, unless by Winograd's scheme it would see all of the image for
        // less than a group.
        let is_by_channels = weights.len() > image.len() && !(is_winograd && blocks < count * GROUP);
        let columns = match op.window.output {
            _ if is_by_channels => plane,
            _ if is_winograd => by_tiles::columns(op),
            [1, _] => WINDOWS,
            [_, row] => row,
        };
        let len = if is_winograd { by_tiles::room_len(op, planes) } else { planes.room_len(&op.window) };
        filled(&self.shape, |output| {
            let regions = Region::whole(output, plane * BLOCK, blocks).split(count, 1, columns * BLOCK);
            pieces::each(regions, |output| {
                with_scratch(|scratch| {
                    let run = Run { op, planes, image, weights, steps, output, room: room(scratch, len) };
                    if is_winograd { arch.dispatch(by_tiles::Winograd(run)) } else { arch.dispatch(run) }
                });
            });
        })
    }
}

/// One run.
pub(super) struct Run<'a> {
    pub(super) op: &'a Convolution,
    pub(super) planes: Planes,
    pub(super) image: &'a [f32],
    pub(super) weights: &'a [f32],
    pub(super) steps: &'a [Ready<'a>],
    pub(super) output: Region<'a>,
    pub(super) room: &'a mut [f32],
}

impl WithSimd for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { op, planes, image, weights, steps, mut output, room } = self;
        let ([plane_in, _], places) = (op.window.planes(), op.places());
        let all = op.channels[1].div_ceil(BLOCK);
        let (blocks, columns) = (output.channels(), output.columns());
        let windows = columns.start / BLOCK..columns.end / BLOCK;
        for (number, image) in image.chunks_exact(planes.count * planes.unit * plane_in).enumerate() {
            for band in planes.bands(&op.window, windows.clone()) {
                let band = planes.band(&op.window, band);
                let image = band.read(image, room);
                for (stored, blocks) in groups(&blocks, all) {
                    let weights = &weights[stored.start * BLOCK * places..stored.end * BLOCK * places];
                    let (band, before) = (&band, 0);
                    let group = Group { op, planes, band, image, weights, steps, number, stored, blocks, before, all };
                    group.fill(simd, &mut output);
                }
            }
        }
    }
}

/// Blocks whose weights lie together, of so many, and which of them are among these.
pub(super) fn groups(some: &Range<usize>, all: usize) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
    let (start, end) = (some.start, some.end);
    (start / GROUP * GROUP..end).step_by(GROUP).map(move |first| {
        let stored = first..all.min(first + GROUP);
        (stored.clone(), start.max(first)..end.min(stored.end))
    })
}

/// The vectors of some blocks, of those whose weights lie together.
#[inline(always)]
pub(super) fn vectors_of<S: Simd>(some: &Range<usize>, stored: &Range<usize>) -> Range<usize> {
    let [start, end] = [some.start, some.end].map(|block| (block - stored.start) * BLOCK / S::F32_LANES);
    start..end
}

/// Some blocks of output channels.
pub(super) struct Group<'a> {
    pub(super) op: &'a Convolution,
    pub(super) planes: Planes,
    pub(super) band: &'a Band<'a>,
    pub(super) image: &'a [f32],
    pub(super) weights: &'a [f32],
    pub(super) steps: &'a [Ready<'a>],
    /// Of the image, or of its matrix.
    pub(super) number: usize,
    /// Blocks whose weights these are, and those that are made.
    pub(super) stored: Range<usize>,
    pub(super) blocks: Range<usize>,
    /// Blocks that come before those which the output has.
    pub(super) before: usize,
    /// Blocks of what is made of one.
    pub(super) all: usize,
}

/// Some of the elements that windows see.
struct Part<'a> {
    taps: Taps,
    weights: &'a [f32],
    /// Of the next part, as many.
    next: &'a [f32],
    is_first: bool,
    is_last: bool,
}

impl Group<'_> {
    #[inline(always)]
    pub(super) fn fill<S: Simd>(&self, simd: S, output: &mut Region) {
        let ([inputs, _], unit, places) = (self.op.channels, self.planes.unit, self.op.window.places());
        let (whole, depth) = (inputs / unit * places, inputs % unit);
        let taps = whole + if depth > 0 { places } else { 0 };
        let (mut begins, mut weights) = (0, self.weights);
        while begins < taps {
            let (end, depth) = if begins < whole { (whole, unit) } else { (taps, depth) };
            let some = begins..end.min(begins + DEPTH_MAX / depth);
            let taps_of = some.clone().map(|tap| self.band.tap(tap / places, tap % places));
            let (of_part, rest) = weights.split_at(some.len() * depth * self.stored.len() * BLOCK);
            let (is_first, is_last) = (begins == 0, some.end == taps);
            let next = &rest[..rest.len().min(of_part.len())];
            let part = Part { taps: Taps::new(taps_of, depth), weights: of_part, next, is_first, is_last };
            self.add(simd, &part, output);
            (begins, weights) = (some.end, rest);
        }
    }

    /// What a part makes of all windows.
    #[inline(always)]
    fn add<S: Simd>(&self, simd: S, part: &Part, output: &mut Region) {
        let windows = &self.band.windows;
        let vectors = vectors_of::<S>(&self.blocks, &self.stored);
        for vector in vectors.clone().step_by(vectors_max::<S>()) {
            // As many sums as leave registers for weights and an element.
            match (vectors.end - vector).min(vectors_max::<S>()) {
                4.. => tiles!(windows.clone(), 6, |at, P| self.tile::<S, 4, P>(simd, part, (vector, at), output)),
                3 => tiles!(windows.clone(), 8, |at, P| self.tile::<S, 3, P>(simd, part, (vector, at), output)),
                2 if vectors_max::<S>() == 2 => {
                    tiles!(windows.clone(), 6, |at, P| self.tile::<S, 2, P>(simd, part, (vector, at), output));
                }
                2 => tiles!(windows.clone(), 12, |at, P| self.tile::<S, 2, P>(simd, part, (vector, at), output)),
                _ => tiles!(windows.clone(), 12, |at, P| self.tile::<S, 1, P>(simd, part, (vector, at), output)),
            }
        }
    }

    /// P windows by V vectors of output channels.
    #[inline(always)]
    fn tile<S: Simd, const V: usize, const P: usize>(
        &self,
        simd: S,
        part: &Part,
        (vector, window): (usize, usize),
        output: &mut Region,
    ) {
        let elements = window * BLOCK..(window + P) * BLOCK;
        // The block of a vector, and the first of its channels there.
        let place = |at: usize| {
            let channel = (vector + at) * S::F32_LANES;
            (self.stored.start + channel / BLOCK, channel % BLOCK)
        };
        let mut sums = [[simd.splat_f32s(0.0); V]; P];
        for at in (0..V).filter(|_| !part.is_first) {
            let (block, channel) = place(at);
            let made = output.row(self.number, block - self.before, elements.clone());
            let made = load::<S, P>(made, channel);
            sums.iter_mut().zip(&made).for_each(|(sums, made)| sums[at] = *made);
        }
        ask::<P>(part.next, &self.band.windows, window);
        let seen = Seen::new(self.image, self.band.at::<P>(window), &part.taps);
        let sums = seen.multiplied(simd, sums, (part.weights, self.stored.len() * BLOCK, vector * S::F32_LANES));
        let [_, plane] = self.op.window.planes();
        for at in 0..V {
            let (block, channel) = place(at);
            let mut made = [simd.splat_f32s(0.0); P];
            made.iter_mut().zip(&sums).for_each(|(made, sums)| *made = sums[at]);
            if part.is_last {
                let by = |numbers: &[f32]| constant(simd, numbers, block * BLOCK + channel);
                made = done(simd, self.steps, by, made, |tensor| {
                    let added = &tensor[(self.number * self.all + block) * plane * BLOCK..][elements.clone()];
                    load::<S, P>(added, channel)
                });
            }
            let into = output.row(self.number, block - self.before, elements.clone());
            store::<S, P>(into, channel, &made);
        }
    }
}
