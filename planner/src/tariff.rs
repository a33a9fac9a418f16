//! A linear goal: what a nanosecond, a byte and a loss cost on each tier and link.
//!
//! Minimum cuts minimise such a goal exactly. What is not linear, the slowest stage and limits, comes in through
//! multipliers: for any of them the least cost is a lower bound, because a stage's share of the slowest one, and a limit
//! that is kept to, can only make it smaller (Lagrangian relaxation: Everett, Operations Research 11(3), 1963).

use crate::path::Path;
use crate::times::{Offer, Times};
use crate::{Goal, TensorId, Topology};

/// Costs are whole numbers of 1/1024 of the goal's unit, so that sums and comparisons are exact.
pub(crate) const UNIT: f64 = 1024.0;

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
        }
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

/// In whole units; the largest where it is too large.
pub(crate) fn units(cost: f64) -> u64 {
    (cost * UNIT).round() as u64
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
    fn what_is_too_large_for_units_is_the_largest() {
        assert_eq!([units(0.0), units(1.0), units(f64::INFINITY)], [0, 1024, u64::MAX]);
    }
}
