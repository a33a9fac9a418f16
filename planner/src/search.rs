//! Finds the best plan: a minimum cut for each path where costs add up, and where they do not, the best cut at
//! separators beside a bound of what any plan could reach.

use std::cmp::Ordering;

use crate::bound::bound;
use crate::cut::{Scene, cut};
use crate::evaluate::{short, sum};
use crate::flow::Network;
use crate::lattice;
use crate::order;
use crate::path::{Path, paths};
use crate::reach::Reach;
use crate::shortage;
use crate::tariff::Tariff;
use crate::times::Times;
use crate::{Direction, Goal, Graph, Limits, Measure, Mode, Objective, Plan, PlanError, Topology, check};

/// A gap below this is rounding: costs are whole nanoseconds, bytes, nanojoules or billionths.
const ROUNDING: f64 = 1e-9;
/// Orders of the layers beside the graph's own that are searched when limits, memory or stages count.
const ORDERS_MAX: usize = 8;

/// The best plan for the objective among all paths, placements, codecs and exits.
///
/// Where no limit and no memory binds and the slowest stage does not count, it is the optimum of the cost model.
/// Otherwise it is the best of all plans that cut the layers' order where at most [`Objective::live_max`] tensors
/// cross, and of what was met while proving a bound; [`Plan::gap`] says how far it can be from the optimum. The same
/// arguments give the same plan on every machine.
///
/// Fails when the arguments make no sense, or when no plan fits or keeps to the limits; the error says what is missing.
pub fn plan(graph: &Graph, topology: &Topology, objective: &Objective) -> Result<Plan, PlanError> {
    Planner::new(graph, topology.clone(), objective)?.plan()
}

/// Plans again and again as links change, without working out again what has not changed.
pub struct Planner<'a> {
    graph: &'a Graph,
    topology: Topology,
    objective: &'a Objective,
    /// One for each set of exits.
    reaches: Vec<Reach>,
    times: Times,
    paths: Vec<Path>,
    network: Network,
}

impl<'a> Planner<'a> {
    /// Checks the arguments and works out what each layer and tensor costs.
    pub fn new(graph: &'a Graph, topology: Topology, objective: &'a Objective) -> Result<Self, PlanError> {
        check::arguments(graph, &topology, objective)?;
        let subset = |bits: usize| (0..graph.exits.len()).filter(|exit| bits >> exit & 1 == 1).collect::<Vec<_>>();
        Ok(Self {
            reaches: (0..1 << graph.exits.len()).map(|bits| Reach::new(graph, &subset(bits))).collect(),
            times: Times::new(graph, &topology, objective),
            paths: paths(graph, &topology, objective)?,
            network: Network::default(),
            graph,
            topology,
            objective,
        })
    }

    /// What is planned for.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// One direction between two tiers has changed. Nothing happens where there is no such link.
    pub fn relink(&mut self, from: usize, to: usize, direction: Direction) -> Result<(), PlanError> {
        if let Some(at) = self.topology.link(from, to) {
            let mut changed = self.topology.clone();
            changed.links[at].direction = direction;
            check::topology(&changed)?;
            self.topology = changed;
            self.times.relink(&self.topology, at);
            self.paths = paths(self.graph, &self.topology, self.objective)?;
        }
        Ok(())
    }

    /// As [`plan()`].
    pub fn plan(&mut self) -> Result<Plan, PlanError> {
        let additive = self.objective.goal.interval == 0.0;
        match self.least() {
            Some(plan) if additive && self.keeps(&plan) => Ok(Plan { gap: Some(0.0), ..plan }),
            _ => self.within_limits(),
        }
    }

    /// The plan of least cost when nothing is limited and no stage counts.
    fn least(&mut self) -> Option<Plan> {
        let mut best: Option<(Plan, u64)> = None;
        let tariff = Tariff::of(&self.objective.goal, &self.topology).fitted(self.graph, &self.times);
        for reach in &self.reaches {
            for path in &self.paths {
                let scene = Scene { graph: self.graph, topology: &self.topology, reach, times: &self.times };
                let Some((labels, cost)) = cut(scene, path, &tariff, &mut self.network) else { continue };
                if best.as_ref().is_some_and(|(_, least)| cost > *least) {
                    continue;
                }
                let plan = sum(scene, &labels.placement(scene, path), self.objective.answer_at);
                let shorter =
                    best.as_ref().is_none_or(|(other, least)| (cost, plan.hops.len()) < (*least, other.hops.len()));
                if shorter {
                    best = Some((plan, cost));
                }
            }
        }
        best.map(|(plan, _)| plan)
    }

    /// For each set of exits and each path the plan of least cost at a tariff, of those that keep to the limits and
    /// fit.
    pub(crate) fn cheapest(&mut self, tariff: &Tariff) -> Vec<Plan> {
        let mut network = std::mem::take(&mut self.network);
        let tariff = tariff.clone().fitted(self.graph, &self.times);
        let mut plans = Vec::new();
        for scene in self.reaches.iter().map(|reach| self.scene(reach)) {
            let cuts = self.paths.iter().filter_map(|path| Some((path, cut(scene, path, &tariff, &mut network)?.0)));
            plans.extend(
                cuts.map(|(path, labels)| sum(scene, &labels.placement(scene, path), self.objective.answer_at)),
            );
        }
        self.network = network;
        plans.retain(|plan| self.keeps(plan));
        plans
    }

