//! Minimum cuts against all cuts, and against augmenting paths.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// A network as it is given: nodes, arcs from the source, to the sink, and between nodes with both capacities.
#[derive(Debug, Clone)]
struct Given {
    nodes: usize,
    source: Vec<(usize, u64)>,
    sink: Vec<(usize, u64)>,
    arcs: Vec<(usize, usize, u64, u64)>,
}

impl Given {
    fn network(&self, network: &mut Network) -> u64 {
        // Some nodes from the beginning, the others later.
        network.reset(self.nodes / 2);
        (self.nodes / 2..self.nodes).for_each(|node| assert_eq!(network.node(), node));
        self.source.iter().for_each(|(node, capacity)| network.source_arc(*node, *capacity));
        self.sink.iter().for_each(|(node, capacity)| network.sink_arc(*node, *capacity));
        self.arcs.iter().for_each(|(tail, head, there, back)| network.arc(*tail, *head, *there, *back));
        network.min_cut()
    }

    /// What a cut costs.
    fn capacity(&self, on_source_side: impl Fn(usize) -> bool) -> u128 {
        let above = self.source.iter().filter(|(node, _)| !on_source_side(*node));
        let below = self.sink.iter().filter(|(node, _)| on_source_side(*node));
        let terminals: u128 = above.chain(below).map(|(_, capacity)| u128::from(*capacity)).sum();
        let cut =
            |(tail, head, there, back): &(usize, usize, u64, u64)| match (on_source_side(*tail), on_source_side(*head))
            {
                (true, false) => u128::from(*there),
                (false, true) => u128::from(*back),
                _ => 0,
            };
        terminals + self.arcs.iter().map(cut).sum::<u128>()
    }

    /// The least capacity of all cuts, and the nodes that are on the source's side in one of least capacity.
    fn least(&self) -> (u128, Vec<bool>) {
        let (mut least, mut side) = (u128::MAX, vec![false; self.nodes]);
        for bits in 0..1_usize << self.nodes {
            let capacity = self.capacity(|node| bits >> node & 1 == 1);
            if capacity < least {
                (least, side) = (capacity, vec![false; self.nodes]);
            }
            if capacity == least {
                side.iter_mut().enumerate().for_each(|(node, side)| *side |= bits >> node & 1 == 1);
            }
        }
        (least, side)
    }

    /// The same by augmenting paths, shortest first (Edmonds and Karp, Journal of the ACM 19(2), 1972).
    fn augmented(&self) -> (u128, Vec<bool>) {
        let (source, sink) = (self.nodes, self.nodes + 1);
        let mut residual = vec![vec![0_u128; self.nodes + 2]; self.nodes + 2];
        self.source.iter().for_each(|(node, capacity)| residual[source][*node] += u128::from(*capacity));
        self.sink.iter().for_each(|(node, capacity)| residual[*node][sink] += u128::from(*capacity));
        for (tail, head, there, back) in &self.arcs {
            residual[*tail][*head] += u128::from(*there);
            residual[*head][*tail] += u128::from(*back);
        }
        let mut flow = 0;
        loop {
            // Backward from the sink; towards which neighbour the way leads.
            let mut toward = vec![None; self.nodes + 2];
            toward[sink] = Some(sink);
            let mut queue = vec![sink];
            for next in 0.. {
                let Some(head) = queue.get(next).copied() else { break };
                for tail in (0..self.nodes + 2).filter(|tail| residual[*tail][head] > 0) {
                    if toward[tail].is_none() {
                        toward[tail] = Some(head);
                        queue.push(tail);
                    }
                }
            }
            if toward[source].is_none() {
                return (flow, (0..self.nodes).map(|node| toward[node].is_none()).collect());
            }
            let mut way = vec![source];
            while let Some(head) = toward[way[way.len() - 1]].filter(|_| way[way.len() - 1] != sink) {
                way.push(head);
            }
            let amount = way.windows(2).map(|pair| residual[pair[0]][pair[1]]).min().unwrap_or(0);
            for pair in way.windows(2) {
                residual[pair[0]][pair[1]] -= amount;
                residual[pair[1]][pair[0]] += amount;
            }
            flow += amount;
        }
    }
}

