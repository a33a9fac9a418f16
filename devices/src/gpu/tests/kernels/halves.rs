//! Which weights are kept in f16, and what they are rounded to.

use half::f16;
use thalweg_planner::Tensor;
use tract_onnx::prelude::{IntoTensor as _, tract_ndarray::ArrayD};
use tract_onnx::tract_hir::internal::{OutletId, tvec};
use tract_onnx::tract_hir::tract_core::ops::array::Gather;
use tract_onnx::tract_hir::tract_core::ops::cnn::{Conv, KernelFormat, PaddingSpec, PoolSpec};
use tract_onnx::tract_hir::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_hir::tract_core::ops::math;
use tract_onnx::tract_hir::tract_core::ops::nn::DataFormat;
use tract_onnx::tract_hir::tract_core::prelude::Datum as _;

use super::super::super::ir::{Constant, Origin};
use super::super::super::lower::{Bounds, lower};
use super::{GPU_F16, Gpu, Graph, inputs, number};
use crate::cut::Partition;

type Make = fn(&mut Graph, &[f32]) -> OutletId;

fn constant(graph: &mut Graph, shape: &[usize], weights: &[f32]) -> OutletId {
    let weights = weights[..shape.iter().product()].to_vec();
    graph.constant(ArrayD::<f32>::from_shape_vec(shape, weights).expect("as many as the shape has").into_tensor())
}

fn product(graph: &mut Graph, axes: &str, operands: [OutletId; 2]) -> OutletId {
    graph.add(EinSum::new(axes.parse().expect("axes"), f32::datum_type()), &operands)
}

fn convolution(graph: &mut Graph, group: usize, weights: &[f32]) -> OutletId {
    let image = graph.input(&[1, 6, 9, 7]);
    let (kernel, bias) = (constant(graph, &[6, 6 / group, 3, 3], weights), graph.weights(&[6]));
    let pool_spec = PoolSpec {
        data_format: DataFormat::NCHW,
        kernel_shape: tvec![3, 3],
        padding: PaddingSpec::Valid,
        dilations: None,
        strides: None,
        input_channels: 6,
        output_channels: 6,
    };
    graph.add(Conv { pool_spec, kernel_fmt: KernelFormat::OIHW, group, q_params: None }, &[image, kernel, bias])
}

/// Every kernel that reads weights in f16, by the kernel that does.
fn kernels() -> Vec<(&'static str, Make)> {
    vec![
        ("matrix", |graph, weights| {
            let (left, right) = (constant(graph, &[13, 31], weights), graph.input(&[31, 17]));
            product(graph, "mk,kn->mn", [left, right])
        }),
        ("matrix", |graph, weights| {
            let (left, right) = (graph.input(&[13, 31]), constant(graph, &[31, 20], weights));
            product(graph, "mk,kn->mn", [left, right])
        }),
        ("matrix", |graph, weights| {
            let (left, right) = (constant(graph, &[3, 8, 16], weights), graph.input(&[3, 16, 5]));
            product(graph, "bmk,bkn->bmn", [left, right])
        }),
        ("vector", |graph, weights| {
            let (left, right) = (constant(graph, &[7, 67], weights), graph.input(&[1, 67]));
            product(graph, "mk,nk->nm", [left, right])
        }),
        ("vector", |graph, weights| {
            let (left, right) = (constant(graph, &[7, 68], weights), graph.input(&[1, 68]));
            product(graph, "mk,nk->nm", [left, right])
        }),
        ("matrix", |graph, weights| convolution(graph, 1, weights)),
        ("matrix", |graph, weights| convolution(graph, 2, weights)),
        ("depthwise", |graph, weights| convolution(graph, 6, weights)),
    ]
}

fn part(make: Make, weights: &[f32]) -> Partition {
    let mut graph = Graph::default();
    let made = make(&mut graph, weights);
    graph.part(&[made])
}

fn run(gpu: &Gpu, part: &Partition) -> Vec<Tensor> {
    part.clone().prepare_on(gpu).expect("kernels").run(&inputs(part)).expect("a run")
}

fn halves(gpu: &Gpu, part: &Partition) -> Vec<Vec<f16>> {
    let program = lower(&part.graph, Bounds::of(gpu)).expect("a program").program;
    let of = |origin| if let Origin::Constant(Constant::Halves(halves)) = origin { Some(halves) } else { None };
    program.values.into_iter().filter_map(|value| of(value.origin)).collect()
}

#[test]
fn weights_are_rounded_to_the_nearest_f16_and_nothing_else_is() {
    let Some(gpu) = GPU_F16.as_ref() else { return };
    let exact: Vec<f32> = (0..1000).map(|at| number(1, at)).collect();
    let rounded: Vec<f32> = exact.iter().map(|weight| f16::from_f32(*weight).to_f32()).collect();
    for (kernel, make) in kernels() {
        let (exact, rounded) = (part(make, &exact), part(make, &rounded));
        let stage = exact.clone().prepare_on(gpu).expect("kernels");
        assert!(!halves(gpu, &exact).is_empty(), "{kernel} reads no f16");
        assert_eq!(lower(&exact.graph, Bounds::of(gpu)).expect("a program").program.calls[0].template.name, kernel);
        assert_eq!(stage.run(&inputs(&exact)).expect("a run"), run(gpu, &rounded), "{kernel} of rounded weights");
    }
}

#[test]
fn a_constant_that_f16_does_not_hold_stays_as_it_is() {
    let Some(gpu) = GPU_F16.as_ref() else { return };
    let holds = |weight: f32, others: f32| {
        let mut weights = vec![others; 1000];
        weights[5] = weight;
        kernels().into_iter().map(|(_, make)| !halves(gpu, &part(make, &weights)).is_empty()).collect::<Vec<_>>()
    };
    for (weight, others) in [(65519.0, 1.0), (-65519.0, 1.0), (1e-9, 1.0), (6.2e-5, 1e-6)] {
        assert_eq!(holds(weight, others), vec![true; kernels().len()], "{weight} among {others}");
    }
    for (weight, others) in
        [(65520.0, 1.0), (-65520.0, 1.0), (f32::INFINITY, 1.0), (f32::NAN, 1.0), (6.0e-5, 1e-6), (0.0, 0.0)]
    {
        assert_eq!(holds(weight, others), vec![false; kernels().len()], "{weight} among {others}");
    }
}

/// A table of which rows are taken, and which is multiplied by: it is on the device twice, and only one is rounded.
#[test]
fn what_another_kernel_reads_of_the_same_constant_is_not_rounded() {
    let Some(gpu) = GPU_F16.as_ref() else { return };
    let exact: Vec<f32> = (0..1000).map(|at| number(1, at)).collect();
    let mut graph = Graph::default();
    let table = constant(&mut graph, &[9, 16], &exact);
    let rows = graph.input_of(i64::datum_type(), &[3]);
    let taken = graph.add(Gather::new(0), &[table, rows]);
    let right = graph.input(&[16, 5]);
    let multiplied = product(&mut graph, "mk,kn->mn", [table, right]);
    let taken = graph.add(math::neg(), &[taken]);
    let part = graph.part(&[taken, multiplied]);
    let made = run(gpu, &part);
    let expected = part.clone().prepare().expect("the CPU").run(&inputs(&part)).expect("the CPU");
    assert_eq!(made[0], expected[0], "rows of the table");
    assert_ne!(made[1], expected[1], "the product is of rounded weights");
}
