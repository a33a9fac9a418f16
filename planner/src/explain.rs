//! Says why a plan is what it is: where else the model could be cut, what binds, and what would have to change for
//! another decision.

use crate::cut::{Labels, Scene};
use crate::path::{Path, ways};
use crate::reach::Reach;
use crate::tariff::Tariff;
use crate::times::Times;
use crate::{Bytes, Graph, Measure, Objective, Plan, PlanError, Separator, Setting, Topology, check, evaluate, plan};

/// The largest factor by which a setting is turned up or down in search of another decision.
const FACTOR_MAX: f64 = 1024.0;
/// Factors are found to one part in a hundred.
const FACTOR_STEP: f64 = 1.01;
/// What costs more than this share above the best is no longer the best; below it is rounding.
const ROUNDING: f64 = 1e-6;

/// A place where the model could be cut between two tiers, everything else staying where the plan has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Indices of the tiers that the path goes over and that may compute.
    pub path: Vec<usize>,
    /// Indices of the tiers below and above the cut.
    pub tiers: [usize; 2],
    /// How many layers of the graph's order run below it, and what crosses.
    pub separator: Separator,
    /// The plan, or why there is none.
    pub plan: Result<Plan, PlanError>,
}

/// Something without which another plan would be better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Constraint {
    /// The limit of a measure.
    Limit(Measure),
    /// The limit of the loss of accuracy.
    Loss,
    /// The memory of a tier, by its index.
    Memory(usize),
    /// Inputs may not leave the tier where they are.
    InputsStay,
}

/// A constraint that binds.
#[derive(Debug, Clone, PartialEq)]
pub struct Binding {
    /// Which.
    pub constraint: Constraint,
    /// The plan that would be best without it.
    pub without: Plan,
}

/// A change after which another plan is better.
#[derive(Debug, Clone, PartialEq)]
pub struct Flip {
    /// What changes.
    pub setting: Setting,
    /// By which factor, to 1 %: above 1 for more, below for less.
    pub factor: f64,
    /// The plan that is the best from there on, in the changed world, or why there is none any more.
    pub plan: Result<Plan, PlanError>,
}

/// Everywhere the model could be cut instead: for a plan with several tiers, each of its cuts moved over all separators
/// with the others in place; and from the tier where the input is to each other one, all separators.
///
/// Each tensor crosses in the codec that is best for the objective's goal. Limits are not looked at.
pub fn candidates(
    graph: &Graph,
    topology: &Topology,
    objective: &Objective,
    plan: &Plan,
) -> Result<Vec<Candidate>, PlanError> {
    check::arguments(graph, topology, objective)?;
    let reach = Reach::new(graph, &plan.exits);
    let times = Times::new(graph, topology, objective);
    let scene = Scene { graph, topology, reach: &reach, times: &times };
    let moves = Moves { scene, objective, tariff: Tariff::of(&objective.goal, topology) };
    let mut found = Vec::new();
    let placement = plan.placement(graph);
    let computes = |place: &usize| !plan.hops[*place].layers.is_empty() || [0, plan.hops.len() - 1].contains(place);
    let places: Vec<usize> = (0..plan.hops.len()).filter(computes).collect();
    if let Some(path) =
        Path::along(topology, &placement.path, places.clone(), objective.answer_at).filter(|path| path.ways() > 1)
    {
        let of = |place: &usize| places.binary_search(place).unwrap_or(0);
        let now: Vec<usize> = placement.places.iter().map(of).collect();
        (0..path.ways()).for_each(|way| found.extend(moves.along(&path, &now, way)));
    }
    let here = objective.input_at;
    for tier in (0..topology.tiers.len()).filter(|tier| *tier != here) {
        let walks = ways(topology, here, tier).into_iter().map(|way| [vec![here], way.over, vec![tier]].concat());
        let paths = walks.filter_map(|walk| Path::along(topology, &walk, vec![0, walk.len() - 1], objective.answer_at));
        let all: Vec<Vec<Candidate>> = paths.map(|path| moves.along(&path, &vec![0; graph.layers.len()], 0)).collect();
        found.extend(moves.best_of(all));
    }
    Ok(found)
}

