//! Reductions, rows that are normalised, and rows of tables.

use proptest::prelude::*;
use proptest::sample::select;
use tract_onnx::tract_hir::internal::OutletId;
use tract_onnx::tract_hir::tract_core::ops::nn::{Reduce, Reducer, Softmax, SoftmaxKind};

use super::super::super::lower::Bounds;
use super::{GPU, Graph, cases, lies, shape};
use crate::cases::rows::{norm, of_rows, of_table, with_axes};

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
        let op = Reduce { axes: axes.into_iter().collect(), reducer };
        let (graph, made) = of_rows(op, &shape, lies, after);
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
        let op = Softmax { axes: axes.into_iter().collect(), quant_output_dt: None, kind };
        let (graph, made) = of_rows(op, &shape, lies, after);
        agrees(graph, made, few);
    }

    #[test]
    fn norms_agree((shape, axes) in with_axes(), lies in lies(),
        few in any::<bool>(), after in any::<bool>()) {
        let (graph, made) = norm(&shape, axes[0], lies, after);
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
        let (graph, made) = of_table(&table, axes[0], &numbers, (constant, given), lies);
        agrees(graph, made, few);
    }
}
