//! From planes to blocks of channels and back.

use tract_onnx::tract_hir::internal::*;

use super::{BLOCK, packed};
use crate::cpu::convolution::{filled, floats};
use crate::cpu::pieces;

/// A tensor `[.., channels, planes..]` with its channels in blocks. Of the last block those that are none are zero.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::cpu) struct Pack {
    /// Of the tensor without blocks.
    pub(in crate::cpu) shape: TVec<usize>,
    /// The one of channels.
    pub(in crate::cpu) axis: usize,
}

/// The other way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::cpu) struct Unpack(pub(in crate::cpu) Pack);

impl Op for Pack {
    fn name(&self) -> StaticName {
        "Pack".into()
    }

    op_as_typed_op!();
}

impl EvalOp for Pack {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        self.run(&inputs[0])
    }
}

impl Pack {
    pub(in crate::cpu) fn run(&self, planes: &Tensor) -> TractResult<TVec<TValue>> {
        let planes = self.checked(floats(planes)?, self.shape.iter().product())?;
        let [channels, plane] = self.sizes();
        let blocks = channels.div_ceil(BLOCK);
        let count = pieces::count(planes.len());
        filled(&packed(&self.shape, self.axis), |into| {
            pieces::each(pieces::planes(into, plane * BLOCK, count, 1), |(first, into)| {
                for (at, into) in (first..).zip(into.chunks_exact_mut(plane * BLOCK)) {
                    let channel = at % blocks * BLOCK;
                    let from = &planes[(at / blocks * channels + channel) * plane..];
                    pack(&from[..(channels - channel).min(BLOCK) * plane], plane, into.as_chunks_mut().0);
                }
            });
        })
    }
}

impl TypedOp for Pack {
    fn output_facts(&self, _inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(f32::fact(packed(&self.shape, self.axis))))
    }

    as_op!();
}

impl Op for Unpack {
    fn name(&self) -> StaticName {
        "Unpack".into()
    }

    op_as_typed_op!();
}

impl EvalOp for Unpack {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let Self(pack) = self;
        let from = pack.checked(floats(&inputs[0])?, packed(&pack.shape, pack.axis).iter().product())?;
        let [channels, plane] = pack.sizes();
        let blocks = channels.div_ceil(BLOCK);
        let count = pieces::count(from.len());
        filled(&pack.shape, |into| {
            // Whole tensors, or blocks of the one that there is.
            let step = if into.len() > channels * plane { channels } else { BLOCK };
            pieces::each(pieces::planes(into, plane, count, step), |(first, into)| {
                let (mut at, mut rest) = (first, into);
                while !rest.is_empty() {
                    let channel = at % channels;
                    let some = (channels - channel).min(BLOCK);
                    let (into, after) = rest.split_at_mut(some * plane);
                    let from = &from[(at / channels * blocks + channel / BLOCK) * plane * BLOCK..][..plane * BLOCK];
                    unpack(from.as_chunks().0, plane, into);
                    (at, rest) = (at + some, after);
                }
            });
        })
    }
}

impl TypedOp for Unpack {
    fn output_facts(&self, _inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(f32::fact(&self.0.shape)))
    }

    as_op!();
}

impl Pack {
    /// Channels, and elements of a plane.
    fn sizes(&self) -> [usize; 2] {
        [self.shape[self.axis], self.shape[self.axis + 1..].iter().product()]
    }

    fn checked<'a>(&self, tensor: &'a [f32], len: usize) -> TractResult<&'a [f32]> {
        ensure!(tensor.len() == len, "blocks of another tensor than they were made for");
        Ok(tensor)
    }
}

/// The planes of a block's channels.
fn pack(planes: &[f32], plane: usize, into: &mut [[f32; BLOCK]]) {
    if planes.len() < plane * BLOCK {
        into.as_flattened_mut().fill(0.0);
    }
    for begins in (0..plane).step_by(BLOCK) {
        let into = &mut into[begins..plane.min(begins + BLOCK)];
        for (channel, row) in planes.chunks_exact(plane).enumerate() {
            into.iter_mut().zip(&row[begins..]).for_each(|(into, element)| into[channel] = *element);
        }
    }
}

/// As [`pack`], the other way.
fn unpack(from: &[[f32; BLOCK]], plane: usize, planes: &mut [f32]) {
    for begins in (0..plane).step_by(BLOCK) {
        let from = &from[begins..plane.min(begins + BLOCK)];
        for (channel, row) in planes.chunks_exact_mut(plane).enumerate() {
            row[begins..].iter_mut().zip(from).for_each(|(into, element)| *into = element[channel]);
        }
    }
}
