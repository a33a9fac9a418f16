//! Sees a model as costs: operators become layers with a class, multiply-adds and weights.

use thalweg_planner::{Bytes, DType, Graph, Layer, Macs, OpClass, Pin, TensorCost, TensorSpec};
use tract_onnx::tract_hir::internal::{Cost, TypedModel, TypedNode};
use tract_onnx::tract_hir::tract_core::ops::cnn::{Conv, Deconv};
use tract_onnx::tract_hir::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_hir::tract_core::ops::konst::Const;
use tract_onnx::tract_hir::tract_core::ops::scan::Scan;

use crate::model::{Model, Wire};

impl Model {
    /// The graph that the planner works on: every layer may run anywhere. Times and codings are not known here, they are
    /// zero and empty, and an ONNX file names no exits.
    pub fn describe(&self) -> Graph {
        Graph {
            layers: (0..self.layers.len()).map(|layer| self.layer(layer)).collect(),
            tensors: self.wires.iter().map(tensor_cost).collect(),
            inputs: self.inputs().iter().map(|port| port.tensor).collect(),
            outputs: self.outputs().iter().map(|port| port.tensor).collect(),
            exits: Vec::new(),
        }
    }

    fn layer(&self, index: usize) -> Layer {
        let node = self.node(index);
        Layer {
            name: node.name.clone(),
            op: node.op.name().into_owned(),
            class: class(node),
            macs: self.macs(index),
            weights: weights(&self.typed, node),
            reference: std::time::Duration::ZERO,
            reads: self.layers[index].reads.clone(),
            writes: self.layers[index].writes.clone(),
            pin: Pin::Anywhere,
        }
    }

    /// Multiply-adds as the engine counts them; 0 for what it does not count.
    fn macs(&self, index: usize) -> Macs {
        let count = || {
            let costs = self.node(index).op.cost(&self.facts_of_inputs(index).ok()?).ok()?;
            let fused = costs.iter().filter(|(cost, _)| matches!(cost, Cost::FMA(_)));
            Some(fused.filter_map(|(_, count)| u64::try_from(count.to_i64().ok()?).ok()).sum())
        };
        Macs(count().unwrap_or(0))
    }
}

/// A wire that cannot travel is described by an empty tensor and never gets a coding.
fn tensor_cost(wire: &Wire) -> TensorCost {
    let spec = wire.spec.clone().unwrap_or_else(|| TensorSpec::new(DType::U8, [0]));
    TensorCost { name: wire.name.clone(), spec, codings: Vec::new() }
}

fn class(node: &TypedNode) -> OpClass {
    if let Some(conv) = node.op_as::<Conv>() {
        let depthwise = conv.group > 1 && conv.group == conv.input_channels();
        return if depthwise { OpClass::Depthwise } else { OpClass::Convolution };
    }
    match () {
        () if node.op_is::<Deconv>() => OpClass::Convolution,
        () if node.op_is::<EinSum>() || node.op_is::<Scan>() => OpClass::MatrixProduct,
        () => OpClass::MemoryBound,
    }
}

/// Constants that the node reads, and those inside its body when it is a loop.
fn weights(typed: &TypedModel, node: &TypedNode) -> Bytes {
    let read = node.inputs.iter().filter_map(|outlet| typed.node(outlet.node).op_as::<Const>()).map(constant_bytes);
    let body = node.op_as::<Scan>().map_or(&[][..], |scan| scan.body.nodes());
    let inside = body.iter().filter_map(|node| node.op_as::<Const>()).map(constant_bytes);
    Bytes(read.chain(inside).sum())
}

fn constant_bytes(constant: &Const) -> u64 {
    let tensor = constant.val();
    (tensor.len() * tensor.datum_type().size_of()) as u64
}
