//! Sees a model as costs: operators become layers with a class, multiply-adds and weights.

use std::collections::HashSet;

use thalweg_planner::{Bytes, DType, Graph, Layer, Macs, OpClass, Pin, TensorCost, TensorSpec};
use tract_onnx::tract_hir::internal::{Cost, DatumType, TypedModel, TypedNode};
use tract_onnx::tract_hir::tract_core::ops::array::Gather;
use tract_onnx::tract_hir::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_hir::tract_core::ops::cast::Cast;
use tract_onnx::tract_hir::tract_core::ops::cnn::{Conv, Deconv};
use tract_onnx::tract_hir::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_hir::tract_core::ops::konst::Const;
use tract_onnx::tract_hir::tract_core::ops::scan::Scan;

use crate::cpu;
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
            weights: Bytes(self.weights(node)),
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

    /// Bytes of the constants that the node reads, also through nodes that are no layers, and of those inside its body when it is
    /// a loop: as large as they are where it is ready to run.
    fn weights(&self, node: &TypedNode) -> u64 {
        let body = node.op_as::<Scan>().map_or(&[][..], |scan| scan.body.nodes());
        let inside = body.iter().filter_map(|node| node.op_as::<Const>());
        let mut bytes = inside.map(|constant| constant_bytes(constant, false)).sum();
        let (mut readers, mut counted) = (vec![node], HashSet::new());
        while let Some(reader) = readers.pop() {
            let is_table = is_gathered_from(&self.typed, reader, TURNS_MAX);
            for outlet in reader.inputs.iter().filter(|outlet| self.is_constant(outlet.node)) {
                let read = self.typed.node(outlet.node);
                if !counted.insert(read.id) {
                    continue;
                }
                match read.op_as::<Const>() {
                    Some(constant) => bytes += constant_bytes(constant, is_table),
                    None => readers.push(read),
                }
            }
        }
        cpu::ready_bytes(&self.typed, node.id, bytes)
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

/// Operators between a table in whole numbers and what gathers from it, at most: a cast, a difference and a product.
const TURNS_MAX: usize = 3;

/// Whether what a node makes of constants is only gathered from: then each run turns no more than it gathers.
fn is_gathered_from(typed: &TypedModel, node: &TypedNode, turns_max: usize) -> bool {
    let is_turned = node.op_is::<Cast>() || node.op_is::<TypedBinOp>();
    let ([output], true) = (&*node.outputs, is_turned && turns_max > 0) else { return node.op_is::<Gather>() };
    match &*output.successors {
        [reader] => is_gathered_from(typed, typed.node(reader.node), turns_max - 1),
        _ => false,
    }
}

/// Weights that a file keeps smaller are turned into f32 once.
fn constant_bytes(constant: &Const, is_table: bool) -> u64 {
    let datum = constant.val().datum_type();
    let is_small = datum.size_of() < size_of::<f32>() && datum != DatumType::Bool;
    let each = if is_small && !is_table { size_of::<f32>() } else { datum.size_of() };
    (constant.val().len() * each) as u64
}
