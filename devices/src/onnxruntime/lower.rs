//! Makes an ONNX model of a part's nodes, one node after the other.
//!
//! Images of the engine often have no axis for the batch, which ONNX's convolutions ask for. So a value may be there in two
//! forms: as the engine has it, and *led* by an axis of 1. Nodes that only care for the axes from the end take either, so
//! that in a chain of convolutions the axis is added once and taken away once.

mod cast;
mod convolution;
mod einsum;
mod gather;
mod pointwise;
mod quantised;
mod recurrent;
mod resize;
mod rows;
mod scan;
mod shape;
mod window;

use std::collections::HashMap;
use std::sync::Arc;

use tract_onnx::pb::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto};
use tract_onnx::prelude::tensor1;
use tract_onnx::tract_hir::internal::{DatumType, OutletId, Tensor, TypedModel, TypedNode};
use tract_onnx::tract_hir::tract_core::ops::array::{Gather, MultiBroadcastTo, Pad, Slice, Tile, TypedConcat};
use tract_onnx::tract_hir::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_hir::tract_core::ops::cast::Cast;
use tract_onnx::tract_hir::tract_core::ops::change_axes::AxisOp;
use tract_onnx::tract_hir::tract_core::ops::cnn::{Conv, Deconv, MaxPool, SumPool};
use tract_onnx::tract_hir::tract_core::ops::downsample::Downsample;
use tract_onnx::tract_hir::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_hir::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_hir::tract_core::ops::gru_cell::GruEpilogue;
use tract_onnx::tract_hir::tract_core::ops::gru_seq::GruSeq;
use tract_onnx::tract_hir::tract_core::ops::identity::Identity;
use tract_onnx::tract_hir::tract_core::ops::konst::Const;
use tract_onnx::tract_hir::tract_core::ops::logic::Iff;
use tract_onnx::tract_hir::tract_core::ops::lstm_cell::LstmEpilogue;
use tract_onnx::tract_hir::tract_core::ops::nn::resize::Resize;
use tract_onnx::tract_hir::tract_core::ops::nn::{NearestUpsample, Reduce, RmsNorm, Softmax};
use tract_onnx::tract_hir::tract_core::ops::quant::DequantizeLinearF32;
use tract_onnx::tract_hir::tract_core::ops::scan::Scan;
use tract_onnx::tract_hir::tract_core::ops::source::TypedSource;

use tract_onnx_opl::lrn::Lrn;

use super::error::OnnxruntimeError;
use super::onnx;

/// Why a node has no counterpart, in words.
type Why = String;

/// What the model calls the input of this place.
pub(super) fn name_of_input(place: usize) -> String {
    format!("in{place}")
}

/// What the model calls the output of this place.
pub(super) fn name_of_output(place: usize) -> String {
    format!("out{place}")
}

/// Whether a node is an operator of the part.
pub(super) fn computes(node: &TypedNode) -> bool {
    !node.op_is::<TypedSource>() && !node.op_is::<Const>()
}

/// Lowers all nodes, or says which one cannot be and why.
pub(super) fn lower(graph: &TypedModel) -> Result<ModelProto, OnnxruntimeError> {
    let inputs: Vec<String> = (0..graph.inputs.len()).map(name_of_input).collect();
    let outputs: Vec<String> = (0..graph.outputs.len()).map(name_of_output).collect();
    Ok(onnx::model(Lowering::new(graph, "").graph_of(&inputs, &outputs)?))
}

/// A value in one form or both.
#[derive(Debug, Clone, Default)]
struct Value {
    plain: Option<String>,
    /// With an axis of 1 before all others.
    led: Option<String>,
}

/// A value in whichever form it is there.
#[derive(Debug, Clone)]
struct Either {
    name: String,
    /// 1 where it is led: how much further from the beginning each axis lies.
    lead: usize,
}

struct Lowering<'a> {
    graph: &'a TypedModel,
    /// Before each name, so that a graph within a graph has names of its own.
    prefix: String,
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
    values: HashMap<OutletId, Value>,
    names: usize,
}

impl<'a> Lowering<'a> {
    fn new(graph: &'a TypedModel, prefix: &str) -> Self {
        let prefix = prefix.to_owned();
        Self { graph, prefix, nodes: Vec::new(), constants: Vec::new(), values: HashMap::new(), names: 0 }
    }

