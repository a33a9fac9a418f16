//! A loaded model: decluttered once, on the whole, so that every cut of it is exact.

use std::collections::HashMap;
use std::sync::Arc;

use thalweg_planner::{TensorId, TensorSpec};
use tract_onnx::tract_hir::internal::{OutletId, TypedFact, TypedModel, TypedNode};
use tract_onnx::tract_hir::tract_core::ops::{konst::Const, source::TypedSource};
use tract_onnx::tract_hir::tract_core::prelude::TractResult;

use crate::tensor;

/// A wire of the model that a layer reads, or that enters or leaves the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wire {
    pub(crate) name: String,
    pub(crate) outlet: OutletId,
    /// `None` when it cannot travel: the planner never cuts there.
    pub(crate) spec: Option<TensorSpec>,
}

/// A node that computes, with the wires it reads and writes, each once; constants, and what is made of them alone, are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LayerNode {
    pub(crate) node: usize,
    pub(crate) reads: Vec<TensorId>,
    pub(crate) writes: Vec<TensorId>,
}

/// A named input or output of the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name in the ONNX file.
    pub name: String,
    /// The wire that carries it.
    pub tensor: TensorId,
    /// Type and shape.
    pub spec: TensorSpec,
}

/// A model that can be described, cut and run. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Model {
    pub(crate) typed: Arc<TypedModel>,
    pub(crate) layers: Arc<Vec<LayerNode>>,
    pub(crate) wires: Arc<Vec<Wire>>,
    nodes: Arc<Nodes>,
    inputs: Arc<Vec<Port>>,
    outputs: Arc<Vec<Port>>,
    hash: [u8; 32],
}

/// An input or output that cannot travel, and the engine's type of it.
pub(crate) struct NotPortable {
    pub(crate) port: String,
    pub(crate) dtype: String,
}

impl Model {
    /// Looks through a decluttered graph. `file` is the hash of the file that it came from.
    pub(crate) fn new(typed: TypedModel, file: [u8; 32]) -> TractResult<Result<Self, NotPortable>> {
        let nodes = Nodes::of(&typed)?;
        let wires = wires(&typed, &nodes.layers)?;
        let ids: HashMap<OutletId, TensorId> = wires.iter().enumerate().map(|(id, wire)| (wire.outlet, id)).collect();
        let layers = layers(&typed, &nodes, &ids);
        let port = |kind: &str, outlet: &OutletId, name: String| {
            let tensor = ids[outlet];
            wires[tensor].spec.clone().map(|spec| Port { name: name.clone(), tensor, spec }).ok_or_else(|| {
                NotPortable {
                    port: format!("{kind} \"{name}\""),
                    dtype: typed.outlet_fact(*outlet).map(|fact| format!("{fact:?}")).unwrap_or_default(),
                }
            })
        };
        let inputs = typed.inputs.iter().map(|outlet| port("input", outlet, typed.node(outlet.node).name.clone()));
        let label = |outlet: &OutletId| typed.outlet_label(*outlet).unwrap_or(&typed.node(outlet.node).name).to_owned();
        let outputs = typed.outputs.iter().map(|outlet| port("output", outlet, label(outlet)));
        let ports = inputs
            .collect::<Result<Vec<_>, _>>()
            .and_then(|inputs| Ok((inputs, outputs.collect::<Result<Vec<_>, _>>()?)));
        let (inputs, outputs) = match ports {
            Ok(ports) => ports,
            Err(refused) => return Ok(Err(refused)),
        };
        let hash = graph_hash(&typed, &layers, &wires, file)?;
        Ok(Ok(Self {
            typed: Arc::new(typed),
            layers: Arc::new(layers),
            wires: Arc::new(wires),
            nodes: Arc::new(nodes),
            inputs: Arc::new(inputs),
            outputs: Arc::new(outputs),
            hash,
        }))
    }

    /// What the caller brings.
    pub fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    /// What the caller gets.
    pub fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    /// Identity of this model with these input shapes under this version of the engine.
    pub fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// The hash in 64 hexadecimal digits.
    pub fn hash_text(&self) -> String {
        blake3::Hash::from_bytes(self.hash).to_hex().to_string()
    }

    /// Type and shape of a wire; `None` when it cannot travel.
    pub fn spec(&self, tensor: TensorId) -> Option<&TensorSpec> {
        self.wires[tensor].spec.as_ref()
    }

    /// The same for a number that may come from a file: also `None` when there is no such wire.
    pub fn tensor(&self, tensor: TensorId) -> Option<&TensorSpec> {
        self.wires.get(tensor)?.spec.as_ref()
    }

    /// The nodes that are constants, or made of constants alone, in evaluation order.
    pub(crate) fn constants(&self) -> &[usize] {
        &self.nodes.constants
    }

    /// Whether a node is among these.
    pub(crate) fn is_constant(&self, node: usize) -> bool {
        self.nodes.is_constant[node]
    }

    pub(crate) fn node(&self, layer: usize) -> &TypedNode {
        self.typed.node(self.layers[layer].node)
    }

    /// The facts that a layer's operator sees.
    pub(crate) fn facts_of_inputs(&self, layer: usize) -> TractResult<Vec<&TypedFact>> {
        self.node(layer).inputs.iter().map(|outlet| self.typed.outlet_fact(*outlet)).collect()
    }
}

/// The nodes of a graph, in evaluation order.
#[derive(Debug)]
struct Nodes {
    /// Those that are layers: they compute, or make an output of the model.
    layers: Vec<usize>,
    /// Constants, and what is made of constants alone. Each part that reads it makes it: if it crossed a cut, a kernel above
    /// would not know it.
    constants: Vec<usize>,
    /// Which nodes are among the constants.
    is_constant: Vec<bool>,
}

