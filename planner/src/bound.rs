//! Proves how good a plan can be at most when limits, memory or the slowest stage count.
//!
//! Each limit gets a multiplier, which prices what it limits; the slowest stage becomes a weighted mean of all stages.
//! The minimum cut at these prices, less the priced limits, is below the cost of every plan that keeps to the limits,
//! cut at separators or not. Subgradient steps raise it (step length: Polyak, USSR Computational Mathematics 9(3),
//! 1969; weights of stages: exponentiated gradient, Kivinen and Warmuth, Information and Computation 132(1), 1997). On
//! the way every cut is a placement of its own, and perhaps a good one.

use crate::cut::{Scene, cut};
use crate::evaluate::sum;
use crate::flow::Network;
use crate::memory::usable;
use crate::path::Path;
use crate::tariff::Tariff;
use crate::{Goal, Measure, Objective, Plan, Topology};

/// Steps for each path. The bound rises by less than its rounding after some tens of them in the models we know.
const STEPS: usize = 40;

/// A limit's multiplier is worth at most so many times what plans cost: enough to price a ten thousandth of the limit
/// at all of that.
const WORTH_MAX: f64 = 1e4;

/// What is limited.
#[derive(Debug, Clone, Copy)]
enum Limited {
    Measure(Measure),
    Loss,
    /// Weights on a tier of the topology. What is alive beside them is not linear and left out.
    Weights(usize),
}

/// A limit, and its multiplier: what all of it is worth, in units of the goal.
#[derive(Debug, Clone, Copy)]
struct Multiplier {
    of: Limited,
    limit: f64,
    worth: f64,
}

struct Multipliers {
    /// One for each limit, and for each tier's memory.
    of_limits: Vec<Multiplier>,
    /// By tier, then by link of the topology: shares of the slowest stage, which sum to 1.
    stages: Vec<f64>,
}

/// A lower bound of the cost of all placements along `path` that keep to the limits, in units of the goal, and the
/// plans that were met on the way, which may miss limits and memory. Infinite only where pins leave no placement.
///
/// `best` is the cost of a plan that is known, infinite if none is: there is no need to prove more than that.
pub(crate) fn bound(
    scene: Scene<'_>,
    path: &Path,
    objective: &Objective,
    best: f64,
    network: &mut Network,
) -> (f64, Vec<Plan>) {
    let mut multipliers = Multipliers::new(scene.topology, path, objective);
    let (mut bound, mut met) = (f64::NEG_INFINITY, Vec::<Plan>::new());
    for step in 0..STEPS {
        let tariff = multipliers.tariff(scene.topology, objective).fitted(scene.graph, scene.times);
        let Some((labels, cost)) = cut(scene, path, &tariff, network) else {
            // Without multipliers only pins leave no placement; with them it may be just too dear for a cut.
            return (if step == 0 { f64::INFINITY } else { bound }, met);
        };
        let value = cost as f64 / tariff.unit - multipliers.worth();
        bound = bound.max(value);
        let plan = sum(scene, &labels.placement(scene, path), objective.answer_at);
        // Whatever the goal counts in: only where nothing costs anything there is no measure.
        let whole = if best.is_finite() { best } else { bound.abs() };
        let whole = if whole > 0.0 { whole } else { 1.0 };
        let dearest = WORTH_MAX * whole;
        let rise = if best.is_finite() { best - value } else { whole };
        let steered = multipliers.climb(scene.topology, &plan, rise, dearest, step);
        if met.last() != Some(&plan) {
            met.push(plan);
        }
        if !steered || bound >= best {
            break;
        }
    }
    (bound, met)
}

impl Multipliers {
    fn new(topology: &Topology, path: &Path, objective: &Objective) -> Self {
        let limits = &objective.limits;
        let measures =
            Measure::ALL.into_iter().filter_map(|measure| Some((Limited::Measure(measure), limits.of(measure)?)));
        let loss = limits.loss.map(|loss| (Limited::Loss, loss.0 as f64));
        let weights = path.tiers().map(|tier| (Limited::Weights(tier), usable(&topology.tiers[tier]).0 as f64));
        let all = measures.chain(loss).chain(weights);
        let mut stages = vec![0.0; topology.tiers.len() + topology.links.len()];
        let used: Vec<usize> =
            path.walk.iter().copied().chain(path.links().map(|link| topology.tiers.len() + link)).collect();
        used.iter().for_each(|stage| stages[*stage] = 1.0 / used.len() as f64);
        Self {
            of_limits: all.map(|(of, limit)| Multiplier { of, limit: limit.max(1.0), worth: 0.0 }).collect(),
            stages,
        }
    }

