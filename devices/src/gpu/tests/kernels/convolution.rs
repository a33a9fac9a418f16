//! Convolutions of all kinds.

use proptest::prelude::*;
use tract_onnx::tract_hir::internal::tvec;
use tract_onnx::tract_hir::tract_core::ops::cnn::{Conv, KernelFormat, PaddingSpec, PoolSpec};
use tract_onnx::tract_hir::tract_core::ops::nn::DataFormat;

use super::{Graph, Lies, cases, lies, numbers, precision};
use crate::Precision;
use crate::cases::convolution::{Bias, Window, bias, channels, convolved, followed, spread, window};

fn convolution(
    window: &Window,
    channels: (usize, usize, usize),
    bias: Bias,
    (lies, after, precision): (Lies, u8, Precision),
) {
    let mut graph = Graph { precision, ..Graph::default() };
    let made = convolved(&mut graph, window, channels, bias, lies);
    let made = followed(&mut graph, made, after);
    graph.agrees(&[made]);
}

proptest! {
    #![proptest_config(cases(36))]

    #[test]
    fn convolutions_agree(
        window in window(4),
        channels in channels(),
        bias in bias(),
        lies in lies(),
        after in 0_u8..3,
        precision in precision(),
    ) {
        convolution(&window, channels, bias, (lies, after, precision));
    }

    #[test]
    fn convolutions_with_a_window_of_one_agree(
        window in window(1),
        channels in channels(),
        bias in bias(),
        lies in lies(),
        after in 0_u8..3,
        precision in precision(),
    ) {
        convolution(&window, channels, bias, (lies, after, precision));
    }

    #[test]
    fn transposed_convolutions_agree(
        window in window(4),
        (_, inputs, outputs) in channels(),
        bias in bias(),
        lies in lies(),
        adjusted in (0_usize..3, 0_usize..3),
        precision in precision(),
    ) {
        let made = spread(&window, (inputs, outputs), bias, adjusted, lies);
        prop_assume!(made.is_some());
        let (mut graph, made) = made.expect("it was looked at");
        graph.precision = precision;
        graph.agrees(&[made]);
    }
}

/// One image whose padding is at the end alone: it is larger than what a window of one reads.
#[test]
fn a_window_of_one_with_padding_at_the_end_agrees() {
    let mut graph = Graph::default();
    let image = graph.input(&[1, 2, 3, 3]);
    let kernel = graph.constant(numbers(1, &[3, 2, 1, 1]));
    let bias = graph.weights(&[3]);
    let spec = PoolSpec {
        data_format: DataFormat::NCHW,
        kernel_shape: tvec![1, 1],
        padding: PaddingSpec::Explicit(tvec![0, 0], tvec![1, 2]),
        dilations: None,
        strides: None,
        input_channels: 2,
        output_channels: 3,
    };
    let op = Conv { pool_spec: spec, kernel_fmt: KernelFormat::OIHW, group: 1, q_params: None };
    let made = graph.add(op, &[image, kernel, bias]);
    graph.agrees(&[made]);
}
