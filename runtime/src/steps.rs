//! A pipeline as one graph: models, which the planner may cut, and task modules, which it places as wholes.
//!
//! ```text
//! config::Pipeline → load → Steps → Graph → planner → layers of a hop → Steps::part → Part
//! ```
//!
//! Each step brings layers and tensors of its own. [`Steps`] numbers them anew, step after step, so that the planner and
//! nodes see one graph; a tensor that links two steps has one number. A module is one layer.

mod error;
mod inputs;
mod join;
mod settings;
mod load;
mod module;
mod part;
mod seam;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use thalweg_devices::{Backends, Model, Port, StageError};
use thalweg_planner::{Graph, Tensor, TensorId};

use crate::codebook::{Codebooks, CutBooks};

pub use error::StepError;
pub use load::{Drawn, Loaded, load, load_model};
pub use module::{ModuleFault, ModuleOrigin, PreparedModule};
pub use part::{Blueprint, DrawnPiece, Part, PartError, PieceBody, Take};

/// The operator of a layer that is a task module.
pub const MODULE_OP: &str = "module";

/// The steps of a pipeline, in the order in which they run, and the graph that they are together.
#[derive(Debug)]
pub struct Steps {
    steps: Vec<Step>,
    graph: Graph,
    /// Of each tensor of the graph, whether it can cross a link.
    travels: Vec<bool>,
    /// Tensors that are texts, filled up with spaces.
    texts: BTreeSet<TensorId>,
    /// Of each layer, whether an answer needs it.
    needed: Vec<bool>,
    /// The tensors of [`Graph::inputs`], with the pipeline's names for them.
    inputs: Vec<Port>,
    /// The tensors of [`Graph::outputs`], with the pipeline's names for them.
    outputs: Vec<Port>,
    /// What its models are timed and run on; the CPU alone where nothing else is said.
    backends: Backends,
}

/// A model or a module, and where it stands in the graph.
#[derive(Debug)]
pub struct Step {
    /// What the pipeline calls it; empty for a model that is alone.
    pub name: String,
    /// What it runs.
    pub body: Body,
    /// What went into it when the pipeline was loaded: it is measured on this.
    pub inputs: Vec<Tensor>,
    /// Its layers in the graph.
    layers: Range<usize>,
    /// Which tensor of the graph each of its own is. Those of a module are its inputs, then its outputs; none is an input
    /// that nothing is linked to.
    tensors: Vec<Option<TensorId>>,
}

impl Step {
    /// Its layers in the graph.
    pub fn layers(&self) -> Range<usize> {
        self.layers.clone()
    }
}

/// What a step runs.
#[derive(Debug)]
pub enum Body {
    /// A model.
    Model {
        /// It.
        model: Model,
        /// Its description, with its own numbers, and without times and codings.
        graph: Graph,
        /// Its codebooks, which have its own numbers; none where no file is named, or one that is not there.
        codebooks: Option<Box<Codebooks>>,
    },
    /// A task module.
    Module {
        /// It, ready to run.
        module: Arc<PreparedModule>,
        /// Hash of its component and of its settings.
        hash: [u8; 32],
    },
}

impl Steps {
    /// From now on its models are timed, and its parts prepared, on whichever of these is fastest for them.
    pub fn compute_on(&mut self, backends: Backends) {
        self.backends = backends;
    }

    /// What its models are timed and run on.
    pub fn backends(&self) -> &Backends {
        &self.backends
    }

    /// The steps, in the order in which they run.
    pub fn all(&self) -> &[Step] {
        &self.steps
    }