    /// All nodes as a graph, with inputs and outputs of these names.
    fn graph_of(&mut self, inputs: &[String], outputs: &[String]) -> Result<GraphProto, OnnxruntimeError> {
        let at_border = |op: &str, why: Why| OnnxruntimeError::Unsupported {
            node: "a tensor at the border".to_owned(),
            op: op.to_owned(),
            why,
        };
        let mut ports = [Vec::new(), Vec::new()];
        for (outlet, name) in self.graph.inputs.iter().zip(inputs) {
            ports[0].push(self.port(*outlet, name).map_err(|why| at_border("input", why))?);
            self.values.insert(*outlet, Value { plain: Some(name.clone()), led: None });
        }
        self.all()?;
        for (outlet, name) in self.graph.outputs.iter().zip(outputs) {
            let given = self.plain(*outlet).map_err(|why| at_border("output", why))?;
            self.nodes.push(onnx::node("Identity", &[given], std::slice::from_ref(name), Vec::new()));
            ports[1].push(self.port(*outlet, name).map_err(|why| at_border("output", why))?);
        }
        let [input, output] = ports;
        Ok(GraphProto {
            name: "part".to_owned(),
            node: std::mem::take(&mut self.nodes),
            initializer: std::mem::take(&mut self.constants),
            input,
            output,
            ..GraphProto::default()
        })
    }

    /// All nodes, in an order in which they can run.
    fn all(&mut self) -> Result<(), OnnxruntimeError> {
        let unsupported = |node: &str, op: &str, why: Why| OnnxruntimeError::Unsupported {
            node: node.to_owned(),
            op: op.to_owned(),
            why,
        };
        let order = self.graph.eval_order();
        for id in order.map_err(|cause| unsupported("the part", "order", cause.to_string()))? {
            let node = self.graph.node(id);
            self.lower_node(node).map_err(|why| unsupported(&node.name, &node.op.name(), why))?;
        }
        Ok(())
    }

    fn port(&self, outlet: OutletId, name: &str) -> Result<tract_onnx::pb::ValueInfoProto, Why> {
        onnx::port(name, self.datum(outlet)?, &self.shape(outlet)?)
    }

    fn lower_node(&mut self, node: &TypedNode) -> Result<(), Why> {
        if !computes(node) {
            return Ok(());
        }
        if node.op_is::<Identity>() {
            let value = self.either(node.inputs[0])?;
            return self.set(node, value);
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
        self.lower_placed(node)
    }

    /// What says where elements lie, and what is rare.
    fn lower_placed(&mut self, node: &TypedNode) -> Result<(), Why> {
        if let Some(op) = node.op_as::<AxisOp>() {
            return self.axis(node, op);
        }
        if let Some(op) = node.op_as::<Slice>() {
            return self.slice(node, op);
        }
        if let Some(op) = node.op_as::<TypedConcat>() {
            return self.concat(node, op);
        }
        if node.op_is::<MultiBroadcastTo>() {
            return self.broadcast(node);
        }
        if let Some(op) = node.op_as::<Tile>() {
            return self.tile(node, op);
        }
        if let Some(op) = node.op_as::<Downsample>() {
            return self.downsample(node, op);
        }
        if let Some(op) = node.op_as::<NearestUpsample>() {
            return self.upsample(node, op);
        }
        if let Some(op) = node.op_as::<Resize>() {
            return self.resize(node, op);
        }
        if let Some(op) = node.op_as::<Pad>() {
            return self.pad(node, op);
        }
        if let Some(op) = node.op_as::<Gather>() {
            return self.gather(node, op);
        }
        if let Some(op) = node.op_as::<DequantizeLinearF32>() {
            return self.dequantise(node, op);
        }
        if let Some(op) = node.op_as::<Scan>() {
            return self.scan(node, op);
        }
        if let Some(op) = node.op_as::<Lrn>() {
            return self.normalised_locally(node, op);
        }
        if let Some(op) = node.op_as::<LstmEpilogue>() {
            return self.lstm(node, op.hidden);
        }
        if let Some(op) = node.op_as::<GruEpilogue>() {
            return self.gru(node, op.hidden);
        }
        if let Some(op) = node.op_as::<GruSeq>() {
            return self.gru_over_time(node, op);
        }
        if node.op.name() == "DynamicQuantizeLinearU8" {
            return self.quantise_dynamically(node);
        }
        self.chosen(node)
    }
}

/// What a node is made of.
impl Lowering<'_> {
    fn shape(&self, outlet: OutletId) -> Result<Vec<usize>, Why> {
        let fact = self.graph.outlet_fact(outlet).map_err(|cause| cause.to_string())?;
        let shape = fact.shape.as_concrete().ok_or_else(|| format!("{fact:?} has no fixed shape"))?;
        Ok(shape.to_vec())
    }

