//! How much memory a part needs, and how much of a tier's memory a plan may use.
//!
//! A part needs its weights and, while its hungriest layer runs, the uncoded tensors that exist then: what that layer
//! or a later one reads, what it writes, and the outputs that the part has made and not yet sent back. The bound is an
//! upper one for an engine that frees each tensor after its last read; it leaves out what an engine takes for itself.

use std::ops::Range;

use crate::graph::Lifetime;
use crate::{Bytes, Graph, Hop, Layer, Plan, Shortage, TensorId, Tier};

/// A plan uses at most 5/6 of a tier's memory: what it needs times 1.2, a headroom of 20 %, for the engine's own
/// buffers, coded copies of tensors, and the rest of the system.
const USABLE_SIXTHS: u128 = 5;

/// What plans may use of this tier's memory.
pub fn usable(tier: &Tier) -> Bytes {
    Bytes((u128::from(tier.memory.0) * USABLE_SIXTHS / 6) as u64)
}

impl Graph {
    /// The memory that these layers, in ascending order, need on a tier that gets `takes` and sends `gives` on: their
    /// weights and the most that is alive while one of them runs.
    ///
    /// Nothing for no layers: a tier that passes on coded bytes holds none of the model.
    pub fn memory_of(&self, layers: &[usize], takes: &[TensorId], gives: &[TensorId]) -> Bytes {
        let Some(last) = layers.len().checked_sub(1) else { return Bytes(0) };
        let mut until: Vec<Option<usize>> = vec![None; self.tensors.len()];
        for (step, layer) in layers.iter().enumerate() {
            let touched = self.layers[*layer].reads.iter().chain(&self.layers[*layer].writes);
            touched.for_each(|tensor| until[*tensor] = Some(step));
        }
        gives.iter().for_each(|tensor| until[*tensor] = Some(last));
        self.outputs_of(layers.iter().copied()).into_iter().for_each(|tensor| until[tensor] = Some(last));
        let mut change = vec![(0_u128, 0_u128); layers.len() + 1];
        let mut alive = |tensor: TensorId, from: usize| {
            // Taken: a tensor that stands twice in the list is one tensor.
            if let Some(until) = until[tensor].take() {
                let bytes = u128::from(self.tensors[tensor].spec.bytes().0);
                change[from].0 += bytes;
                change[until + 1].1 += bytes;
            }
        };
        takes.iter().for_each(|tensor| alive(*tensor, 0));
        for (step, layer) in layers.iter().enumerate() {
            self.layers[*layer].writes.iter().for_each(|tensor| alive(*tensor, step));
        }
        let (mut now, mut peak) = (0_u128, 0_u128);
        for (come, go) in change {
            now = now + come - go;
            peak = peak.max(now);
        }
        let weights = self.weights(layers.iter().copied());
        Bytes(u64::try_from(peak).unwrap_or(u64::MAX).saturating_add(weights.0))
    }
}

impl Graph {
    /// The memory that a hop of a plan of this graph needs on its tier: see [`Graph::memory_of`].
    pub fn memory_of_hop(&self, plan: &Plan, hop: usize) -> Bytes {
        let Some(Hop { layers, takes, .. }) = plan.hops.get(hop) else { return Bytes(0) };
        let gives = plan.crossings.get(hop).map_or(&[][..], |crossing| &crossing.sends);
        let gives: Vec<TensorId> = gives.iter().map(|sent| sent.tensor).collect();
        self.memory_of(layers, takes, &gives)
    }
}

/// What these layers need beside what this tier has, whether it is enough or not.
pub(crate) fn demand(graph: &Graph, tier: &Tier, layers: &[usize], needs: Bytes) -> Shortage {
    let name = |layer: Option<&usize>| layer.map_or_else(String::new, |layer| graph.layers[*layer].name.clone());
    Shortage { part: (name(layers.first()), name(layers.last())), needs, tier: tier.name.clone(), has: usable(tier) }
}

/// What each layer adds to the need of the part that it belongs to.
pub(crate) struct Appetite {
    layers: Vec<Bite>,
}

/// One layer's.
struct Bite {
    weights: u64,
    /// Bytes of the tensors that exist while the layer runs and that it or a later one reads or it writes.
    alive: u64,
    /// Outputs that are alive for the last time while the layer before this one runs.
    retired: Vec<Retired>,
}

/// An output that no layer reads any more, but that its part keeps until it answers.
struct Retired {
    written_by: usize,
    bytes: u64,
}

/// The need of a part that grows by one layer at a time.
pub(crate) struct Need<'a> {
    appetite: &'a Appetite,
    layers: Range<usize>,
    weights: u64,
    kept: u64,
    peak: u64,
}

