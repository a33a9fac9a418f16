//! One of the plans of a deployment, as far as its latency depends on what a node believes, and that latency.

use std::collections::BTreeMap;
use std::time::Duration;

use thalweg_planner::{Bytes, Plan, Topology};

use crate::cost::sum;
use crate::{LinkEstimate, PlanId, TierEstimate, message};

/// A plan that is prepared on all its tiers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alternative {
    /// Which.
    pub plan: PlanId,
    /// Its tiers in the order of the path, from where requests are made.
    pub hops: Vec<HopCost>,
    /// Between them: one fewer than hops.
    pub crossings: Vec<CrossingCost>,
}

/// What one hop computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HopCost {
    /// Index of the tier in the topology.
    pub tier: usize,
    /// How long its layers take by the tier's profile.
    pub compute: Duration,
}

/// What crosses one link and comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CrossingCost {
    /// The tier that sends.
    pub from: usize,
    /// The tier that receives.
    pub to: usize,
    /// How long the sender encodes, by its profile.
    pub encode: Duration,
    /// Bytes of coded tensors, without headers.
    pub bytes: Bytes,
    /// How long the receiver decodes, by its profile.
    pub decode: Duration,
    /// Bytes of outputs that come back, without headers. There is an answer even without outputs.
    pub answer_bytes: Bytes,
}

impl Alternative {
    /// What a plan whose answer is wanted where its input is takes, with the times that it predicts for tiers as
    /// planned.
    pub fn new(id: PlanId, plan: &Plan) -> Self {
        let hops = plan.hops.iter().map(|hop| HopCost { tier: hop.tier, compute: hop.compute }).collect();
        let crossings = plan.crossings.iter().zip(plan.hops.windows(2)).map(|(crossing, ends)| CrossingCost {
            from: ends[0].tier,
            to: ends[1].tier,
            encode: crossing.encode,
            bytes: crossing.bytes(),
            decode: crossing.decode,
            answer_bytes: crossing.answer_bytes,
        });
        Self { plan: id, hops, crossings: crossings.collect() }
    }

    /// Whether all of it runs where requests are made.
    pub fn is_local(&self) -> bool {
        self.crossings.is_empty()
    }

    /// Whether both send over the same direction of a link.
    pub(crate) fn shares_link(&self, other: &Self) -> bool {
        let ends = |crossing: &CrossingCost| (crossing.from, crossing.to);
        self.crossings.iter().any(|crossing| other.crossings.iter().any(|theirs| ends(theirs) == ends(crossing)))
    }
}

/// What requests over different alternatives may both need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Tier(usize),
    Link { from: usize, to: usize },
}

/// What a node believes of all tiers and links.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Estimates {
    /// By the index of the tier in the topology.
    pub tiers: Vec<TierEstimate>,
    /// By the tiers that send and receive.
    pub links: BTreeMap<(usize, usize), LinkEstimate>,
}

impl Estimates {
    /// Tiers and links are as the topology says until something else is seen.
    pub fn new(topology: &Topology) -> Self {
        let link = |link: &thalweg_planner::Link| ((link.from, link.to), LinkEstimate::new(&link.direction));
        Self {
            tiers: vec![TierEstimate::default(); topology.tiers.len()],
            links: topology.links.iter().map(link).collect(),
        }
    }

    /// The latency of a request over this alternative by the cost model of [`thalweg_planner`], with the bandwidths,
    /// delays and speeds that are believed now. [`Duration::MAX`] over a link that the topology does not have.
    pub fn predict(&self, alternative: &Alternative, now: Duration) -> Duration {
        let computes = alternative.hops.iter().map(|hop| self.on(hop.tier, hop.compute));
        let crosses = alternative.crossings.iter().map(|crossing| {
            let there = self.wire(crossing.from, crossing.to, crossing.bytes, now);
            let back = self.wire(crossing.to, crossing.from, crossing.answer_bytes, now);
            let codes = [self.on(crossing.from, crossing.encode), self.on(crossing.to, crossing.decode)];
            sum(codes.into_iter().chain([there, back]))
        });
        sum(computes.chain(crosses))
    }

    /// How long a request over this alternative occupies each tier and each link that it goes over.
    pub(crate) fn occupies(&self, alternative: &Alternative, now: Duration) -> impl Iterator<Item = (Place, Duration)> {
        let computes = alternative.hops.iter().map(|hop| (Place::Tier(hop.tier), self.on(hop.tier, hop.compute)));
        let sends = alternative.crossings.iter().map(move |crossing| {
            let (from, to) = (crossing.from, crossing.to);
            let link = self.links.get(&(from, to));
            let time = |link: &LinkEstimate| link.bandwidth(now).time_for(message::bytes(crossing.bytes));
            (Place::Link { from, to }, link.map_or(Duration::MAX, time))
        });
        computes.chain(sends)
    }

    /// What takes longest of what is done at the same time for several requests over this alternative.
    pub(crate) fn slowest(&self, alternative: &Alternative, now: Duration) -> Duration {
        self.occupies(alternative, now).map(|(_, time)| time).max().unwrap_or_default()
    }

    fn on(&self, tier: usize, planned: Duration) -> Duration {
        let ratio = self.tiers.get(tier).map_or(1.0, TierEstimate::ratio);
        // A cast of what is too large gives the largest number.
        Duration::from_nanos((planned.as_nanos() as f64 * ratio).round() as u64)
    }

