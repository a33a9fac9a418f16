//! What is decided: which tier runs which layers, what crosses each link, and what all of it should cost.

use std::time::Duration;

use crate::{Bytes, Energy, Graph, Loss, Measure, Placement, Price, TensorId, Topology};

/// One tier's share of the model.
#[derive(Debug, Clone, PartialEq)]
pub struct Hop {
    /// Index of the tier in the topology. Hops stand in the order of the path, from the tier where the input is.
    pub tier: usize,
    /// The layers it runs, in ascending order: the graph's order is one in which they can run.
    /// Empty when it only passes on what it gets.
    pub layers: Vec<usize>,
    /// Tensors it gets, in ascending order: the graph's inputs, in the order of the graph, on the first hop.
    pub takes: Vec<TensorId>,
    /// Outputs of the graph that it makes: they go to the caller from here.
    pub answers: Vec<TensorId>,
    /// Weights of its layers.
    pub weights: Bytes,
    /// Predicted time of its layers; the mean over requests where exits are in use.
    pub compute: Duration,
}

/// A tensor on a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Which.
    pub tensor: TensorId,
    /// The codec and its level.
    pub codec: String,
    /// Bytes it takes, without the headers of the link.
    pub bytes: Bytes,
}

/// What crosses the link from `hops[i]` to `hops[i + 1]`, and comes back. Times are means where exits are in use.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Crossing {
    /// The tensors, in ascending order of their ids. A hop without layers sends what it got; in other codecs it has to
    /// decode and encode, else it [passes on](Plan::passes_on) the bytes.
    pub sends: Vec<Sent>,
    /// Uncoded bytes of outputs that go up, because the answer is wanted above.
    pub forward_bytes: Bytes,
    /// Predicted time to encode all of them; zero where the bytes are passed on as they came.
    pub encode: Duration,
    /// Predicted time from the first byte sent to the last byte received.
    pub wire: Duration,
    /// Predicted time to decode; zero where the bytes are passed on as they came.
    pub decode: Duration,
    /// Uncoded bytes of outputs on their way back over this link.
    pub answer_bytes: Bytes,
    /// Predicted time of the answer on this link; zero where none comes back.
    pub answer: Duration,
    /// Predicted time that the link is busy with the request; the rest of `wire` is delay.
    pub busy: Duration,
    /// Predicted time that the link back is busy with the answer.
    pub answer_busy: Duration,
}

impl Crossing {
    /// The codecs in use, each once, by name.
    pub fn codecs(&self) -> Vec<&str> {
        let mut codecs: Vec<&str> = self.sends.iter().map(|sent| sent.codec.as_str()).collect();
        codecs.sort_unstable();
        codecs.dedup();
        codecs
    }

    /// Bytes of all tensors that are sent, without the headers of the link.
    pub fn bytes(&self) -> Bytes {
        self.sends.iter().map(|sent| sent.bytes).sum()
    }
}

/// What one request takes, by prediction; means where exits are in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// [`Measure::Latency`].
    pub latency: Duration,
    /// [`Measure::Interval`].
    pub interval: Duration,
    /// [`Measure::Energy`].
    pub energy: Energy,
    /// [`Measure::Bytes`].
    pub bytes: Bytes,
    /// [`Measure::Price`].
    pub price: Price,
    /// Sum of the losses of all codecs and exits in use.
    pub loss: Loss,
}

impl Totals {
    /// One measure in its base unit.
    pub fn of(&self, measure: Measure) -> f64 {
        match measure {
            Measure::Latency => self.latency.as_nanos() as f64,
            Measure::Interval => self.interval.as_nanos() as f64,
            Measure::Energy => self.energy.0 as f64,
            Measure::Bytes => self.bytes.0 as f64,
            Measure::Price => self.price.0 as f64,
        }
    }
}

