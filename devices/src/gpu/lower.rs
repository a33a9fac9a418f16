//! Makes kernels of a part's nodes, one node after the other.
//!
//! Element-wise nodes become steps of the kernel that makes what they read, wherever that is possible, whatever that kernel
//! is: so biases, activations, residuals and scales cost no kernel and no memory of their own. Axes that are moved, sliced
//! or repeated become strides. What is joined is stored where it belongs by the kernels that make it.

mod build;
mod pointwise;
mod shape;
mod rows;
mod window;
mod resize;
mod product;
mod weights;
mod convolution;
mod einsum;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tract_onnx::prelude::TValue;
use tract_onnx::tract_hir::internal::{
    DatumType, IntoArcTensor as _, OutletId, SessionId, Tensor, TurnState, TypedModel, TypedNode,
};
use tract_onnx::tract_hir::tract_core::ops::array::{Gather, MultiBroadcastTo, Pad, Slice, TypedConcat};
use tract_onnx::tract_hir::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_hir::tract_core::ops::cast::Cast;
use tract_onnx::tract_hir::tract_core::ops::change_axes::AxisOp;
use tract_onnx::tract_hir::tract_core::ops::cnn::{Conv, Deconv, MaxPool, SumPool};
use tract_onnx::tract_hir::tract_core::ops::downsample::Downsample;
use tract_onnx::tract_hir::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_hir::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_hir::tract_core::ops::identity::Identity;
use tract_onnx::tract_hir::tract_core::ops::konst::Const;
use tract_onnx::tract_hir::tract_core::ops::logic::Iff;
use tract_onnx::tract_hir::tract_core::ops::nn::resize::Resize;
use tract_onnx::tract_hir::tract_core::ops::nn::{NearestUpsample, Reduce, RmsNorm, Softmax};
use tract_onnx::tract_hir::tract_core::ops::source::TypedSource;

use super::context::Gpu;
use super::error::GpuError;
use super::ir::{Constant, Kind, Origin, Program, Value, ValueId};
use super::view::{View, volume};
use crate::Precision;

pub(super) use pointwise::FUNCTIONS;

/// Elements that constants may grow to where they are evaluated before the first run.
const FOLDED_MAX: usize = 1 << 16;

/// Why a node has no kernel, in words.
pub(super) type Why = String;

/// What a device bounds, and how it keeps weights.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Buffers that a kernel may have, all in all.
    pub(super) buffers: usize,
    /// Workgroups along one dimension of a dispatch.
    pub(super) groups: usize,
    /// Bytes of one buffer.
    pub(super) bytes: usize,
    /// Threads of a workgroup.
    pub(super) threads: usize,
    /// Bytes that the threads of a workgroup share.
    pub(super) shared: usize,
    /// Processors that each run workgroups of their own, roughly.
    pub(super) processors: usize,
    pub(super) precision: Precision,
}

impl Bounds {
    pub(super) fn of(gpu: &Gpu) -> Self {
        let limits = gpu.limits();
        Self {
            processors: gpu.processors(),
            precision: gpu.precision(),
            buffers: limits.max_storage_buffers_per_shader_stage as usize,
            groups: limits.max_compute_workgroups_per_dimension as usize,
            bytes: usize::try_from(limits.max_storage_buffer_binding_size).unwrap_or(usize::MAX),
            threads: limits.max_compute_invocations_per_workgroup as usize,
            shared: limits.max_compute_workgroup_storage_size as usize,
        }
    }
}

/// A part as kernels, and the nodes that have none: what these make is an input of the program.
pub(super) struct Lowered {
    pub(super) program: Program,
    /// By node, why.
    pub(super) left: HashMap<usize, Why>,
}

/// Lowers all nodes that can be.
pub(super) fn lower(graph: &TypedModel, bounds: Bounds) -> Result<Lowered, GpuError> {
    let mut lowering = Lowering {
        graph,
        bounds,
        program: Program::default(),
        views: HashMap::new(),
        constants: HashMap::new(),
        uploaded: HashMap::new(),
        halved: HashMap::new(),
        kept: HashSet::new(),
        node: String::new(),
    };
    let engine = |cause: &dyn std::fmt::Display| GpuError::Engine(cause.to_string());
    let order = graph.eval_order().map_err(|cause| engine(&cause))?;
    let mut left = HashMap::new();
    let mut refused = None;
    for outlet in &graph.inputs {
        // What has no place on the device stays unknown: who needs it is left.
        if let Err(why) = lowering.input(*outlet) {
            refused.get_or_insert(why);
        }
    }
    for id in order {
        let node = graph.node(id);
        lowering.node.clone_from(&node.name);
        let before = lowering.program.values.len();
        let lowered = lowering.lower_node(node).and_then(|()| lowering.fits_since(before));
        if let Err(why) = lowered {
            left.insert(id, why);
            for slot in 0..node.outputs.len() {
                let _ = lowering.input(OutletId::new(id, slot));
            }
        }
    }
    if left.is_empty() {
        if let Some(why) = refused {
            return Err(GpuError::Engine(format!("an input: {why}")));
        }
        lowering.outputs().map_err(GpuError::Engine)?;
    }
    Ok(Lowered { program: lowering.program, left })
}