    fn tariff(&self, topology: &Topology, objective: &Objective) -> Tariff {
        let mut goal = objective.goal;
        for multiplier in &self.of_limits {
            if let Limited::Measure(measure) = multiplier.of {
                goal = goal.plus(&Goal::least(measure), multiplier.worth / multiplier.limit);
            }
        }
        let mut tariff = Tariff::of(&goal, topology);
        let (tiers, links) = self.stages.split_at(topology.tiers.len());
        tariff.tier_nano.iter_mut().zip(tiers).for_each(|(nano, share)| *nano += goal.interval * share);
        tariff.link_nano.iter_mut().zip(links).for_each(|(nano, share)| *nano += goal.interval * share);
        for multiplier in &self.of_limits {
            match multiplier.of {
                Limited::Measure(_) => {}
                Limited::Loss => tariff.loss = multiplier.worth / multiplier.limit,
                Limited::Weights(tier) => tariff.tier_weight[tier] = multiplier.worth / multiplier.limit,
            }
        }
        tariff
    }

    fn worth(&self) -> f64 {
        self.of_limits.iter().map(|multiplier| multiplier.worth).sum()
    }

    /// A step towards higher prices where too much is used and lower ones where less is; false when there is none to
    /// take. It is as long as the bound may rise by, and no multiplier gets beyond `dearest`.
    fn climb(&mut self, topology: &Topology, plan: &Plan, rise: f64, dearest: f64, step: usize) -> bool {
        let over: Vec<f64> =
            self.of_limits.iter().map(|multiplier| multiplier.of.used(plan) / multiplier.limit - 1.0).collect();
        let moves = |multiplier: &Multiplier, over: f64| over > 0.0 || multiplier.worth > 0.0;
        let length: f64 = self
            .of_limits
            .iter()
            .zip(&over)
            .filter(|(multiplier, over)| moves(multiplier, **over))
            .map(|(_, over)| over * over)
            .sum();
        let reach = rise / (1.0 + step as f64 / 8.0);
        if length > 0.0 {
            for (multiplier, over) in self.of_limits.iter_mut().zip(&over) {
                multiplier.worth = (multiplier.worth + reach * over / length).clamp(0.0, dearest);
            }
        }
        // By tier, then by link, as the shares.
        let stages: Vec<f64> = plan.stages(topology).concat().iter().map(|busy| busy.as_nanos() as f64).collect();
        let slowest = stages.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        let even = self.stages.iter().zip(&stages).all(|(share, stage)| *share == 0.0 || *stage == slowest);
        self.stages.iter_mut().zip(&stages).for_each(|(share, stage)| *share *= (stage / slowest).exp());
        let sum: f64 = self.stages.iter().sum();
        self.stages.iter_mut().for_each(|share| *share /= sum);
        length > 0.0 || !even
    }
}

impl Limited {
    fn used(self, plan: &Plan) -> f64 {
        match self {
            Self::Measure(measure) => plan.totals.of(measure),
            Self::Loss => plan.totals.loss.0 as f64,
            Self::Weights(tier) => {
                plan.hops.iter().filter(|hop| hop.tier == tier).map(|hop| hop.weights.0 as f64).sum()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reach::Reach;
    use crate::sample::{network, path};
    use crate::times::Times;
    use crate::{Bytes, Graph, Pin, plan};

    /// The bound along the first two tiers of [`path`] for a known cost.
    fn bound_of(graph: &Graph, topology: &Topology, best: f64) -> f64 {
        let objective = Objective::default();
        let (reach, times) = (Reach::new(graph, &[]), Times::new(graph, topology, &objective));
        let scene = Scene { graph, topology, reach: &reach, times: &times };
        let way = Path::along(topology, &[0, 1], vec![0, 1], 0).expect("links both ways");
        bound(scene, &way, &objective, best, &mut Network::default()).0
    }

    #[test]
    fn a_gigabyte_that_is_missed_by_ten_bytes_does_not_prove_that_nothing_fits() {
        let (mut graph, mut topology) = (network(), path());
        for (layer, weights) in graph.layers.iter_mut().zip([999_000_000, 0, 1_000_010]) {
            layer.weights = Bytes(weights);
        }
        graph.layers[0].pin = Pin::Stays;
        // 5/6 of the device's memory are a gigabyte, and it is so fast that all would stay if it could.
        topology.tiers[0].memory = Bytes(1_200_000_000);
        topology.tiers[0].slowdown = topology.tiers[2].slowdown;

        let plan = plan(&graph, &topology, &Objective::default()).expect("the last layer leaves");

        let cost = plan.latency.as_nanos() as f64;
        let places: Vec<usize> = plan.hops.iter().map(|hop| hop.layers.len()).collect();
        assert_eq!(places, [2, 1]);
        for best in [f64::INFINITY, 10.0 * cost, cost] {
            let bound = bound_of(&graph, &topology, best);
            assert!(bound > 0.0 && bound <= cost, "{bound} for a plan of {cost}, with {best} known");
        }
    }
}
