//! Reductions, rows that are normalised, and rows of tables.

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use tract_onnx::prelude::{IntoTensor as _, tract_ndarray::ArrayD};
use tract_onnx::tract_hir::internal::OutletId;
use tract_onnx::tract_hir::tract_core::ops::array::Gather;
use tract_onnx::tract_hir::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_hir::tract_core::ops::logic::{Iff, comp_eq};
use tract_onnx::tract_hir::tract_core::ops::math;
use tract_onnx::tract_hir::tract_core::ops::nn::{Reduce, Reducer, RmsNorm, Softmax, SoftmaxKind};
use tract_onnx::tract_hir::tract_core::prelude::{Datum as _, Tensor as EngineTensor};

use super::super::super::lower::Bounds;
use super::{GPU, Graph, cases, lies, shape};

/// A shape and some of its axes.
fn with_axes() -> impl Strategy<Value = (Vec<usize>, Vec<usize>)> {
    shape(1..5, 6000).prop_flat_map(|shape| {
        let axes: Vec<usize> = (0..shape.len()).collect();
        let most = axes.len();
        (Just(shape), subsequence(axes, 1..=most))
    })
}

/// Beside the CPU, on a device as it is or on one with few workgroups in a row.
fn agrees(graph: Graph, made: OutletId, few: bool) {
    match GPU.as_ref() {
        Some(gpu) if few => graph.agrees_within(&[made], Bounds { groups: 83, threads: 64, ..Bounds::of(gpu) }),
        _ => graph.agrees(&[made]),
    }
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn reductions_agree(
        (shape, axes) in with_axes(),
        reducer in select(&[Reducer::Sum, Reducer::MeanOfSquares, Reducer::Max, Reducer::Min, Reducer::Prod][..]),
        lies in lies(),
        few in any::<bool>(),
        after in any::<bool>(),
    ) {
        let mut graph = Graph::default();
        let input = graph.operand(&shape, lies);
        let made = graph.add(Reduce { axes: axes.into_iter().collect(), reducer }, &[input]);
        let made = if after { graph.add(math::add(), &[made, input]) } else { made };
        agrees(graph, made, few);
    }

    #[test]
    fn softmax_agrees(
        (shape, axes) in with_axes(),
        kind in select(&[SoftmaxKind::Softmax, SoftmaxKind::LogSoftmax][..]),
        lies in lies(),
        few in any::<bool>(),
        after in any::<bool>(),
    ) {
        let mut graph = Graph::default();
        let input = graph.operand(&shape, lies);
        let op = Softmax { axes: axes.into_iter().collect(), quant_output_dt: None, kind };
        let made = graph.add(op, &[input]);
        let made = if after { graph.add(math::mul(), &[made, input]) } else { made };
        agrees(graph, made, few);
    }

    #[test]
    fn norms_agree((shape, axes) in with_axes(), lies in lies(),
        few in any::<bool>(), after in any::<bool>()) {
        let mut graph = Graph::default();
        let input = graph.operand(&shape, lies);
        let eps = EngineTensor::from(1e-3_f32).into();
        let made = graph.add(RmsNorm { axis: axes[0], eps }, &[input]);
        let scale = graph.weights(&shape);
        let made = if after { graph.add(math::mul(), &[scale, made]) } else { made };
        agrees(graph, made, few);
    }

    #[test]
    fn rows_of_tables_agree(
        (table, axes) in with_axes(),
        numbers in shape(0..3, 100),
        (constant, given) in (any::<bool>(), any::<bool>()),
        lies in lies(),
        few in any::<bool>(),
    ) {
        let mut graph = Graph::default();
        let (axis, rows) = (axes[0], table[axes[0]] as i64);
        let table = if constant { graph.weights(&table) } else { graph.operand(&table, lies) };
        let all: Vec<i64> = (0..numbers.iter().product::<usize>() as i64)
            .map(|at| if at % 3 == 1 { -(at * 7 % rows) - 1 } else { at * 7 % rows })
            .collect();
        let all = ArrayD::from_shape_vec(&numbers[..], all).expect("as many").into_tensor();
        let numbers = if given && !constant {
            graph.constant(all)
        } else {
            let any = graph.input_of(i64::datum_type(), &numbers);
            let same = graph.add(TypedBinOp(comp_eq(), None), &[any, any]);
            let all = graph.constant(all);
            graph.add(Iff, &[same, all, any])
        };
        let made = graph.add(Gather::new(axis), &[table, numbers]);
        agrees(graph, made, few);
    }
}
