//! Convolutions of all kinds.

use proptest::prelude::*;
use proptest::sample::select;
use tract_onnx::tract_hir::internal::tvec;
use tract_onnx::tract_hir::tract_core::ops::cnn::{Conv, Deconv, KernelFormat, PaddingSpec, PoolSpec};
use tract_onnx::tract_hir::tract_core::ops::math;
use tract_onnx::tract_hir::tract_core::ops::nn::DataFormat;

use super::{Graph, Lies, cases, lies, numbers, precision};
use crate::Precision;

/// A window over images.
#[derive(Debug, Clone)]
pub(super) struct Window {
    pub(super) format: DataFormat,
    pub(super) images: usize,
    pub(super) sizes: Vec<usize>,
    pub(super) kernel: Vec<usize>,
    pub(super) strides: Vec<usize>,
    pub(super) dilations: Vec<usize>,
    pub(super) padding: PaddingSpec,
}

impl Window {
    pub(super) fn spec(&self, inputs: usize, outputs: usize) -> PoolSpec {
        PoolSpec {
            data_format: self.format,
            kernel_shape: self.kernel.iter().copied().collect(),
            padding: self.padding.clone(),
            dilations: Some(self.dilations.iter().copied().collect()),
            strides: Some(self.strides.iter().copied().collect()),
            input_channels: inputs,
            output_channels: outputs,
        }
    }

    pub(super) fn shape(&self, channels: usize) -> Vec<usize> {
        let images = (self.format == DataFormat::NCHW).then_some(self.images);
        images.into_iter().chain([channels]).chain(self.sizes.iter().copied()).collect()
    }

    /// Whether a window lies in the image at least once, and paddings are shorter than it.
    fn fits(&self) -> bool {
        let axes = || 0..self.sizes.len();
        let field = |axis: usize| (self.kernel[axis] - 1) * self.dilations[axis] + 1;
        let spec = self.spec(1, 1);
        let padding = spec.computed_padding(&self.sizes);
        let explicit = !matches!(self.padding, PaddingSpec::SameUpper | PaddingSpec::SameLower);
        axes().all(|axis| {
            let padded = self.sizes[axis] + padding[axis].pad_before + padding[axis].pad_after;
            padding[axis].convoluted > 0 && (!explicit || padded >= field(axis))
        })
    }

    /// Whether each place of the window has some of the image.
    pub(super) fn sees_everywhere(&self) -> bool {
        let padding = self.spec(1, 1).computed_padding(&self.sizes);
        let sees = |axis: usize, place: usize| {
            let taps = (0..self.kernel[axis]).map(|tap| place * self.strides[axis] + tap * self.dilations[axis]);
            taps.filter_map(|at| at.checked_sub(padding[axis].pad_before)).any(|at| at < self.sizes[axis])
        };
        (0..self.sizes.len()).all(|axis| (0..padding[axis].convoluted).all(|place| sees(axis, place)))
    }
}

fn sizes(axes: usize) -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(select(&[1_usize, 2, 3, 5, 7, 8, 13, 16, 17][..]), axes)
}

pub(super) fn paddings(axes: usize) -> impl Strategy<Value = PaddingSpec> {
    let explicit = || {
        let amounts = || proptest::collection::vec(0_usize..4, axes);
        (amounts(), amounts())
    };
    prop_oneof![
        Just(PaddingSpec::Valid),
        Just(PaddingSpec::SameUpper),
        Just(PaddingSpec::SameLower),
        explicit().prop_map(|(before, after)| PaddingSpec::Explicit(
            before.into_iter().collect(),
            after.into_iter().collect()
        )),
        (explicit(), any::<bool>()).prop_map(|((before, after), ceil)| PaddingSpec::ExplicitOnnxPool(
            before.into_iter().collect(),
            after.into_iter().collect(),
            ceil
        )),
    ]
}

pub(super) fn window(kernel: usize) -> impl Strategy<Value = Window> {
    (1_usize..=2)
        .prop_flat_map(move |axes| {
            let each = move |most: usize| proptest::collection::vec(1..=most, axes);
            (any::<bool>(), 1_usize..4, sizes(axes), each(kernel), each(3), each(2), paddings(axes))
        })
        .prop_map(|(batched, images, sizes, kernel, strides, dilations, padding)| {
            let (format, images) = if batched { (DataFormat::NCHW, images) } else { (DataFormat::CHW, 1) };
            Window { format, images, sizes, kernel, strides, dilations, padding }
        })
        .prop_filter("a window fits", Window::fits)
}