impl Appetite {
    pub(crate) fn of(graph: &Graph) -> Self {
        let lifetimes = graph.lifetimes();
        let bites = graph.layers.iter().zip(alive(graph, &lifetimes));
        let bite = |(layer, alive): (&Layer, u64)| Bite { weights: layer.weights.0, alive, retired: Vec::new() };
        let mut layers: Vec<_> = bites.map(bite).collect();
        for output in graph.outputs_of(0..graph.layers.len()) {
            let lifetime = lifetimes[output];
            if let Some(after) = layers.get_mut(last_alive(lifetime) + 1) {
                let written_by = lifetime.from.saturating_sub(1);
                after.retired.push(Retired { written_by, bytes: graph.tensors[output].spec.bytes().0 });
            }
        }
        Self { layers }
    }

    /// What these layers need.
    pub(crate) fn part(&self, layers: Range<usize>) -> Bytes {
        let mut need = self.need(layers.start);
        layers.for_each(|_| need.grow());
        need.bytes()
    }

    /// The need of the part that starts at layer `start` and has no layer yet.
    pub(crate) fn need(&self, start: usize) -> Need<'_> {
        Need { appetite: self, layers: start..start, weights: 0, kept: 0, peak: 0 }
    }
}

impl Need<'_> {
    /// Takes the next layer into the part; there must be one.
    pub(crate) fn grow(&mut self) {
        let bite = &self.appetite.layers[self.layers.end];
        for output in &bite.retired {
            if output.written_by >= self.layers.start {
                self.kept = self.kept.saturating_add(output.bytes);
            }
        }
        self.weights = self.weights.saturating_add(bite.weights);
        self.peak = self.peak.max(bite.alive.saturating_add(self.kept));
        self.layers.end += 1;
    }

    pub(crate) fn bytes(&self) -> Bytes {
        Bytes(self.weights.saturating_add(self.peak))
    }
}

/// The last layer while which a written tensor is alive: the one that reads it last, or writes it if none does.
fn last_alive(lifetime: Lifetime) -> usize {
    lifetime.last_read.unwrap_or(0).max(lifetime.from.saturating_sub(1))
}

/// Bytes alive while each layer runs, by a sweep over the tensors' first and last layers.
fn alive(graph: &Graph, lifetimes: &[Lifetime]) -> Vec<u64> {
    let count = graph.layers.len();
    let mut change = vec![(0_u128, 0_u128); count + 1];
    for (tensor, lifetime) in graph.tensors.iter().zip(lifetimes) {
        let (first, last) = match lifetime {
            Lifetime { from: 0, last_read: None } | Lifetime { from: usize::MAX, .. } => continue,
            Lifetime { from: 0, last_read: Some(last) } => (0, *last),
            written => (written.from - 1, last_alive(*written)),
        };
        let bytes = u128::from(tensor.spec.bytes().0);
        change[first].0 += bytes;
        change[last + 1].1 += bytes;
    }
    let mut alive = 0_u128;
    let after = |(come, go): (u128, u128)| {
        alive = alive + come - go;
        u64::try_from(alive).unwrap_or(u64::MAX)
    };
    change.into_iter().take(count).map(after).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sample::any_graph;

    /// Sets of tensors, layer by layer, from the definition.
    fn naive(graph: &Graph, layers: Range<usize>) -> u64 {
        let weights: u64 = graph.layers[layers.clone()].iter().map(|layer| layer.weights.0).sum();
        let during = |at: usize| {
            let held = |tensor: &usize| {
                let written_here = graph.layers[layers.start..=at].iter().any(|layer| layer.writes.contains(tensor));
                graph.live(at).contains(tensor)
                    || graph.layers[at].writes.contains(tensor)
                    || (graph.outputs.contains(tensor) && written_here)
            };
            (0..graph.tensors.len()).filter(held).map(|tensor| graph.tensors[tensor].spec.bytes().0).sum::<u64>()
        };
        weights + layers.clone().map(during).max().unwrap_or(0)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn memory_is_weights_and_the_most_that_is_held(graph in any_graph()) {
            let end_of_all = graph.layers.len();
            for start in 0..=end_of_all {
                let appetite = Appetite::of(&graph);
                let mut need = appetite.need(start);
                for end in start..=end_of_all {
                    if end > start {
                        need.grow();
                    }
                    prop_assert_eq!(need.bytes(), Bytes(naive(&graph, start..end)), "layers {}..{}", start, end);
                    let layers: Vec<usize> = (start..end).collect();
                    let takes = graph.live(start);
                    let wanted = Bytes(naive(&graph, start..end));
                    prop_assert_eq!(graph.memory_of(&layers, &takes, &graph.live(end)), wanted, "layers {}..{}", start, end);
                }
            }
        }
    }
}