struct Lowering<'a> {
    graph: &'a TypedModel,
    bounds: Bounds,
    program: Program,
    views: HashMap<OutletId, View>,
    constants: HashMap<OutletId, Arc<Tensor>>,
    /// Constants that are values already.
    uploaded: HashMap<OutletId, View>,
    /// The same for those that are values in f16.
    halved: HashMap<OutletId, View>,
    /// Values that several nodes read, or that the part gives.
    kept: HashSet<ValueId>,
    node: String,
}

/// What elements of the engine's type are to kernels.
pub(super) fn kind(datum: DatumType) -> Result<Kind, Why> {
    match datum {
        DatumType::F32 | DatumType::F16 => Ok(Kind::Float),
        DatumType::I64 | DatumType::I32 | DatumType::I16 | DatumType::I8 | DatumType::U8 | DatumType::Bool => {
            Ok(Kind::Int)
        }
        other => Err(format!("{other:?} is not computed on")),
    }
}

impl Lowering<'_> {
    fn lower_node(&mut self, node: &TypedNode) -> Result<(), Why> {
        if node.op_is::<TypedSource>() {
            return Ok(());
        }
        if let Some(constant) = node.op_as::<Const>() {
            self.constants.insert(node.id.into(), constant.val().clone());
            return self.may_be_given(node);
        }
        if self.folded(node, FOLDED_MAX) {
            return self.may_be_given(node);
        }
        let view = match self.view_of(node) {
            // It is no layer that the CPU could be left with.
            Err(_) if self.folded(node, usize::MAX) => return self.may_be_given(node),
            view => view?,
        };
        if view.shape != self.shape(node.id.into())?.as_slice() {
            return Err(format!("a shape of {:?} came out", view.shape));
        }
        if node.outputs[0].successors.len() > 1 || self.graph.outputs.contains(&node.id.into()) {
            self.kept.insert(view.value);
        }
        self.views.insert(node.id.into(), view);
        Ok(())
    }

    /// What the part gives is not empty.
    fn may_be_given(&self, node: &TypedNode) -> Result<(), Why> {
        if self.graph.outputs.iter().any(|outlet| outlet.node == node.id) {
            self.shape(node.id.into())?;
        }
        Ok(())
    }

    fn view_of(&mut self, node: &TypedNode) -> Result<View, Why> {
        if node.outputs.len() != 1 {
            return Err(format!("it has {} outputs", node.outputs.len()));
        }
        kind(self.datum(node.id.into())?)?;
        if node.op_is::<Identity>() {
            return self.view(node.inputs[0]);
        }
        if let Some(op) = node.op_as::<ElementWiseOp>() {
            return self.element_wise(node, op);
        }
        if let Some(op) = node.op_as::<TypedBinOp>() {
            return self.binary(node, op);
        }
        if let Some(op) = node.op_as::<Cast>() {
            return self.cast(node, op);
        }
        if node.op_is::<Iff>() {
            return self.choose(node);
        }
        if let Some(op) = node.op_as::<Conv>() {
            return self.convolution(node, op);
        }
        if let Some(op) = node.op_as::<Deconv>() {
            return self.transposed_convolution(node, op);
        }
        if let Some(op) = node.op_as::<EinSum>() {
            return self.einsum(node, op);
        }
        if let Some(op) = node.op_as::<MaxPool>() {
            return self.max_pool(node, op);
        }
        if let Some(op) = node.op_as::<SumPool>() {
            return self.sum_pool(node, op);
        }
        if let Some(op) = node.op_as::<Reduce>() {
            return self.reduce(node, op);
        }
        if let Some(op) = node.op_as::<Softmax>() {
            return self.softmax(node, op);
        }
        if let Some(op) = node.op_as::<RmsNorm>() {
            return self.rms_norm(node, op);
        }
        if let Some(op) = node.op_as::<Gather>() {
            return self.gather(node, op);
        }
        if let Some(op) = node.op_as::<Resize>() {
            return self.resize(node, op);
        }
        self.view_of_shape(node)
    }

    /// What only says where elements lie.
    fn view_of_shape(&mut self, node: &TypedNode) -> Result<View, Why> {
        if let Some(op) = node.op_as::<AxisOp>() {
            return self.axis(node, op);
        }
        if let Some(op) = node.op_as::<Slice>() {
            return self.slice(node, op);
        }
        if let Some(op) = node.op_as::<TypedConcat>() {
            return self.concat(node, op);
        }
        if let Some(op) = node.op_as::<MultiBroadcastTo>() {
            return self.broadcast(node, op);
        }
        if let Some(op) = node.op_as::<Downsample>() {
            return self.downsample(node, op);
        }
        if let Some(op) = node.op_as::<NearestUpsample>() {
            return self.upsample(node, op);
        }
        if let Some(op) = node.op_as::<Pad>() {
            return self.pad(node, op);
        }
        Err("this operator has none yet".to_owned())
    }

    /// What is made of constants only is one.
    fn folded(&mut self, node: &TypedNode, most: usize) -> bool {
        let inputs: Option<Vec<_>> = node.inputs.iter().map(|outlet| self.constant(*outlet)).collect();
        let Some(inputs) = inputs.filter(|inputs| !inputs.is_empty()) else { return false };
        // What repeats a little is a view of it.
        let made = node.outputs.iter().map(|output| output.fact.shape.as_concrete().map(volume)).sum::<Option<usize>>();
        let read: usize = inputs.iter().map(|tensor| tensor.len()).sum();
        if made.is_none_or(|made| made > read.max(most)) {
            return false;
        }
        let turn = TurnState::default();
        let inputs = inputs.into_iter().map(TValue::from_const).collect();
        let made = crate::guard::guard(|| node.op.eval(&turn.context(SessionId::NONE, usize::MAX), inputs));
        let Ok(Ok(made)) = made else { return false };
        for (slot, value) in made.into_iter().enumerate() {
            self.constants.insert(OutletId::new(node.id, slot), value.into_arc_tensor());
        }
        true
    }

    fn constant(&self, outlet: OutletId) -> Option<Arc<Tensor>> {
        self.constants.get(&outlet).cloned()
    }

    fn shape(&self, outlet: OutletId) -> Result<Vec<usize>, Why> {
        let fact = self.graph.outlet_fact(outlet).map_err(|cause| cause.to_string())?;
        let shape = fact.shape.as_concrete().ok_or_else(|| format!("{fact:?} has no fixed shape"))?;
        if volume(shape) == 0 {
            return Err("it is empty".to_owned());
        }
        Ok(shape.to_vec())
    }

    fn datum(&self, outlet: OutletId) -> Result<DatumType, Why> {
        Ok(self.graph.outlet_fact(outlet).map_err(|cause| cause.to_string())?.datum_type)
    }

    /// Where what a node reads lies. A constant is uploaded with the first kernel that reads it.
    fn view(&mut self, outlet: OutletId) -> Result<View, Why> {
        if let Some(view) = self.views.get(&outlet).or_else(|| self.uploaded.get(&outlet)) {
            return Ok(view.clone());
        }
        let Some(tensor) = self.constant(outlet) else { return Err("what it reads is not on the device".to_owned()) };
        let value = self.constant_value(&tensor)?;
        let view = View::whole(value, tensor.shape());
        self.uploaded.insert(outlet, view.clone());
        Ok(view)
    }

    fn constant_value(&mut self, tensor: &Tensor) -> Result<ValueId, Why> {
        if tensor.len() == 0 {
            return Err("what it reads is empty".to_owned());
        }
        let kind = kind(tensor.datum_type())?;
        Ok(self.words(words(tensor)?, kind))
    }

    fn words(&mut self, words: Vec<u32>, kind: Kind) -> ValueId {
        self.upload(Constant::Words(words), kind)
    }

    fn upload(&mut self, constant: Constant, kind: Kind) -> ValueId {
        self.value(constant.len(), kind, Origin::Constant(constant))
    }

    fn value(&mut self, len: usize, kind: Kind, origin: Origin) -> ValueId {
        self.program.values.push(Value { len, kind, origin });
        self.program.values.len() - 1
    }

    /// Whether each value that was added is small enough for a buffer.
    fn fits_since(&self, before: usize) -> Result<(), Why> {
        let large = self.program.values[before..].iter().find(|value| value.bytes() > self.bounds.bytes);
        large.map_or(Ok(()), |value| {
            Err(format!("{} bytes are more than the {} of a buffer", value.bytes(), self.bounds.bytes))
        })
    }

    fn input(&mut self, outlet: OutletId) -> Result<(), Why> {
        let (shape, kind) = (self.shape(outlet)?, kind(self.datum(outlet)?)?);
        let value = self.value(volume(&shape), kind, Origin::Input(self.program.inputs.len()));
        self.program.inputs.push(value);
        self.views.insert(outlet, View::whole(value, &shape));
        Ok(())
    }
}

/// A constant as kernels read it.
fn words(tensor: &Tensor) -> Result<Vec<u32>, Why> {
    let failed = |cause: &dyn std::fmt::Display| cause.to_string();
    match kind(tensor.datum_type())? {
        Kind::Float => {
            let cast = tensor.cast_to::<f32>().map_err(|cause| failed(&cause))?;
            let view = cast.to_plain_array_view::<f32>().map_err(|cause| failed(&cause))?;
            Ok(view.iter().map(|value| value.to_bits()).collect())
        }
        Kind::Int => {
            let cast = tensor.cast_to::<i64>().map_err(|cause| failed(&cause))?;
            let view = cast.to_plain_array_view::<i64>().map_err(|cause| failed(&cause))?;
            let word = |value: &i64| i32::try_from(*value).map(i32::cast_unsigned).map_err(|_| format!("{value}"));
            view.iter()
                .map(|value| word(value).map_err(|value| format!("it reads {value}, more than i32 holds")))
                .collect()
        }
    }
}
