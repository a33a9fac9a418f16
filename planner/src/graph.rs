//! A model as the planner sees it: layers in an order in which they can run, the tensors between them, and what each costs.

use std::ops::Range;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Bytes, Macs, TensorSpec};

/// What bounds the speed of a layer. Devices differ by class, so unmeasured devices are scaled by class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OpClass {
    /// A convolution that mixes channels.
    Convolution,
    /// A convolution within each channel.
    Depthwise,
    /// A product of matrices.
    MatrixProduct,
    /// Everything else: bound by how fast memory delivers.
    MemoryBound,
}

/// Index of a tensor in [`Graph::tensors`].
pub type TensorId = usize;

/// One operator of the model.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// Its name in the decluttered model.
    pub name: String,
    /// Its operator, as the engine calls it.
    pub op: String,
    /// What bounds it.
    pub class: OpClass,
    /// Multiply-adds of one run.
    pub macs: Macs,
    /// Constants that only this layer needs to have loaded.
    pub weights: Bytes,
    /// How long it takes on the reference machine: the one that profiled the model.
    pub reference: Duration,
    /// Tensors it reads.
    pub reads: Vec<TensorId>,
    /// Tensors it writes.
    pub writes: Vec<TensorId>,
}

/// One way to put a tensor on a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coding {
    /// The codec and its level, as in [`crate::Crossing::codec`].
    pub codec: String,
    /// Bytes it takes.
    pub bytes: Bytes,
    /// Time to encode on the reference machine.
    pub encode: Duration,
    /// Time to decode on the reference machine.
    pub decode: Duration,
}

/// A tensor that can travel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorCost {
    /// The name of the wire.
    pub name: String,
    /// Type and shape.
    pub spec: TensorSpec,
    /// The ways to send it. A crossing can use a codec that all its tensors offer.
    pub codings: Vec<Coding>,
}

/// A place to cut: before layer `at`, with these tensors crossing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Separator {
    /// How many layers run below the cut.
    pub at: usize,
    /// What crosses it, in ascending order.
    pub live: Vec<TensorId>,
}

/// Layers, tensors, and where they enter and leave.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Graph {
    /// In an order in which they can run.
    pub layers: Vec<Layer>,
    /// All tensors that are read by a layer, enter or leave. Constants are not among them.
    pub tensors: Vec<TensorCost>,
    /// Tensors that the caller brings.
    pub inputs: Vec<TensorId>,
    /// Tensors that the caller gets.
    pub outputs: Vec<TensorId>,
}

impl Graph {
    /// The tensors that layers from `at` on read and that exist before: each is counted once, however many read it.
    ///
    /// An output that is made below the cut goes back from there, so it crosses only if a layer above reads it too.
    pub fn live(&self, at: usize) -> Vec<TensorId> {
        let (below, above) = self.layers.split_at(at);
        let mut exists = vec![false; self.tensors.len()];
        let made = below.iter().flat_map(|layer| &layer.writes);
        for tensor in self.inputs.iter().chain(made) {
            exists[*tensor] = true;
        }
        let mut read = vec![false; self.tensors.len()];
        for tensor in above.iter().flat_map(|layer| &layer.reads) {
            read[*tensor] = true;
        }
        (0..self.tensors.len()).filter(|tensor| exists[*tensor] && read[*tensor]).collect()
    }

    /// All places where at most `live_max` tensors cross, from before the first layer to after the last.
    pub fn separators(&self, live_max: usize) -> Vec<Separator> {
        let all = (0..=self.layers.len()).map(|at| Separator { at, live: self.live(at) });
        all.filter(|separator| separator.live.len() <= live_max).collect()
    }

    /// The outputs that `layers` make.
    pub fn outputs_of(&self, layers: Range<usize>) -> Vec<TensorId> {
        let made = |output: &&TensorId| self.layers[layers.clone()].iter().any(|layer| layer.writes.contains(output));
        self.outputs.iter().filter(made).copied().collect()
    }

    /// Weights of these layers.
    pub fn weights(&self, layers: Range<usize>) -> Bytes {
        self.layers[layers].iter().map(|layer| layer.weights).sum()
    }

    /// Multiply-adds of these layers.
    pub fn macs(&self, layers: Range<usize>) -> Macs {
        self.layers[layers].iter().map(|layer| layer.macs).sum()
    }
}