    /// All steps together, without times and codings.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// What the caller brings.
    pub fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    /// What the caller gets.
    pub fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    /// What a module has written into an answer, without the spaces at its end; none where that is no text.
    pub fn text<'t>(&self, port: &Port, answer: &'t Tensor) -> Option<&'t str> {
        let text = self.texts.contains(&port.tensor).then(|| str::from_utf8(answer.data()).ok())??;
        Some(text.trim_end_matches(' '))
    }

    /// Whether a tensor can cross a link.
    pub fn travels(&self, tensor: TensorId) -> bool {
        self.travels.get(tensor).copied().unwrap_or_default()
    }

    /// Whether a module makes a tensor.
    pub fn is_of_module(&self, tensor: TensorId) -> bool {
        let modules = self.graph.layers.iter().filter(|layer| layer.op == MODULE_OP);
        modules.into_iter().any(|layer| layer.writes.contains(&tensor))
    }

    /// What a tensor was when the pipeline was loaded; none where it is inside of a step.
    pub fn sample(&self, tensor: TensorId) -> Option<&Tensor> {
        self.steps.iter().find_map(|step| {
            let inputs = match &step.body {
                Body::Model { graph, .. } => graph.inputs.clone(),
                Body::Module { .. } => (0..step.inputs.len()).collect(),
            };
            let linked = inputs.into_iter().zip(&step.inputs);
            linked.into_iter().find_map(|(own, sample)| (step.tensors[own] == Some(tensor)).then_some(sample))
        })
    }

    /// The model, where it is alone.
    pub fn only_model(&self) -> Option<(&Model, &Graph)> {
        match &self.steps[..] {
            [Step { body: Body::Model { model, graph, .. }, tensors, .. }] => {
                // Two inputs of it may be one of the pipeline's: then numbers differ.
                let is_same = tensors.iter().enumerate().all(|(own, of_graph)| *of_graph == Some(own));
                is_same.then_some((model, graph))
            }
            _ => None,
        }
    }

    /// The model of the step of this name, and its description.
    pub fn model_of(&self, step: &str) -> Option<(&Model, &Graph)> {
        self.steps.iter().find(|known| known.name == step).and_then(|step| match &step.body {
            Body::Model { model, graph, .. } => Some((model, graph)),
            Body::Module { .. } => None,
        })
    }

    /// What makes the inputs of the model of a step from those of the pipeline: all steps before it.
    pub fn before(&self, step: &str) -> Option<Result<Part, StageError>> {
        let step = self.steps.iter().find(|known| known.name == step)?;
        let Body::Model { graph, .. } = &step.body else { return None };
        let gives: Vec<TensorId> = graph.inputs.iter().filter_map(|own| step.tensors[*own]).collect();
        let layers: Vec<usize> = (0..step.layers.start).collect();
        Some(self.part(&layers, &self.graph.inputs, &gives))
    }

    /// Inputs, and what modules alone have made of them: no model has taken anything away from these.
    pub fn raw(&self) -> Vec<TensorId> {
        let mut raw = self.graph.inputs.clone();
        for step in self.steps.iter().filter(|step| matches!(step.body, Body::Module { .. })) {
            for layer in &self.graph.layers[step.layers.clone()] {
                if layer.reads.iter().any(|tensor| raw.contains(tensor)) {
                    raw.extend(&layer.writes);
                }
            }
        }
        raw
    }

    /// All codebooks of its models.
    pub fn codebooks(&self) -> impl Iterator<Item = &Codebooks> {
        self.steps.iter().filter_map(Step::codebooks)
    }

    /// The cut of a model whose books code a tensor, and the tensor's place in it.
    pub fn books_of(&self, tensor: TensorId) -> Option<(&CutBooks, usize)> {
        self.steps.iter().find_map(|step| {
            let own = step.tensors.iter().enumerate().filter(|(_, of_graph)| **of_graph == Some(tensor));
            own.into_iter().find_map(|(own, _)| step.codebooks()?.of(own))
        })
    }

    /// Names all that runs and what is answered: of a model without steps, its own hash.
    pub fn hash(&self) -> [u8; 32] {
        if let [Step { name, body: Body::Model { model, .. }, .. }] = &self.steps[..]
            && name.is_empty()
        {
            return model.hash();
        }
        let mut hash = blake3::Hasher::new();
        for step in &self.steps {
            hash.update(format!("{} {:?};", step.name, step.tensors).as_bytes());
            hash.update(&match &step.body {
                Body::Model { model, .. } => model.hash(),
                Body::Module { hash, .. } => *hash,
            });
        }
        hash.update(format!("{:?}", self.graph.outputs).as_bytes());
        *hash.finalize().as_bytes()
    }

    /// The hash in 64 hexadecimal digits.
    pub fn hash_text(&self) -> String {
        blake3::Hash::from_bytes(self.hash()).to_hex().to_string()
    }

    /// The graph with the times of its layers: what `times` says of each step.
    pub fn timed(&self, times: &[StepTime]) -> Graph {
        let mut graph = self.graph.clone();
        for (step, time) in self.steps.iter().zip(times) {
            let layers = &mut graph.layers[step.layers.clone()];
            match (&step.body, time) {
                (Body::Model { graph: own, .. }, StepTime::Model(prefixes)) => {
                    let mut own = own.clone();
                    thalweg_devices::profile::apply(&mut own, prefixes);
                    layers.iter_mut().zip(own.layers).for_each(|(layer, own)| layer.reference = own.reference);
                }
                (_, StepTime::Module(time)) => layers.iter_mut().for_each(|layer| layer.reference = *time),
                (Body::Module { .. }, StepTime::Model(_)) => {}
            }
        }
        for (layer, _) in graph.layers.iter_mut().zip(&self.needed).filter(|(_, needed)| !**needed) {
            layer.reference = Duration::ZERO;
        }
        graph
    }
}

/// How long a step takes on the machine that was measured.
#[derive(Debug, Clone, PartialEq)]
pub enum StepTime {
    /// The parts of a model.
    Model(Vec<thalweg_devices::profile::PrefixTime>),
    /// One call of a module, with a warm instance.
    Module(Duration),
}

impl Step {
    fn codebooks(&self) -> Option<&Codebooks> {
        match &self.body {
            Body::Model { codebooks, .. } => codebooks.as_deref(),
            Body::Module { .. } => None,
        }
    }
}
