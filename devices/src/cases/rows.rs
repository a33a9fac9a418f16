//! Reductions, rows that are normalised, and rows of tables.

use proptest::prelude::*;
use proptest::sample::subsequence;
use tract_onnx::prelude::{IntoTensor as _, tract_ndarray::ArrayD};
use tract_onnx::tract_hir::internal::OutletId;
use tract_onnx::tract_hir::tract_core::ops::TypedOp;
use tract_onnx::tract_hir::tract_core::ops::array::Gather;
use tract_onnx::tract_hir::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_hir::tract_core::ops::logic::{Iff, comp_eq};
use tract_onnx::tract_hir::tract_core::ops::math;
use tract_onnx::tract_hir::tract_core::ops::nn::RmsNorm;
use tract_onnx::tract_hir::tract_core::prelude::{Datum as _, Tensor as EngineTensor};

use super::{Graph, Lies, shape};

/// A shape and some of its axes.
pub(crate) fn with_axes() -> impl Strategy<Value = (Vec<usize>, Vec<usize>)> {
    shape(1..5, 6000).prop_flat_map(|shape| {
        let axes: Vec<usize> = (0..shape.len()).collect();
        let most = axes.len();
        (Just(shape), subsequence(axes, 1..=most))
    })
}

/// A node of one input, and perhaps its product with that input.
pub(crate) fn of_rows(op: impl Into<Box<dyn TypedOp>>, shape: &[usize], lies: Lies, after: bool) -> (Graph, OutletId) {
    let mut graph = Graph::default();
    let input = graph.operand(shape, lies);
    let made = graph.add(op, &[input]);
    let made = if after { graph.add(math::mul(), &[made, input]) } else { made };
    (graph, made)
}

/// Rows that are divided by the root of the mean of their squares, and perhaps scaled.
pub(crate) fn norm(shape: &[usize], axis: usize, lies: Lies, after: bool) -> (Graph, OutletId) {
    let mut graph = Graph::default();
    let input = graph.operand(shape, lies);
    let eps = EngineTensor::from(1e-3_f32).into();
    let made = graph.add(RmsNorm { axis, eps }, &[input]);
    let scale = graph.weights(shape);
    let made = if after { graph.add(math::mul(), &[scale, made]) } else { made };
    (graph, made)
}

/// Rows of a table that is a constant or not, by numbers that are or not.
pub(crate) fn of_table(
    table: &[usize],
    axis: usize,
    numbers: &[usize],
    (constant, given): (bool, bool),
    lies: Lies,
) -> (Graph, OutletId) {
    let mut graph = Graph::default();
    let rows = table[axis] as i64;
    let table = if constant { graph.weights(table) } else { graph.operand(table, lies) };
    let all: Vec<i64> = (0..numbers.iter().product::<usize>() as i64)
        .map(|at| if at % 3 == 1 { -(at * 7 % rows) - 1 } else { at * 7 % rows })
        .collect();
    let all = ArrayD::from_shape_vec(numbers, all).expect("as many").into_tensor();
    let numbers = if given && !constant {
        graph.constant(all)
    } else {
        let any = graph.input_of(i64::datum_type(), numbers);
        let same = graph.add(TypedBinOp(comp_eq(), None), &[any, any]);
        let all = graph.constant(all);
        graph.add(Iff, &[same, all, any])
    };
    let made = graph.add(Gather::new(axis), &[table, numbers]);
    (graph, made)
}