    fn datum(&self, outlet: OutletId) -> Result<DatumType, Why> {
        Ok(self.graph.outlet_fact(outlet).map_err(|cause| cause.to_string())?.datum_type)
    }

    fn constant(&self, outlet: OutletId) -> Option<Arc<Tensor>> {
        self.graph.node(outlet.node).op_as::<Const>().map(|constant| constant.val().clone())
    }

    fn name(&mut self) -> String {
        self.names += 1;
        format!("{}v{}", self.prefix, self.names)
    }

    /// A node with one output.
    fn add(&mut self, op: &str, inputs: &[String], attributes: Vec<AttributeProto>) -> String {
        let output = self.name();
        self.nodes.push(onnx::node(op, inputs, std::slice::from_ref(&output), attributes));
        output
    }

    /// A constant of the model.
    fn hold(&mut self, tensor: &Tensor) -> Result<String, Why> {
        let name = self.name();
        self.constants.push(onnx::tensor(&name, tensor)?);
        Ok(name)
    }

    /// Sizes, or places of axes.
    fn numbers(&mut self, numbers: impl IntoIterator<Item = usize>) -> Result<String, Why> {
        let numbers: Vec<i64> = numbers.into_iter().map(|number| number as i64).collect();
        self.hold(&tensor1(&numbers))
    }

    /// A number of a type, without axes.
    fn scalar(&mut self, value: f64, datum: DatumType) -> Result<String, Why> {
        let tensor = Tensor::from(value).cast_to_dt(datum).map_err(|cause| cause.to_string())?.into_owned();
        self.hold(&tensor)
    }

    fn reshaped(&mut self, name: String, shape: &[usize]) -> Result<String, Why> {
        let shape = self.numbers(shape.iter().copied())?;
        Ok(self.add("Reshape", &[name, shape], vec![onnx::int("allowzero", 1)]))
    }

    fn value(&mut self, outlet: OutletId) -> Result<Value, Why> {
        if let Some(value) = self.values.get(&outlet) {
            return Ok(value.clone());
        }
        let Some(tensor) = self.constant(outlet) else { return Err("what it reads is not there".to_owned()) };
        let value = Value { plain: Some(self.hold(&tensor)?), led: None };
        self.values.insert(outlet, value.clone());
        Ok(value)
    }

    /// As the engine has it.
    fn plain(&mut self, outlet: OutletId) -> Result<String, Why> {
        match self.value(outlet)? {
            Value { plain: Some(name), .. } => Ok(name),
            Value { plain: None, led } => {
                let led = led.ok_or("what it reads was not made")?;
                let shape = self.shape(outlet)?;
                let plain = self.reshaped(led, &shape)?;
                self.values.entry(outlet).or_default().plain = Some(plain.clone());
                Ok(plain)
            }
        }
    }

    /// With an axis of 1 before all others.
    fn led(&mut self, outlet: OutletId) -> Result<String, Why> {
        if let Value { led: Some(name), .. } = self.value(outlet)? {
            return Ok(name);
        }
        let (plain, shape) = (self.plain(outlet)?, self.shape(outlet)?);
        let shape: Vec<usize> = [1].into_iter().chain(shape).collect();
        let led = self.reshaped(plain, &shape)?;
        self.values.entry(outlet).or_default().led = Some(led.clone());
        Ok(led)
    }

    /// In a form that is there: led where both are.
    fn either(&mut self, outlet: OutletId) -> Result<Either, Why> {
        let value = self.value(outlet)?;
        match (value.led, value.plain) {
            (Some(name), _) => Ok(Either { name, lead: 1 }),
            (None, Some(name)) => Ok(Either { name, lead: 0 }),
            (None, None) => Err("what it reads was not made".to_owned()),
        }
    }

    /// What the node makes is this.
    fn set(&mut self, node: &TypedNode, value: Either) -> Result<(), Why> {
        self.set_slot(OutletId::new(node.id, 0), value);
        if node.outputs.len() == 1 { Ok(()) } else { Err(format!("it has {} outputs", node.outputs.len())) }
    }

    fn set_slot(&mut self, outlet: OutletId, Either { name, lead }: Either) {
        let name = Some(name);
        let value = if lead == 1 { Value { led: name, plain: None } } else { Value { plain: name, led: None } };
        self.values.insert(outlet, value);
    }

    fn set_plain(&mut self, node: &TypedNode, name: String) -> Result<(), Why> {
        self.set(node, Either { name, lead: 0 })
    }
}
