//! What stays on the device: between two of its turns in one part, and between two parts.

use proptest::prelude::*;
use thalweg_planner::Tensor;
use tract_onnx::prelude::tensor2;
use tract_onnx::tract_hir::internal::OutletId;
use tract_onnx::tract_hir::tract_core::ops::array::Trilu;
use tract_onnx::tract_hir::tract_core::ops::math;

use super::kernels::device;
use super::{difference, gpu, model, on_gpu};
use crate::Precision;
use crate::cases::{Graph, cases, inputs};
use crate::cut::Partition;
use crate::stage::{Seam, Stage};

/// The last two nodes of a graph, each of which reads two that come before it: it adds, or zeroes below the diagonal, which
/// has no kernel.
fn graph(nodes: &[(bool, usize, usize)]) -> Partition {
    numbered(nodes, 1)
}

/// The same, where each node adds a number of its own, from this one on: of three equal nodes tract 0.23 merges the last with
/// the second after that was merged with the first, where these two are outputs, and runs what it has taken out
/// (`optim/push_split_down.rs`).
fn numbered(nodes: &[(bool, usize, usize)], from: usize) -> Partition {
    let mut graph = Graph::default();
    let first = graph.constant(0_i64.into());
    let mut made = vec![graph.input(&[5, 7]), graph.input(&[5, 7])];
    for (at, (has_kernel, one, other)) in (from..).zip(nodes) {
        let [one, other] = [one, other].map(|place| made[place % made.len()]);
        let own = graph.constant(tensor2(&[[at as f32 / 16.0]]));
        let sum = graph.add(math::add(), &[one, other]);
        let sum = graph.add(math::add(), &[sum, own]);
        made.push(if *has_kernel {
            graph.add(math::sin(), &[sum])
        } else {
            graph.add(Trilu { upper: true }, &[sum, first])
        });
    }
    let outputs: Vec<OutletId> = made[made.len() - 2..].to_vec();
    graph.part(&outputs)
}

/// Numbers that differ from seed to seed.
fn other_inputs(part: &Partition, seed: usize) -> Vec<Tensor> {
    let shifted = |tensor: Tensor| {
        let numbers = tensor.to_f32().expect("of f32");
        let data = numbers.iter().flat_map(|number| (number + seed as f32 / 8.0).to_le_bytes()).collect();
        Tensor::new(tensor.spec().clone(), data).expect("as long as it was")
    };
    inputs(part).into_iter().map(shifted).collect()
}

proptest! {
    #![proptest_config(cases(40))]

    #[test]
    fn turns_make_what_the_cpu_makes(nodes in proptest::collection::vec((any::<bool>(), 0_usize..9, 0_usize..9), 1..9)) {
        let Some(gpu) = device(Precision::F32) else { return Ok(()) };
        let part = graph(&nodes);
        let cpu = part.clone().prepare_plain().expect("the CPU");
        let stage = part.clone().prepare_on(gpu).expect("kernels");
        for seed in 0..2 {
            let inputs = other_inputs(&part, seed);
            let (made, expected) = (stage.run(&inputs).expect("a run"), cpu.run(&inputs).expect("the CPU"));
            prop_assert!(difference(&made, &expected) <= Precision::F32.tolerance());
        }
        prop_assert!(stage.coverage().submits <= 3, "{} submissions", stage.coverage().submits);
    }
}

#[test]
fn of_many_turns_the_device_keeps_three() {
    let Some(gpu) = gpu() else { return };
    // Four turns of the device, the second of which has two sums and the others one.
    let nodes = [
        (true, 0, 1),
        (false, 2, 2),
        (true, 3, 3),
        (true, 4, 4),
        (false, 5, 5),
        (true, 6, 6),
        (false, 7, 7),
        (true, 8, 8),
    ];
    let part = graph(&nodes);
    let stage = part.clone().prepare_on(&gpu).expect("kernels");
    let coverage = stage.coverage();
    assert_eq!(coverage.submits, 3);
    let apart = coverage.left.iter().filter(|(_, _, why)| why.contains("submission of its own")).count();
    assert!(coverage.left.len() > 3 && apart == coverage.left.len() - 3, "{:?}", coverage.left);
    let inputs = inputs(&part);
    let expected = part.prepare_plain().expect("the CPU").run(&inputs).expect("the CPU");
    assert!(difference(&stage.run(&inputs).expect("a run"), &expected) <= Precision::F32.tolerance());
}

/// A sum, the upper half of it, and the sum of both: the device has two turns.
const AROUND: [(bool, usize, usize); 3] = [(true, 0, 1), (false, 2, 2), (true, 2, 3)];

#[test]
fn what_only_the_device_reads_does_not_cross() {
    let Some(gpu) = gpu() else { return };
    let part = graph(&AROUND);
    let stage = part.clone().prepare_on(&gpu).expect("kernels");
    assert_eq!((stage.coverage().submits, stage.coverage().left.len()), (2, 1));
    // Two inputs and the upper half go up, through a buffer of the host into one of the device; what it is the half of and the
    // last sum come down.
    assert_eq!(stage.memory().ports, (3 * 2 + 2) * 5 * 7 * 4);
}

