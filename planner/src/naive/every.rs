//! Plans by the formulas: one that was found, and every path, placement and set of exits, one by one.

use super::{Amounts, Naive};
use crate::{Graph, Objective, Plan, TensorId, Topology};

/// What a plan takes by the formulas; nothing when it cannot be or does not fit.
pub(crate) fn retold(graph: &Graph, topology: &Topology, objective: &Objective, plan: &Plan) -> Option<Amounts> {
    let path: Vec<usize> = plan.hops.iter().map(|hop| hop.tier).collect();
    let place = |layer: usize| plan.hops.iter().position(|hop| hop.layers.contains(&layer)).unwrap_or(0);
    let places: Vec<usize> = (0..graph.layers.len()).map(place).collect();
    let naive = Naive { graph, topology, objective, path: &path, places: &places, exits: &plan.exits };
    let codec = |link: usize, tensor: TensorId| {
        let sent = plan.crossings[link].sends.iter().find(|sent| sent.tensor == tensor);
        sent.map_or_else(String::new, |sent| sent.codec.clone())
    };
    naive.coded(codec).filter(|_| naive.fits())
}

/// All simple paths from the input over pairs with links both ways.
pub(crate) fn walks(topology: &Topology, objective: &Objective) -> Vec<Vec<usize>> {
    let mut all = vec![vec![objective.input_at]];
    let mut next = 0;
    while next < all.len() {
        let walk = all[next].clone();
        for tier in 0..topology.tiers.len() {
            let last = walk[walk.len() - 1];
            let linked = topology.direction(last, tier).is_some() && topology.direction(tier, last).is_some();
            if linked && !walk.contains(&tier) {
                all.push([&walk[..], &[tier]].concat());
            }
        }
        next += 1;
    }
    all
}

/// All ways to give each layer a place in which data flows up.
fn all_places(graph: &Graph, places: usize) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new()];
    for layer in &graph.layers {
        let mut longer = Vec::new();
        for before in &all {
            let made = |tensor: &TensorId| graph.layers.iter().position(|other| other.writes.contains(tensor));
            let first = layer.reads.iter().filter_map(|tensor| before.get(made(tensor)?).copied()).max().unwrap_or(0);
            longer.extend((first..places).map(|place: usize| [&before[..], &[place]].concat()));
        }
        all = longer;
    }
    all
}

pub(crate) fn exit_sets(graph: &Graph) -> Vec<Vec<usize>> {
    let set = |bits: usize| (0..graph.exits.len()).filter(|exit| bits >> exit & 1 == 1).collect();
    (0..1_usize << graph.exits.len()).map(set).collect()
}

/// Visits every placement without codecs.
pub(crate) fn each(graph: &Graph, topology: &Topology, objective: &Objective, mut visit: impl FnMut(&Naive<'_>)) {
    for path in walks(topology, objective) {
        for places in all_places(graph, path.len()) {
            for exits in exit_sets(graph) {
                visit(&Naive { graph, topology, objective, path: &path, places: &places, exits: &exits });
            }
        }
    }
}

/// The least cost of all plans that fit and keep to limits; infinite when there is none.
pub(crate) fn least(graph: &Graph, topology: &Topology, objective: &Objective, limits: &Amounts) -> f64 {
    let mut best = f64::INFINITY;
    each(graph, topology, objective, |naive| {
        let found = naive.least(limits, best);
        if found < best && naive.fits() {
            best = found;
        }
    });
    best
}
