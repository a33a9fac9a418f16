//! Nodes that only say where elements lie.

use tract_onnx::tract_hir::internal::{DimLike as _, TypedNode};
use tract_onnx::tract_hir::tract_core::ops::array::{MultiBroadcastTo, Pad, PadMode, Slice, TypedConcat};
use tract_onnx::tract_hir::tract_core::ops::change_axes::AxisOp;
use tract_onnx::tract_hir::tract_core::ops::downsample::Downsample;
use tract_onnx::tract_hir::tract_core::ops::nn::NearestUpsample;

use super::super::ir::{Arg, Kind, Origin, Store, ValueId};
use super::super::view::{Index, View, volume};
use super::{Lowering, Why};

impl Lowering<'_> {
    pub(super) fn axis(&mut self, node: &TypedNode, op: &AxisOp) -> Result<View, Why> {
        let view = self.view(node.inputs[0])?;
        match op {
            AxisOp::Add(axis) => Ok(view.with_axis(*axis)),
            AxisOp::Rm(axis) => Ok(view.without_axis(*axis)),
            AxisOp::Move(from, to) => Ok(view.moved(*from, *to)),
            AxisOp::Reshape(..) => {
                let shape = self.shape(node.id.into())?;
                self.reshaped(view, &shape)
            }
        }
    }

    fn reshaped(&mut self, view: View, shape: &[usize]) -> Result<View, Why> {
        match view.reshaped(shape) {
            Some(view) => Ok(view),
            None => {
                self.copied(view)?.reshaped(shape).ok_or_else(|| format!("it has not as many elements as {shape:?}"))
            }
        }
    }

    pub(super) fn slice(&mut self, node: &TypedNode, op: &Slice) -> Result<View, Why> {
        let start = op.start.to_usize().map_err(|cause| cause.to_string())?;
        let size = self.shape(node.id.into())?[op.axis];
        Ok(self.view(node.inputs[0])?.sliced(op.axis, start, size, 1))
    }

    pub(super) fn broadcast(&mut self, node: &TypedNode, _op: &MultiBroadcastTo) -> Result<View, Why> {
        let shape = self.shape(node.id.into())?;
        let view = self.view(node.inputs[0])?;
        view.repeated(&shape).ok_or_else(|| format!("it does not repeat to {shape:?}"))
    }

    pub(super) fn downsample(&mut self, node: &TypedNode, op: &Downsample) -> Result<View, Why> {
        let step = usize::try_from(op.stride).map_err(|_| "it goes backwards".to_owned())?;
        let size = self.shape(node.id.into())?[op.axis];
        Ok(self.view(node.inputs[0])?.sliced(op.axis, op.modulo, size, step))
    }

    /// Each axis becomes two, of which the inner repeats.
    pub(super) fn upsample(&mut self, node: &TypedNode, op: &NearestUpsample) -> Result<View, Why> {
        let mut view = self.view(node.inputs[0])?;
        for (axis, scale) in op.scales.iter().enumerate().rev() {
            view = view.with_axis(axis + 1);
            view.shape[axis + 1] = *scale;
        }
        let shape = self.shape(node.id.into())?;
        self.reshaped(view, &shape)
    }

    /// All is stored into one value, by the kernels that make it where that is possible.
    pub(super) fn concat(&mut self, node: &TypedNode, op: &TypedConcat) -> Result<View, Why> {
        let shape = self.shape(node.id.into())?;
        let parts = node.inputs.iter().map(|outlet| self.view(*outlet)).collect::<Result<Vec<_>, _>>()?;
        let kind = self.program.values[parts[0].value].kind;
        let whole = self.joined(&shape, kind);
        let mut start = 0;
        for part in parts {
            let size = part.shape[op.axis];
            self.store_into(&part, &whole.clone().sliced(op.axis, start, size, 1))?;
            start += size;
        }
        Ok(whole)
    }

    /// A value that kernels will write parts of.
    fn joined(&mut self, shape: &[usize], kind: Kind) -> View {
        let value = self.value(volume(shape), kind, Origin::Made { call: 0, step: None });
        View::whole(value, shape)
    }

    fn store_into(&mut self, part: &View, place: &View) -> Result<(), Why> {
        let (call, step) = match self.made_by(part).filter(|(call, _)| self.has_room(*call, 1)) {
            Some(made) => made,
            None => self.copy(part)?,
        };
        self.store(call, step, place);
        Ok(())
    }

    fn store(&mut self, call: usize, step: usize, place: &View) {
        let store = Store { step, value: place.value, index: Index::of_view(place) };
        self.program.calls[call].stores.push(store);
        if let Origin::Made { call: latest, step: None } = &mut self.program.values[place.value].origin {
            *latest = call.max(*latest);
        }
    }

    /// A kernel that reads these elements, and its step that has them.
    fn copy(&mut self, view: &View) -> Result<(usize, usize), Why> {
        let copied = self.copied(view.clone())?;
        self.made_by(&copied).ok_or_else(|| "its copy is not made".to_owned())
    }

    pub(super) fn pad(&mut self, node: &TypedNode, op: &Pad) -> Result<View, Why> {
        let PadMode::Constant(number) = &op.mode else { return Err("it pads by what is inside".to_owned()) };
        let number = number.cast_to_scalar::<f64>().map_err(|cause| cause.to_string())?;
        if !number.is_finite() {
            return Err(format!("it pads with {number}"));
        }
        let view = self.view(node.inputs[0])?;
        let kind = self.program.values[view.value].kind;
        let shape = self.shape(node.id.into())?;
        let whole = self.joined(&shape, kind);
        let call = self.map(volume(&shape))?;
        let _filled: ValueId =
            self.step(call, "$0".to_owned(), vec![Arg::Number(super::pointwise::number(number, kind))], kind);
        self.store(call, 0, &whole);
        let mut inside = whole.clone();
        for (axis, (before, _)) in op.pads.iter().enumerate() {
            inside = inside.sliced(axis, *before, view.shape[axis], 1);
        }
        // By a kernel of its own: what it is made by may come before what fills the borders.
        let (call, step) = self.copy(&view)?;
        self.store(call, step, &inside);
        Ok(whole)
    }
}
