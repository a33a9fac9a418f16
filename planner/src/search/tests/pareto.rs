//! Frontiers against all placements, and that plans depend on nothing but what is asked.

use proptest::sample::Index;

use super::limits::{any_chain_graph, any_limited_objective, any_picks, limited};
use super::*;
use crate::naive::{Amounts, ROUNDING, limits, retold};
use crate::sample::any_direction;

fn any_two() -> impl Strategy<Value = (usize, usize)> {
    (0_usize..5, 1_usize..5).prop_map(|(one, step)| (one, (one + step) % 5))
}

/// The least of one measure where another stays below a limit.
fn least_within(graph: &Graph, topology: &Topology, objective: &Objective, one: usize, bounds: &Amounts) -> f64 {
    let objective = Objective { goal: Goal::least(Measure::ALL[one]), ..objective.clone() };
    naive::least(graph, topology, &objective, bounds)
}

/// Plans of a frontier can be, keep to the limits, and none betters another.
fn check_frontier(
    graph: &Graph,
    topology: &Topology,
    objective: &Objective,
    (one, other): (usize, usize),
    plans: &[Plan],
) -> Result<(), TestCaseError> {
    let of = |plan: &Plan, measure: usize| plan.totals.of(Measure::ALL[measure]);
    for plan in plans {
        prop_assert!(retold(graph, topology, objective, plan).is_some(), "does not fit: {plan:#?}");
        prop_assert_eq!(objective.limits.misses(&plan.totals), Vec::new());
    }
    for pair in plans.windows(2) {
        prop_assert!(of(&pair[0], one) < of(&pair[1], one) && of(&pair[0], other) > of(&pair[1], other), "{pair:#?}");
    }
    Ok(())
}

/// Nothing lies below a frontier: not before its first plan, between two of them, nor after the last.
fn check_whole(
    graph: &Graph,
    topology: &Topology,
    objective: &Objective,
    (one, other): (usize, usize),
    plans: &[Plan],
) -> Result<(), TestCaseError> {
    let of = |plan: &Plan, measure: usize| plan.totals.of(Measure::ALL[measure]);
    let mut bounds = limits(objective);
    bounds.iter_mut().zip(ROUNDING).for_each(|(limit, rounding)| *limit -= rounding);
    for plan in plans {
        let least = least_within(graph, topology, objective, one, &bounds);
        prop_assert!(of(plan, one) <= least + ROUNDING[one], "{least} is possible: {plan:#?}");
        bounds[other] = of(plan, other) - ROUNDING[other];
    }
    let beyond = least_within(graph, topology, objective, one, &bounds);
    prop_assert!(beyond.is_infinite(), "{beyond} after the last of {plans:#?}");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn the_frontier_of_a_chain_of_layers_is_whole(
        graph in any_chain_graph(), topology in any_chain(1..4), objective in any_limited_objective(),
        picks in any_picks(), two in any_two(),
    ) {
        prop_assume!(graph.layers.len() < 6);
        let objective = limited(&graph, &topology, &objective, &picks);
        let plans = Planner::new(&graph, topology.clone(), &objective)
            .and_then(|mut planner| planner.pareto(Measure::ALL[two.0], Measure::ALL[two.1]));
        match plans {
            Ok(plans) => {
                check_frontier(&graph, &topology, &objective, two, &plans)?;
                check_whole(&graph, &topology, &objective, two, &plans)?;
            }
            Err(error) => prop_assert_eq!(Some(error), plan(&graph, &topology, &objective).err()),
        }
    }

    #[test]
    fn a_frontier_ends_with_the_best_of_each_measure(
        graph in any_graph(), topology in any_topology(), objective in any_objective(), two in any_two(),
    ) {
        prop_assume!(two.0 != 1 && two.1 != 1);
        let topology = roomy(topology);
        let measures = [two.0, two.1].map(|measure| Measure::ALL[measure]);
        let plans = Planner::new(&graph, topology.clone(), &objective)
            .and_then(|mut planner| planner.pareto(measures[0], measures[1]));
        let Ok(plans) = plans else { return Ok(()) };
        check_frontier(&graph, &topology, &objective, two, &plans)?;
        for (end, measure) in [plans.first(), plans.last()].into_iter().zip(measures) {
            let alone = plan(&graph, &topology, &Objective { goal: Goal::least(measure), ..objective.clone() });
            let [end, alone] = [end, alone.as_ref().ok()].map(|plan| plan.map_or(-1.0, |plan| plan.totals.of(measure)));
            prop_assert!((end - alone).abs() <= 1.0, "{end}, not {alone}: {plans:#?}");
        }
    }

    #[test]
    fn the_same_arguments_give_the_same_plan(
        graph in any_graph(), topology in any_topology(), objective in any_limited_objective(), picks in any_picks(),
        seed in any::<Index>(),
    ) {
        prop_assume!(graph.layers.len() < 6);
        let objective = limited(&graph, &topology, &objective, &picks);
        let first = plan(&graph, &topology, &objective);
        prop_assert_eq!(&plan(&graph, &topology, &objective), &first);
        let mut turned = topology.clone();
        turned.links.rotate_left(if topology.links.is_empty() { 0 } else { seed.index(topology.links.len()) });
        let second = plan(&graph, &turned, &objective);
        prop_assert_eq!(first.is_ok(), second.is_ok());
        if let (Ok(first), Ok(second)) = (&first, &second) {
            let [first, second] = [first, second].map(|plan| objective.goal.cost(&plan.totals));
            prop_assert!((first - second).abs() <= naive::tolerance(&objective, first), "{first}, then {second}");
        }
    }

    #[test]
    fn the_names_of_tiers_count_for_nothing(
        graph in any_graph(), topology in any_topology(), objective in any_objective(),
    ) {
        let topology = roomy(topology);
        let last = topology.tiers.len() - 1;
        let mut turned = topology.clone();
        turned.tiers.reverse();
        turned.links.iter_mut().for_each(|link| (link.from, link.to) = (last - link.from, last - link.to));
        let away = Objective { input_at: last, answer_at: last, ..objective.clone() };
        let costs = [plan(&graph, &topology, &objective), plan(&graph, &turned, &away)]
            .map(|plan| plan.ok().map(|plan| objective.goal.cost(&plan.totals)));
        let tolerance = naive::tolerance(&objective, costs[0].unwrap_or(0.0));
        let near = costs[0].zip(costs[1]).is_none_or(|(one, other)| (one - other).abs() <= tolerance);
        prop_assert!(near && costs[0].is_some() == costs[1].is_some(), "{costs:?}");
    }

    #[test]
    fn planning_again_with_a_changed_link_is_planning_afresh(
        graph in any_graph(), topology in any_topology(), objective in any_limited_objective(), picks in any_picks(),
        change in (any::<Index>(), any_direction()),
    ) {
        prop_assume!(graph.layers.len() < 6 && !topology.links.is_empty());
        let objective = limited(&graph, &topology, &objective, &picks);
        let Ok(mut planner) = Planner::new(&graph, topology.clone(), &objective) else { return Ok(()) };
        let _ = planner.plan();
        let mut changed = topology;
        let link = change.0.index(changed.links.len());
        changed.links[link].direction = change.1;
        planner.relink(changed.links[link].from, changed.links[link].to, change.1)?;
        prop_assert_eq!(planner.plan(), plan(&graph, &changed, &objective));
    }
}
