//! A linear goal: what a nanosecond, a byte and a loss cost on each tier and link.
//!
//! Minimum cuts minimise such a goal exactly. What is not linear, the slowest stage and limits, comes in through
//! multipliers: for any of them the least cost is a lower bound, because a stage's share of the slowest one, and a
//! limit that is kept to, can only make it smaller (Lagrangian relaxation: Everett, Operations Research 11(3), 1963).

use crate::path::Path;
use crate::times::{Offer, Times};
use crate::{Goal, Graph, TensorId, Topology};

/// What everything at once costs in whole units, about: minimum cuts add up whole numbers, so that sums and comparisons
/// are exact, and those of no placement come near the largest one.
const WHOLE: f64 = (1_u64 << 50) as f64;

/// Costs by tier and by link of the topology.
#[derive(Debug, Clone)]
pub(crate) struct Tariff {
    /// A nanosecond of computing, encoding or decoding.
    pub(crate) tier_nano: Vec<f64>,
    /// A byte of weights.
    pub(crate) tier_weight: Vec<f64>,
    /// A nanosecond that a link is busy.
    pub(crate) link_nano: Vec<f64>,
    /// A nanosecond of delay.
    pub(crate) delay_nano: f64,
    /// A byte on a link.
    pub(crate) link_byte: Vec<f64>,
    /// A millionth of accuracy.
    pub(crate) loss: f64,
    /// Whole units for a cost of 1.
    pub(crate) unit: f64,
}

impl Tariff {
    /// The linear part of a goal: all of it but the interval.
    pub(crate) fn of(goal: &Goal, topology: &Topology) -> Self {
        let tiers = topology.tiers.iter();
        let nano = tiers.map(|tier| goal.latency + goal.energy * tier.watts + goal.price * tier.price_ns());
        let links = topology.links.iter().map(|link| &link.direction);
        let byte = links.map(|link| goal.bytes + goal.energy * link.nanojoules_byte + goal.price * link.price_gb);
        Self {
            tier_nano: nano.collect(),
            tier_weight: vec![0.0; topology.tiers.len()],
            link_nano: vec![goal.latency; topology.links.len()],
            delay_nano: goal.latency,
            link_byte: byte.collect(),
            loss: 0.0,
            unit: 1024.0,
        }
    }

    /// With units that fit the graph's times: a power of two, the same for all paths and exits.
    pub(crate) fn fitted(mut self, graph: &Graph, times: &Times) -> Self {
        let tiers = times.compute.iter().zip(&self.tier_nano);
        let compute: f64 =
            tiers.map(|(layers, nano)| layers.iter().map(|nanos| *nanos as f64).sum::<f64>() * nano).sum();
        let links = 0..self.link_nano.len();
        let everywhere = |offer: &Offer| {
            let code = offer.code.iter().zip(&self.tier_nano).map(|(code, nano)| (code[0] + code[1]) as f64 * nano);
            let carry = links.clone().map(|link| self.carry(link, offer.carry[link], offer.wire_bytes));
            code.chain(carry).sum::<f64>() + offer.loss as f64 * self.loss
        };
        let sends: f64 = times.offers.iter().flatten().map(everywhere).sum();
        let all: Vec<usize> = links.clone().collect();
        let answers = (0..times.answer.len()).filter(|output| !times.answer[*output].is_empty());
        let answers: f64 = answers.map(|output| self.answer(times, &all, output)).sum();
        let weights: u64 = graph.layers.iter().map(|layer| layer.weights.0).sum();
        let weights = weights as f64 * self.tier_weight.iter().sum::<f64>();
        let most = compute + weights + sends + answers + self.messages(times, &all);
        if most.is_finite() && most > 0.0 {
            self.unit = (WHOLE / most).log2().floor().exp2();
        }
        self
    }

    /// In whole units; the largest number where it is too large.
    pub(crate) fn units(&self, cost: f64) -> u64 {
        (cost * self.unit).round() as u64
    }

