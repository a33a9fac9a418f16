//! Functions of one number: beside their definitions, and in kernels beside alone.

use proptest::prelude::*;
use proptest::sample::select;
use thalweg_planner::Tensor;
use tract_onnx::prelude::{IntoTValue as _, tensor1};
use tract_onnx::tract_hir::internal::{Datum as _, OutletId};
use tract_onnx::tract_hir::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_hir::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_hir::tract_core::ops::math;
use tract_onnx::tract_hir::tract_core::ops::nn::{hard_swish, sigmoid, silu};

use super::instructions::instructions;
use super::{
    Bias, Case, agrees, as_little_as_elsewhere, bias, channels, convolved, floats, lies, many_channels, over_planes,
    own, three_by_three, window,
};
use crate::cases::{Graph, Lies, cases, inputs};
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
    let chain = Chain::new(vec![Step::Apply(function)], &[of.len()], None);
    let image = tensor1(of).into_tvalue();
    instructions().into_iter().map(move |arch| {
        let made = chain.run_on(arch, std::slice::from_ref(&image)).expect("a run");
        floats(&made[0]).expect("floats").to_vec()
    })
}

#[test]
fn functions_are_what_they_are_defined_as() {
    let numbers: Vec<f32> =
        (-30_000_i16..=30_000).map(|at| f32::from(at) / 345.0).chain([0.0, -0.0, 1e-30, -1e-30]).collect();
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
            assert!(made[2..4].iter().all(|made| (-1e-35..=0.0).contains(made)), "{made:?}");
        }
    }
}

/// What a function follows.
#[derive(Debug, Clone)]
enum Maker {
    Convolution(Case, (usize, usize, usize), Bias),
    /// Of so many rows, inputs and outputs, with channels last or not.
    Product([usize; 3], bool),
}

fn maker() -> impl Strategy<Value = Maker> {
    let convolution = (prop_oneof![(window(5), channels()), three_by_three(), (window(5), many_channels())], bias());
    let size = || select(&[1_usize, 3, 16, 33, 48][..]);
    prop_oneof![
        3 => convolution.prop_map(|((window, channels), bias)| Maker::Convolution(window, channels, bias)),
        1 => ([size(), size(), size()], any::<bool>()).prop_map(|(sizes, is_last)| Maker::Product(sizes, is_last)),
    ]
}

impl Maker {
    fn made(&self, graph: &mut Graph, lies: Lies) -> OutletId {
        match self {
            Self::Convolution(window, channels, bias) => convolved(graph, window, *channels, *bias, lies),
            Self::Product([rows, inputs, outputs], is_last) => {
                let (axes, shape) =
                    if *is_last { ("ri,io->ro", [*rows, *inputs]) } else { ("ir,io->or", [*inputs, *rows]) };
                let operands = [graph.operand(&shape, lies), graph.weights(&[*inputs, *outputs])];
                graph.add(EinSum::new(axes.parse().expect("axes"), f32::datum_type()), &operands)
            }
        }
    }
}

/// A function, and what may be around it.
#[derive(Debug, Clone, Copy)]
struct After {
    function: usize,
    scales: bool,
    gates: bool,
    adds: bool,
}

impl After {
    fn made(self, graph: &mut Graph, of: OutletId) -> OutletId {
        let ones = vec![1; graph.shape(of).len()];
        let factor = graph.constant(tensor1(&[1.5_f32]).into_shape(&ones).expect("one"));
        let scaled = if self.scales { graph.add(math::mul(), &[of, factor]) } else { of };
        let made = graph.add(FUNCTIONS[self.function].0(), &[scaled]);
        let made = if self.gates { graph.add(math::mul(), &[made, of]) } else { made };
        if self.adds { graph.add(math::add(), &[made, factor]) } else { made }
    }
}

fn after() -> impl Strategy<Value = After> {
    let parts = (0..FUNCTIONS.len(), any::<bool>(), any::<bool>(), any::<bool>());
    parts.prop_map(|(function, scales, gates, adds)| After { function, scales, gates, adds })
}

proptest! {
    #![proptest_config(cases(200))]

    /// It is done in the kernel of what it follows, unless others want that too.
    #[test]
    fn a_function_makes_the_same_bits_after_a_kernel_as_alone(
        maker in maker(), lies in lies(), after in after(), others in any::<bool>(),
    ) {
        let mut graph = Graph::default();
        let crossing = maker.made(&mut graph, lies);
        let shape = graph.shape(crossing);
        let made = after.made(&mut graph, crossing);
        let whole = graph.part(&[made, crossing][..1 + usize::from(others)]);
        let mut head = Graph::default();
        let crossing = maker.made(&mut head, lies);
        let head = head.part(&[crossing]);
        let mut tail = Graph::default();
        let crossing = tail.input(&shape);
        let made = after.made(&mut tail, crossing);
        let tail = tail.part(&[made]);
        prop_assert_eq!(own(&tail), 1, "{}", tail.graph);
        prop_assert_eq!(own(&whole), if others { own(&head) + 1 } else { 1 }, "{}", whole.graph);
        let of = inputs(&whole);
        let run = |part: &Partition, of: &[Tensor]| part.clone().prepare().expect("kernels").run(of).expect("a run");
        let alike = || {
            let crossing = run(&head, &of);
            let apart = run(&tail, &crossing).into_iter().chain(crossing.into_iter().filter(|_| others));
            run(&whole, &of) == apart.collect::<Vec<_>>()
        };
        let all = [alike(), over_planes(alike), as_little_as_elsewhere(alike)];
        prop_assert_eq!(all, [true; 3], "a cut changes bits of\n{}", whole.graph);
        agrees(tail);
    }
}
