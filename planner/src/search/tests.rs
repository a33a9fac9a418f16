//! The search against all placements, one by one, at costs that are told anew.

use proptest::prelude::*;

use super::*;
use crate::naive;
use crate::sample::{CODECS, any_additive_goal, any_chain, any_graph, any_topology, roomy};
use crate::{Goal, Limits};

mod limits;
mod pareto;

fn any_objective() -> impl Strategy<Value = Objective> {
    let codecs = prop::sample::subsequence(CODECS.to_vec(), 1..=3).prop_shuffle();
    (codecs, any::<bool>(), any_additive_goal()).prop_map(|(codecs, inputs_stay, goal)| Objective {
        goal,
        codecs: codecs.into_iter().map(str::to_owned).collect(),
        inputs_stay,
        ..Objective::default()
    })
}

fn check_optimal(graph: &Graph, topology: &Topology, objective: &Objective) -> Result<(), TestCaseError> {
    let found = plan(graph, topology, objective);
    let least = naive::least(graph, topology, objective, &naive::limits(objective));
    match found {
        Ok(plan) => {
            let cost = objective.goal.cost(&plan.totals);
            let near = (cost - least).abs() <= naive::tolerance(objective, least);
            prop_assert!(near, "{cost} where {least} is possible: {plan:#?}");
            prop_assert_eq!(plan.gap, Some(0.0));
        }
        Err(error) => prop_assert!(least.is_infinite(), "{error:?}, not {least:?}"),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn along_a_chain_the_plan_is_the_best_of_all(
        graph in any_graph(), topology in any_chain(1..4), objective in any_objective(),
    ) {
        check_optimal(&graph, &roomy(topology), &objective)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn in_a_directed_topology_the_plan_is_the_best_of_all(
        graph in any_graph(), topology in any_topology(), objective in any_objective(),
        ends in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
    ) {
        prop_assume!(graph.layers.len() < 7);
        let topology = roomy(topology);
        let (input_at, answer_at) = (ends.0.index(topology.tiers.len()), ends.1.index(topology.tiers.len()));
        check_optimal(&graph, &topology, &Objective { input_at, answer_at, ..objective })?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_goal_in_other_units_is_met_as_well(
        graph in any_graph(), topology in any_chain(1..4), objective in any_objective(), factor in prop_oneof![Just(1e-9), Just(1e6)],
    ) {
        let topology = roomy(topology);
        let goal = Measure::ALL.into_iter().fold(objective.goal, |goal, measure| {
            goal.plus(&Goal::least(measure), (factor - 1.0) * objective.goal.weight(measure))
        });
        let found = [objective.clone(), Objective { goal, ..objective.clone() }].map(|objective| plan(&graph, &topology, &objective));
        if let [Ok(one), Ok(other)] = &found {
            let [one, other] = [one, other].map(|plan| objective.goal.cost(&plan.totals));
            prop_assert!((one - other).abs() <= naive::tolerance(&objective, one), "{one} became {other}");
        } else {
            prop_assert!(found.iter().all(Result::is_err));
        }
    }
}
