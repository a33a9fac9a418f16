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

/// The layers of the sample network, cut in their order along its path.
fn cut(cuts: &[usize], codecs: &[&str], topology: &Topology) -> Plan {
    let codecs: Vec<String> = codecs.iter().map(|codec| (*codec).to_owned()).collect();
    let placement = Placement::in_order(&network(), &[0, 1, 2], cuts, &codecs).expect("a placement");
    evaluate(&network(), topology, &placement, 0).expect("a plan")
}

#[test]
fn each_time_is_that_of_the_front_page() {
    let mut topology = path();
    (topology.tiers[0].watts, topology.tiers[1].price_hour) = (2.0, 3.6);
    (topology.links[0].direction.nanojoules_byte, topology.links[1].direction.price_gb) = (10.0, 5.0);
    let plan = cut(&[1], &["f16"], &topology);
    let crossing = &plan.crossings[0];
    // `conv` takes 2 ms at 8, `pool` and `fc` 5 ms at 2. f16 takes 100 us at 8 and 50 us at 2.
    assert_eq!([plan.hops[0].compute, plan.hops[1].compute], [16, 10].map(Duration::from_millis));
    assert_eq!([crossing.encode, crossing.decode], [800, 100].map(Duration::from_micros));
    // 50,176 bytes are 52,444 with headers, and 192 around them: 52,636 bytes at 20 Mbit/s, and 2 ms of delay.
    assert_eq!((crossing.busy, crossing.wire), (Duration::from_nanos(21_054_400), Duration::from_nanos(23_054_400)));
    // 4,000 bytes of answer are 4,181, and 192.
    assert_eq!(
        (crossing.answer_busy, crossing.answer),
        (Duration::from_nanos(1_749_200), Duration::from_nanos(3_749_200))
    );
    let totals = plan.totals;
    assert_eq!(totals.latency, Duration::from_nanos(16_000_000 + 10_000_000 + 900_000 + 23_054_400 + 3_749_200));
    assert_eq!(totals.interval, crossing.busy);
    assert_eq!(totals.bytes, Bytes(52_636 + 4_373));
    assert_eq!(totals.energy, Energy(16_800_000 * 2 + 52_636 * 10));
    // 10.1 ms at 3.60 an hour are 10,100 billionths.
    assert_eq!((totals.price, totals.loss), (Price(10_100 + 4_373 * 5), crate::Loss(1)));
}

#[test]
fn a_tier_without_layers_neither_decodes_nor_encodes() {
    let coding = |codecs: &[&str]| -> Vec<(bool, bool)> {
        let plan = cut(&[0, 0], codecs, &path());
        assert!(plan.hops[1].layers.is_empty() && plan.hops[1].takes == [0]);
        plan.crossings.iter().map(|crossing| (!crossing.encode.is_zero(), !crossing.decode.is_zero())).collect()
    };
    assert_eq!(coding(&["jpeg/90", "jpeg/90"]), [(true, false), (false, true)]);
    assert_eq!(coding(&["f32", "jpeg/90"]), [(false, false), (true, true)], "another codec from there on");
}

#[test]
fn tiers_past_the_last_layer_are_not_in_the_plan() {
    let topology = crate::sample::roomy(path());
    let plan = cut(&[3, 3], &["nothing", "at all"], &topology);
    assert_eq!((plan.hops.len(), &plan.hops[0].layers, plan.latency), (1, &vec![0, 1, 2], Duration::from_millis(56)));
    assert_eq!(cut(&[3], &["nothing"], &topology), plan);
}

#[test]
fn what_lies_behind_an_exit_counts_by_the_requests_that_pass_it() {
    let mut graph = network();
    graph.outputs.push(2);
    graph.exits.push(crate::Exit { output: 2, probability: 0.75, loss: crate::Loss(40) });
    let placement =
        Placement { path: vec![0, 1], places: vec![0, 0, 1], codecs: vec![vec!["f32".to_owned()]], exits: vec![0] };
    let plan = evaluate(&graph, &path(), &placement, 0).expect("a plan");
    let crossing = &plan.crossings[0];
    assert_eq!([plan.hops[0].compute, plan.hops[1].compute], [24, 2].map(Duration::from_millis));
    // A quarter of 5,352 bytes with headers, and 192, at 20 Mbit/s, and of 2 ms.
    assert_eq!(crossing.wire, Duration::from_nanos((5_352 + 192) * 400 / 4 + 500_000));
    assert_eq!((plan.totals.bytes, plan.totals.loss), (Bytes((5_352 + 192 + 4_181 + 192) / 4), crate::Loss(40)));
}
