//! Repetition of elements over tensors with channels in blocks.

use tract_onnx::tract_hir::internal::*;

use super::{BLOCK, packed};
use crate::cpu::convolution::{filled, floats};
use crate::cpu::pieces;

/// Each element of a plane so many times, down and across.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::cpu) struct Upsample {
    pub(super) scales: [usize; 2],
    /// Of what it makes, without blocks, and where its channels are.
    pub(super) shape: TVec<usize>,
    pub(super) axis: usize,
}

impl Op for Upsample {
    fn name(&self) -> StaticName {
        "Upsample".into()
    }

    op_as_typed_op!();
}

impl EvalOp for Upsample {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let (Self { scales: [down, across], shape, axis }, from) = (self, floats(&inputs[0])?);
        let (width, shape) = (shape.last().map_or(0, |made| made / across), packed(shape, *axis));
        let (len, row) = (shape.iter().product::<usize>(), width * across * BLOCK);
        ensure!(from.len() * down * across == len && len.is_multiple_of(row * down), "an upsampling of another tensor");
        let count = pieces::count(len);
        filled(&shape, |into| {
            pieces::each(pieces::planes(into, row * down, count, 1), |(first, into)| {
                let rows = from[first * width * BLOCK..].chunks_exact(width * BLOCK);
                for (from, into) in rows.zip(into.chunks_exact_mut(row * down)) {
                    let (one, more) = into.split_at_mut(row);
                    for (element, into) in from.as_chunks::<BLOCK>().0.iter().zip(one.chunks_exact_mut(across * BLOCK))
                    {
                        into.as_chunks_mut::<BLOCK>().0.fill(*element);
                    }
                    more.chunks_exact_mut(row).for_each(|into| into.copy_from_slice(one));
                }
            });
        })
    }
}

impl TypedOp for Upsample {
    fn output_facts(&self, _inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(f32::fact(packed(&self.shape, self.axis))))
    }

    as_op!();
}
