//! Chains of element-wise nodes.

use proptest::prelude::*;
use tract_onnx::tract_hir::internal::{OutletId, tvec};
use tract_onnx::tract_hir::tract_core::ops::TypedOp;
use tract_onnx::tract_hir::tract_core::ops::array::{Pad, PadMode, Slice, TypedConcat};
use tract_onnx::tract_hir::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_hir::tract_core::ops::change_axes::AxisOp;
use tract_onnx::tract_hir::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_hir::tract_core::ops::logic::{Iff, comp_eq, comp_gt, comp_gte, comp_lt, comp_lte, comp_ne};
use tract_onnx::tract_hir::tract_core::ops::math;
use tract_onnx::tract_hir::tract_core::ops::nn::{
    Softmax, SoftmaxKind, gelu_approximate, gelu_exact, hard_swish, leaky_relu, sigmoid, silu,
};
use tract_onnx::tract_hir::tract_core::prelude::{Datum as _, Tensor as EngineTensor};

use super::Graph;

pub(crate) const SHAPE: [usize; 3] = [3, 5, 7];

/// One node on values that are there, by numbers that are taken modulo their count.
pub(crate) type Node = (usize, usize, usize, usize);

/// Functions of one number that are defined for all.
fn unary(number: usize) -> Option<Box<dyn TypedOp>> {
    Some(match number {
        0 => math::abs().into(),
        1 => math::exp().into(),
        2 => math::square().into(),
        3 => math::ceil().into(),
        4 => math::floor().into(),
        5 => math::round_half_to_even().into(),
        6 => math::cos().into(),
        7 => math::sin().into(),
        8 => math::tanh().into(),
        9 => math::erf().into(),
        10 => math::neg().into(),
        11 => sigmoid().into(),
        12 => hard_swish().into(),
        13 => leaky_relu(0.3).into(),
        14 => gelu_exact::gelu_exact().into(),
        15 => gelu_approximate::gelu_approximate(false).into(),
        16 => silu::silu().into(),
        17 => math::pow_const(2.0).into(),
        _ => return None,
    })
}

fn add_node(graph: &mut Graph, values: &[OutletId], (op, a, b, c): Node) -> OutletId {
    let c_at = c;
    let [a, b, c] = [a, b, c].map(|value| values[value % values.len()]);
    if let Some(op) = unary(op) {
        return graph.add(op, &[a]);
    }
    match op {
        18 | 19 => graph.add(math::add(), &[a, b]),
        20 => graph.add(math::sub(), &[a, b]),
        21 => graph.add(math::subf(), &[a, b]),
        22 | 23 => graph.add(math::mul(), &[a, b]),
        24 => graph.add(math::min(), &[a, b]),
        25 => graph.add(math::max(), &[a, b]),
        26 => {
            // Divided by what is 1 or more.
            let square = graph.add(math::square(), &[b]);
            let one = graph.constant(tract_onnx::prelude::tensor3(&[[[1_f32]]]));
            let by = graph.add(math::add(), &[square, one]);
            let root = graph.add(math::sqrt(), &[by]);
            let made = graph.add(math::div(), &[a, root]);
            let part = graph.add(math::rsqrt(), &[by]);
            let log = graph.add(math::ln(), &[by]);
            let part = graph.add(math::mul(), &[part, log]);
            let reciprocal = graph.add(math::recip(), &[by]);
            let part = graph.add(math::sub(), &[part, reciprocal]);
            graph.add(math::add(), &[made, part])
        }
        27 => {
            let compare = [comp_eq, comp_ne, comp_lt, comp_gt, comp_lte, comp_gte][graph.model.nodes.len() % 6];
            let test = graph.add(TypedBinOp(compare(), None), &[a, b]);
            graph.add(Iff, &[test, b, c])
        }
        28 => {
            let moved = graph.add(AxisOp::Move(0, 2), &[a]);
            graph.add(AxisOp::Move(2, 0), &[moved])
        }
        29 => graph.add(Softmax { axes: tvec![2], quant_output_dt: None, kind: SoftmaxKind::Softmax }, &[a]),
        30 => {
            let sizes = [graph.shape(a)[2], SHAPE[2]];
            let by = graph.weights(&sizes);
            graph.add(EinSum::new("abk,kn->abn".parse().expect("axes"), f32::datum_type()), &[a, by])
        }
        31 => {
            // Joined, and a part of that which has something of both.
            let (size, second) = (graph.shape(a)[2], if graph.shape(a) == graph.shape(b) { b } else { a });
            let joined = graph.add(TypedConcat::new(2), &[a, second, a]);
            graph.add(Slice::new(2, c_at % 2 + 1, c_at % 2 + 1 + size), &[joined])
        }
        32 => {
            let size = graph.shape(a)[1];
            let mode = PadMode::Constant(EngineTensor::from(0.5_f32).into());
            let padded = graph.add(Pad { pads: vec![(0, 0), (1, 2), (0, 0)], mode }, &[a]);
            graph.add(Slice::new(1, c_at % 4, c_at % 4 + size), &[padded])
        }
        _ => {
            let moved = graph.add(AxisOp::Move(1, 2), &[a]);
            let bent = graph.add(math::tanh(), &[moved]);
            graph.add(AxisOp::Move(2, 1), &[bent])
        }
    }
}

/// Grows no number: what comes out is between -1 and 1 again.
pub(crate) fn chain(nodes: &[Node], given: &[usize]) -> (Graph, Vec<OutletId>) {
    let mut graph = Graph::default();
    let mut values = vec![graph.input(&SHAPE), graph.input(&[1, 5, 1]), graph.input(&SHAPE)];
    let constant = graph.weights(&[3, 1, 7]);
    values.push(graph.add(AxisOp::Move(0, 0), &[constant]));
    values.push(graph.constant(tract_onnx::prelude::tensor3(&[[[0.25_f32]]])));
    for node in nodes {
        let made = add_node(&mut graph, &values, *node);
        let bounded = graph.add(math::sin(), &[made]);
        values.push(if node.0 % 3 == 0 { bounded } else { made });
    }
    let mut outputs = vec![*values.last().expect("some")];
    for value in given {
        let outlet = values[value % values.len()];
        let is_made = !graph.model.node(outlet.node).inputs.is_empty();
        if is_made && !outputs.contains(&outlet) {
            outputs.push(outlet);
        }
    }
    (graph, outputs)
}

pub(crate) fn nodes() -> impl Strategy<Value = Vec<Node>> {
    proptest::collection::vec((0_usize..34, 0_usize..12, 0_usize..12, 0_usize..12), 1..8)
}
