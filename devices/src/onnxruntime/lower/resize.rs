//! Resizing: axis by axis, from elements and with weights that are known before the first run.

use tract_onnx::prelude::{IntoTensor as _, tensor1, tract_ndarray::ArrayD};
use tract_onnx::tract_hir::internal::{DatumType, TypedNode};
use tract_onnx::tract_hir::tract_core::ops::nn::resize::{AxisPlan, Resize};

use super::super::onnx;
use super::{Either, Lowering, Why};
use crate::resize::scales;

impl Lowering<'_> {
    /// In whichever mode: which elements of an axis make one of the output, and how much of it each, the engine says.
    pub(super) fn resize(&mut self, node: &TypedNode, op: &Resize) -> Result<(), Why> {
        let computed = self.floats(node)?;
        let (Either { mut name, lead }, _) = self.operand(node.inputs[0])?;
        let (from, to) = (self.shape(node.inputs[0])?, self.shape(node.id.into())?);
        for (axis, scale) in scales(node, op, |outlet| self.constant(outlet), [&from, &to])?.into_iter().enumerate() {
            if from[axis] != to[axis] || scale != 1.0 {
                let plan = op.plan_axis(scale, from[axis], to[axis]);
                name = self.resampled(name, (axis + lead, from.len() + lead), &plan, computed)?;
            }
        }
        self.set_computed(node, Either { name, lead }, computed)
    }

    /// The sum of what each tap reads, times its weights.
    fn resampled(
        &mut self,
        value: String,
        (axis, axes): (usize, usize),
        plan: &AxisPlan,
        datum: DatumType,
    ) -> Result<String, Why> {
        let mut sum: Option<String> = None;
        // Where one element makes each of the output, one tap reads them all.
        let alone = |weights: &[f32]| weights.iter().filter(|weight| **weight != 0.0).count() == 1;
        if plan.weights.chunks_exact(plan.window).all(|weights| alone(weights) && weights.contains(&1.0)) {
            let taps = plan.indices.chunks_exact(plan.window).zip(plan.weights.chunks_exact(plan.window));
            let indices = taps.flat_map(|(indices, weights)| {
                indices.iter().zip(weights).filter(|(_, weight)| **weight != 0.0).map(|(index, _)| *index)
            });
            return self.read(value, axis, indices.collect());
        }
        for tap in 0..plan.window {
            let of_tap = |at: &usize| at % plan.window == tap;
            let places = || (0..plan.indices.len()).filter(of_tap);
            let weights: Vec<f32> = places().map(|at| plan.weights[at]).collect();
            if weights.iter().all(|weight| *weight == 0.0) {
                continue;
            }
            let read = self.read(value.clone(), axis, places().map(|at| plan.indices[at]).collect())?;
            let shape: Vec<usize> = (0..axes).map(|at| if at == axis { weights.len() } else { 1 }).collect();
            let weights = ArrayD::from_shape_vec(shape, weights).map_err(|cause| cause.to_string())?.into_tensor();
            let weights = weights.cast_to_dt(datum).map_err(|cause| cause.to_string())?.into_owned();
            let weights = self.hold(&weights)?;
            let weighted = self.add("Mul", &[read, weights], Vec::new());
            sum = Some(match sum {
                Some(sum) => self.add("Add", &[sum, weighted], Vec::new()),
                None => weighted,
            });
        }
        sum.ok_or_else(|| "nothing is read".to_owned())
    }

    fn read(&mut self, value: String, axis: usize, indices: Vec<usize>) -> Result<String, Why> {
        let indices: Vec<i64> = indices.into_iter().map(|index| index as i64).collect();
        let indices = self.hold(&tensor1(&indices))?;
        Ok(self.add("Gather", &[value, indices], vec![onnx::int("axis", axis as i64)]))
    }
}
