//! Element-wise operators one after the other, over tensors with channels in blocks.

use pulp::{Arch, Simd, WithSimd};
use tract_onnx::tract_hir::internal::*;

use super::tile::{constant, load, store, tiles};
use super::{BLOCK, packed};
use crate::cpu::convolution::{filled, floats};
use crate::cpu::operator::operator;
use crate::cpu::pieces;
use crate::cpu::steps::{Ready, Step, done};

/// Some steps done to each element.
///
/// Inputs: the tensor, and those that steps take, all in blocks. Constants are for all channels of the last block.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::cpu) struct Chain {
    steps: Vec<Step>,
    shape: TVec<usize>,
    /// Elements of a block of channels.
    plane: usize,
}

operator!(Chain, "Chain", |op| op.shape);

impl Chain {
    /// Over a tensor that has this shape without blocks, and its channels along an axis.
    pub(super) fn new(steps: Vec<Step>, shape: &[usize], axis: usize) -> TractResult<Self> {
        let channels = shape[axis].next_multiple_of(BLOCK);
        let steps = steps.into_iter().map(|step| step.for_channels(channels)).collect::<TractResult<_>>()?;
        Ok(Self { steps, shape: packed(shape, axis), plane: shape[axis + 1..].iter().product::<usize>() * BLOCK })
    }

    /// With the instructions of `arch`.
    pub(in crate::cpu) fn run_on(&self, arch: Arch, inputs: &[TValue]) -> TractResult<TVec<TValue>> {
        let len: usize = self.shape.iter().product();
        let all = inputs.iter().map(|input| floats(input)).collect::<TractResult<TVec<_>>>()?;
        let [from, taken @ ..] = &*all else { bail!("a chain over nothing") };
        let channels = len / self.plane * BLOCK;
        let fits =
            |step: &Step, taken: &[f32]| taken.len() == if matches!(step, Step::With(_)) { len } else { channels };
        let takes = self.steps.iter().filter(|step| matches!(step, Step::With(_) | Step::WithChannels(_)));
        ensure!(
            from.len() == len && takes.zip(taken).all(|(step, taken)| fits(step, taken)),
            "a chain over other tensors than it was made for"
        );
        let steps = &Step::ready(&self.steps, taken)?;
        let count = pieces::count(len * Step::work(&self.steps));
        filled(&self.shape, |into| {
            pieces::each(pieces::planes(into, self.plane, count, 1), |(first, into)| {
                arch.dispatch(Run { plane: self.plane, steps, from, first, into });
            });
        })
    }
}

/// One run.
struct Run<'a> {
    plane: usize,
    steps: &'a [Ready<'a>],
    from: &'a [f32],
    /// Of the blocks that are made.
    first: usize,
    into: &'a mut [f32],
}

impl WithSimd for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        for at in 0..self.into.len() / self.plane {
            for channel in (0..BLOCK).step_by(S::F32_LANES) {
                tiles!(0..self.plane / BLOCK, 8, |window, P| self.tile::<S, P>(simd, at, channel, window));
            }
        }
    }
}

impl Run<'_> {
    /// P elements of the planes of the channels from this one on that fill a vector.
    #[inline(always)]
    fn tile<S: Simd, const P: usize>(&mut self, simd: S, at: usize, channel: usize, window: usize) {
        let (block, elements) = (self.first + at, window * BLOCK..(window + P) * BLOCK);
        let of_block = |tensor: &[f32]| load::<S, P>(&tensor[block * self.plane..][elements.clone()], channel);
        let by = |numbers: &[f32]| constant(simd, numbers, block * BLOCK % numbers.len() + channel);
        let made = done(simd, self.steps, by, of_block(self.from), of_block);
        store::<S, P>(&mut self.into[at * self.plane..][elements], channel, &made);
    }
}
