//! Corrects what is believed of tiers and links by what a plan took when it ran.

use std::time::Duration;

use crate::{Bandwidth, Plan, Topology};

/// The most that one observation may change a figure by, either way: beyond it something else is wrong.
const FACTOR_MAX: f64 = 16.0;

/// What requests took, as the nodes of a plan measured it: medians of several, because one says little.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observed {
    /// For each hop of the plan, the time of its layers. None where it was not measured.
    pub compute: Vec<Option<Duration>>,
    /// For each crossing, from the first byte sent to the last byte received.
    pub wire: Vec<Option<Duration>>,
}

/// The topology in which the plan would have been predicted to take what was observed; with a `weight` below 1 only
/// that share of the way there, by geometric mean, so that one bad moment does not turn over what is known.
///
/// A tier becomes as much slower for all classes of layers as its part was slower, and so do its codecs, which count as
/// bound by memory. Of a link, what is predicted to be the larger part of the time changes: bandwidth or delay. The way
/// back was not observed and changes alike. No figure changes by more than a factor of 16 at a time.
pub fn calibrate(topology: &Topology, plan: &Plan, observed: &Observed, weight: f64) -> Topology {
    let mut corrected = topology.clone();
    let factor = |now: Duration, then: Duration| {
        let ratio = now.as_secs_f64() / then.as_secs_f64();
        let usable = ratio.is_finite() && ratio > 0.0;
        if usable { ratio.clamp(1.0 / FACTOR_MAX, FACTOR_MAX).powf(weight.clamp(0.0, 1.0)) } else { 1.0 }
    };
    for (hop, took) in plan.hops.iter().zip(&observed.compute) {
        if let Some(took) = took {
            let slower = factor(*took, hop.compute);
            let tier = &mut corrected.tiers[hop.tier];
            tier.slowdown = tier.slowdown.map(|slowdown| slowdown * slower);
        }
    }
    for ((crossing, ends), took) in plan.crossings.iter().zip(plan.hops.windows(2)).zip(&observed.wire) {
        let Some(took) = took else { continue };
        let delay = crossing.wire.saturating_sub(crossing.busy);
        let busy_counts = crossing.busy >= delay;
        let slower = if busy_counts {
            factor(took.saturating_sub(delay), crossing.busy)
        } else {
            factor(took.saturating_sub(crossing.busy), delay)
        };
        for way in corrected.between_mut(ends[0].tier, ends[1].tier) {
            if busy_counts {
                way.bandwidth = Bandwidth(((way.bandwidth.0 as f64 / slower).round() as u64).max(1));
            } else {
                way.delay = Duration::from_nanos((way.delay.as_nanos() as f64 * slower).round() as u64);
            }
        }
    }
    corrected
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sample::{any_chain, any_graph, roomy};
    use crate::{Objective, evaluate, plan};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn what_was_observed_is_what_is_predicted_next(
            graph in any_graph(), topology in any_chain(2..4), ratios in prop::collection::vec(0.2_f64..5.0, 8),
        ) {
            let topology = roomy(topology);
            let Ok(best) = plan(&graph, &topology, &Objective::default()) else { return Ok(()) };
            let mut ratio = ratios.into_iter().cycle();
            let mut scaled = |time: Duration| Some(time.mul_f64(ratio.next().unwrap_or(1.0)));
            let observed = Observed {
                compute: best.hops.iter().map(|hop| scaled(hop.compute)).collect(),
                wire: best.crossings.iter().map(|crossing| {
                    let delay = crossing.wire - crossing.busy;
                    // What is predicted to be the smaller part is taken to be right.
                    if crossing.busy >= delay { Some(delay + scaled(crossing.busy)?) } else { Some(scaled(delay)? + crossing.busy) }
                }).collect(),
            };
            let corrected = calibrate(&topology, &best, &observed, 1.0);
            let again = evaluate(&graph, &corrected, &best.placement(&graph), 0).expect("the same placement");
            let near = |one: Duration, other: Duration| {
                one.abs_diff(other) <= Duration::from_nanos(200) + other.mul_f64(1e-4)
            };
            for (hop, took) in again.hops.iter().zip(&observed.compute) {
                prop_assert!(near(hop.compute, took.unwrap_or_default()), "{:?} for {took:?}", hop.compute);
            }
            for (crossing, took) in again.crossings.iter().zip(&observed.wire) {
                prop_assert!(near(crossing.wire, took.unwrap_or_default()), "{:?} for {took:?}", crossing.wire);
            }
            prop_assert_eq!(calibrate(&topology, &best, &observed, 0.0), topology);
        }
    }
}