/// Few different capacities, so that there are ties, and some that no cut may pay for.
fn any_capacity() -> impl Strategy<Value = u64> {
    prop_oneof![6 => 0_u64..6, 2 => 0_u64..1_000_000, 1 => Just(UNBOUNDED)]
}

fn any_network(nodes: std::ops::Range<usize>, arcs: usize) -> impl Strategy<Value = Given> {
    nodes.prop_flat_map(move |nodes| {
        let terminal = || vec((0..nodes, any_capacity()), 0..nodes + 1);
        let arc = (0..nodes, 0..nodes, any_capacity(), any_capacity());
        let arcs = vec(arc, 0..arcs).prop_map(|arcs| arcs.into_iter().filter(|arc| arc.0 != arc.1).collect());
        (terminal(), terminal(), arcs).prop_map(move |(source, sink, arcs)| Given { nodes, source, sink, arcs })
    })
}

/// Layers in a row as the planner has them: a node for each of two links, arcs that keep them in order, arcs to the
/// next layer and some to later ones.
fn any_chain() -> impl Strategy<Value = Given> {
    let terminal = || prop_oneof![3 => 0_u64..50, 1 => 0_u64..2_000];
    vec((terminal(), terminal(), 0_u64..300, 0_u64..300, 1_usize..6), 2..60).prop_map(|layers| {
        let nodes = 2 * layers.len();
        let mut given = Given { nodes, source: vec![(0, 700), (1, 500)], sink: Vec::new(), arcs: Vec::new() };
        for (at, (low, high, first, second, skip)) in layers.into_iter().enumerate() {
            let terminal = if high % 2 == 0 { &mut given.source } else { &mut given.sink };
            terminal.push((2 * at + 1, high));
            given.sink.push((2 * at, low));
            given.arcs.push((2 * at, 2 * at + 1, UNBOUNDED, 0));
            for later in [at + 1, at + skip].into_iter().filter(|later| 2 * later < nodes).collect::<BTreeSet<_>>() {
                given.arcs.push((2 * at, 2 * later, first, UNBOUNDED));
                given.arcs.push((2 * at + 1, 2 * later + 1, second, UNBOUNDED));
            }
        }
        given
    })
}

fn check(given: &Given, (least, side): (u128, Vec<bool>), network: &mut Network) -> Result<(), TestCaseError> {
    let flow = given.network(network);
    if least >= u128::from(UNBOUNDED) {
        prop_assert!(flow >= UNBOUNDED, "{flow} where no cut is bounded");
        return Ok(());
    }
    prop_assert_eq!(u128::from(flow), least);
    prop_assert_eq!(given.capacity(|node| network.on_source_side(node)), least);
    prop_assert_eq!((0..given.nodes).map(|node| network.on_source_side(node)).collect::<Vec<_>>(), side);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn the_cut_is_the_least_of_all_with_the_largest_source_side(
        first in any_network(1..9, 24), second in any_network(1..9, 24),
    ) {
        // Buffers of one network must not show in the next.
        let mut network = Network::default();
        check(&first, first.least(), &mut network)?;
        check(&second, second.least(), &mut network)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn larger_networks_have_the_cut_of_augmenting_paths(given in any_network(1..60, 240)) {
        check(&given, given.augmented(), &mut Network::default())?;
    }

    #[test]
    fn chains_have_the_cut_of_augmenting_paths(given in any_chain()) {
        check(&given, given.augmented(), &mut Network::default())?;
    }
}

#[test]
fn a_network_without_nodes_or_arcs_has_an_empty_cut() {
    let mut network = Network::default();
    network.reset(0);
    assert_eq!(network.min_cut(), 0);
    network.reset(2);
    assert_eq!(network.min_cut(), 0);
    assert!(network.on_source_side(0) && network.on_source_side(1));
}

#[test]
fn what_the_source_must_have_and_the_sink_must_have_has_no_cut() {
    let mut network = Network::default();
    network.reset(1);
    network.source_arc(0, UNBOUNDED);
    network.sink_arc(0, UNBOUNDED);
    assert!(network.min_cut() >= UNBOUNDED);
}
