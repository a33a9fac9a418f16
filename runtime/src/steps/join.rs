//! Joins models and modules, step after step, into one graph.

use std::collections::BTreeSet;
use std::time::Duration;

use thalweg_devices::{Backends, Model, Port};
use thalweg_planner::{Bytes, Graph, Layer, Macs, OpClass, Pin, Tensor, TensorCost, TensorId, TensorSpec};

use super::{Body, MODULE_OP, Step, Steps};
use crate::codebook::Codebooks;

impl Steps {
    /// No step yet, only what the pipeline takes.
    pub(super) fn new() -> Self {
        let graph = Graph::default();
        let (texts, needed) = (BTreeSet::new(), Vec::new());
        let (steps, travels, inputs, outputs) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { steps, graph, travels, texts, needed, inputs, outputs, backends: Backends::default() }
    }

    /// A tensor that the pipeline takes.
    pub(super) fn add_input(&mut self, name: &str, spec: TensorSpec) -> TensorId {
        let tensor = self.add_tensor(name.to_owned(), spec.clone(), true);
        self.graph.inputs.push(tensor);
        self.inputs.push(Port { name: name.to_owned(), tensor, spec });
        tensor
    }

    fn add_tensor(&mut self, name: String, spec: TensorSpec, travels: bool) -> TensorId {
        self.graph.tensors.push(TensorCost { name, spec, codings: Vec::new() });
        self.travels.push(travels);
        self.graph.tensors.len() - 1
    }

    /// A model whose inputs are these tensors of the graph, in its order.
    pub(super) fn add_model(
        &mut self,
        name: &str,
        model: Model,
        codebooks: Option<Box<Codebooks>>,
        links: &[TensorId],
        inputs: Vec<Tensor>,
    ) {
        let graph = model.describe();
        let called = |inner: &str| if name.is_empty() { inner.to_owned() } else { format!("{name}/{inner}") };
        let mut tensors = vec![None; graph.tensors.len()];
        for (input, link) in graph.inputs.iter().zip(links) {
            tensors[*input] = Some(*link);
        }
        for (own, tensor) in graph.tensors.iter().enumerate() {
            if tensors[own].is_none() {
                let travels = model.spec(own).is_some();
                tensors[own] = Some(self.add_tensor(called(&tensor.name), tensor.spec.clone(), travels));
            }
        }
        let first = self.graph.layers.len();
        let of_graph = |own: &Vec<TensorId>| own.iter().filter_map(|own| tensors[*own]).collect();
        let layers = graph.layers.iter().map(|layer| Layer {
            name: called(&layer.name),
            reads: of_graph(&layer.reads),
            writes: of_graph(&layer.writes),
            ..layer.clone()
        });
        self.graph.layers.extend(layers);
        let layers = first..self.graph.layers.len();
        let body = Body::Model { model, graph, codebooks };
        self.steps.push(Step { name: name.to_owned(), body, inputs, layers, tensors });
    }

    /// A module whose inputs are these tensors of the graph, in its order, and which makes outputs of these types and
    /// shapes. `bytes` are what it takes of memory before it runs.
    pub(super) fn add_module(
        &mut self,
        name: &str,
        body: Body,
        bytes: Bytes,
        links: &[Option<TensorId>],
        inputs: Vec<Tensor>,
        outputs: Vec<(String, TensorSpec)>,
    ) {
        let made = outputs.into_iter().map(|(port, spec)| self.add_tensor(format!("{name}.{port}"), spec, true));
        let outputs: Vec<TensorId> = made.collect();
        if let Body::Module { module, .. } = &body {
            self.texts.extend(outputs.iter().zip(module.texts()).filter(|(_, is_text)| *is_text).map(|(at, _)| *at));
        }
        let at = self.graph.layers.len();
        self.graph.layers.push(Layer {
            name: name.to_owned(),
            op: MODULE_OP.to_owned(),
            class: OpClass::MemoryBound,
            macs: Macs(0),
            weights: bytes,
            reference: Duration::ZERO,
            reads: links.iter().flatten().copied().collect(),
            writes: outputs.clone(),
            pin: Pin::Anywhere,
        });
        let tensors = links.iter().copied().chain(outputs.into_iter().map(Some)).collect();
        self.steps.push(Step { name: name.to_owned(), body, inputs, layers: at..at + 1, tensors });
    }

    /// What is answered.
    pub(super) fn add_output(&mut self, name: &str, tensor: TensorId) {
        self.graph.outputs.push(tensor);
        self.outputs.push(Port { name: name.to_owned(), tensor, spec: self.graph.tensors[tensor].spec.clone() });
    }

    /// All outputs of the last step are answered.
    pub(super) fn answer_all(&mut self) {
        let Some(last) = self.steps.last() else { return };
        let named: Vec<(String, TensorId)> = match &last.body {
            Body::Model { model, .. } => {
                let ports = model.outputs().iter();
                let called =
                    |port: &str| if last.name.is_empty() { port.to_owned() } else { format!("{}.{port}", last.name) };
                ports.filter_map(|port| Some((called(&port.name), last.tensors[port.tensor]?))).collect()
            }
            Body::Module { .. } => {
                let writes = self.graph.layers[last.layers.clone()].iter().flat_map(|layer| layer.writes.clone());
                writes.map(|tensor| (self.graph.tensors[tensor].name.clone(), tensor)).collect()
            }
        };
        named.into_iter().for_each(|(name, tensor)| self.add_output(&name, tensor));
    }

    /// Which tensors of the graph those of the last step are.
    pub(super) fn last_tensors(&self) -> &[Option<TensorId>] {
        self.steps.last().map_or(&[], |step| &step.tensors)
    }

    /// Finds out what the answers need: the name of the last step that they do not, if there is one. Layers that they do not
    /// need are part of the graph, but cost nothing, because nothing runs them.
    pub(super) fn settle(&mut self) -> Option<String> {
        let mut wanted = vec![false; self.graph.tensors.len()];
        self.graph.outputs.iter().for_each(|output| wanted[*output] = true);
        self.needed = vec![false; self.graph.layers.len()];
        for (at, layer) in self.graph.layers.iter_mut().enumerate().rev() {
            self.needed[at] = layer.writes.iter().any(|tensor| wanted[*tensor]);
            if self.needed[at] {
                layer.reads.iter().for_each(|tensor| wanted[*tensor] = true);
            } else {
                (layer.macs, layer.weights) = (Macs(0), Bytes(0));
            }
        }
        let unneeded = |step: &&Step| !self.needed[step.layers.clone()].contains(&true);
        self.steps.iter().rev().find(unneeded).map(|step| step.name.clone())
    }
}
