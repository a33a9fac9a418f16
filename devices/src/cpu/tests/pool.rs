//! Pooling beside tract's, bit for bit.

use proptest::prelude::*;
use proptest::sample::select;
use thalweg_planner::Tensor;
use tract_onnx::prelude::{IntoTValue as _, Tensor as EngineTensor};
use tract_onnx::tract_hir::internal::{Datum as _, OutletId};
use tract_onnx::tract_hir::tract_core::ops::cnn::{MaxPool, PaddingSpec};
use tract_onnx::tract_hir::tract_core::ops::nn::DataFormat;

use super::super::convolution::floats;
use super::super::pool::Pool;
use super::super::rewrite::kernels;
use super::instructions::instructions;
use super::nchwc::over_blocks;
use super::{on_three_cores, own};
use crate::cases::convolution::{Window, paddings, pooled, window};
use crate::cases::{Graph, Lies, cases};
use crate::cut::Partition;

/// Numbers on which the order of comparisons and sums shows, and one that has no order.
const VALUES: [f32; 13] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.1,
    -7.3,
    1e30,
    f32::MIN,
    f32::MAX,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::NAN,
    f32::MIN_POSITIVE,
];

/// Some of these, so that windows see few of them, or numbers between -1 and 1.
fn image(len: usize, some: &[f32], seed: usize) -> Vec<f32> {
    let mixed = |at: usize| (at + seed).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    let number = |at: usize| mixed(at) as f32 / (1 << 23) as f32 - 1.0;
    (0..len).map(|at| if some.is_empty() { number(at) } else { some[mixed(at) % some.len()] }).collect()
}

/// The largest, or a sum: whether it counts padding, and whether it is divided by what it counts.
fn ops() -> impl Strategy<Value = Option<[bool; 2]>> {
    prop_oneof![Just(None), any::<[bool; 2]>().prop_map(Some)]
}

fn part(window: &Window, channels: usize, sum: Option<[bool; 2]>) -> Partition {
    let mut graph = Graph::default();
    let made = pooled(&mut graph, window, channels, sum, Lies::Whole);
    graph.part(&[made])
}

/// Without padding.
fn valid(sizes: [usize; 2], kernel: usize, stride: usize) -> Window {
    Window {
        format: DataFormat::NCHW,
        images: 1,
        sizes: sizes.to_vec(),
        kernel: vec![kernel; 2],
        strides: vec![stride; 2],
        dilations: vec![1, 1],
        padding: PaddingSpec::Valid,
    }
}

/// Small ones, and some whose rows are not computed all at once.
fn windows() -> impl Strategy<Value = Window> {
    let large = (select(&[(61_usize, 131_usize), (131, 61), (1, 5000), (5000, 1)][..]), 1..=5_usize, 1..=3_usize);
    let large =
        (large, 1..=2_usize, paddings(2)).prop_map(|(((height, width), kernel, stride), dilation, padding)| Window {
            format: DataFormat::NCHW,
            images: 1,
            sizes: vec![height, width],
            kernel: vec![kernel.min(height), kernel.min(width)],
            strides: vec![stride; 2],
            dilations: vec![dilation; 2],
            padding,
        });
    prop_oneof![4 => window(5), 1 => large.prop_filter("a window fits", Window::fits)]
}

