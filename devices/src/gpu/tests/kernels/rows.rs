//! Reductions, rows that are normalised, and rows of tables.

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use tract_onnx::prelude::{IntoTensor as _, tract_ndarray::ArrayD};
use tract_onnx::tract_hir::tract_core::ops::array::Gather;
use tract_onnx::tract_hir::tract_core::ops::change_axes::AxisOp;
use tract_onnx::tract_hir::tract_core::ops::math;
use tract_onnx::tract_hir::tract_core::ops::nn::{Reduce, Reducer, RmsNorm, Softmax, SoftmaxKind};
use tract_onnx::tract_hir::tract_core::prelude::{Datum as _, Tensor as EngineTensor};

use super::{Graph, cases, shape};

/// A shape and some of its axes.
fn with_axes() -> impl Strategy<Value = (Vec<usize>, Vec<usize>)> {
    shape(1..5, 6000).prop_flat_map(|shape| {
        let axes: Vec<usize> = (0..shape.len()).collect();
        let most = axes.len();
        (Just(shape), subsequence(axes, 1..=most))
    })
}

/// A tensor of this shape, that lies so or with two axes the other way round.
fn taken(graph: &mut Graph, shape: &[usize], moved: bool) -> tract_onnx::tract_hir::internal::OutletId {
    if !moved || shape.len() < 2 {
        return graph.input(shape);
    }
    let mut lies = shape.to_vec();
    let first = lies.remove(0);
    lies.push(first);
    let input = graph.input(&lies);
    graph.add(AxisOp::Move(shape.len() - 1, 0), &[input])
}

proptest! {
    #![proptest_config(cases(28))]

    #[test]
    fn reductions_agree(
        (shape, axes) in with_axes(),
        reducer in select(&[Reducer::Sum, Reducer::MeanOfSquares, Reducer::Max, Reducer::Min, Reducer::Prod][..]),
        moved in any::<bool>(),
        after in any::<bool>(),
    ) {
        let mut graph = Graph::default();
        let input = taken(&mut graph, &shape, moved);
        let made = graph.add(Reduce { axes: axes.into_iter().collect(), reducer }, &[input]);
        let made = if after { graph.add(math::add(), &[made, input]) } else { made };
        graph.agrees(&[made]);
    }

    #[test]
    fn softmax_agrees(
        (shape, axes) in with_axes(),
        kind in select(&[SoftmaxKind::Softmax, SoftmaxKind::LogSoftmax][..]),
        moved in any::<bool>(),
        after in any::<bool>(),
    ) {
        let mut graph = Graph::default();
        let input = taken(&mut graph, &shape, moved);
        let op = Softmax { axes: axes.into_iter().collect(), quant_output_dt: None, kind };
        let made = graph.add(op, &[input]);
        let made = if after { graph.add(math::mul(), &[made, input]) } else { made };
        graph.agrees(&[made]);
    }

    #[test]
    fn norms_agree((shape, axes) in with_axes(), moved in any::<bool>(), after in any::<bool>()) {
        let mut graph = Graph::default();
        let input = taken(&mut graph, &shape, moved);
        let eps = EngineTensor::from(1e-3_f32).into();
        let made = graph.add(RmsNorm { axis: axes[0], eps }, &[input]);
        let scale = graph.weights(&shape);
        let made = if after { graph.add(math::mul(), &[scale, made]) } else { made };
        graph.agrees(&[made]);
    }

    #[test]
    fn rows_of_tables_agree(
        (table, axes) in with_axes(),
        numbers in shape(0..3, 100),
        (constant, given) in (any::<bool>(), any::<bool>()),
        moved in any::<bool>(),
    ) {
        let mut graph = Graph::default();
        let (axis, rows) = (axes[0], table[axes[0]] as i64);
        let table = if constant { graph.weights(&table) } else { taken(&mut graph, &table, moved) };
        let all: Vec<i64> = (0..numbers.iter().product::<usize>() as i64)
            .map(|at| if at % 3 == 1 { -(at * 7 % rows) - 1 } else { at * 7 % rows })
            .collect();
        let all = ArrayD::from_shape_vec(&numbers[..], all).expect("as many").into_tensor();
        let numbers = if given && !constant {
            graph.constant(all)
        } else {
            let zeros = graph.input_of(i64::datum_type(), &numbers);
            let zero = graph.constant(EngineTensor::zero::<i64>(&vec![1; numbers.len()]).expect("zeros"));
            let zeros = graph.add(math::mul(), &[zeros, zero]);
            let all = graph.constant(all);
            graph.add(math::add(), &[zeros, all])
        };
        let made = graph.add(Gather::new(axis), &[table, numbers]);
        graph.agrees(&[made]);
    }
}
