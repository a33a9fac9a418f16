//! A model as the planner sees it: layers in an order in which they can run, the tensors between them, and what each
//! costs.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Bytes, Loss, Macs, TensorSpec};

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
    /// Where it may run.
    pub pin: Pin,
}

/// Where a layer may run. A task module is a layer too, and more often pinned than an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pin {
    /// On any tier.
    #[default]
    Anywhere,
    /// Only where the input is: it reads what may not leave, or drives hardware.
    Stays,
    /// Only on a tier with a GPU.
    NeedsGpu,
}

/// A place where a request can end early: its answer is good enough with some probability.
///
/// The layer that writes `output` decides. Layers after it in the graph's order run only if it lets the request go on.
#[derive(Debug, Clone, PartialEq)]
pub struct Exit {
    /// The answer of requests that end here; it is one of [`Graph::outputs`].
    pub output: TensorId,
    /// Share of the requests that reach the exit and end there, from 0 to less than 1, as measured with its threshold.
    pub probability: f64,
    /// Accuracy that is lost over all requests when the exit is in use, as measured.
    pub loss: Loss,
}

/// One way to put a tensor on a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coding {
    /// The codec and its level, as in [`crate::Sent::codec`].
    pub codec: String,
    /// Bytes it takes.
    pub bytes: Bytes,
    /// Time to encode on the reference machine.
    pub encode: Duration,
    /// Time to decode on the reference machine.
    pub decode: Duration,
    /// Accuracy that is lost when the tensor crosses a link in it, as measured.
    pub loss: Loss,
}

/// A tensor that can travel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorCost {
    /// The name of the wire.
    pub name: String,
    /// Type and shape.
    pub spec: TensorSpec,
    /// The ways to send it. One without any cannot cross a link.
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
    /// Exits that a plan may use, in the order of their layers. Without use, an exit and what only it needs do not run.
    pub exits: Vec<Exit>,
}

impl Graph {
    /// The tensors that layers from `at` on read and that exist before: each is counted once, however many read it.
    ///
    /// An output that is made below the cut goes back from there, so it crosses only if a layer above reads it too.
    /// Nothing is live past the last layer.
    pub fn live(&self, at: usize) -> Vec<TensorId> {
        let lifetimes = self.lifetimes();
        (0..self.tensors.len()).filter(|tensor| lifetimes[*tensor].crosses(at)).collect()
    }

    /// All places where at most `live_max` tensors cross, from before the first layer to after the last.
    ///
    /// Takes time in proportion to the graph and to what is returned.
    pub fn separators(&self, live_max: usize) -> Vec<Separator> {
        separators(&self.lifetimes(), self.layers.len(), live_max)
    }

    /// The outputs that `layers` make, each once, in the order of [`Graph::outputs`].
    ///
    /// An output that is an input as well is made by no layer: the caller has it.
    pub fn outputs_of(&self, layers: impl IntoIterator<Item = usize>) -> Vec<TensorId> {
        let mut fresh = vec![false; self.tensors.len()];
        for tensor in layers.into_iter().flat_map(|layer| &self.layers[layer].writes) {
            if let Some(fresh) = fresh.get_mut(*tensor) {
                *fresh = true;
            }
        }
        let mut first_seen = |output: &TensorId| fresh.get_mut(*output).is_some_and(std::mem::take);
        self.outputs.iter().copied().filter(|output| first_seen(output)).collect()
    }

    /// Weights of these layers.
    pub fn weights(&self, layers: impl IntoIterator<Item = usize>) -> Bytes {
        layers.into_iter().map(|layer| self.layers[layer].weights).sum()
    }

    /// Multiply-adds of these layers.
    pub fn macs(&self, layers: impl IntoIterator<Item = usize>) -> Macs {
        layers.into_iter().map(|layer| self.layers[layer].macs).sum()
    }

