//! Graphs of a few nodes, the same that the GPU's kernels are tried with, beside the CPU.

use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::select;
use thalweg_planner::Tensor;
use tract_onnx::tract_hir::internal::{DatumType, OutletId};
use tract_onnx::tract_hir::tract_core::ops::cast::Cast;
use tract_onnx::tract_hir::tract_core::ops::change_axes::AxisOp;
use tract_onnx::tract_hir::tract_core::ops::math;
use tract_onnx::tract_hir::tract_core::ops::nn::{Reduce, Reducer, Softmax, SoftmaxKind};
use tract_onnx::tract_hir::tract_core::ops::quant::{DequantizeLinearF32, quantize_linear_i8, quantize_linear_u8};
use tract_onnx::tract_hir::tract_core::prelude::Datum as _;

use super::{Onnxruntime, TOLERANCE, library};
use crate::agreement::difference_beside;
use crate::cases::convolution::{Bias, Window, bias, channels, convolved, followed, pooled, spread, window};
use crate::cases::{Graph, Lies, cases, chains, inputs, integers, lies, resize, rows, shape, size, sums, views};
use crate::cut::Partition;

static LIBRARY: LazyLock<Option<Onnxruntime>> = LazyLock::new(library);

/// What the library makes of the part is what is expected.
fn compare(part: &Partition, inputs: &[Tensor], expected: &[Tensor]) {
    let Some(library) = LIBRARY.as_ref() else { return };
    let stage = part.clone().prepare_by_onnxruntime(library).unwrap_or_else(|cause| panic!("{cause}\n{}", part.graph));
    let made = stage.run(inputs).unwrap_or_else(|cause| panic!("{cause}\n{}", part.graph));
    let off = difference_beside(sums::scale(&part.graph), &made, expected);
    let begins = |tensor: &Tensor| match tensor.to_f32() {
        Some(all) => format!("{:?}", &all[..all.len().min(24)]),
        None => format!("{} {:?}", tensor.spec(), &tensor.data()[..tensor.data().len().min(96)]),
    };
    let shown = |tensors: &[Tensor]| tensors.iter().map(begins).collect::<Vec<_>>();
    let (made, expected) = (shown(&made), shown(expected));
    assert!(off <= TOLERANCE, "off by {off:e}: {made:?} for {expected:?} of\n{}", part.graph);
}

/// It makes what the CPU makes.
fn agrees(graph: Graph, outputs: &[OutletId]) {
    let part = graph.part(outputs);
    let inputs = inputs(&part);
    let expected = part.clone().prepare_plain().expect("the CPU").run(&inputs).expect("the CPU");
    compare(&part, &inputs, &expected);
}

