//! A part of a pipeline that runs on one node: pieces of models and whole modules, one after the other.
//!
//! A [`Blueprint`] says what they are, wherever it stands; [`Blueprint::prepare`] makes of it what runs on this machine.

use std::collections::BTreeSet;
use std::error::Error;
use std::sync::{Arc, Once};

use thalweg_devices::{Backends, Partition, Stage, StageError};
use thalweg_planner::{Tensor, TensorId};

use super::seam::joined;
use super::{Body, ModuleFault, PreparedModule, Step, Steps};
use crate::stage::Compute;

/// Layers of one hop, as they are before any machine has prepared them.
#[derive(Debug)]
pub struct Blueprint {
    /// The layers of one step each, in an order in which they can run.
    pub pieces: Vec<DrawnPiece>,
    /// What it takes, by tensor of the graph.
    pub takes: Vec<TensorId>,
    /// What it gives.
    pub gives: Vec<TensorId>,
}

/// The layers of one step in a [`Blueprint`].
#[derive(Debug)]
pub struct DrawnPiece {
    /// Name of the step.
    pub step: String,
    /// Its layers.
    pub body: PieceBody,
    /// What it takes, in its own order.
    pub takes: Vec<Take>,
    /// What it gives, in its own order.
    pub gives: Vec<TensorId>,
}

/// What a piece runs.
#[derive(Debug)]
pub enum PieceBody {
    /// Some layers of a model.
    Model(Box<Partition>),
    /// A module.
    Module(Arc<PreparedModule>),
}

/// Layers of one hop, ready to run from any thread.
#[derive(Debug)]
pub struct Part {
    pieces: Vec<Piece>,
    /// What it takes, by tensor of the graph.
    takes: Vec<TensorId>,
    gives: Vec<TensorId>,
    /// That a GPU was left is said once.
    said: Once,
}

/// The layers of one step in a part.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) step: String,
    pub(super) runs: Runs,
    pub(super) takes: Vec<Take>,
    pub(super) gives: Vec<TensorId>,
}

impl Piece {
    /// The tensors of the graph that it takes.
    pub(super) fn reads(&self) -> impl Iterator<Item = TensorId> {
        self.takes.iter().filter_map(|take| if let Take::Made(tensor) = take { Some(*tensor) } else { None })
    }
}

/// What a piece runs, ready.
#[derive(Debug)]
pub(super) enum Runs {
    Model(Stage),
    Module(Arc<PreparedModule>),
}

/// What a piece takes.
#[derive(Debug, Clone)]
pub enum Take {
    /// A tensor of the graph.
    Made(TensorId),
    /// A tensor without elements, for an input that nothing is linked to.
    Nothing(Tensor),
}

