//! What baselines cost against the formulas told anew, and published planners on graphs with known answers.

use proptest::prelude::*;

use super::*;
use crate::naive::{retold, stated};
use crate::sample::{CODECS, any_graph, any_topology, network, path, roomy};
use crate::{Bytes, Coding, DType, Layer, Limits, Loss, TensorCost, TensorSpec, naive, plan};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn no_baseline_is_better_than_the_plan(graph in any_graph(), topology in any_topology()) {
        let topology = roomy(topology);
        let objective = Objective { codecs: CODECS.map(str::to_owned).to_vec(), ..Objective::default() };
        let best = plan(&graph, &topology, &objective);
        let baselines = baselines(&graph, &topology, &objective);
        for baseline in &baselines {
            let Ok(found) = &baseline.plan else { continue };
            let taken = retold(&graph, &topology, &objective, found);
            let near = |taken: naive::Amounts| {
                stated(found).iter().zip(taken).zip(naive::ROUNDING).all(|((stated, taken), rounding)| (stated - taken).abs() <= rounding)
            };
            prop_assert!(taken.is_some_and(near), "{taken:?}, not what {baseline:#?} says");
            let best = best.as_ref().map(|plan| plan.latency);
            prop_assert!(best.is_ok_and(|best| best <= found.latency), "{best:?} is worse than {baseline:#?}");
        }
        let reached = (1..topology.tiers.len()).filter(|tier| naive::walks(&topology, &objective).iter().any(|walk| walk.contains(tier)));
        for tier in [0].into_iter().chain(reached) {
            let name = format!("all on {}", topology.tiers[tier].name);
            let on_it = baselines.iter().filter(|baseline| baseline.single_place && baseline.name.starts_with(&name));
            prop_assert!(on_it.count() == 1, "{name} is not among {baselines:#?}");
        }
    }
}

fn named(baselines: &[Baseline], name: &str) -> Result<Plan, PlanError> {
    baselines
        .iter()
        .find(|baseline| baseline.name == name)
        .map_or(Err(PlanError::EmptyTopology), |found| found.plan.clone())
}

/// The layers of each hop.
fn layers(plan: &Plan) -> Vec<Vec<usize>> {
    plan.hops.iter().map(|hop| hop.layers.clone()).collect()
}

#[test]
fn the_whole_model_runs_on_each_tier_with_the_input_raw_or_as_a_picture() {
    let names: Vec<String> =
        baselines(&network(), &path(), &Objective::default()).into_iter().map(|baseline| baseline.name).collect();
    let places = ["device", "edge, raw input", "edge, JPEG input", "cloud, raw input", "cloud, JPEG input"];
    let wanted: Vec<String> = places.iter().map(|place| format!("all on {place}")).collect();
    assert_eq!(names, [&wanted[..], &["Neurosurgeon".to_owned(), "DADS".to_owned()]].concat());
}

#[test]
fn a_picture_is_as_small_as_the_loss_allows() {
    let mut graph = network();
    let smaller = Coding {
        codec: "jpeg/50".to_owned(),
        bytes: Bytes(5_000),
        loss: Loss(900),
        ..graph.tensors[0].codings[1].clone()
    };
    graph.tensors[0].codings.push(smaller);
    for (loss, level) in [(None, Some("jpeg/50")), (Some(Loss(899)), Some("jpeg/90")), (Some(Loss(10)), None)] {
        let limits = Limits { loss, ..Limits::default() };
        let baselines = baselines(&graph, &path(), &Objective { limits, ..Objective::default() });
        let plan = named(&baselines, "all on cloud, JPEG input").ok();
        assert_eq!(plan.as_ref().map(|plan| plan.crossings[0].sends[0].codec.as_str()), level);
    }
}

#[test]
fn neurosurgeon_and_dads_cut_where_the_sum_of_compute_and_uncoded_bytes_is_least() {
    // Before `conv` 292.5 ms, before `pool` 66.7, before `fc` 28.5 (24 below, 2.46 on the links, 2 above), after it 56.
    let baselines = baselines(&network(), &path(), &Objective::default());
    for name in ["Neurosurgeon", "DADS"] {
        let plan = named(&baselines, name).expect("a plan");
        assert_eq!(layers(&plan), [vec![0, 1], vec![], vec![2]], "{name}");
        assert!(plan.crossings.iter().all(|crossing| crossing.sends[0].codec == UNCODED));
    }
}

/// A stem that makes much, two branches that make little of it, and a head that takes long.
fn diamond() -> Graph {
    let tensor = |len: usize| {
        let spec = TensorSpec::new(DType::F32, [len]);
        let uncoded =
            Coding { codec: UNCODED.to_owned(), bytes: spec.bytes(), ..network().tensors[0].codings[0].clone() };
        TensorCost { name: format!("tensor of {len}"), spec, codings: vec![uncoded] }
    };
    let layer = |name: &str, millis, reads: &[usize], writes| Layer {
        name: name.to_owned(),
        reference: Duration::from_millis(millis),
        weights: Bytes(0),
        reads: reads.to_vec(),
        writes: vec![writes],
        ..network().layers[0].clone()
    };
    Graph {
        layers: vec![
            layer("stem", 1, &[0], 1),
            layer("left", 1, &[1], 2),
            layer("right", 1, &[1], 3),
            layer("head", 40, &[2, 3], 4),
        ],
        tensors: [100_000, 100_000, 10, 10, 10].map(tensor).to_vec(),
        inputs: vec![0],
        outputs: vec![4],
        exits: Vec::new(),
    }
}

#[test]
fn dads_cuts_two_tensors_where_neurosurgeon_knows_only_chains() {
    let baselines = baselines(&diamond(), &roomy(path()), &Objective::default());
    // One tensor crosses before `stem`, before `left` and after `head`: 192 ms on the links, or 344 ms of computing.
    assert_eq!(layers(&named(&baselines, "Neurosurgeon").expect("a plan")), [vec![], vec![], vec![0, 1, 2, 3]]);
    assert_eq!(layers(&named(&baselines, "DADS").expect("a plan")), [vec![0, 1, 2], vec![], vec![3]]);
}