    /// Sending a tensor from one computing tier of a path to the next.
    pub(crate) fn send(&self, path: &Path, way: usize, offer: &Offer) -> f64 {
        let (sender, receiver) = (path.tier(way), path.tier(way + 1));
        let on_links: f64 =
            path.up(way).iter().map(|link| self.carry(*link, offer.carry[*link], offer.wire_bytes)).sum();
        offer.code[sender][0] as f64 * self.tier_nano[sender]
            + offer.code[receiver][1] as f64 * self.tier_nano[receiver]
            + on_links
            + offer.loss as f64 * self.loss
    }

    fn carry(&self, link: usize, nanos: u64, bytes: u64) -> f64 {
        nanos as f64 * self.link_nano[link] + bytes as f64 * self.link_byte[link]
    }

    /// An uncoded output over these links.
    pub(crate) fn answer(&self, times: &Times, links: &[usize], output: TensorId) -> f64 {
        links.iter().map(|link| self.carry(*link, times.answer[output][*link], times.uncoded[output])).sum()
    }

    /// Messages without payload over these links.
    pub(crate) fn messages(&self, times: &Times, links: &[usize]) -> f64 {
        let message = |link: &usize| {
            let [delay, busy] = times.message[*link];
            delay as f64 * self.delay_nano + self.carry(*link, busy, crate::cost::EMPTY_MESSAGE.0)
        };
        links.iter().map(message).sum()
    }

    /// The cheapest way to send a tensor: its place among the offers and the cost.
    pub(crate) fn cheapest(&self, times: &Times, path: &Path, way: usize, tensor: TensorId) -> Option<(usize, f64)> {
        let costs = times.offers[tensor].iter().map(|offer| self.send(path, way, offer)).enumerate();
        costs.min_by(|one, other| one.1.total_cmp(&other.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::ways;
    use crate::sample::{network, path};
    use crate::{Measure, Objective};

    #[test]
    fn a_tensor_goes_in_the_codec_that_is_cheapest_on_the_way() {
        let (graph, topology) = (network(), path());
        let objective = Objective::default();
        let times = Times::new(&graph, &topology, &objective);
        let mut way = Path::at(0);
        ways(&topology, 0, 1).iter().for_each(|over| way.push(1, over));
        let cheapest = |tariff: &Tariff, tensor| {
            tariff.cheapest(&times, &way, 0, tensor).map(|(offer, cost)| {
                (graph.tensors[tensor].codings[times.offers[tensor][offer].coding].codec.as_str(), cost)
            })
        };
        let latency = Tariff::of(&Goal::least(Measure::Latency), &topology);
        // 52,444 bytes on the link, 800 us to encode and 100 to decode, against 41.954 ms uncoded.
        assert_eq!(cheapest(&latency, 1), Some(("f16", 20_977_600.0 + 900_000.0)));
        assert_eq!(cheapest(&latency, 3), Some(("f32", 4_181.0 * 400.0)));
        // The same where a millionth of accuracy is worth a second.
        let careful = Tariff { loss: 1e9, ..latency };
        assert_eq!(cheapest(&careful, 1), Some(("f32", 104_888.0 * 400.0)));
    }

    #[test]
    fn units_fit_the_costs_whatever_the_goal_counts_in() {
        let (graph, topology) = (network(), path());
        let times = Times::new(&graph, &topology, &Objective::default());
        for weight in [1e-12, 1e-6, 1.0, 1e9] {
            let goal = Goal { latency: weight, ..Goal::least(Measure::Latency) };
            let tariff = Tariff::of(&goal, &topology).fitted(&graph, &times);
            let second = tariff.units(1e9 * weight);
            assert!((1 << 45..1 << 56).contains(&second), "{second} units are a second at {weight}");
            assert_eq!([tariff.units(0.0), tariff.units(f64::INFINITY)], [0, u64::MAX]);
        }
    }
}
