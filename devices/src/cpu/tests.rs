//! Kernels of our own beside tract's.

use proptest::prelude::*;
use proptest::sample::select;
use pulp::Arch;
use tract_onnx::prelude::{IntoTValue as _, tensor1};
use tract_onnx::tract_hir::internal::{TValue, tvec};
use tract_onnx::tract_hir::tract_core::ops::cnn::PaddingSpec;
use tract_onnx::tract_hir::tract_core::ops::math;
use tract_onnx::tract_hir::tract_core::ops::nn::DataFormat;

use super::direct::Direct;
use super::rewrite::convolutions;
use super::window::Window;
use crate::agreement::difference;
use crate::cases::convolution::{Bias, Window as Case, bias, channels, convolved, window};
use crate::cases::{Graph, Lies, cases, inputs, lies, models, numbers};
use crate::cut::Partition;

/// Largest difference from tract's own kernels, of the output's largest value.
const TOLERANCE: f32 = 1e-5;

fn agrees(part: Partition) {
    let inputs = inputs(&part);
    let plain = part.clone().prepare_plain().expect("tract").run(&inputs).expect("tract");
    let own = part.clone().prepare().expect("kernels").run(&inputs).expect("a run");
    let off = difference(&own, &plain);
    assert!(off <= TOLERANCE, "off by {off:e}: {own:?} for {plain:?} of\n{}", part.graph);
}

/// How many kernels of our own a part has.
fn own(part: &Partition) -> usize {
    let mut graph = part.graph.clone();
    convolutions(&mut graph).expect("a graph");
    graph.compact().expect("a graph");
    graph.nodes.iter().filter(|node| node.op_is::<Direct>()).count()
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn convolutions_are_what_tract_makes_of_them(
        window in window(5),
        channels in channels(),
        bias in bias(),
        lies in lies(),
        bounds in select(&[[None, None], [None, Some(0.1)], [Some(0.0), None], [Some(0.0), Some(6.0)], [Some(0.5), Some(-0.5)]][..]),
    ) {
        let mut graph = Graph::default();
        let mut made = convolved(&mut graph, &window, channels, bias, lies);
        let axes = graph.shape(made).len();
        let [low, high]: [Option<f32>; 2] = bounds;
        for (bound, op) in [(low, math::max()), (high, math::min())] {
            if let Some(bound) = bound {
                let bound = graph.constant(tensor1(&[bound]).into_shape(&vec![1; axes]).expect("one"));
                made = graph.add(op, &[made, bound]);
            }
        }
        agrees(graph.part(&[made]));
    }
}

/// Models of the repository, with the shapes that they leave open and how many kernels of our own each has.
const MODELS: [(&str, &str, usize); 5] = [
    ("efficientnet_lite0/efficientnet_lite0_op13", "", 17),
    ("ppocr/ch_PP-OCRv4_det_infer", "1,3,320,320", 15),
    ("ppocr/ch_PP-OCRv4_rec_infer", "1,3,48,320", 15),
    ("onnx_light/light_densenet121", "", 0),
    ("silero_vad/silero_vad_openvino_16k", "", 0),
];

#[test]
fn models_make_what_they_make_with_tracts_kernels() {
    for (name, shape, kernels) in MODELS {
        let model = models::model(name, shape);
        let inputs = models::inputs(&model);
        let part = model.whole_part().expect("a part");
        // On Arm tract lays depthwise convolutions out with channels last, and has kernels for that.
        if cfg!(target_arch = "x86_64") {
            assert_eq!(own(&part), kernels, "{name}");
        }
        let plain = part.clone().prepare_plain().expect("tract").run(&inputs).expect("tract");
        let off = difference(&part.prepare().expect("kernels").run(&inputs).expect("a run"), &plain);
        assert!(off <= TOLERANCE, "{name} is off by {off:e}");
    }
}

#[test]
fn what_would_take_terabytes_between_zeros_is_left_to_tract() {
    for (strides, dilations, kernels) in [([2, 2], [1, 1], 1), ([65_536, 65_536], [1, 1], 0), ([1, 1], [1 << 20, 1], 0)]
    {
        let (before, after) = (tvec![dilations[0] / 2, 0], tvec![dilations[0] / 2, 0]);
        let case = Case {
            format: DataFormat::NCHW,
            images: 1,
            sizes: vec![8, 8],
            kernel: vec![2, 2],
            strides: strides.to_vec(),
            dilations: dilations.to_vec(),
            padding: PaddingSpec::Explicit(before, after),
        };
        let mut graph = Graph::default();
        let made = convolved(&mut graph, &case, (1, 1, 1), Bias::None, Lies::Whole);
        let part = graph.part(&[made]);
        assert_eq!(own(&part), kernels, "{case:?}");
        agrees(part);
    }
}

/// The one that the machine has, and none: of x86-64 these are two, of Arm too.
#[test]
fn every_instruction_set_makes_the_same() {
    for (kernel, stride, dilation, before) in [(3, 1, 1, 1), (5, 2, 1, 2), (3, 3, 2, 0), (1, 2, 1, 0)] {
        for size in [1_usize, 7, 8, 9, 31, 64] {
            let Some(room) = (size + 2 * before).checked_sub((kernel - 1) * dilation + 1) else { continue };
            let output = room / stride + 1;
            for (groups, channels) in [(5, [1, 1]), (1, [3, 6]), (2, [9, 5])] {
                let pair = |value| [value, value];
                let window = Window {
                    input: pair(size),
                    output: pair(output),
                    kernel: pair(kernel),
                    strides: pair(stride),
                    dilations: pair(dilation),
                    before: pair(before),
                };
                let [inputs, outputs] = channels.map(|channels| channels * groups);
                let op = Direct { window, groups, channels, shape: tvec![1, outputs, output, output], clamp: None };
                let shapes = [vec![1, inputs, size, size], vec![outputs, channels[0], kernel, kernel], vec![outputs]];
                let inputs: Vec<TValue> =
                    (1..).zip(&shapes).map(|(at, shape)| numbers(at, shape).into_tvalue()).collect();
                let made = [Arch::new(), Arch::Scalar].map(|arch| op.run_on(arch, &inputs).expect("a run"));
                made[0][0].close_enough(&made[1][0], true).expect("the same");
            }
        }
    }
}