struct Moves<'a> {
    scene: Scene<'a>,
    objective: &'a Objective,
    tariff: Tariff,
}

impl Moves<'_> {
    /// The cut between two neighbours of a path at each separator.
    fn along(&self, path: &Path, places: &[usize], way: usize) -> Vec<Candidate> {
        let graph = self.scene.graph;
        let separators = graph.separators(self.objective.live_max).into_iter();
        let tiers = [way, way + 1].map(|place| path.tier(place));
        let candidate = |separator: Separator| {
            let moved = places
                .iter()
                .enumerate()
                .map(|(layer, place)| if layer < separator.at { (*place).min(way) } else { (*place).max(way + 1) });
            let plan = self.plan(path, moved.collect());
            Candidate { path: path.tiers().collect(), tiers, plan, separator }
        };
        separators.filter(|separator| separator.at < graph.layers.len()).map(candidate).collect()
    }

    fn plan(&self, path: &Path, places: Vec<usize>) -> Result<Plan, PlanError> {
        let Scene { graph, topology, .. } = self.scene;
        let labels = Labels::coded(self.scene, path, &self.tariff, places, &self.objective.codecs)?;
        let placement = labels.placement(self.scene, path);
        evaluate(graph, topology, &placement, self.objective.answer_at)
    }

    /// Of the ways to a tier, for each separator the one with the cheapest plan.
    fn best_of(&self, all: Vec<Vec<Candidate>>) -> Vec<Candidate> {
        let cost = |candidate: &Candidate| {
            candidate.plan.as_ref().map_or(f64::INFINITY, |plan| self.objective.goal.cost(&plan.totals))
        };
        let mut ways = all.into_iter();
        let mut best = ways.next().unwrap_or_default();
        for way in ways {
            for (best, other) in best.iter_mut().zip(way) {
                if cost(&other) < cost(best) {
                    *best = other;
                }
            }
        }
        best
    }
}

/// The constraints without which another plan would be better than `best`, which has to be the best one with them.
pub fn bindings(graph: &Graph, topology: &Topology, objective: &Objective, best: &Plan) -> Vec<Binding> {
    let limits = &objective.limits;
    let measures = Measure::ALL.into_iter().filter(|measure| limits.of(*measure).is_some()).map(Constraint::Limit);
    let loss = limits.loss.map(|_| Constraint::Loss);
    let memories = (0..topology.tiers.len()).map(Constraint::Memory);
    let inputs = objective.inputs_stay.then_some(Constraint::InputsStay);
    let all = measures.chain(loss).chain(memories).chain(inputs);
    let binds = |constraint: Constraint| {
        let (mut topology, mut objective) = (topology.clone(), objective.clone());
        match constraint {
            Constraint::Limit(measure) => objective.limits = objective.limits.without(measure),
            Constraint::Loss => objective.limits.loss = None,
            Constraint::Memory(tier) => topology.tiers[tier].memory = Bytes(u64::MAX),
            Constraint::InputsStay => objective.inputs_stay = false,
        }
        let without = plan(graph, &topology, &objective).ok()?;
        let [now, then] =
            [best, &without].map(|plan| (objective.limits.missed_by(&plan.totals), objective.goal.cost(&plan.totals)));
        let better = then.0 < now.0 || (then.0 == now.0 && then.1 < now.1 * (1.0 - ROUNDING));
        better.then_some(Binding { constraint, without })
    };
    all.filter_map(binds).collect()
}