    /// Where each tensor crosses. Ids of tensors that do not exist are passed over: [`plan`](crate::plan()) refuses
    /// them.
    pub(crate) fn lifetimes(&self) -> Vec<Lifetime> {
        let mut lifetimes = vec![Lifetime::NEVER; self.tensors.len()];
        let mut made = |tensor: &TensorId, from: usize| {
            if let Some(lifetime) = lifetimes.get_mut(*tensor) {
                lifetime.from = lifetime.from.min(from);
            }
        };
        self.inputs.iter().for_each(|tensor| made(tensor, 0));
        for (at, layer) in self.layers.iter().enumerate() {
            layer.writes.iter().for_each(|tensor| made(tensor, at + 1));
        }
        for (at, layer) in self.layers.iter().enumerate() {
            for tensor in &layer.reads {
                if let Some(lifetime) = lifetimes.get_mut(*tensor) {
                    lifetime.last_read = Some(at);
                }
            }
        }
        lifetimes
    }
}

/// From when a tensor exists to when it is read for the last time, as positions in the order of the layers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lifetime {
    /// The first cut that it exists below: 0 for an input, one above the layer that writes it.
    pub(crate) from: usize,
    /// The last layer that reads it.
    pub(crate) last_read: Option<usize>,
}

impl Lifetime {
    const NEVER: Self = Self { from: usize::MAX, last_read: None };

    /// Whether the tensor crosses a cut before layer `at`.
    pub(crate) fn crosses(&self, at: usize) -> bool {
        self.from <= at && self.last_read.is_some_and(|last| at <= last)
    }
}

/// The places where at most `live_max` of these tensors cross, in ascending order.
pub(crate) fn separators(lifetimes: &[Lifetime], layers: usize, live_max: usize) -> Vec<Separator> {
    let narrow = live_counts(lifetimes, layers).into_iter().enumerate();
    let mut separators: Vec<_> = narrow
        .filter(|(_, count)| *count <= live_max)
        .map(|(at, count)| Separator { at, live: Vec::with_capacity(count) })
        .collect();
    for (tensor, lifetime) in lifetimes.iter().enumerate() {
        let first = separators.partition_point(|separator| separator.at < lifetime.from);
        for separator in separators[first..].iter_mut().take_while(|separator| lifetime.crosses(separator.at)) {
            separator.live.push(tensor);
        }
    }
    separators
}

/// How many tensors cross at each of the cuts `0..=layers`.
fn live_counts(lifetimes: &[Lifetime], layers: usize) -> Vec<usize> {
    let mut begin = vec![0; layers + 2];
    let mut end = vec![0; layers + 2];
    for lifetime in lifetimes {
        if let Some(last) = lifetime.last_read.filter(|last| lifetime.from <= *last) {
            begin[lifetime.from] += 1;
            end[last + 1] += 1;
        }
    }
    let mut live = 0;
    (0..=layers)
        .map(|at| {
            live = live + begin[at] - end[at];
            live
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::sample::any_graph;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn live_is_what_exists_below_and_is_read_above(graph in any_graph()) {
            for at in 0..=graph.layers.len() {
                let exists = |tensor: &usize| {
                    graph.inputs.contains(tensor) || graph.layers[..at].iter().any(|layer| layer.writes.contains(tensor))
                };
                let read = |tensor: &usize| graph.layers[at..].iter().any(|layer| layer.reads.contains(tensor));
                let naive: Vec<_> = (0..graph.tensors.len()).filter(|tensor| exists(tensor) && read(tensor)).collect();
                prop_assert_eq!(graph.live(at), naive);
            }
        }

        #[test]
        fn separators_are_the_narrow_cuts(graph in any_graph(), live_max in 0_usize..5) {
            let separators = graph.separators(live_max);
            let places: Vec<_> = separators.iter().map(|separator| separator.at).collect();
            let narrow = |at: &usize| graph.live(*at).len() <= live_max;
            prop_assert_eq!(places, (0..=graph.layers.len()).filter(narrow).collect::<Vec<_>>());
            for separator in separators {
                prop_assert_eq!(graph.live(separator.at), separator.live);
            }
        }

        #[test]
        fn each_output_is_made_once(graph in any_graph(), cut in 0_usize..9) {
            let cut = cut.min(graph.layers.len());
            let mut made = [graph.outputs_of(0..cut), graph.outputs_of(cut..graph.layers.len())].concat();
            let mut wanted = graph.outputs.clone();
            wanted.retain(|output| !graph.inputs.contains(output));
            for outputs in [&mut made, &mut wanted] {
                outputs.sort_unstable();
            }
            wanted.dedup();
            prop_assert_eq!(made, wanted);
        }
    }
}
