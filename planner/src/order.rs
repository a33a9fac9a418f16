//! Searches the cuts of another order of the layers: one in which a placement that was met is a cut of the order
//! itself.
//!
//! Layers that do not depend on each other can run in any order, so the graph's own order is one of many. What a
//! minimum cut puts together at some prices of the limits belongs together, so its order is a good second one.

use crate::cut::Scene;
use crate::lattice::{self, Found};
use crate::path::Path;
use crate::reach::Reach;
use crate::times::Times;
use crate::{Graph, Objective, Plan, TensorId};

/// The layers in the order of the hops that run them; those that do not run come last.
pub(crate) fn of(plan: &Plan, layers: usize) -> Vec<usize> {
    let mut order: Vec<usize> = plan.hops.iter().flat_map(|hop| hop.layers.iter().copied()).collect();
    let mut runs = vec![false; layers];
    order.iter().for_each(|layer| runs[*layer] = true);
    order.extend((0..layers).filter(|layer| !runs[*layer]));
    order
}

/// As [`lattice::search`], with the layers in this order.
pub(crate) fn search(scene: Scene<'_>, path: &Path, objective: &Objective, order: &[usize]) -> Vec<Found> {
    let mut position = vec![0; order.len()];
    order.iter().enumerate().for_each(|(at, layer)| position[*layer] = at);
    let graph =
        Graph { layers: order.iter().map(|layer| scene.graph.layers[*layer].clone()).collect(), ..scene.graph.clone() };
    let reach = ordered(scene.reach, order, &position);
    let compute = |nanos: &Vec<u64>| order.iter().map(|layer| nanos[*layer]).collect();
    let times = Times { compute: scene.times.compute.iter().map(compute).collect(), ..scene.times.clone() };
    let moved = Scene { graph: &graph, reach: &reach, times: &times, ..scene };
    let mut found = lattice::search(moved, path, objective, None);
    for found in &mut found {
        found.labels.places = position.iter().map(|at| found.labels.places[*at]).collect();
    }
    found
}

fn ordered(reach: &Reach, order: &[usize], position: &[usize]) -> Reach {
    let readers = |readers: &Vec<usize>| {
        let mut readers: Vec<usize> = readers.iter().map(|reader| position[*reader]).collect();
        readers.sort_unstable();
        readers
    };
    let wait = |(decider, tensor): &(usize, TensorId)| (position[*decider], *tensor);
    Reach {
        runs: order.iter().map(|layer| reach.runs[*layer]).collect(),
        writer: reach.writer.iter().map(|writer| writer.map(|writer| position[writer])).collect(),
        readers: reach.readers.iter().map(readers).collect(),
        waits: reach.waits.iter().map(wait).collect(),
        ..reach.clone()
    }
}
