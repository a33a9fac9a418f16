//! Functions of one number: beside their definitions, and in kernels beside alone.

use proptest::prelude::*;
use thalweg_planner::Tensor;
use tract_onnx::prelude::{IntoTValue as _, tensor1};
use tract_onnx::tract_hir::internal::tvec;
use tract_onnx::tract_hir::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_hir::tract_core::ops::math;
use tract_onnx::tract_hir::tract_core::ops::nn::{hard_swish, sigmoid, silu};

use super::instructions::instructions;
use super::{agrees, bias, channels, convolved, floats, lies, many_channels, over_planes, own, three_by_three, window};
use crate::cases::{Graph, cases, inputs};
use crate::cpu::chain::Chain;
use crate::cpu::function::Function;
use crate::cpu::steps::Step;
use crate::cut::Partition;

/// An operator of a graph, and what it is defined as.
type Defined = (fn() -> ElementWiseOp, fn(f64) -> f64);

pub(super) const FUNCTIONS: [Defined; 3] = [
    (sigmoid, |x| 1.0 / (1.0 + (-x).exp())),
    (silu::silu, |x| x / (1.0 + (-x).exp())),
    (hard_swish, |x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0)),
];

/// By each set of instructions.
fn made(function: fn() -> ElementWiseOp, of: &[f32]) -> impl Iterator<Item = Vec<f32>> {
    let mut graph = Graph::default();
    let image = graph.input(&[of.len()]);
    let made = graph.add(function(), &[image]);
    let function = Function::of(graph.model.node(made.node)).expect("a function");
    let chain = Chain { steps: vec![Step::Apply(function)], shape: tvec![of.len()], channels: 1, plane: of.len() };
    let image = tensor1(of).into_tvalue();
    instructions().into_iter().map(move |arch| {
        let made = chain.run_on(arch, std::slice::from_ref(&image)).expect("a run");
        floats(&made[0]).expect("floats").to_vec()
    })
}

#[test]
fn functions_are_what_they_are_defined_as() {
    let numbers: Vec<f32> =
        (-30_000_i16..=30_000).map(|at| f32::from(at) / 350.0).chain([0.0, -0.0, 1e-30, -1e-30]).collect();
    // Where a sum nears zero only what is left of its bits is there.
    for ((function, defined), rest) in FUNCTIONS.into_iter().zip([0.0, 0.0, 4e-7]) {
        for made in made(function, &numbers) {
            for (x, made) in numbers.iter().zip(made) {
                let expected = defined(f64::from(*x));
                let off = (f64::from(made) - expected).abs();
                assert!(off <= expected.abs() * 1e-6 + rest, "{made:e} of {x}, not {expected:e}: {:?}", function());
            }
        }
    }
}

#[test]
fn functions_have_values_at_the_ends() {
    let ends = [f32::INFINITY, f32::MAX, f32::NEG_INFINITY, f32::MIN, f32::NAN];
    let [(sigmoid, _), swishes @ ..] = FUNCTIONS;
    for made in made(sigmoid, &ends) {
        assert!(made[..2] == [1.0, 1.0] && made[4].is_nan(), "{made:?}");
        assert!(made[2..4].iter().all(|made| (0.0..1e-37).contains(made)), "{made:?}");
    }
    for (swish, _) in swishes {
        for made in made(swish, &ends) {
            assert!(made[..2] == ends[..2] && made[4].is_nan(), "{made:?}");
        }
    }
}

proptest! {
    #![proptest_config(cases(150))]

    /// What is added after it, or multiplied by the convolution again, is done in the same kernel.
    #[test]
    fn a_function_makes_the_same_bits_after_a_convolution_as_alone(
        (window, channels) in prop_oneof![(window(5), channels()), three_by_three(), (window(5), many_channels())],
        (bias, lies) in (bias(), lies()),
        number in 0..FUNCTIONS.len(),
        (scales, gates, adds) in any::<(bool, bool, bool)>(),
    ) {
        let mut graph = Graph::default();
        let convolution = convolved(&mut graph, &window, channels, bias, lies);
        let shape = graph.shape(convolution);
        let after = |graph: &mut Graph, of| {
            let factor = graph.constant(tensor1(&[1.5_f32]).into_shape(&vec![1; shape.len()]).expect("one"));
            let scaled = if scales { graph.add(math::mul(), &[of, factor]) } else { of };
            let made = graph.add(FUNCTIONS[number].0(), &[scaled]);
            let made = if gates { graph.add(math::mul(), &[made, of]) } else { made };
            if adds { graph.add(math::add(), &[made, factor]) } else { made }
        };
        let mut head = Graph::default();
        let crossing = convolved(&mut head, &window, channels, bias, lies);
        let head = head.part(&[crossing]);
        let made = after(&mut graph, convolution);
        let whole = graph.part(&[made]);
        let mut tail = Graph::default();
        let crossing = tail.input(&shape);
        let made = after(&mut tail, crossing);
        let tail = tail.part(&[made]);
        prop_assert_eq!([own(&whole), own(&tail)], [1, 1], "{}", whole.graph);
        let of = inputs(&whole);
        let run = |part: &Partition, of: &[Tensor]| part.clone().prepare().expect("kernels").run(of).expect("a run");
        let apart = || run(&tail, &run(&head, &of));
        prop_assert!(run(&whole, &of) == apart(), "a cut changes bits of\n{}", whole.graph);
        let planes = over_planes(|| [run(&whole, &of), apart()]);
        prop_assert!(planes[0] == planes[1], "a cut changes bits over planes of\n{}", whole.graph);
        agrees(tail);
    }
}
