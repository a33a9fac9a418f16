//! Element-wise operators one after the other, each element read and written once.

use pulp::{Arch, Simd, WithSimd};
use tract_onnx::tract_hir::internal::*;

use super::convolution::{filled, floats};
use super::operator::operator;
use super::pieces;
use super::steps::{Ready, Step, done, load, of_channel, store};

/// Elements of a plane where channels do not matter: with fewer, the last vectors of each are most of it.
const PLANE_MIN: usize = 1024;
/// Vectors that a step is done to at a time.
const VECTORS: usize = 8;

/// Some steps done to each element of a tensor, whose elements of one channel lie in planes.
///
/// Inputs: the tensor, and what is added, if anything is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Chain {
    steps: Vec<Step>,
    shape: TVec<usize>,
    channels: usize,
    /// Elements of a plane.
    plane: usize,
}

operator!(Chain, "Chain", |op| op.shape);

impl Chain {
    /// Over a tensor of this shape, that has its channels along an axis, if steps are by channel.
    pub(super) fn new(steps: Vec<Step>, shape: &[usize], axis: Option<usize>) -> Self {
        let elements = |axis: usize| shape[axis..].iter().product();
        let (channels, plane) = match axis {
            Some(axis) => (shape[axis], elements(axis + 1)),
            // Planes are whatever lies together: more of them are shared by more threads.
            None => (1, (0..shape.len()).rev().map(elements).find(|plane| *plane >= PLANE_MIN).unwrap_or(elements(0))),
        };
        Self { steps, shape: shape.into(), channels, plane }
    }

    /// With the instructions of `arch`.
    pub(super) fn run_on(&self, arch: Arch, inputs: &[TValue]) -> TractResult<TVec<TValue>> {
        let len: usize = self.shape.iter().product();
        let from = floats(&inputs[0])?;
        let added = inputs.get(1).map(|added| floats(added)).transpose()?;
        if from.len() != len || added.is_some_and(|added| added.len() != len) {
            bail!("a chain over other tensors than it was made for");
        }
        let steps = Step::ready(&self.steps, added.as_slice())?;
        let count = pieces::count(len * Step::work(&self.steps));
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