/// A part cannot be prepared or run.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum PartError {
    #[error(transparent)]
    Stage(#[from] StageError),
    #[error(transparent)]
    Module(#[from] ModuleFault),
    #[error("{step} takes tensor {tensor}, which nothing before it has made: the plan and the pipeline differ")]
    Missing { step: String, tensor: TensorId },
}

impl Steps {
    /// The part that runs `layers`, in ascending order, on the tensors `takes`, and ends with the tensors `gives`.
    pub fn part(&self, layers: &[usize], takes: &[TensorId], gives: &[TensorId]) -> Result<Part, StageError> {
        self.blueprint(layers, takes, gives)?.prepare(&self.backends)
    }

    /// As [`Steps::part`], before it is prepared.
    pub fn blueprint(&self, layers: &[usize], takes: &[TensorId], gives: &[TensorId]) -> Result<Blueprint, StageError> {
        let mut pieces = Vec::new();
        for step in &self.steps {
            let runs = |layer: &usize| step.layers.contains(layer) && self.needed[*layer];
            let own: Vec<usize> = layers.iter().copied().filter(runs).collect();
            if !own.is_empty() {
                pieces.push(self.piece(step, &own, layers, gives)?);
            }
        }
        Ok(Blueprint { pieces, takes: takes.to_vec(), gives: gives.to_vec() })
    }

    /// The layers `own` of a step in the part that runs `all`: what leaves the piece is what others need of it.
    fn piece(&self, step: &Step, own: &[usize], all: &[usize], gives: &[TensorId]) -> Result<DrawnPiece, StageError> {
        let layer = |layer: &usize| &self.graph.layers[*layer];
        let is_needed = |tensor: &TensorId| {
            let elsewhere = all.iter().filter(|layer| !step.layers.contains(layer)).map(layer);
            gives.contains(tensor) || elsewhere.into_iter().any(|layer| layer.reads.contains(tensor))
        };
        match &step.body {
            Body::Model { model, .. } => {
                let made: Vec<TensorId> = own.iter().flat_map(|at| layer(at).writes.iter().copied()).collect();
                let reads = |of_graph: &TensorId| own.iter().any(|at| layer(at).reads.contains(of_graph));
                let tensors =
                    || step.tensors.iter().enumerate().filter_map(|(own, of_graph)| Some((own, (*of_graph)?)));
                let taken: Vec<(usize, TensorId)> =
                    tensors().filter(|(_, tensor)| reads(tensor) && !made.contains(tensor)).collect();
                let given: Vec<(usize, TensorId)> =
                    tensors().filter(|(_, tensor)| made.contains(tensor) && is_needed(tensor)).collect();
                let numbers = |pairs: &[(usize, TensorId)]| pairs.iter().map(|(own, _)| *own).collect::<Vec<_>>();
                let layers: Vec<usize> = own.iter().map(|layer| layer - step.layers.start).collect();
                let partition = model.partition(&layers, &numbers(&taken), &numbers(&given))?;
                Ok(DrawnPiece {
                    step: step.name.clone(),
                    body: PieceBody::Model(Box::new(partition)),
                    takes: taken.into_iter().map(|(_, tensor)| Take::Made(tensor)).collect(),
                    gives: given.into_iter().map(|(_, tensor)| tensor).collect(),
                })
            }
            Body::Module { module, .. } => {
                let (links, outputs) = step.tensors.split_at(step.inputs.len());
                let take = |(link, nothing): (&Option<TensorId>, &Tensor)| match link {
                    Some(tensor) => Take::Made(*tensor),
                    None => Take::Nothing(nothing.clone()),
                };
                Ok(DrawnPiece {
                    step: step.name.clone(),
                    body: PieceBody::Module(Arc::clone(module)),
                    takes: links.iter().zip(&step.inputs).map(take).collect(),
                    gives: outputs.iter().flatten().copied().collect(),
                })
            }
        }
    }
}

impl Blueprint {
    /// Makes it ready to run on this machine, each model on the backend on which it is fastest.
    pub fn prepare(self, backends: &Backends) -> Result<Part, StageError> {
        let prepared = |piece: DrawnPiece| {
            let runs = match piece.body {
                PieceBody::Model(partition) => {
                    let stage = backends.prepare(*partition)?;
                    tracing::debug!(step = piece.step, backend = stage.backend(), "a part of a model is prepared");
                    Runs::Model(stage)
                }
                PieceBody::Module(module) => Runs::Module(module),
            };
            Ok(Piece { step: piece.step, runs, takes: piece.takes, gives: piece.gives })
        };
        let pieces = self.pieces.into_iter().map(prepared).collect::<Result<_, StageError>>()?;
        let pieces = joined(pieces, &self.gives, &Stage::then);
        Ok(Part { pieces, takes: self.takes, gives: self.gives, said: Once::new() })
    }
}

impl Part {
    /// The step that the CPU computes although another backend was to, and why.
    fn why_cpu(&self) -> Option<(&str, String)> {
        self.pieces.iter().find_map(|piece| match &piece.runs {
            Runs::Model(stage) => Some((piece.step.as_str(), stage.why_cpu()?)),
            Runs::Module(_) => None,
        })
    }

    /// Makes what the part gives of what it takes, both in the order in which it was asked for.
    pub fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, PartError> {
        let mut made: Vec<(TensorId, Tensor)> = self.takes.iter().copied().zip(inputs.iter().cloned()).collect();
        let find = |made: &[(TensorId, Tensor)], tensor: TensorId, step: &str| {
            let found = made.iter().find(|(known, _)| *known == tensor).map(|(_, tensor)| tensor.clone());
            found.ok_or_else(|| PartError::Missing { step: step.to_owned(), tensor })
        };
        for piece in &self.pieces {
            let takes = piece.takes.iter().map(|take| match take {
                Take::Made(tensor) => find(&made, *tensor, &piece.step),
                Take::Nothing(tensor) => Ok(tensor.clone()),
            });
            let takes: Vec<Tensor> = takes.collect::<Result<_, _>>()?;
            let gives = match &piece.runs {
                Runs::Model(stage) => stage.run(&takes)?,
                Runs::Module(module) => module.run(&takes)?,
            };
            made.extend(piece.gives.iter().copied().zip(gives));
        }
        self.gives.iter().map(|tensor| find(&made, *tensor, "the answer")).collect()
    }
}

impl Compute for Part {
    fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, Box<dyn Error + Send + Sync>> {
        let made = self.run(inputs)?;
        if let Some((step, cause)) = self.why_cpu() {
            self.said.call_once(|| tracing::warn!(step, %cause, "the CPU computes it, and nothing else"));
        }
        Ok(made)
    }

    fn is_shared(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(&piece.runs, Runs::Model(stage) if stage.is_on_cpu()))
    }

    fn computed_on(&self) -> BTreeSet<String> {
        let models = self.pieces.iter().filter_map(|piece| match &piece.runs {
            Runs::Model(stage) => Some(stage.computed_on()),
            Runs::Module(_) => None,
        });
        models.collect()
    }
}
