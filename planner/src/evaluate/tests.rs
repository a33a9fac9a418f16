//! Sums of placements against the formulas told anew, and some that one can follow by hand.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::Objective;
use crate::naive::{Naive, ROUNDING, exit_sets, stated, walks};
use crate::sample::{CODECS, any_graph, any_topology, network, path};

/// What a random placement is drawn with: a path, a place for each layer, exits, and codecs of links and tensors.
type Draw = (Index, Vec<Index>, Index, Vec<Index>);

fn any_draw() -> impl Strategy<Value = Draw> {
    (any::<Index>(), vec(any::<Index>(), 10), any::<Index>(), vec(any::<Index>(), 32))
}

/// A placement in which data flows up; often of layers that do not lie together.
fn placement(graph: &Graph, walks: &[Vec<usize>], (walk, places, exits, _): &Draw) -> Placement {
    let path = walk.get(walks).clone();
    let mut made = vec![0; graph.tensors.len()];
    let place = |(layer, draw): (&crate::Layer, &Index)| {
        let first = layer.reads.iter().map(|tensor| made[*tensor]).max().unwrap_or(0);
        let place = first + draw.index(path.len() - first);
        layer.writes.iter().for_each(|tensor| made[*tensor] = place);
        place
    };
    let places = graph.layers.iter().zip(places).map(place).collect();
    Placement { path, places, codecs: Vec::new(), exits: exits.get(&exit_sets(graph)).clone() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8_000))]

    #[test]
    fn totals_are_those_of_the_formulas(
        graph in any_graph(), topology in any_topology(), draw in any_draw(), input_at in any::<Index>(), answer_at in any::<Index>(),
    ) {
        let input_at = input_at.index(topology.tiers.len());
        let objective = Objective { input_at, codecs: CODECS.map(str::to_owned).to_vec(), ..Objective::default() };
        let mut placement = placement(&graph, &walks(&topology, &objective), &draw);
        let objective = Objective { answer_at: *answer_at.get(&placement.path), ..objective };
        let codec = |link: usize, tensor: TensorId| {
            let codings = &graph.tensors[tensor].codings;
            let draw = draw.3[(link * 11 + tensor) % draw.3.len()];
            if codings.is_empty() { String::new() } else { draw.get(codings).codec.clone() }
        };
        let reach = Reach::new(&graph, &placement.exits);
        let sum = Sum::new(&graph, &topology, &reach, &placement, objective.answer_at);
        let links = 0..placement.path.len() - 1;
        let codecs = links.map(|link| sum.crosses(link).into_iter().map(|tensor| codec(link, tensor)).collect()).collect();
        placement.codecs = codecs;
        let Placement { path, places, exits, .. } = &placement;
        let naive = Naive { graph: &graph, topology: &topology, objective: &objective, path, places, exits };
        let found = evaluate(&graph, &topology, &placement, objective.answer_at);
        match (found, naive.coded(codec).filter(|_| naive.fits())) {
            (Ok(plan), Some(amounts)) => {
                for ((stated, taken), rounding) in stated(&plan).into_iter().zip(amounts).zip(ROUNDING) {
                    prop_assert!((stated - taken).abs() <= rounding, "{taken}, not {stated}: {plan:#?}");
                }
            }
            (Err(_), None) => {}
            (found, wanted) => prop_assert!(false, "{found:?}, not {wanted:?}"),
        }
    }
}
