//! How long it takes to plan: ResNet-50 from scratch, again after a link has changed, and a network of 10,000 layers;
//! with room for everything, with tiers that hold half of the model, and for the least energy by a deadline.

use divan::{Bencher, black_box};
use thalweg_planner::{Bandwidth, Bytes, Goal, Graph, Limits, Measure, Objective, Planner, Topology, plan};

mod models;

use models::{direction, long_resnet, resnet50, three_tiers};

/// How fast the board sends, in bits a second: from where ResNet-50 stays on it to where all of it leaves.
const BANDWIDTHS: [u64; 5] = [100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000];

fn main() {
    divan::main();
}

#[divan::bench(args = BANDWIDTHS)]
fn resnet50_on_three_tiers(bencher: Bencher, bandwidth: u64) {
    let (graph, topology, objective) = (resnet50(), three_tiers(Bandwidth(bandwidth)), Objective::default());
    bencher.bench_local(|| plan(black_box(&graph), &topology, &objective).expect("a plan"));
}

#[divan::bench(args = BANDWIDTHS)]
fn resnet50_after_a_link_has_changed(bencher: Bencher, bandwidth: u64) {
    let (graph, topology, objective) = (resnet50(), three_tiers(Bandwidth(bandwidth)), Objective::default());
    let mut planner = Planner::new(&graph, topology, &objective).expect("a graph that makes sense");
    let mut slower = false;
    bencher.bench_local(|| {
        slower = !slower;
        let bandwidth = Bandwidth(if slower { bandwidth * 9 / 10 } else { bandwidth });
        planner.relink(0, 1, direction(bandwidth, 1)).expect("a link that makes sense");
        planner.plan().expect("a plan")
    });
}

#[divan::bench(args = BANDWIDTHS)]
fn layers_10_000_on_three_tiers(bencher: Bencher, bandwidth: u64) {
    let (graph, topology, objective) = (long_resnet(10_000), three_tiers(Bandwidth(bandwidth)), Objective::default());
    bencher.bench_local(|| plan(black_box(&graph), &topology, &objective).expect("a plan"));
}

#[divan::bench(args = BANDWIDTHS)]
fn resnet50_with_little_memory(bencher: Bencher, bandwidth: u64) {
    let graph = resnet50();
    let (topology, objective) = (little_memory(&graph, Bandwidth(bandwidth)), Objective::default());
    bencher.bench_local(|| plan(black_box(&graph), &topology, &objective).expect("a plan"));
}

#[divan::bench(args = BANDWIDTHS)]
fn resnet50_for_least_energy_by_a_deadline(bencher: Bencher, bandwidth: u64) {
    let (graph, topology) = (resnet50(), three_tiers(Bandwidth(bandwidth)));
    let objective = by_a_deadline(&graph, &topology);
    bencher.bench_local(|| plan(black_box(&graph), &topology, &objective).expect("a plan"));
}

#[divan::bench(args = BANDWIDTHS, sample_count = 3)]
fn layers_10_000_with_little_memory(bencher: Bencher, bandwidth: u64) {
    let graph = long_resnet(10_000);
    let (topology, objective) = (little_memory(&graph, Bandwidth(bandwidth)), Objective::default());
    bencher.bench_local(|| plan(black_box(&graph), &topology, &objective).expect("a plan"));
}

/// Three tiers, each with as much memory as half of the model's weights: no two of them hold the model.
fn little_memory(graph: &Graph, bandwidth: Bandwidth) -> Topology {
    let mut topology = three_tiers(bandwidth);
    let memory = Bytes(graph.weights(0..graph.layers.len()).0 / 2);
    topology.tiers.iter_mut().for_each(|tier| tier.memory = memory);
    topology
}

/// The least energy of the plans that take at most a fifth longer than the fastest one.
fn by_a_deadline(graph: &Graph, topology: &Topology) -> Objective {
    let fastest = plan(graph, topology, &Objective::default()).expect("a plan");
    let limits = Limits { deadline: Some(fastest.latency * 6 / 5), ..Limits::default() };
    Objective { goal: Goal::least(Measure::Energy), limits, ..Objective::default() }
}