/// Groups, and input and output channels of each.
fn channels() -> impl Strategy<Value = (usize, usize, usize)> {
    let sizes = || select(&[1_usize, 2, 3, 4, 5, 8, 13, 17][..]);
    prop_oneof![
        (Just(1), sizes(), sizes()),
        (2_usize..5, 1_usize..5, 1_usize..6),
        (select(&[2_usize, 3, 5, 8][..]), Just(1), 1_usize..4),
    ]
}

/// What is added to all.
#[derive(Debug, Clone, Copy)]
enum Bias {
    None,
    Scalar,
    Channels,
}

fn bias() -> impl Strategy<Value = Bias> {
    select(&[Bias::None, Bias::Scalar, Bias::Channels][..])
}

fn biased(graph: &mut Graph, bias: Bias, channels: usize) -> tract_onnx::tract_hir::internal::OutletId {
    match bias {
        Bias::None => graph.constant(0_f32.into()),
        Bias::Scalar => graph.constant(0.5_f32.into()),
        Bias::Channels => graph.weights(&[channels]),
    }
}

fn convolution(
    window: &Window,
    (groups, inputs, outputs): (usize, usize, usize),
    bias: Bias,
    (lies, after, precision): (Lies, u8, Precision),
) {
    let mut graph = Graph { precision, ..Graph::default() };
    let mut window = window.clone();
    if let PaddingSpec::ExplicitOnnxPool(before, after, _) = window.padding {
        window.padding = PaddingSpec::Explicit(before, after);
    }
    let (inputs, outputs) = (inputs * groups, outputs * groups);
    let shape = window.shape(inputs);
    let image = graph.operand(&shape, lies);
    let kernel: Vec<usize> = [outputs, inputs / groups].into_iter().chain(window.kernel.iter().copied()).collect();
    let kernel = graph.weights(&kernel);
    let bias = biased(&mut graph, bias, outputs);
    let op =
        Conv { pool_spec: window.spec(inputs, outputs), kernel_fmt: KernelFormat::OIHW, group: groups, q_params: None };
    let made = graph.add(op, &[image, kernel, bias]);
    let made = match after {
        0 => made,
        1 => graph.add(math::tanh(), &[made]),
        _ => {
            let residual = graph.input(&graph.shape(made));
            graph.add(math::add(), &[residual, made])
        }
    };
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
        let mut graph = Graph { precision, ..Graph::default() };
        let image = graph.operand(&window.shape(inputs), lies);
        let kernel: Vec<usize> = [outputs, inputs].into_iter().chain(window.kernel.iter().copied()).collect();
        let kernel = graph.weights(&kernel);
        let bias = biased(&mut graph, bias, outputs);
        let spec = window.spec(inputs, outputs);
        let adjustments: Vec<usize> =
            [adjusted.0, adjusted.1].into_iter().zip(&window.strides).map(|(by, stride)| by.min(stride - 1)).collect();
        let padding = spec.padding.compute_for_deconv(
            &window.sizes, &spec.kernel_shape, &spec.dilations(), &spec.strides(), &adjustments,
        );
        let lies = |axis: usize| {
            let field = (window.kernel[axis] - 1) * window.dilations[axis];
            let all = (window.sizes[axis] - 1) * window.strides[axis] + field + adjustments[axis] + 1;
            match &window.padding {
                PaddingSpec::Explicit(before, after) | PaddingSpec::ExplicitOnnxPool(before, after, _) =>
                    before[axis] + after[axis] < all && before[axis] <= field,
                PaddingSpec::Valid => true,
                _ => window.kernel[axis] >= window.strides[axis],
            }
        };
        prop_assume!((0..window.sizes.len()).all(lies) && padding.is_ok());
        let op = Deconv::new(spec, KernelFormat::OIHW, adjustments.into_iter().collect(), 1);
        let made = graph.add(op, &[image, kernel, bias]);
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
