//! Nodes that only say where elements lie.

use tract_onnx::prelude::tensor1;
use tract_onnx::tract_hir::internal::{DatumType, DimLike as _, TypedNode};
use tract_onnx::tract_hir::tract_core::ops::array::{Pad, PadMode, Slice, Tile, TypedConcat};
use tract_onnx::tract_hir::tract_core::ops::change_axes::AxisOp;
use tract_onnx::tract_hir::tract_core::ops::downsample::Downsample;
use tract_onnx::tract_hir::tract_core::ops::nn::NearestUpsample;

use super::super::onnx;
use super::{Either, Lowering, Value, Why};

impl Lowering<'_> {
    pub(super) fn axis(&mut self, node: &TypedNode, op: &AxisOp) -> Result<(), Why> {
        let from = node.inputs[0];
        match op {
            AxisOp::Add(0) if self.value(from)?.led.is_some() => {
                let name = self.led(from)?;
                self.set_plain(node, name)
            }
            AxisOp::Rm(0) => {
                let name = self.plain(from)?;
                self.set(node, Either { name, lead: 1 })
            }
            AxisOp::Move(from_axis, to_axis) => {
                let Either { name, lead } = self.either(from)?;
                let mut order: Vec<usize> = (0..self.shape(from)?.len() + lead).collect();
                let moved = order.remove(from_axis + lead);
                order.insert(to_axis + lead, moved);
                let name = self.transposed(name, &order);
                self.set(node, Either { name, lead })
            }
            AxisOp::Add(_) | AxisOp::Rm(_) | AxisOp::Reshape(..) => {
                let value = match self.value(from)? {
                    Value { plain: Some(name), .. } | Value { led: Some(name), .. } => name,
                    Value { .. } => return Err("what it reads was not made".to_owned()),
                };
                let shape = self.shape(node.id.into())?;
                let name = self.reshaped(value, &shape)?;
                self.set_plain(node, name)
            }
        }
    }

    /// Axes in another order; nothing where it is the same.
    pub(super) fn transposed(&mut self, name: String, order: &[usize]) -> String {
        if order.iter().copied().eq(0..order.len()) {
            return name;
        }
        self.add("Transpose", &[name], vec![onnx::ints("perm", order.iter().copied())])
    }

    pub(super) fn slice(&mut self, node: &TypedNode, op: &Slice) -> Result<(), Why> {
        let start = op.start.to_usize().map_err(|cause| cause.to_string())?;
        let size = self.shape(node.id.into())?[op.axis];
        self.sliced(node, op.axis, [start, start + size, 1])
    }

    pub(super) fn downsample(&mut self, node: &TypedNode, op: &Downsample) -> Result<(), Why> {
        let step = usize::try_from(op.stride).map_err(|_| "it goes backwards".to_owned())?;
        let end = self.shape(node.inputs[0])?[op.axis];
        self.sliced(node, op.axis, [op.modulo, end, step])
    }

    fn sliced(&mut self, node: &TypedNode, axis: usize, [start, end, step]: [usize; 3]) -> Result<(), Why> {
        let Either { name, lead } = self.either(node.inputs[0])?;
        let bounds = [start, end, axis + lead, step];
        let mut inputs = vec![name];
        for bound in bounds {
            inputs.push(self.numbers([bound])?);
        }
        let name = self.add("Slice", &inputs, Vec::new());
        self.set(node, Either { name, lead })
    }

    pub(super) fn concat(&mut self, node: &TypedNode, op: &TypedConcat) -> Result<(), Why> {
        let mut led = false;
        for outlet in &node.inputs {
            led |= self.value(*outlet)?.led.is_some();
        }
        let mut inputs = Vec::new();
        for outlet in &node.inputs {
            inputs.push(if led { self.led(*outlet)? } else { self.plain(*outlet)? });
        }
        let lead = usize::from(led);
        let name = self.add("Concat", &inputs, vec![onnx::int("axis", (op.axis + lead) as i64)]);
        self.set(node, Either { name, lead })
    }

    pub(super) fn broadcast(&mut self, node: &TypedNode) -> Result<(), Why> {
        let (value, shape) = (self.plain(node.inputs[0])?, self.shape(node.id.into())?);
        let shape = self.numbers(shape)?;
        let name = self.add("Expand", &[value, shape], Vec::new());
        self.set_plain(node, name)
    }

    pub(super) fn tile(&mut self, node: &TypedNode, op: &Tile) -> Result<(), Why> {
        let times = op.multipliers.iter().map(|times| times.to_usize().map_err(|cause| cause.to_string()));
        let times = times.collect::<Result<Vec<_>, _>>()?;
        let (value, times) = (self.plain(node.inputs[0])?, self.numbers(times)?);
        let name = self.add("Tile", &[value, times], Vec::new());
        self.set_plain(node, name)
    }

    pub(super) fn upsample(&mut self, node: &TypedNode, op: &NearestUpsample) -> Result<(), Why> {
        if self.datum(node.inputs[0])? != DatumType::F32 {
            return self.repeated(node, op);
        }
        let Either { name, lead } = self.either(node.inputs[0])?;
        let ones = std::iter::repeat_n(1.0, lead);
        let scales: Vec<f32> = ones.chain(op.scales.iter().map(|scale| *scale as f32)).collect();
        let scales = self.hold(&tensor1(&scales))?;
        let attributes = vec![
            onnx::text("mode", "nearest"),
            onnx::text("nearest_mode", "floor"),
            onnx::text("coordinate_transformation_mode", "asymmetric"),
        ];
        let name = self.add("Resize", &[name, String::new(), scales], attributes);
        self.set(node, Either { name, lead })
    }

    /// Each axis becomes two, of which the inner repeats: for all types.
    fn repeated(&mut self, node: &TypedNode, op: &NearestUpsample) -> Result<(), Why> {
        let (value, from) = (self.plain(node.inputs[0])?, self.shape(node.inputs[0])?);
        let apart: Vec<usize> = from.iter().flat_map(|size| [*size, 1]).collect();
        let repeated: Vec<usize> = from.iter().zip(&op.scales).flat_map(|(size, scale)| [*size, *scale]).collect();
        let apart = self.reshaped(value, &apart)?;
        let repeated = self.numbers(repeated)?;
        let repeated = self.add("Expand", &[apart, repeated], Vec::new());
        let shape = self.shape(node.id.into())?;
        let name = self.reshaped(repeated, &shape)?;
        self.set_plain(node, name)
    }

    pub(super) fn pad(&mut self, node: &TypedNode, op: &Pad) -> Result<(), Why> {
        let (Either { name, lead }, computed) = self.operand(node.inputs[0])?;
        let before = op.pads.iter().map(|(before, _)| *before);
        let after = op.pads.iter().map(|(_, after)| *after);
        let none = || std::iter::repeat_n(0, lead);
        let pads: Vec<i64> = none().chain(before).chain(none()).chain(after).map(|pad| pad as i64).collect();
        let mut inputs = vec![name, self.hold(&tensor1(&pads))?];
        let mode = match &op.mode {
            PadMode::Constant(number) => {
                let number = number.cast_to_dt(computed).map_err(|cause| cause.to_string())?.into_owned();
                let number = number.into_shape(&[]).map_err(|cause| cause.to_string())?;
                inputs.push(self.hold(&number)?);
                "constant"
            }
            PadMode::Reflect => "reflect",
            PadMode::Edge => "edge",
        };
        let name = self.add("Pad", &inputs, vec![onnx::text("mode", mode)]);
        self.set_computed(node, Either { name, lead }, computed)
    }
}
