//! Resizing: axis by axis, from elements and with weights that are known before the first run.

use tract_onnx::tract_hir::internal::TypedNode;
use tract_onnx::tract_hir::tract_core::ops::nn::resize::{AxisPlan, Resize};

use super::super::ir::{Kind, Operand, Template};
use super::super::view::{View, volume};
use super::{Lowering, Why};
use crate::resize::scales;

const RESAMPLE: Template = Template { name: "resample", text: include_str!("../kernels/resample.wgsl") };

impl Lowering<'_> {
    /// In whichever mode: which elements of an axis make one of the output, and how much of it each, the engine says.
    pub(super) fn resize(&mut self, node: &TypedNode, op: &Resize) -> Result<View, Why> {
        let mut view = self.view(node.inputs[0])?;
        self.float(&view)?;
        let shape = self.shape(node.id.into())?;
        let scales = scales(node, op, |outlet| self.constant(outlet), [&view.shape, &shape])?;
        for (axis, scale) in scales.into_iter().enumerate() {
            let (from, to) = (view.shape[axis], shape[axis]);
            if from != to || scale != 1.0 {
                view = self.resampled(view, axis, &op.plan_axis(scale, from, to))?;
            }
        }
        Ok(view)
    }

    fn resampled(&mut self, view: View, axis: usize, plan: &AxisPlan) -> Result<View, Why> {
        let view = self.dense(view)?;
        let mut shape = view.shape.clone();
        shape[axis] = plan.extrapolated.len();
        let (len, inner) = (volume(&shape), volume(&shape[axis + 1..]));
        let taps = plan.indices.iter().map(|tap| u32::try_from(*tap)).collect::<Result<_, _>>();
        let taps = self.words(taps.map_err(|_| "an axis is too long")?, Kind::Int);
        let weights = self.words(plan.weights.iter().map(|weight| weight.to_bits()).collect(), Kind::Float);
        let (grid, pitch) = self.grid(len, 64)?;
        let params = vec![
            ("len", len),
            ("pitch", pitch),
            ("to", shape[axis]),
            ("before", view.shape[axis]),
            ("inner", inner),
            ("offset", view.offset),
        ];
        let call = self.call(RESAMPLE, len, params, grid);
        self.program.calls[call].consts = vec![("TAPS", plan.window)];
        self.program.calls[call].macs = (len * plan.window) as u64;
        let reads = [view.value, taps, weights].map(|value| Operand { value, wide: false });
        Ok(View::whole(self.template(reads.to_vec()), &shape))
    }
}
