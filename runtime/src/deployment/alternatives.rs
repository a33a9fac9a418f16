//! Which plans a deployment has: what is best as links are now, and what would be if they were otherwise.

use thalweg_planner::{Bandwidth, Bytes, Graph, Objective, Plan, Topology, plan, usable};

use crate::run::RunError;

/// Plans of one deployment at most: each keeps its parts in the memory of its nodes.
pub const ALTERNATIVES_MAX: usize = 6;

/// What links may carry of what they do now, from what happens most to what happens least.
const BANDWIDTHS: [f64; 5] = [0.3, 0.1, 3.0, 0.03, 0.01];

/// The plan that is best now, first; then one for when all is lost but the node where requests are made, if it can run all
/// of the pipeline; then what is best when another node cannot be reached, or when links carry less or more. At most
/// [`ALTERNATIVES_MAX`], no two that decide alike, and as many as fit into the memory of all nodes beside each other: those
/// before are worth more.
///
/// Fails where not even the first can be had.
pub fn alternatives(graph: &Graph, topology: &Topology, objective: &Objective) -> Result<Vec<Plan>, RunError> {
    let mut plans = vec![plan(graph, topology, objective)?];
    let mut worlds = vec![Topology { links: Vec::new(), ..topology.clone() }];
    for lost in 1..topology.tiers.len() {
        let mut world = topology.clone();
        world.links.retain(|link| link.from != lost && link.to != lost);
        worlds.push(world);
    }
    for share in BANDWIDTHS {
        let mut world = topology.clone();
        for link in &mut world.links {
            let bandwidth = link.direction.bandwidth.0 as f64 * share;
            link.direction.bandwidth = Bandwidth((bandwidth.round() as u64).max(1));
        }
        worlds.push(world);
    }
    for world in worlds {
        if plans.len() < ALTERNATIVES_MAX
            && let Ok(other) = plan(graph, &world, objective)
            && !plans.iter().any(|known| known.decides_like(&other))
        {
            plans.push(other);
            if !fit(graph, topology, &plans) {
                plans.pop();
            }
        }
    }
    Ok(plans)
}

/// Whether the parts of all plans fit into the memory of the nodes beside each other. Plans share parts, and one request
/// runs on one part at a time.
fn fit(graph: &Graph, topology: &Topology, plans: &[Plan]) -> bool {
    topology.tiers.iter().enumerate().all(|(at, tier)| {
        let hops = plans.iter().flat_map(|plan| plan.hops.iter().enumerate().map(move |(hop, of)| (plan, hop, of)));
        let mut parts: Vec<(&[usize], u64, u64)> = Vec::new();
        for (plan, hop, of) in hops.filter(|(_, _, of)| of.tier == at) {
            if !parts.iter().any(|(layers, ..)| *layers == of.layers) {
                parts.push((&of.layers, of.weights.0, graph.memory_of_hop(plan, hop).0 - of.weights.0));
            }
        }
        let weights = parts.iter().fold(0_u64, |sum, (_, weights, _)| sum.saturating_add(*weights));
        let tensors = parts.iter().map(|(.., tensors)| *tensors).max().unwrap_or(0);
        Bytes(weights.saturating_add(tensors)) <= usable(tier)
    })
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use thalweg_planner::{
        Bytes, Coding, DType, Direction, Layer, Link, Loss, Macs, OpClass, Pin, Slowdown, TensorCost, TensorSpec, Tier,
    };

    use super::*;

    /// Two layers, the first of which shrinks what it gets, on a slow device and a fast server.
    pub(crate) fn world(mbit: u64) -> (Graph, Topology) {
        let tensor = |name: &str, elements: usize| TensorCost {
            name: name.into(),
            spec: TensorSpec::new(DType::F32, [elements]),
            codings: vec![Coding {
                codec: "f32".into(),
                bytes: Bytes(elements as u64 * 4),
                encode: Duration::ZERO,
                decode: Duration::ZERO,
                loss: Loss(0),
            }],
        };
        let layer = |at: usize| Layer {
            name: format!("layer{at}"),
            op: "Op".into(),
            class: OpClass::Convolution,
            macs: Macs(1),
            weights: Bytes(1000),
            reference: Duration::from_millis(if at == 0 { 2 } else { 20 }),
            reads: vec![at],
            writes: vec![at + 1],
            pin: Pin::Anywhere,
        };
        let graph = Graph {
            layers: vec![layer(0), layer(1)],
            tensors: vec![tensor("in", 150_000), tensor("mid", 3_000), tensor("out", 10)],
            inputs: vec![0],
            outputs: vec![2],
            exits: Vec::new(),
        };
        let tier = |name: &str, slower: f64| Tier {
            name: name.into(),
            memory: Bytes(1 << 30),
            slowdown: Slowdown::NONE.map(|factor| factor * slower),
            gpu: false,
            watts: 0.0,
            price_hour: 0.0,
        };
        let direction = Direction::new(Bandwidth(mbit * 1_000_000), Duration::from_millis(2));
        let links = vec![Link { from: 0, to: 1, direction }, Link { from: 1, to: 0, direction }];
        (graph, Topology { tiers: vec![tier("device", 10.0), tier("server", 1.0)], links })
    }

    #[test]
    fn there_is_one_for_when_the_device_is_alone_and_one_for_slower_links() {
        let (graph, topology) = world(1_000);
        let objective = Objective { codecs: vec!["f32".into()], ..Objective::default() };
        let plans = alternatives(&graph, &topology, &objective).unwrap();
        let on_device: Vec<usize> = plans
            .iter()
            .map(|plan| plan.hops.iter().filter(|hop| hop.tier == 0).map(|hop| hop.layers.len()).sum())
            .collect();
        assert_eq!(on_device, [0, 2, 1]);
    }

    #[test]
    fn where_memory_binds_there_are_fewer() {
        let (graph, mut topology) = world(1_000);
        let objective = Objective { codecs: vec!["f32".into()], ..Objective::default() };
        // Both layers, or the first beside both, with the largest tensors that are there at a time.
        let device = |weights: u64| Bytes((weights + 4 * 153_000) * 6 / 5 + 1);
        let plans_with = |weights: u64| {
            topology.tiers[0].memory = device(weights);
            alternatives(&graph, &topology, &objective).unwrap().len()
        };
        let counts: Vec<usize> = [1999, 2000, 2999, 3000].into_iter().map(plans_with).collect();
        assert_eq!(counts, [2, 2, 2, 3]);
    }

    #[test]
    fn without_any_plan_there_is_no_deployment() {
        let (graph, mut topology) = world(1);
        topology.tiers.iter_mut().for_each(|tier| tier.memory = Bytes(10));
        assert!(alternatives(&graph, &topology, &Objective::default()).is_err());
    }
}
