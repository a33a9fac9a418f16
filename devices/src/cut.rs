//! Takes a part out of a model: some layers, the tensors they take and the tensors they give.

use std::collections::{HashMap, HashSet};

use thalweg_planner::{TensorId, TensorSpec};
use tract_onnx::tract_hir::internal::{DatumType, InletId, OutletId, TypedFact, TypedModel};
use tract_onnx::tract_hir::tract_core::internal::bail;
use tract_onnx::tract_hir::tract_core::ops::source::TypedSource;
use tract_onnx::tract_hir::tract_core::prelude::TractResult;

use crate::error::StageError;
use crate::guard::guard;
use crate::model::{Model, Port, numberless};

/// A tensor at the border of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Border {
    pub(crate) spec: TensorSpec,
    /// The engine's own type: quantisation parameters and shape arithmetic do not travel.
    pub(crate) datum: DatumType,
}

/// A part of a model, as portable as the model: not yet optimised for a machine.
#[derive(Debug, Clone)]
pub struct Partition {
    pub(crate) name: String,
    pub(crate) graph: TypedModel,
    pub(crate) takes: Vec<Border>,
    pub(crate) gives: Vec<Border>,
}

impl Model {
    /// The part that runs `layers` on the tensors `takes` and ends with the tensors `gives`, in these orders.
    ///
    /// `layers` are in ascending order and may have gaps: layers between them run elsewhere. `gives` may name tensors that
    /// are only passed through. Fails when a layer is not there or needs a tensor that is neither taken nor made inside
    /// before it, or when a border tensor cannot travel.
    pub fn partition(&self, layers: &[usize], takes: &[TensorId], gives: &[TensorId]) -> Result<Partition, StageError> {
        let name = self.part_name(layers);
        let prepare = |cause: String| StageError::Prepare { part: name.clone(), cause };
        let border = |tensor: &TensorId| {
            let wire = &self.wires[*tensor];
            let spec = wire.spec.clone().ok_or_else(|| prepare(format!("tensor {} cannot travel", wire.name)))?;
            let fact = self.typed.outlet_fact(wire.outlet).map_err(|cause| prepare(cause.to_string()))?;
            Ok(Border { spec, datum: fact.datum_type })
        };
        let borders = |tensors: &[TensorId]| tensors.iter().map(border).collect::<Result<Vec<_>, StageError>>();
        let graph = guard(|| self.extract(layers, takes, gives));
        let graph = graph.map_err(prepare)?.map_err(|cause| prepare(format!("{cause:#}")))?;
        Ok(Partition { graph, takes: borders(takes)?, gives: borders(gives)?, name: name.clone() })
    }

    /// The part that is all of the model: takes its inputs and gives its outputs.
    pub fn whole_part(&self) -> Result<Partition, StageError> {
        let tensors = |ports: &[Port]| ports.iter().map(|port| port.tensor).collect::<Vec<_>>();
        let layers: Vec<usize> = (0..self.layers.len()).collect();
        self.partition(&layers, &tensors(self.inputs()), &tensors(self.outputs()))
    }

    fn part_name(&self, layers: &[usize]) -> String {
        let name =
            |layer: &usize| self.layers.get(*layer).map_or("?", |layer| numberless(&self.typed.node(layer.node).name));
        match layers {
            [] => "the empty part".to_owned(),
            [layer] => format!("the part {}", name(layer)),
            [first, .., last] => format!("the part {} .. {}", name(first), name(last)),
        }
    }

    /// Copies the nodes; constants are shared with the whole.
    fn extract(&self, layers: &[usize], takes: &[TensorId], gives: &[TensorId]) -> TractResult<TypedModel> {
        let mut part = TypedModel { symbols: self.typed.symbols.clone(), ..TypedModel::default() };
        let mut placed: HashMap<OutletId, OutletId> = HashMap::new();
        for tensor in takes {
            let wire = &self.wires[*tensor];
            // What declutter knew of the value belongs to the whole, not to what arrives.
            let fact = self.typed.outlet_fact(wire.outlet)?.without_value();
            let source = part.add_node(&wire.name, TypedSource::new(fact.clone()), [fact].into_iter().collect())?;
            part.inputs.push(source.into());
            placed.insert(wire.outlet, source.into());
        }
        let mut nodes = Vec::with_capacity(layers.len());
        for layer in layers {
            match self.layers.get(*layer) {
                Some(layer) => nodes.push(layer.node),
                None => bail!("there is no layer {layer}: the model has {}", self.layers.len()),
            }
        }
        let constants = self.constants_of(&nodes);
        let computing = nodes.into_iter().filter(|node| !self.is_constant(*node));
        for node in constants.into_iter().chain(computing) {
            copy_node(&self.typed, &mut part, &mut placed, (node, self.typed.node(node).name.clone()))?;
        }
        let mut outputs = Vec::new();
        for tensor in gives {
            match placed.get(&self.wires[*tensor].outlet) {
                Some(outlet) => outputs.push(*outlet),
                None => bail!("tensor {} is not made in this part", self.wires[*tensor].name),
            }
        }
        part.select_output_outlets(&outputs)?;
        Ok(part)
    }

    /// Constants that nodes are or read, and those that these are made of, in evaluation order.
    fn constants_of(&self, nodes: &[usize]) -> Vec<usize> {
        let mut needed: HashSet<usize> = HashSet::new();
        let reads = |node: usize| self.typed.node(node).inputs.iter().map(|outlet| outlet.node);
        needed.extend(nodes.iter().copied().chain(nodes.iter().flat_map(|node| reads(*node))));
        let mut constants: Vec<usize> = Vec::new();
        for constant in self.constants().iter().rev().copied() {
            if needed.contains(&constant) {
                needed.extend(reads(constant));
                constants.push(constant);
            }
        }
        constants.reverse();
        constants
    }
}

/// Copies a node of one graph into another, under this name. `placed` says where what it reads has come to, and learns where
/// what it makes comes to.
pub(crate) fn copy_node(
    from: &TypedModel,
    to: &mut TypedModel,
    placed: &mut HashMap<OutletId, OutletId>,
    (node, name): (usize, String),
) -> TractResult<()> {
    let node = from.node(node);
    if let Some(outlet) = node.inputs.iter().find(|outlet| !placed.contains_key(outlet)) {
        bail!("{} needs {}, which this part does not take", node.name, from.node(outlet.node).name);
    }
    let facts = node.outputs.iter().map(|output| output.fact.clone()).collect::<Vec<TypedFact>>();
    let copy = to.add_node(name, node.op.clone(), facts.into_iter().collect())?;
    for (slot, outlet) in node.inputs.iter().enumerate() {
        to.add_edge(placed[outlet], InletId::new(copy, slot))?;
    }
    for slot in 0..node.outputs.len() {
        placed.insert(OutletId::new(node.id, slot), OutletId::new(copy, slot));
    }
    Ok(())
}
