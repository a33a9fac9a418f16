//! How long it takes to plan: ResNet-50 from scratch, again after a link has changed, and a network of 10,000 layers.

use divan::{Bencher, black_box};
use thalweg_planner::{Bandwidth, Objective, Planner, plan};

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