/// Where a model runs and what it should cost.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// From where the input is up to the last tier in use.
    pub hops: Vec<Hop>,
    /// One fewer than hops.
    pub crossings: Vec<Crossing>,
    /// Exits in use, as indices of [`Graph::exits`](crate::Graph::exits).
    pub exits: Vec<usize>,
    /// Predicted latency of one request: the sum of all times in `hops` and `crossings`.
    pub latency: Duration,
    /// What one request takes in all.
    pub totals: Totals,
    /// How far the plan may be from the best one, as a share of its cost: 0 when it is proven optimal.
    /// None for a placement that was given and not searched for.
    pub gap: Option<f64>,
}

impl Plan {
    /// Whether the hop at a place of the path passes on the bytes that it gets as they are: it has no layers, and
    /// everything goes on in the codec that it came in.
    pub fn passes_on(&self, place: usize) -> bool {
        let ends = place.checked_sub(1).and_then(|below| self.crossings.get(below)).zip(self.crossings.get(place));
        self.hops[place].layers.is_empty() && ends.is_some_and(|(gets, gives)| gets.sends == gives.sends)
    }

    /// Whether it sends an input of the graph over a link, in whatever codec.
    pub fn sends_inputs(&self, graph: &Graph) -> bool {
        self.crossings.iter().flat_map(|crossing| &crossing.sends).any(|sent| graph.inputs.contains(&sent.tensor))
    }

    /// Whether both decide the same: the same layers on the same tiers, tensors in the same codecs, the same exits.
    pub fn decides_like(&self, other: &Self) -> bool {
        let codec = |sent: &Sent| (sent.tensor, sent.codec.clone());
        let decided = |plan: &Self| {
            let hops: Vec<_> = plan.hops.iter().map(|hop| (hop.tier, hop.layers.clone())).collect();
            let sends = plan.crossings.iter().map(|crossing| crossing.sends.iter().map(codec).collect::<Vec<_>>());
            (hops, sends.collect::<Vec<_>>(), plan.exits.clone())
        };
        decided(self) == decided(other)
    }

    /// The placement that this plan is of. Layers that do not run, for an exit that is not in use, stand at the first
    /// place.
    pub fn placement(&self, graph: &Graph) -> Placement {
        let mut places = vec![0; graph.layers.len()];
        for (place, hop) in self.hops.iter().enumerate() {
            hop.layers.iter().for_each(|layer| places[*layer] = place);
        }
        let codecs = |crossing: &Crossing| crossing.sends.iter().map(|sent| sent.codec.clone()).collect();
        Placement {
            path: self.hops.iter().map(|hop| hop.tier).collect(),
            places,
            codecs: self.crossings.iter().map(codecs).collect(),
            exits: self.exits.clone(),
        }
    }

    /// How long one request keeps each tier busy, and each link of the topology.
    pub(crate) fn stages(&self, topology: &Topology) -> [Vec<Duration>; 2] {
        let mut tiers = vec![Duration::ZERO; topology.tiers.len()];
        let mut links = vec![Duration::ZERO; topology.links.len()];
        for (hop, busy) in self.hops.iter().zip(self.busy()) {
            tiers[hop.tier] = busy;
        }
        for (ends, crossing) in self.hops.windows(2).zip(&self.crossings) {
            let (low, high) = (ends[0].tier, ends[1].tier);
            for (from, to, busy) in [(low, high, crossing.busy), (high, low, crossing.answer_busy)] {
                if let Some(link) = topology.link(from, to) {
                    links[link] = busy;
                }
            }
        }
        [tiers, links]
    }

    /// For each hop, how long one request keeps its tier busy: decoding, computing and encoding.
    pub fn busy(&self) -> impl Iterator<Item = Duration> {
        self.hops.iter().enumerate().map(|(place, hop)| {
            let below = place.checked_sub(1).map(|link| self.crossings[link].decode);
            let above = self.crossings.get(place).map(|crossing| crossing.encode);
            below.into_iter().chain(above).fold(hop.compute, Duration::saturating_add)
        })
    }
}