    fn wire(&self, from: usize, to: usize, payload: Bytes, now: Duration) -> Duration {
        let Some(link) = self.links.get(&(from, to)) else { return Duration::MAX };
        link.delay().saturating_add(link.bandwidth(now).time_for(message::bytes(payload)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use thalweg_planner::{
        Bandwidth, Coding, DType, Direction, Graph, Layer, Link, Loss, Macs, Objective, OpClass, Pin, Placement,
        Slowdown, TensorCost, TensorSpec, Tier, evaluate, plan,
    };

    use super::*;

    /// A chain of layers that take so many milliseconds on a chain of tiers with links of so many Mbit/s.
    fn world(layers: &[u64], slowdowns: &[f64], mbit: &[u64]) -> (Graph, Topology) {
        let tensor = |at: usize| {
            let spec = TensorSpec::new(DType::F32, [20_000 / (at + 1)]);
            let (encode, decode) = (Duration::from_micros(300), Duration::from_micros(200));
            let codec = "f16".to_owned();
            let coding = Coding { codec, bytes: Bytes(spec.bytes().0 / 2), encode, decode, loss: Loss(0) };
            TensorCost { name: at.to_string(), spec, codings: vec![coding] }
        };
        let layer = |(at, millis): (usize, &u64)| Layer {
            name: at.to_string(),
            op: "Op".into(),
            class: OpClass::MemoryBound,
            macs: Macs(1),
            weights: Bytes(1),
            reference: Duration::from_millis(*millis),
            reads: vec![at],
            writes: vec![at + 1],
            pin: Pin::Anywhere,
        };
        let tier = |factor: &f64| Tier {
            name: factor.to_string(),
            memory: Bytes(1 << 40),
            slowdown: Slowdown::NONE.map(|_| *factor),
            gpu: false,
            watts: 0.0,
            price_hour: 0.0,
        };
        let direction = |mbit: u64| Direction {
            bandwidth: Bandwidth(mbit * 1_000_000),
            delay: Duration::from_millis(3),
            nanojoules_byte: 0.0,
            price_gb: 0.0,
        };
        let links = mbit.iter().enumerate().flat_map(|(at, mbit)| {
            [Link { from: at, to: at + 1, direction: direction(*mbit) }].into_iter().chain([Link {
                from: at + 1,
                to: at,
                direction: direction(mbit * 3),
            }])
        });
        let graph = Graph {
            layers: layers.iter().enumerate().map(layer).collect(),
            tensors: (0..=layers.len()).map(tensor).collect(),
            inputs: vec![0],
            outputs: vec![layers.len()],
            exits: Vec::new(),
        };
        (graph, Topology { tiers: slowdowns.iter().map(tier).collect(), links: links.collect() })
    }

    fn near(one: Duration, other: Duration) -> bool {
        one.abs_diff(other) <= Duration::from_nanos(200)
    }

    proptest! {
        #[test]
        fn the_planner_predicts_the_same(
            layers in prop::collection::vec(0_u64..20, 1..6), slowdowns in prop::collection::vec(0.1_f64..9.0, 3),
            mbit in prop::collection::vec(1_u64..200, 2), cuts in prop::array::uniform2(0_usize..6),
            slower in 0.1_f64..20.0,
        ) {
            let (graph, topology) = world(&layers, &slowdowns, &mbit);
            let objective = Objective { codecs: vec!["f16".into()], ..Objective::default() };
            let mut cuts = cuts.map(|cut| cut.min(layers.len()));
            cuts.sort_unstable();
            let codecs = ["f16".to_owned(), "f16".to_owned()];
            let placement = Placement::in_order(&graph, &[0, 1, 2], &cuts, &codecs).unwrap();
            let given = evaluate(&graph, &topology, &placement, 0).unwrap();
            for planned in [plan(&graph, &topology, &objective).unwrap(), given] {
                let alternative = Alternative::new(PlanId([1; 32]), &planned);
                let mut estimates = Estimates::new(&topology);
                let predicted = estimates.predict(&alternative, Duration::ZERO);
                prop_assert!(near(predicted, planned.latency), "{predicted:?} for {:?}", planned.latency);
                // The same tier, slower: the planner is told so, the estimate sees it.
                let mut changed = topology.clone();
                changed.tiers[1].slowdown = changed.tiers[1].slowdown.map(|factor| factor * slower);
                let took = Duration::from_secs(1).mul_f64(slower);
                estimates.tiers[1].computed(Duration::from_secs(1), took, Duration::ZERO);
                let again = evaluate(&graph, &changed, &planned.placement(&graph), 0).unwrap();
                let predicted = estimates.predict(&alternative, Duration::ZERO);
                prop_assert!(near(predicted, again.latency), "{predicted:?} for {:?}", again.latency);
            }
        }
    }

    #[test]
    fn over_a_link_that_is_not_there_it_takes_for_ever() {
        let (_, topology) = world(&[1], &[1.0], &[]);
        let crossing = CrossingCost {
            from: 0,
            to: 1,
            encode: Duration::ZERO,
            bytes: Bytes(0),
            decode: Duration::ZERO,
            answer_bytes: Bytes(0),
        };
        let alternative = Alternative { plan: PlanId([1; 32]), hops: vec![], crossings: vec![crossing] };
        assert_eq!(Estimates::new(&topology).predict(&alternative, Duration::ZERO), Duration::MAX);
    }
}