impl Nodes {
    fn of(typed: &TypedModel) -> TractResult<Self> {
        let mut is_constant = vec![false; typed.nodes.len()];
        let (mut layers, mut constants) = (Vec::new(), Vec::new());
        for id in typed.eval_order()? {
            let node = typed.node(id);
            let reads_constants = !node.inputs.is_empty() && node.inputs.iter().all(|outlet| is_constant[outlet.node]);
            is_constant[id] = node.op_is::<Const>() || reads_constants;
            let is_output = || typed.outputs.iter().any(|outlet| outlet.node == id);
            if is_constant[id] {
                constants.push(id);
            }
            if !node.op_is::<TypedSource>() && (!is_constant[id] || is_output()) {
                layers.push(id);
            }
        }
        Ok(Self { layers, constants, is_constant })
    }
}

/// Inputs first, then what each node writes, in their order.
fn wires(typed: &TypedModel, layers: &[usize]) -> TractResult<Vec<Wire>> {
    let mut outlets: Vec<OutletId> = typed.inputs.clone();
    for node in layers {
        outlets.extend((0..typed.node(*node).outputs.len()).map(|slot| OutletId::new(*node, slot)));
    }
    let made = outlets.iter().map(|outlet| {
        let node = typed.node(outlet.node);
        let name = if outlet.slot == 0 { node.name.clone() } else { format!("{}.{}", node.name, outlet.slot) };
        Ok(Wire { name, outlet: *outlet, spec: tensor::spec(typed.outlet_fact(*outlet)?) })
    });
    made.collect()
}

fn layers(typed: &TypedModel, nodes: &Nodes, ids: &HashMap<OutletId, TensorId>) -> Vec<LayerNode> {
    let layer = |node: &usize| {
        let computed = typed.node(*node).inputs.iter().filter(|outlet| !nodes.is_constant[outlet.node]);
        let mut reads: Vec<TensorId> = computed.filter_map(|outlet| ids.get(outlet)).copied().collect();
        reads.sort_unstable();
        reads.dedup();
        let slots = 0..typed.node(*node).outputs.len();
        LayerNode { node: *node, reads, writes: slots.map(|slot| ids[&OutletId::new(*node, slot)]).collect() }
    };
    nodes.layers.iter().map(layer).collect()
}

/// The file, and what the engine made of it: two nodes agree on every edge only when both are the same.
fn graph_hash(typed: &TypedModel, layers: &[LayerNode], wires: &[Wire], file: [u8; 32]) -> TractResult<[u8; 32]> {
    let mut hash = blake3::Hasher::new();
    hash.update(&file);
    for layer in layers {
        let node = typed.node(layer.node);
        let (name, op, details) = (numberless(&node.name), node.op.name(), node.op.info()?);
        hash.update(format!("{name} {op} {details:?} {:?} {:?};", layer.reads, layer.writes).as_bytes());
    }
    for wire in wires {
        hash.update(format!("{} {:?};", numberless(&wire.name), wire.spec).as_bytes());
    }
    Ok(*hash.finalize().as_bytes())
}

/// A name without the number at its end: the engine numbers nodes of one origin, and not in the same way each time.
pub(crate) fn numberless(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((origin, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => origin,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use thalweg_planner::Bytes;
    use tract_onnx::tract_hir::internal::Datum as _;
    use tract_onnx::tract_hir::tract_core::ops::{cast::cast, einsum::EinSum, math};

    use super::*;
    use crate::cases::{Graph, inputs, numbers};
    use crate::cut::Partition;

    #[test]
    fn what_is_made_of_constants_alone_belongs_to_each_reader() {
        let mut graph = Graph::default();
        let image = graph.input(&[16, 20]);
        let kept = numbers(0, &[16, 16]).cast_to::<half::f16>().expect("in f16").into_owned();
        let kept = graph.constant(kept);
        let mut weights = graph.add(cast(f32::datum_type()), &[kept]);
        // As many ways lead to the constant as there are numbers of 20 bits.
        for _ in 0..20 {
            weights = graph.add(math::add(), &[weights, weights]);
        }
        let product = || EinSum::new("iw,io->ow".parse().expect("axes"), f32::datum_type());
        let below = graph.add(product(), &[image, weights]);
        let above = graph.add(product(), &[below, weights]);
        let whole = graph.part(&[above]);
        let (image, model) = (inputs(&whole), Model::new(whole.graph.clone(), [0; 32]).expect("a graph"));
        let Ok(model) = model else { panic!("it travels") };

        let described = model.describe();
        let sizes: Vec<Bytes> = described.layers.iter().map(|layer| layer.weights).collect();
        assert_eq!(sizes, [Bytes(16 * 16 * 4); 2]);
        let live = described.live(1);
        assert_eq!(live, described.layers[0].writes);
        let run = |part: Partition, inputs: &[_], products: usize| {
            let stage = part.prepare().expect("a part");
            let operators = stage.operator_times(inputs, 1).expect("a run");
            assert_eq!(operators.iter().filter(|operator| operator.op == "Blocked").count(), products);
            stage.run(inputs).expect("a run")
        };
        let head = model.partition(&[0], &described.inputs, &live).expect("a head");
        let tail = model.partition(&[1], &live, &described.outputs).expect("a tail");
        assert_eq!(run(tail, &run(head, &image, 1), 1), run(whole, &image, 2));
        let missing = model.partition(&[1], &[], &described.outputs).expect_err("it takes nothing");
        assert!(missing.to_string().contains("which this part does not take"), "{missing}");
    }
}