    fn scene<'s>(&'s self, reach: &'s Reach) -> Scene<'s> {
        Scene { graph: self.graph, topology: &self.topology, reach, times: &self.times }
    }

    /// Whether a plan fits into memory and keeps to all limits.
    fn keeps(&self, plan: &Plan) -> bool {
        self.miss(plan) == 0.0 && short(self.graph, &self.topology, plan).is_none()
    }

    /// By how much limits are missed, as a sum of shares of them.
    fn miss(&self, plan: &Plan) -> f64 {
        self.objective.limits.missed_by(&plan.totals)
    }

    fn with_gap(&self, plan: Plan, bound: f64) -> Plan {
        let cost = self.objective.goal.cost(&plan.totals);
        let gap = if cost > 0.0 { ((cost - bound) / cost).clamp(0.0, 1.0) } else { 0.0 };
        Plan { gap: Some(if gap < ROUNDING { 0.0 } else { gap }), ..plan }
    }

    /// The best plan when limits, memory or stages count.
    fn within_limits(&mut self) -> Result<Plan, PlanError> {
        let goal = self.objective.goal;
        let mut best: Option<Plan> = None;
        for reach in &self.reaches {
            for path in &self.paths {
                let scene = self.scene(reach);
                let found = lattice::search(scene, path, self.objective, None);
                best = self.nearest(best, scene, path, found);
            }
        }
        let (mut least, mut all_met) = (f64::INFINITY, Vec::new());
        let mut network = std::mem::take(&mut self.network);
        for reach in &self.reaches {
            for path in &self.paths {
                let known = best.as_ref().filter(|plan| self.keeps(plan));
                let known = known.map_or(f64::INFINITY, |plan| goal.cost(&plan.totals));
                let (bound, met) = bound(self.scene(reach), path, self.objective, known, &mut network);
                least = least.min(bound);
                for plan in met {
                    best = self.better(best, plan.clone());
                    all_met.push((reach, path, plan));
                }
            }
        }
        let proven = |plan: &Plan| self.keeps(plan) && self.with_gap(plan.clone(), least).gap == Some(0.0);
        if !best.as_ref().is_some_and(proven) {
            for (reach, path, order) in self.orders(all_met) {
                let scene = self.scene(reach);
                let found = order::search(scene, path, self.objective, &order);
                best = self.nearest(best, scene, path, found);
            }
        }
        self.network = network;
        let Some(best) = best else { return Err(shortage::explain(self.graph, &self.topology, self.objective, least)) };
        if self.miss(&best) == 0.0 {
            return Ok(self.with_gap(best, least));
        }
        match self.objective.mode {
            // The bound holds for plans that keep to the limits; of those that do not, this one misses least.
            Mode::BestEffort => Ok(Plan { gap: None, ..best }),
            Mode::MustMeet => Err(self.missed(&best)),
        }
    }

    /// The better of a plan and the nearest to all limits of those that a search has found.
    fn nearest(&self, best: Option<Plan>, scene: Scene<'_>, path: &Path, found: Vec<lattice::Found>) -> Option<Plan> {
        let rank = |found: &lattice::Found| (found.miss(&self.objective.limits), found.cost(&self.objective.goal));
        let compare = |one: &(f64, f64), other: &(f64, f64)| one.0.total_cmp(&other.0).then(one.1.total_cmp(&other.1));
        match found.iter().min_by(|one, other| compare(&rank(one), &rank(other))) {
            Some(found) => {
                let plan = sum(scene, &found.labels.placement(scene, path), self.objective.answer_at);
                self.better(best, plan)
            }
            None => best,
        }
    }