/// For one setting, the smallest change up and the smallest change down after which `best` is no longer the best plan;
/// up to a factor of 1,024. None for a plan that is not the best as things are.
///
/// For a goal that adds up and without limits, the values of one setting at which a plan is the best are an interval,
/// because the cost of each plan is linear in it (or in its reciprocal): so the factor is exact to 1 %. With limits
/// there may be a smaller change.
pub fn flips(graph: &Graph, topology: &Topology, objective: &Objective, best: &Plan, setting: &Setting) -> Vec<Flip> {
    let better = |factor: f64| {
        let (graph, topology) = setting.scaled(graph, topology, factor);
        let other = plan(&graph, &topology, objective);
        let now = evaluate(&graph, &topology, &best.placement(&graph), objective.answer_at);
        let still = now.is_ok_and(|now| {
            other.as_ref().is_ok_and(|other| {
                let keeps = objective.limits.misses(&now.totals).len() <= objective.limits.misses(&other.totals).len();
                keeps && objective.goal.cost(&now.totals) <= objective.goal.cost(&other.totals) * (1.0 + ROUNDING)
            })
        });
        (!still).then_some(Flip { setting: setting.clone(), factor, plan: other })
    };
    let side = |largest: f64| {
        let (mut near, mut flip) = (1.0_f64, better(largest)?);
        while (flip.factor / near).ln().abs() > FACTOR_STEP.ln() {
            let middle = (flip.factor * near).sqrt();
            match better(middle) {
                Some(nearer) => flip = nearer,
                None => near = middle,
            }
        }
        Some(flip)
    };
    if better(1.0).is_some() {
        return Vec::new();
    }
    [1.0 / FACTOR_MAX, FACTOR_MAX].into_iter().filter_map(side).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sample::{any_chain, any_graph, network, path, roomy};
    use crate::{Limits, Mode};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn no_candidate_is_better_than_the_plan(graph in any_graph(), topology in any_chain(1..4)) {
            let (topology, objective) = (roomy(topology), Objective::default());
            let Ok(best) = plan(&graph, &topology, &objective) else { return Ok(()) };
            for candidate in candidates(&graph, &topology, &objective, &best).expect("checked") {
                if let Ok(other) = candidate.plan {
                    prop_assert!(other.latency >= best.latency, "{:?} in {:?}", other.latency, candidate.tiers);
                }
            }
        }

        #[test]
        fn just_before_a_flip_the_plan_is_still_the_best(graph in any_graph(), topology in any_chain(2..4)) {
            let (topology, objective) = (roomy(topology), Objective::default());
            let Ok(best) = plan(&graph, &topology, &objective) else { return Ok(()) };
            for setting in Setting::all(&graph, &topology, &objective.codecs) {
                for flip in flips(&graph, &topology, &objective, &best, &setting) {
                    let cost = |factor: f64| {
                        let (graph, topology) = setting.scaled(&graph, &topology, factor);
                        let here = evaluate(&graph, &topology, &best.placement(&graph), 0).expect("it was possible");
                        (here.latency, plan(&graph, &topology, &objective).expect("it was possible").latency)
                    };
                    let (now, then) = cost(flip.factor);
                    prop_assert!(now > then, "{setting:?} at {}", flip.factor);
                    let nearer = flip.factor.powf(0.5);
                    let (now, then) = cost(nearer);
                    // Within what a coarse nanosecond and the last per cent of the factor can hide.
                    prop_assert!(now.as_nanos() as f64 <= then.as_nanos() as f64 * 1.02 + 100.0, "{setting:?} at {nearer}");
                }
            }
        }
    }

    #[test]
    fn a_limit_that_costs_something_binds() {
        let (graph, topology) = (network(), roomy(path()));
        let free = plan(&graph, &topology, &Objective::default()).expect("there is a plan");
        let bytes = Bytes(free.totals.bytes.0 / 2);
        let limits = Limits { bytes: Some(bytes), deadline: Some(free.latency * 100), ..Limits::default() };
        let objective = Objective { limits, mode: Mode::BestEffort, ..Objective::default() };
        let best = plan(&graph, &topology, &objective).expect("there is a plan");
        let found = bindings(&graph, &topology, &objective, &best);
        let constraints: Vec<Constraint> = found.iter().map(|binding| binding.constraint).collect();
        assert_eq!(constraints, [Constraint::Limit(Measure::Bytes)]);
        assert_eq!(found[0].without.latency, free.latency);
    }
}