#[test]
fn runs_at_the_same_time_do_not_mix() {
    let Some(gpu) = gpu() else { return };
    let part = graph(&AROUND);
    let stage = part.clone().prepare_on(&gpu).expect("kernels");
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let (inputs, stage) = (other_inputs(&part, seed), &stage);
            let expected = part.clone().prepare_plain().expect("the CPU").run(&inputs).expect("the CPU");
            scope.spawn(move || {
                for _ in 0..20 {
                    let made = stage.run(&inputs).expect("a run");
                    assert!(difference(&made, &expected) <= Precision::F32.tolerance(), "seed {seed}");
                }
            });
        }
    });
}

/// What two parts give, one after the other.
fn apart(first: &Stage, next: &Stage, seam: &Seam, inputs: &[Tensor]) -> Vec<Tensor> {
    let made = first.run(&inputs[..2]).expect("a run");
    let mut elsewhere = inputs[2..].iter();
    let take =
        |from: &Option<usize>| from.map_or_else(|| elsewhere.next(), |place| made.get(place)).expect("it is there");
    let takes: Vec<Tensor> = seam.takes.iter().map(take).cloned().collect();
    let kept = seam.keeps.iter().map(|place| made[*place].clone());
    kept.chain(next.run(&takes).expect("a run")).collect()
}

proptest! {
    #![proptest_config(cases(40))]

    #[test]
    fn two_parts_make_as_one_what_they_make_apart(
        first in proptest::collection::vec((any::<bool>(), 0_usize..9, 0_usize..9), 2..6),
        next in proptest::collection::vec((any::<bool>(), 0_usize..9, 0_usize..9), 2..6),
        takes in proptest::collection::vec(proptest::option::of(0_usize..2), 2),
        keeps in proptest::sample::subsequence(vec![0_usize, 1], 0..=2),
    ) {
        let (first, next, seam) = (graph(&first), numbered(&next, 9), Seam { takes, keeps });
        let both = first.then(&next, &seam).expect("they fit");
        let [one, other] = [&first, &next].map(|part| part.clone().prepare().expect("the CPU"));
        let inputs = inputs(&both);
        let expected = apart(&one, &other, &seam, &inputs);
        prop_assert_eq!(&both.prepare().expect("the CPU").run(&inputs).expect("the CPU"), &expected);
        prop_assert!(one.then(&other, &seam).is_none(), "no GPU computes them");

        let Some(gpu) = device(Precision::F32) else { return Ok(()) };
        let joined = on_gpu(&first, gpu).then(&on_gpu(&next, gpu), &seam).expect("a GPU computes both");
        let off = difference(&joined.run(&inputs).expect("a run"), &expected);
        prop_assert!(off <= Precision::F32.tolerance(), "off by {}", off);
    }
}

#[test]
fn a_head_and_its_tail_are_the_whole_again_also_on_a_lost_device() {
    let Some(gpu) = gpu() else { return };
    let model = model("onnx_light/light_squeezenet", "");
    let (graph, inputs) = (model.describe(), crate::cases::models::inputs(&model));
    let expected = model.whole().expect("the CPU").run(&inputs).expect("the CPU");
    let cut = crate::cuts(&model, &graph, 1).swap_remove(7);
    let (below, above): (Vec<usize>, Vec<usize>) = (0..graph.layers.len()).partition(|at| *at < cut.at);
    let head = model.partition(&below, &graph.inputs, &cut.live).expect("a head");
    let tail = model.partition(&above, &cut.live, &graph.outputs).expect("a tail");
    let seam = Seam { takes: vec![Some(0)], keeps: vec![] };
    let joined = on_gpu(&head, &gpu).then(&on_gpu(&tail, &gpu), &seam).expect("a GPU computes both");
    assert_eq!(joined.on_gpu().expect("it does").1.coverage().submits, 1);
    assert!(difference(&joined.run(&inputs).expect("a run"), &expected) <= Precision::F32.tolerance());
    gpu.lose();
    assert_eq!(joined.run(&inputs).expect("the CPU takes over"), expected);
}

#[test]
fn parts_that_do_not_fit_are_not_joined() {
    let [one, long] = [&AROUND[..], &AROUND[..1]].map(graph);
    let model = model("onnx_light/light_squeezenet", "").whole_part().expect("a part");
    let seam = |takes: &[Option<usize>], keeps: &[usize]| Seam { takes: takes.to_vec(), keeps: keeps.to_vec() };
    let cases = [
        (&long, seam(&[Some(0)], &[]), "takes 2 tensors"),
        (&long, seam(&[Some(2), None], &[]), "and 2 is asked for"),
        (&long, seam(&[Some(0), None], &[5]), "and 5 is asked for"),
        (&model, seam(&[Some(0)], &[]), "is handed over for"),
    ];
    for (next, seam, says) in cases {
        let why = one.then(next, &seam).expect_err(says);
        assert!(why.contains(says), "{why}");
    }
}