    /// The orders of the layers in plans that were met, of the most promising ones: those that fit, then those that
    /// miss and cost least.
    fn orders<'p>(&self, met: Vec<(&'p Reach, &'p Path, Plan)>) -> Vec<(&'p Reach, &'p Path, Vec<usize>)> {
        let layers = self.graph.layers.len();
        let rank = |plan: &Plan| {
            let too_large = short(self.graph, &self.topology, plan).is_some();
            [f64::from(u8::from(too_large)), self.miss(plan), self.objective.goal.cost(&plan.totals)]
        };
        let mut ranked: Vec<_> = met.into_iter().map(|(reach, path, plan)| (rank(&plan), reach, path, plan)).collect();
        ranked.sort_by(|one, other| {
            let orders = one.0.iter().zip(&other.0).map(|(one, other)| one.total_cmp(other));
            orders.fold(Ordering::Equal, Ordering::then)
        });
        let mut orders: Vec<(&Reach, &Path, Vec<usize>)> = Vec::new();
        for (_, reach, path, plan) in ranked {
            let order = order::of(&plan, layers);
            let known =
                orders.iter().any(|(at, along, other)| at.exits == reach.exits && *along == path && *other == order);
            if !known && !order.is_sorted() {
                orders.push((reach, path, order));
            }
            if orders.len() == ORDERS_MAX {
                break;
            }
        }
        orders
    }

    /// The better of two plans: the one that misses less, then the one that costs less. What does not fit is none.
    fn better(&self, best: Option<Plan>, plan: Plan) -> Option<Plan> {
        if short(self.graph, &self.topology, &plan).is_some() {
            return best;
        }
        let rank = |plan: &Plan| [self.miss(plan), self.objective.goal.cost(&plan.totals), plan.hops.len() as f64];
        match &best {
            Some(other) if rank(&plan).partial_cmp(&rank(other)) != Some(Ordering::Less) => best,
            _ => Some(plan),
        }
    }

    /// Why no plan keeps to the limits: one that cannot be kept at all, or how near the nearest plan comes to all of
    /// them.
    fn missed(&self, nearest: &Plan) -> PlanError {
        for miss in self.objective.limits.misses(&nearest.totals) {
            let Some(measure) = miss.measure else { continue };
            let alone = Objective { goal: Goal::least(measure), limits: Limits::default(), ..self.objective.clone() };
            let Ok(least) = plan(self.graph, &self.topology, &alone) else { continue };
            // Proven, as far as the gap tells.
            let least = least.totals.of(measure) * (1.0 - least.gap.unwrap_or(1.0));
            if self.objective.limits.of(measure).is_some_and(|limit| least > limit) {
                return PlanError::LimitMissed { limit: miss.limit, least: measure.print(least) };
            }
        }
        let misses = self
            .objective
            .limits
            .misses(&nearest.totals)
            .into_iter()
            .map(|miss| format!("{} with {}", miss.limit, miss.takes));
        PlanError::LimitsMissed { misses: misses.collect::<Vec<_>>().join(", ") }
    }

    /// The plans of which none is better than another in both measures, from the least of the first to the least of the
    /// second, among those that keep to the limits.
    ///
    /// All that cut the layers' order where at most [`Objective::live_max`] tensors cross are compared, and the minimum
    /// cuts for weighted sums of both, which may lie elsewhere.
    pub fn pareto(&mut self, one: Measure, other: Measure) -> Result<Vec<Plan>, PlanError> {
        let goal = Goal::least(one);
        let objective = Objective { goal, ..self.objective.clone() };
        // Where stages count there are more paths to look at.
        let sum_of_both = Objective { goal: goal.plus(&Goal::least(other), 1.0), ..objective.clone() };
        let paths = paths(self.graph, &self.topology, &sum_of_both)?;
        let mut plans = Vec::new();
        for reach in &self.reaches {
            for path in &paths {
                let scene = self.scene(reach);
                for found in lattice::search(scene, path, &objective, Some(other)) {
                    plans.push(sum(scene, &found.labels.placement(scene, path), self.objective.answer_at));
                }
            }
        }
        plans.extend(self.supported(one, other));
        plans.retain(|plan| self.keeps(plan));
        if plans.is_empty() {
            return self.plan().map(|plan| vec![plan]);
        }
        let both = |plan: &Plan| [plan.totals.of(one), plan.totals.of(other)];
        plans.sort_by(|a, b| both(a)[0].total_cmp(&both(b)[0]).then(both(a)[1].total_cmp(&both(b)[1])));
        let mut least = f64::INFINITY;
        plans.retain(|plan| {
            let better = both(plan)[1] < least;
            least = least.min(both(plan)[1]);
            better
        });
        Ok(plans)
    }

    /// Plans that are the best for some weights of two measures: weights in geometric steps around where both cost
    /// alike.
    fn supported(&mut self, one: Measure, other: Measure) -> Vec<Plan> {
        const STEPS: i32 = 12;
        if one == Measure::Interval || other == Measure::Interval {
            return Vec::new();
        }
        let mut network = std::mem::take(&mut self.network);
        let mut plans = Vec::new();
        for reach in &self.reaches {
            let scene = self.scene(reach);
            for path in &self.paths {
                let mut least = |goal: Goal| {
                    let (labels, _) = cut(
                        scene,
                        path,
                        &Tariff::of(&goal, &self.topology).fitted(self.graph, &self.times),
                        &mut network,
                    )?;
                    Some(sum(scene, &labels.placement(scene, path), self.objective.answer_at))
                };
                let [first, last] = [one, other].map(|measure| least(Goal::least(measure)));
                let (Some(first), Some(last)) = (first, last) else { continue };
                let alike = first.totals.of(one).max(1.0) / last.totals.of(other).max(1.0);
                for step in -STEPS..=STEPS {
                    let goal = Goal::least(one).plus(&Goal::least(other), alike * 2_f64.powi(step));
                    plans.extend(least(goal));
                }
                plans.extend([first, last]);
            }
        }
        self.network = network;
        plans
    }
}

#[cfg(test)]
mod tests;
