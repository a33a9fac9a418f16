//! Proves how good a plan can be at most when limits, memory or the slowest stage count.
//!
//! Each limit gets a multiplier, which prices what it limits; the slowest stage becomes a weighted mean of all stages. The
//! minimum cut at these prices, less the priced limits, is below the cost of every plan that keeps to the limits, cut at
//! separators or not. Subgradient steps raise it (step length: Polyak, USSR Computational Mathematics 9(3), 1969; weights
//! of stages: exponentiated gradient, Kivinen and Warmuth, Information and Computation 132(1), 1997). On the way every cut
//! is a placement of its own, and perhaps a good one.

use crate::cut::{Scene, cut};
use crate::evaluate::sum;
use crate::flow::Network;
use crate::memory::usable;
use crate::path::Path;
use crate::tariff::{Tariff, UNIT};
use crate::{Goal, Measure, Objective, Plan, Topology};

/// Steps for each path. The bound rises by less than its rounding after some tens of them in the models we know.
const STEPS: usize = 40;

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
struct Price {
    of: Limited,
    limit: f64,
    worth: f64,
}

struct Multipliers {
    prices: Vec<Price>,
    /// By tier, then by link of the topology: shares of the slowest stage, which sum to 1.
    stages: Vec<f64>,
}

/// A lower bound of the cost of all placements along `path` that keep to the limits, in units of the goal, and the plans
/// that were met on the way, which may miss limits and memory. Infinite where pins leave no placement.
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
        let tariff = multipliers.tariff(scene.topology, objective);
        let Some((labels, cost)) = cut(scene, path, &tariff, network) else { return (f64::INFINITY, met) };
        let value = cost as f64 / UNIT - multipliers.worth();
        bound = bound.max(value);
        let plan = sum(scene, &labels.placement(scene, path), objective.answer_at);
        let steered = multipliers.climb(scene.topology, &plan, best, value, step);
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
        Self { prices: all.map(|(of, limit)| Price { of, limit: limit.max(1.0), worth: 0.0 }).collect(), stages }
    }

    fn tariff(&self, topology: &Topology, objective: &Objective) -> Tariff {
        let mut goal = objective.goal;
        for price in &self.prices {
            if let Limited::Measure(measure) = price.of {
                goal = goal.plus(&Goal::least(measure), price.worth / price.limit);
            }
        }
        let mut tariff = Tariff::of(&goal, topology);
        let (tiers, links) = self.stages.split_at(topology.tiers.len());
        tariff.tier_nano.iter_mut().zip(tiers).for_each(|(nano, share)| *nano += goal.interval * share);
        tariff.link_nano.iter_mut().zip(links).for_each(|(nano, share)| *nano += goal.interval * share);
        for price in &self.prices {
            match price.of {
                Limited::Measure(_) => {}
                Limited::Loss => tariff.loss = price.worth / price.limit,
                Limited::Weights(tier) => tariff.tier_weight[tier] = price.worth / price.limit,
            }
        }
        tariff
    }

    fn worth(&self) -> f64 {
        self.prices.iter().map(|price| price.worth).sum()
    }

    /// A step towards higher prices where too much is used and lower ones where less is; false when there is none to take.
    fn climb(&mut self, topology: &Topology, plan: &Plan, best: f64, value: f64, step: usize) -> bool {
        let over: Vec<f64> = self.prices.iter().map(|price| price.of.used(plan) / price.limit - 1.0).collect();
        let moves = |price: &Price, over: f64| over > 0.0 || price.worth > 0.0;
        let length: f64 = self
            .prices
            .iter()
            .zip(&over)
            .filter(|(price, over)| moves(price, **over))
            .map(|(_, over)| over * over)
            .sum();
        let reach = if best.is_finite() { best - value } else { value.abs().max(1.0) };
        let reach = reach / (1.0 + step as f64 / 8.0);
        if length > 0.0 {
            for (price, over) in self.prices.iter_mut().zip(&over) {
                price.worth = (price.worth + reach * over / length).max(0.0);
            }
        }
        let stages = stages(topology, plan);
        let slowest = stages.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        let even = self.stages.iter().zip(&stages).all(|(share, stage)| *share == 0.0 || *stage == slowest);
        self.stages.iter_mut().zip(&stages).for_each(|(share, stage)| *share *= (stage / slowest).exp());
        let sum: f64 = self.stages.iter().sum();
        self.stages.iter_mut().for_each(|share| *share /= sum);
        length > 0.0 || !even
    }
}

/// By tier, then by link of the topology: nanoseconds that one request takes of it.
fn stages(topology: &Topology, plan: &Plan) -> Vec<f64> {
    let mut stages = vec![0.0; topology.tiers.len() + topology.links.len()];
    let link = |from: usize, to: usize| topology.links.iter().position(|link| (link.from, link.to) == (from, to));
    for (hop, busy) in plan.hops.iter().zip(plan.busy()) {
        stages[hop.tier] = busy.as_nanos() as f64;
    }
    for (crossing, ends) in plan.crossings.iter().zip(plan.hops.windows(2)) {
        for (link, busy) in [
            (link(ends[0].tier, ends[1].tier), crossing.busy),
            (link(ends[1].tier, ends[0].tier), crossing.answer_busy),
        ] {
            if let Some(link) = link {
                stages[topology.tiers.len() + link] = busy.as_nanos() as f64;
            }
        }
    }
    stages
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
