//! What each layer and each coding takes on each tier, and each coding on each link, worked out once for many searches.

use crate::cost;
use crate::{Graph, Objective, TensorId, Topology};

/// One way to send a tensor, as the objective allows it.
#[derive(Debug, Clone)]
pub(crate) struct Offer {
    /// Index in [`crate::TensorCost::codings`].
    pub(crate) coding: usize,
    /// Bytes on a link, with their share of headers.
    pub(crate) wire_bytes: u64,
    /// Accuracy that is lost, in millionths.
    pub(crate) loss: u64,
    /// By tier: nanoseconds to encode, to decode.
    pub(crate) code: Vec<[u64; 2]>,
    /// By link of the topology: nanoseconds that the link is busy.
    pub(crate) carry: Vec<u64>,
}

/// Nanoseconds of everything.
#[derive(Debug, Clone)]
pub(crate) struct Times {
    /// By tier, then by layer.
    pub(crate) compute: Vec<Vec<u64>>,
    /// By tensor: the ways to send it, those of the objective's codecs in its order. Empty where it may not travel.
    pub(crate) offers: Vec<Vec<Offer>>,
    /// By link: nanoseconds of delay, and how long it is busy with a message beside its payload.
    pub(crate) message: Vec<[u64; 2]>,
    /// By tensor: bytes on a link when it is an output and goes uncoded.
    pub(crate) uncoded: Vec<u64>,
    /// By tensor: for each link, how long it is busy with the uncoded tensor.
    pub(crate) answer: Vec<Vec<u64>>,
}

impl Times {
    pub(crate) fn new(graph: &Graph, topology: &Topology, objective: &Objective) -> Self {
        let compute = topology
            .tiers
            .iter()
            .map(|tier| graph.layers.iter().map(|layer| nanos(cost::compute(layer, tier))).collect());
        let is_output = |tensor: TensorId| graph.outputs.contains(&tensor);
        let uncoded = |tensor: TensorId| cost::on_the_wire(graph.tensors[tensor].spec.bytes()).0;
        let mut times = Self {
            compute: compute.collect(),
            offers: (0..graph.tensors.len()).map(|tensor| offers(graph, topology, objective, tensor)).collect(),
            message: vec![[0; 2]; topology.links.len()],
            uncoded: (0..graph.tensors.len())
                .map(|tensor| if is_output(tensor) { uncoded(tensor) } else { 0 })
                .collect(),
            answer: (0..graph.tensors.len())
                .map(|tensor| if is_output(tensor) { vec![0; topology.links.len()] } else { Vec::new() })
                .collect(),
        };
        (0..topology.links.len()).for_each(|link| times.relink(topology, link));
        times
    }

    /// Works out anew what takes how long on one link of the topology.
    pub(crate) fn relink(&mut self, topology: &Topology, link: usize) {
        let way = &topology.links[link].direction;
        let carry = |wire_bytes: u64| nanos(way.bandwidth.time_for(crate::Bytes(wire_bytes)));
        self.message[link] = [nanos(way.delay), nanos(cost::empty_message(way))];
        for offer in self.offers.iter_mut().flatten() {
            offer.carry[link] = carry(offer.wire_bytes);
        }
        for (answer, uncoded) in self.answer.iter_mut().zip(&self.uncoded).filter(|(answer, _)| !answer.is_empty()) {
            answer[link] = carry(*uncoded);
        }
    }
}

fn offers(graph: &Graph, topology: &Topology, objective: &Objective, tensor: TensorId) -> Vec<Offer> {
    if !objective.allows(graph, tensor) {
        return Vec::new();
    }
    let codings = &graph.tensors[tensor].codings;
    let wanted = objective.codecs.iter().filter_map(|codec| codings.iter().position(|coding| coding.codec == *codec));
    let offer = |coding: usize| {
        let cost = &codings[coding];
        let code = |tier| [cost.encode, cost.decode].map(|time| nanos(cost::coding(tier, time)));
        Offer {
            coding,
            wire_bytes: cost::on_the_wire(cost.bytes).0,
            loss: cost.loss.0,
            code: topology.tiers.iter().map(code).collect(),
            carry: vec![0; topology.links.len()],
        }
    };
    wanted.map(offer).collect()
}

fn nanos(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