/// What is no number is one and the same, however it came about.
fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| if value.is_nan() { f32::NAN } else { *value }.to_bits()).collect()
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn pools_make_the_bits_that_tract_makes(
        window in windows(),
        channels in select(&[1_usize, 2, 5, 7][..]),
        sum in ops(),
        some in prop::collection::vec(select(&VALUES[..]), 0..5),
        seed in any::<u16>(),
    ) {
        let part = part(&window, channels, sum);
        let shape = window.shape(channels);
        let values = image(shape.iter().product(), &some, seed.into());
        let input = Tensor::from_f32(&*shape, &values).expect("a tensor");
        let run = |made: Vec<Tensor>| bits(&made[0].to_f32().expect("floats"));
        let plain = run(part.clone().prepare_plain().expect("tract").run(std::slice::from_ref(&input)).expect("tract"));
        let made = run(part.clone().prepare().expect("kernels").run(std::slice::from_ref(&input)).expect("a run"));
        prop_assert!(made == plain, "{values:?} of\n{}", part.graph);
        prop_assert!(run(on_three_cores(&part, std::slice::from_ref(&input))) == plain, "three cores of\n{}", part.graph);
        let blocks = over_blocks(&part, usize::from(window.format == DataFormat::NCHW));
        let made = run(blocks.prepare().expect("kernels").run(std::slice::from_ref(&input)).expect("a run"));
        prop_assert!(made == plain, "over blocks {values:?} of\n{}", part.graph);
        let mut graph = part.graph;
        kernels(&mut graph).expect("a graph");
        for pool in graph.nodes.iter().filter_map(|node| node.op_as::<Pool>()) {
            let image = EngineTensor::from_shape(&shape, &values).expect("a tensor").into_tvalue();
            for arch in instructions() {
                let made = pool.run_on(arch, std::slice::from_ref(&image)).expect("a run");
                prop_assert!(bits(floats(&made[0]).expect("floats")) == plain, "{arch:?} of\n{graph}");
            }
        }
    }
}

#[test]
fn pools_that_are_small_or_that_tract_does_in_vectors_stay_its_own() {
    let pooled = |sizes: [usize; 2], kernel: usize, stride: usize, sum: Option<[bool; 2]>, kernels: usize| {
        let window = valid(sizes, kernel, stride);
        assert_eq!(own(&part(&window, 3, sum)), kernels, "{window:?}");
    };
    let mean = Some([false, true]);
    pooled([28, 28], 3, 2, None, 1);
    pooled([28, 28], 3, 2, mean, 1);
    pooled([28, 28], 3, 3, None, 0);
    pooled([28, 28], 2, 2, mean, 1);
    pooled([28, 28], 2, 1, mean, 1);
    pooled([28, 28], 2, 1, None, 0);
    pooled([7, 7], 7, 1, mean, 0);
    pooled([10, 10], 2, 2, None, usize::from(cfg!(target_arch = "x86_64")));
    pooled([8, 8], 2, 2, None, 0);
    pooled([8, 8], 3, 1, mean, 1);
    pooled([7, 7], 3, 1, mean, 0);
    pooled([0, 28], 3, 2, None, 0);
}

#[test]
fn indices_that_nobody_reads_are_not_made() {
    let window = valid([9, 9], 2, 1);
    let indices = Some(i64::datum_type());
    for (are_read, made) in [(false, None), (true, indices)] {
        let mut graph = Graph::default();
        let image = graph.operand(&window.shape(2), Lies::Whole);
        let pool = MaxPool { pool_spec: window.spec(2, 2), with_index_outputs: indices };
        let pool = graph.add(pool, &[image]);
        let mut graph = graph.part(&[pool]).graph;
        if are_read {
            graph.outputs.push(OutletId::new(graph.outputs[0].node, 1));
        }
        kernels(&mut graph).expect("a graph");
        let pool = graph.nodes.iter().find_map(|node| node.op_as::<MaxPool>()).expect("it is left to tract");
        assert_eq!(pool.with_index_outputs, made);
    }
}

/// Of a window that sees nothing of the image, and of one that sees nothing larger.
#[test]
fn the_largest_of_none_is_the_smallest_number() {
    let window = Window {
        format: DataFormat::CHW,
        images: 1,
        sizes: vec![16, 16],
        kernel: vec![1, 1],
        strides: vec![1, 1],
        dilations: vec![1, 1],
        padding: PaddingSpec::Explicit([3, 0].into_iter().collect(), [0, 3].into_iter().collect()),
    };
    let part = part(&window, 1, None);
    assert_eq!(own(&part), 1);
    let input = Tensor::from_f32([1, 16, 16], &[f32::NEG_INFINITY; 256]).expect("a tensor");
    let made = part.prepare().expect("kernels").run(&[input]).expect("a run");
    assert_eq!(made[0].to_f32().expect("floats"), [f32::MIN; 19 * 19]);
}
