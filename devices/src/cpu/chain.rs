//! Element-wise operators one after the other, each element read and written once.

use pulp::{Arch, Simd, WithSimd};
use tract_onnx::tract_hir::internal::*;

use super::convolution::{filled, floats};
use super::operator::operator;
use super::pieces;
use super::steps::{Ready, Step, done, load, of_channel, store};

/// Vectors that a step is done to at a time.
const VECTORS: usize = 8;

/// Some steps done to each element of a tensor, whose elements of one channel lie in planes.
///
/// Inputs: the tensor, and what is added, if anything is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Chain {
    pub(super) steps: Vec<Step>,
    pub(super) shape: TVec<usize>,
    pub(super) channels: usize,
    /// Elements of a plane.
    pub(super) plane: usize,
}

operator!(Chain, "Chain", |op| op.shape);

impl Chain {
    /// With the instructions of `arch`.
    pub(super) fn run_on(&self, arch: Arch, inputs: &[TValue]) -> TractResult<TVec<TValue>> {
        let len: usize = self.shape.iter().product();
        let from = floats(&inputs[0])?;
        let added = inputs.get(1).map(|added| floats(added)).transpose()?;
        if from.len() != len || added.is_some_and(|added| added.len() != len) {
            bail!("a chain over other tensors than it was made for");
        }
        let steps = Step::ready(&self.steps, added.as_slice())?;
        let count = pieces::count(len * steps.len());
        filled(&self.shape, |into| {
            pieces::each(pieces::planes(into, self.plane, count, 1), |(first, into)| {
                arch.dispatch(Run { op: self, steps: &steps, from, first, into });
            });
        })
    }
}

/// One run.
struct Run<'a> {
    op: &'a Chain,
    steps: &'a [Ready<'a>],
    from: &'a [f32],
    /// Of the planes that are made.
    first: usize,
    into: &'a mut [f32],
}

impl WithSimd for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (plane, len) = (self.op.plane, VECTORS * S::F32_LANES);
        let planes = self.from.chunks_exact(plane).skip(self.first).zip(self.into.chunks_exact_mut(plane));
        for (number, (from, into)) in (self.first..).zip(planes) {
            let channel = number % self.op.channels;
            for (at, (from, into)) in from.chunks(len).zip(into.chunks_mut(len)).enumerate() {
                let begins = number * plane + at * len;
                let added = |tensor: &[f32]| load(simd, &tensor[begins..begins + from.len()]);
                let made = done(simd, self.steps, of_channel(simd, channel), load::<S, VECTORS>(simd, from), added);
                store(simd, into, &made);
            }
        }
    }
}
