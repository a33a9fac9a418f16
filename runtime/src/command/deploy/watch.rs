//! Stays after a deployment, and deploys again where the nodes and links that are there by then allow a better plan than any
//! that is prepared.

use std::time::Duration;

use thalweg_flow::is_better;
use thalweg_planner::{Bytes, Graph, Plan, Topology, evaluate};

use crate::identity::NodeId;

/// The plans that nodes have, with the nodes that they name by their place.
pub(super) struct Served {
    pub(super) nodes: Vec<NodeId>,
    pub(super) plans: Vec<Plan>,
}

/// What another deployment would bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gain {
    /// The least latency of what is prepared, on the nodes and links that are there. None where nothing of it runs there.
    pub(super) before: Option<Duration>,
    /// That of the best plan.
    pub(super) after: Duration,
}

impl Served {
    /// Compares what is prepared with `best`, a plan for `topology`, whose tiers are `nodes`.
    pub(super) fn gain(&self, graph: &Graph, topology: &Topology, nodes: &[NodeId], best: &Plan) -> Gain {
        // They are in memory already, so that they fit is no question.
        let mut topology = topology.clone();
        topology.tiers.iter_mut().for_each(|tier| tier.memory = Bytes(u64::MAX));
        let place = |tier: &usize| nodes.iter().position(|id| self.nodes.get(*tier) == Some(id));
        let latency = |plan: &Plan| {
            let mut placement = plan.placement(graph);
            placement.path = placement.path.iter().map(place).collect::<Option<_>>()?;
            Some(evaluate(graph, &topology, &placement, 0).ok()?.latency)
        };
        Gain { before: self.plans.iter().filter_map(latency).min(), after: best.latency }
    }
}

impl Gain {
    /// Whether it is worth a deployment: better by as much as it has to be to change from one prepared plan to another.
    pub(super) fn is_enough(&self) -> bool {
        self.before.is_none_or(|before| is_better(self.after, before))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use thalweg_planner::{Objective, plan};

    use super::*;
    use crate::deployment::world;
    use crate::identity::Identity;

    #[test]
    fn what_is_prepared_is_compared_on_the_nodes_that_are_there_now() {
        let (graph, topology) = world(1_000);
        let objective = Objective { codecs: vec!["f32".into()], ..Objective::default() };
        let ids: Vec<NodeId> = (0..3).map(|_| Identity::generate().unwrap().0.id()).collect();
        let best = plan(&graph, &topology, &objective).unwrap();
        let served = Served { nodes: ids[..2].to_vec(), plans: vec![best.clone()] };
        let same = served.gain(&graph, &topology, &ids[..2], &best);
        assert_eq!((same.before, same.is_enough()), (Some(best.latency), false));
        // Its own parts take the memory.
        let mut full = topology.clone();
        full.tiers.iter_mut().for_each(|tier| tier.memory = Bytes(1));
        assert_eq!(served.gain(&graph, &full, &ids[..2], &best).before, Some(best.latency));
        // The server is another one now.
        let other = served.gain(&graph, &topology, &[ids[0], ids[2]], &best);
        assert_eq!((other.before, other.is_enough()), (None, true));
        // The link has become a thousand times slower, and only the device's own plan is not.
        let (_, slow) = world(1);
        let local = plan(&graph, &slow, &objective).unwrap();
        let slower = served.gain(&graph, &slow, &ids[..2], &local);
        assert!(slower.before.unwrap() > local.latency && slower.is_enough(), "{slower:?}");
    }
}