fn convolution(window: &Window, channels: (usize, usize, usize), bias: Bias, (lies, after): (Lies, u8)) {
    let mut graph = Graph::default();
    let made = convolved(&mut graph, window, channels, bias, lies);
    let made = followed(&mut graph, made, after);
    agrees(graph, &[made]);
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn convolutions_agree(
        window in window(4), channels in channels(), bias in bias(), lies in lies(), after in 0_u8..3,
    ) {
        convolution(&window, channels, bias, (lies, after));
    }

    #[test]
    fn convolutions_with_a_window_of_one_agree(
        window in window(1), channels in channels(), bias in bias(), lies in lies(), after in 0_u8..3,
    ) {
        convolution(&window, channels, bias, (lies, after));
    }

    #[test]
    fn transposed_convolutions_agree(
        window in window(4), (_, inputs, outputs) in channels(), bias in bias(), lies in lies(),
        adjusted in (0_usize..3, 0_usize..3),
    ) {
        let made = spread(&window, (inputs, outputs), bias, adjusted, lies);
        prop_assume!(made.is_some());
        let (graph, made) = made.expect("it was looked at");
        agrees(graph, &[made]);
    }

    #[test]
    fn pools_of_the_largest_agree(window in window(4), channels in 1_usize..6, lies in lies()) {
        let mut graph = Graph::default();
        let made = pooled(&mut graph, &window, channels, None, lies);
        agrees(graph, &[made]);
    }

    #[test]
    fn pools_of_sums_agree(
        window in window(4), channels in 1_usize..6, lies in lies(),
        count_include_pad in any::<bool>(), normalize in any::<bool>(),
    ) {
        // The mean of nothing is not compared.
        prop_assume!(count_include_pad || !normalize || window.sees_everywhere());
        let mut graph = Graph::default();
        let made = pooled(&mut graph, &window, channels, Some([count_include_pad, normalize]), lies);
        agrees(graph, &[made]);
    }

    #[test]
    fn images_of_other_sizes_agree(
        op in resize::resize(), from in shape(1..5, 4096), to in prop::collection::vec(size(), 4), lies in lies(),
    ) {
        let (graph, made) = resize::to_sizes(op, &from, &to, lies);
        agrees(graph, &[made]);
    }

    #[test]
    fn images_at_other_scales_agree(
        op in resize::resize(), from in shape(2..4, 2048), scales in prop::collection::vec(0.3_f32..3.0, 3),
        lies in lies(),
    ) {
        prop_assume!(from.iter().zip(&scales).all(|(from, scale)| *from as f32 * scale >= 1.0));
        let (graph, made) = resize::to_scales(op, &from, &scales, lies);
        agrees(graph, &[made]);
    }

    #[test]
    fn reductions_agree(
        (shape, axes) in rows::with_axes(),
        reducer in select(&[
            Reducer::Sum, Reducer::MeanOfSquares, Reducer::Max, Reducer::Min, Reducer::Prod,
        ][..]),
        lies in lies(), after in any::<bool>(),
    ) {
        let op = Reduce { axes: axes.into_iter().collect(), reducer };
        let (graph, made) = rows::of_rows(op, &shape, lies, after);
        agrees(graph, &[made]);
    }

    #[test]
    fn places_of_the_largest_and_the_smallest_agree(
        (shape, axes) in rows::with_axes(), last in any::<bool>(), largest in any::<bool>(), lies in lies(),
    ) {
        let reducer = if largest { Reducer::ArgMax(last) } else { Reducer::ArgMin(last) };
        let op = Reduce { axes: axes.into_iter().take(1).collect(), reducer };
        let (graph, made) = rows::of_rows(op, &shape, lies, false);
        agrees(graph, &[made]);
    }

    #[test]
    fn softmax_agrees(
        (shape, axes) in rows::with_axes(),
        kind in select(&[SoftmaxKind::Softmax, SoftmaxKind::LogSoftmax][..]),
        lies in lies(), after in any::<bool>(),
    ) {
        let op = Softmax { axes: axes.into_iter().collect(), quant_output_dt: None, kind };
        let (graph, made) = rows::of_rows(op, &shape, lies, after);
        agrees(graph, &[made]);
    }

    #[test]
    fn norms_agree((shape, axes) in rows::with_axes(), lies in lies(), after in any::<bool>()) {
        let (graph, made) = rows::norm(&shape, axes[0], lies, after);
        agrees(graph, &[made]);
    }

    #[test]
    fn rows_of_tables_agree(
        (table, axes) in rows::with_axes(), numbers in shape(0..3, 100),
        kinds in (any::<bool>(), any::<bool>()), lies in lies(),
    ) {
        let (graph, made) = rows::of_table(&table, axes[0], &numbers, kinds, lies);
        agrees(graph, &[made]);
    }

    #[test]
    fn functions_of_integers_agree(
        datum in select(vec![DatumType::I64, DatumType::I32]),
        nodes in proptest::collection::vec((0_usize..12, 0_usize..9, 0_usize..9), 1..6),
        constant in select(&[0_i64, 1, -3, 16_777_217][..]),
    ) {
        let (graph, outputs) = integers::functions(datum, &nodes, constant);
        agrees(graph, &outputs);
    }
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn sums_of_products_agree(sum in sums::sum()) {
        let (graph, made) = sum.graph();
        if sum.repeated.is_none() {
            return { agrees(graph, &[made]); Ok(()) };
        }
        // The engine repeats an axis wrongly where nothing is summed.
        let part = graph.part(&[made]);
        let data = sum.expected().iter().flat_map(|value| value.to_le_bytes()).collect();
        let expected = Tensor::new(part.gives[0].spec.clone(), data).expect("as long as its spec says");
        compare(&part, &inputs(&part), &[expected]);
    }

    #[test]
    fn chains_agree(nodes in chains::nodes(), given in proptest::collection::vec(0_usize..12, 0..4)) {
        let (graph, outputs) = chains::chain(&nodes, &given);
        agrees(graph, &outputs);
    }

    #[test]
    fn chains_of_views_agree(
        shape in shape(1..4, 1500), nodes in views::nodes(), given in proptest::collection::vec(0_usize..9, 0..3),
    ) {
        let (graph, outputs) = views::chain(&shape, &nodes, &given);
        agrees(graph, &outputs);
    }
}

/// Beyond the ends of a type the CPU keeps to them, and what is computed in few bits wraps.
#[test]
fn casts_and_what_wraps_agree() {
    let types = [DatumType::U8, DatumType::I8, DatumType::I16, DatumType::I32, DatumType::I64];
    for datum in types {
        for factor in [3.0_f32, 100_000.0, 1e12, 1e30] {
            let mut graph = Graph::default();
            let value = graph.input(&integers::SHAPE);
            let by = graph.constant(tract_onnx::prelude::tensor2(&[[factor]]));
            let value = graph.add(math::mul(), &[value, by]);
            let cast = graph.add(Cast { to: datum }, &[value]);
            let float = graph.add(Cast { to: DatumType::F32 }, &[cast]);
            let root = graph.add(math::sqrt(), &[value]);
            // No number where that is negative, else 0.
            let none = graph.add(math::sub(), &[root, root]);
            let none = graph.add(Cast { to: datum }, &[none]);
            agrees(graph, &[cast, float, none]);
        }
        let mut graph = Graph::default();
        let value = graph.input_of(datum, &integers::SHAPE);
        let sum = graph.add(math::add(), &[value, value]);
        let product = graph.add(math::mul(), &[sum, value]);
        agrees(graph, &[sum, product]);
    }
}

#[test]
fn floats_become_integers_of_8_bits_and_back() {
    let mut graph = Graph::default();
    let value = graph.input(&integers::SHAPE);
    let made =
        [graph.add(quantize_linear_u8(150.0, 100), &[value]), graph.add(quantize_linear_i8(150.0, -3), &[value])];
    let back = made.map(|value| graph.add(DequantizeLinearF32::new(1.0 / 150.0, 100), &[value]));
    agrees(graph, &[made[0], made[1], back[0], back[1]]);
}

#[test]
fn every_type_crosses_the_border() {
    let types =
        [DatumType::F16, DatumType::U8, DatumType::I8, DatumType::I16, DatumType::I32, DatumType::I64, DatumType::Bool];
    for datum in types {
        let mut graph = Graph::default();
        let value = graph.input_of(datum, &integers::SHAPE);
        let turned = graph.add(AxisOp::Move(0, 1), &[value]);
        let float = graph.add(Cast { to: f32::datum_type() }, &[value]);
        let float = graph.add(math::neg(), &[float]);
        agrees(graph, &[value, turned, float]);
    }
}
