//! Depthwise convolution of f32 over tensors with channels in blocks.

use std::mem;
use std::sync::Arc;

use pulp::{Arch, Simd, WithSimd};
use tract_onnx::tract_hir::internal::*;

use super::read::{Band, Planes};
use super::tile::{Seen, Taps, constant, load, store, tiles};
use super::{BLOCK, packed};
use crate::cpu::convolution::{Convolution, filled, floats, room, with_scratch};
use crate::cpu::operator::operator;
use crate::cpu::pieces::{self, Region};
use crate::cpu::steps::{Ready, Step, done};
use crate::cpu::weights::kept;

/// The planes that are read for a block.
pub(super) const PLANES: Planes = Planes { count: 1, unit: BLOCK, beyond: 0.0 };

/// A convolution of each channel by itself.
///
/// Inputs: a tensor with channels in blocks, and what is added, in blocks too. Constants of steps are for all channels of the last
/// block.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::cpu) struct Depthwise {
    pub(in crate::cpu) of: Convolution,
    /// Of what it makes.
    shape: TVec<usize>,
    /// `[blocks, window, BLOCK]`.
    weights: Arc<Tensor>,
}

operator!(Depthwise, "Depthwise", |op| op.shape, op.of.cost_with(&op.weights));

impl Depthwise {
    /// By weights `[channels, window]`. What it makes has channels along an axis.
    pub(in crate::cpu) fn new(mut of: Convolution, axis: usize, weights: &Tensor) -> TractResult<Self> {
        let (places, channels) = (of.window.places(), of.groups);
        let weights = floats(weights)?;
        ensure!(
            of.channels == [1, 1] && weights.len() == channels * places,
            "a convolution by other weights than it was made for"
        );
        let mut data = vec![0.0; channels.next_multiple_of(BLOCK) * places];
        for (channel, window) in weights.chunks_exact(places).enumerate() {
            let block = &mut data[channel / BLOCK * BLOCK * places..][..BLOCK * places];
            block
                .iter_mut()
                .skip(channel % BLOCK)
                .step_by(BLOCK)
                .zip(window)
                .for_each(|(into, weight)| *into = *weight);
        }
        of.steps = Step::for_convolution(mem::take(&mut of.steps), channels.next_multiple_of(BLOCK))?;
        Ok(Self { shape: packed(&of.shape, axis), of, weights: kept(&data)? })
    }

    /// With the instructions of `arch`.
    pub(in crate::cpu) fn run_on(&self, arch: Arch, inputs: &[TValue]) -> TractResult<TVec<TValue>> {
        let [image, rest @ ..] = inputs else { bail!("a convolution of nothing") };
        let added = rest.first().map(|added| floats(added)).transpose()?;
        let (op, image, weights) = (&self.of, floats(image)?, floats(&self.weights)?);
        let ([plane_in, plane], blocks) = (op.window.planes(), op.groups.div_ceil(BLOCK));
        let made: usize = self.shape.iter().product();
        let is_whole = image.len() * plane == made * plane_in && made.is_multiple_of(blocks * plane * BLOCK);
        ensure!(
            is_whole && added.is_none_or(|added| added.len() == made),
            "a convolution of other tensors than it was made for"
        );
        let steps = &Step::ready(&op.steps, added.as_slice())?;
        let count = pieces::count(op.macs());
        // Shared as convolutions before and after are: else what these make is read from another core's cache.
        let columns = if blocks >= count && op.groups > plane { plane } else { op.window.output[1] };
        filled(&self.shape, |output| {
            let regions = Region::whole(output, plane * BLOCK, blocks).split(count, 1, columns * BLOCK);
            pieces::each(regions, |output| {
                with_scratch(|scratch| {
                    let room = room(scratch, PLANES.room_len(&op.window));
                    arch.dispatch(Run { op, image, weights, steps, output, room });
                });
            });
        })
    }
}

/// One run.
struct Run<'a> {
    op: &'a Convolution,
    image: &'a [f32],
    weights: &'a [f32],
    steps: &'a [Ready<'a>],
    output: Region<'a>,
    room: &'a mut [f32],
}

impl WithSimd for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { op, image, weights, steps, mut output, room } = self;
        let ([plane_in, plane], places) = (op.window.planes(), op.window.places());
        let (all, columns) = (op.groups.div_ceil(BLOCK), output.columns());
        let windows = columns.start / BLOCK..columns.end / BLOCK;
        for band in PLANES.bands(&op.window, windows) {
            let band = &PLANES.band(&op.window, band);
            let taps = &Taps::new((0..places).map(|place| band.tap(0, place)), S::F32_LANES);
            for (number, image) in image.chunks_exact(all * plane_in * BLOCK).enumerate() {
                for block in output.channels() {
                    let image = band.read(&image[block * plane_in * BLOCK..][..plane_in * BLOCK], room);
                    let weights = &weights[block * places * BLOCK..][..places * BLOCK];
                    let before = (number * all + block) * plane;
                    let of = Block { band, image, taps, weights, steps, number, block, before };
                    for channel in (0..BLOCK).step_by(S::F32_LANES) {
                        tiles!(band.windows.clone(), 6, |at, P| of.tile::<S, P>(simd, (channel, at), &mut output));
                    }
                }
            }
        }
    }
}

/// One block of channels of one image.
struct Block<'a> {
    band: &'a Band<'a>,
    image: &'a [f32],
    taps: &'a Taps,
    weights: &'a [f32],
    steps: &'a [Ready<'a>],
    /// Of the image.
    number: usize,
    block: usize,
    /// Windows of all blocks before it.
    before: usize,
}

impl Block<'_> {
    /// P windows of the channels from this one on that fill a vector.
    #[inline(always)]
    fn tile<S: Simd, const P: usize>(&self, simd: S, (channel, window): (usize, usize), output: &mut Region) {
        let elements = window * BLOCK..(window + P) * BLOCK;
        let seen = Seen::new(&self.image[channel..], self.band.at::<P>(window), self.taps);
        let sums = seen.by_channel(simd, &self.weights[channel..]);
        let by = |numbers: &[f32]| constant(simd, numbers, self.block * BLOCK + channel);
        let made = done(simd, self.steps, by, sums, |tensor| {
            load::<S, P>(&tensor[self.before * BLOCK..][elements.clone()], channel)
        });
        store::<S, P>(output.row(self.number, self.block, elements), channel, &made);
    }
}
