//! Windows over images, and what convolutions have beside them.

use proptest::prelude::*;
use proptest::sample::select;
use tract_onnx::tract_hir::internal::OutletId;
use tract_onnx::tract_hir::tract_core::ops::cnn::{
    Conv, Deconv, KernelFormat, MaxPool, PaddingSpec, PoolSpec, SumPool,
};
use tract_onnx::tract_hir::tract_core::ops::math;
use tract_onnx::tract_hir::tract_core::ops::nn::DataFormat;

use super::{Graph, Lies};

/// A window over images.
#[derive(Debug, Clone)]
pub(crate) struct Window {
    pub(crate) format: DataFormat,
    pub(crate) images: usize,
    pub(crate) sizes: Vec<usize>,
    pub(crate) kernel: Vec<usize>,
    pub(crate) strides: Vec<usize>,
    pub(crate) dilations: Vec<usize>,
    pub(crate) padding: PaddingSpec,
}

impl Window {
    pub(crate) fn spec(&self, inputs: usize, outputs: usize) -> PoolSpec {
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

    pub(crate) fn shape(&self, channels: usize) -> Vec<usize> {
        let images = (self.format == DataFormat::NCHW).then_some(self.images);
        images.into_iter().chain([channels]).chain(self.sizes.iter().copied()).collect()
    }

    /// Whether a window lies in the image at least once, and paddings are shorter than it.
    pub(crate) fn fits(&self) -> bool {
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
    pub(crate) fn sees_everywhere(&self) -> bool {
        let padding = self.spec(1, 1).computed_padding(&self.sizes);
        let sees = |axis: usize, place: usize| {
            let taps = (0..self.kernel[axis]).map(|tap| place * self.strides[axis] + tap * self.dilations[axis]);
            taps.filter_map(|at| at.checked_sub(padding[axis].pad_before)).any(|at| at < self.sizes[axis])
        };
        (0..self.sizes.len()).all(|axis| (0..padding[axis].convoluted).all(|place| sees(axis, place)))
    }
}

pub(crate) fn sizes(axes: usize) -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(select(&[1_usize, 2, 3, 5, 7, 8, 13, 16, 17][..]), axes)
}

pub(crate) fn paddings(axes: usize) -> impl Strategy<Value = PaddingSpec> {
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

pub(crate) fn window(kernel: usize) -> impl Strategy<Value = Window> {
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
pub(crate) fn channels() -> impl Strategy<Value = (usize, usize, usize)> {
    let sizes = || select(&[1_usize, 2, 3, 4, 5, 8, 13, 17][..]);
    prop_oneof![
        (Just(1), sizes(), sizes()),
        (2_usize..5, 1_usize..5, 1_usize..6),
        (select(&[2_usize, 3, 5, 8][..]), Just(1), 1_usize..4),
    ]
}

/// What is added to all.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bias {
    None,
    Scalar,
    Channels,
}

pub(crate) fn bias() -> impl Strategy<Value = Bias> {
    select(&[Bias::None, Bias::Scalar, Bias::Channels][..])
}

pub(crate) fn biased(graph: &mut Graph, bias: Bias, channels: usize) -> OutletId {
    match bias {
        Bias::None => graph.constant(0_f32.into()),
        Bias::Scalar => graph.constant(0.5_f32.into()),
        Bias::Channels => graph.weights(&[channels]),
    }
}

/// A convolution by constant weights.
pub(crate) fn convolved(
    graph: &mut Graph,
    window: &Window,
    (groups, inputs, outputs): (usize, usize, usize),
    bias: Bias,
    lies: Lies,
) -> OutletId {
    let mut window = window.clone();
    if let PaddingSpec::ExplicitOnnxPool(before, after, _) = window.padding {
        window.padding = PaddingSpec::Explicit(before, after);
    }
    let (inputs, outputs) = (inputs * groups, outputs * groups);
    let image = graph.operand(&window.shape(inputs), lies);
    let kernel: Vec<usize> = [outputs, inputs / groups].into_iter().chain(window.kernel.iter().copied()).collect();
    let kernel = graph.weights(&kernel);
    let bias = biased(graph, bias, outputs);
    let (pool_spec, kernel_fmt) = (window.spec(inputs, outputs), KernelFormat::OIHW);
    graph.add(Conv { pool_spec, kernel_fmt, group: groups, q_params: None }, &[image, kernel, bias])
}

/// What was made, a function of it, or its sum with a residual.
pub(crate) fn followed(graph: &mut Graph, made: OutletId, by: u8) -> OutletId {
    match by {
        0 => made,
        1 => graph.add(math::tanh(), &[made]),
        _ => {
            let residual = graph.input(&graph.shape(made));
            graph.add(math::add(), &[residual, made])
        }
    }
}

/// A pool of an image: of the largest, or of sums that count padding, and are divided by what they count, as is said.
pub(crate) fn pooled(
    graph: &mut Graph,
    window: &Window,
    channels: usize,
    sum: Option<[bool; 2]>,
    lies: Lies,
) -> OutletId {
    let (image, pool_spec) = (graph.operand(&window.shape(channels), lies), window.spec(channels, channels));
    match sum {
        Some([count_include_pad, normalize]) => {
            graph.add(SumPool { pool_spec, count_include_pad, normalize }, &[image])
        }
        None => graph.add(MaxPool { pool_spec, with_index_outputs: None }, &[image]),
    }
}

/// A transposed convolution by constant weights, where its output has elements.
pub(crate) fn spread(
    window: &Window,
    (inputs, outputs): (usize, usize),
    bias: Bias,
    adjusted: (usize, usize),
    lies: Lies,
) -> Option<(Graph, OutletId)> {
    let mut graph = Graph::default();
    let image = graph.operand(&window.shape(inputs), lies);
    let kernel: Vec<usize> = [outputs, inputs].into_iter().chain(window.kernel.iter().copied()).collect();
    let kernel = graph.weights(&kernel);
    let bias = biased(&mut graph, bias, outputs);
    let spec = window.spec(inputs, outputs);
    let adjustments: Vec<usize> =
        [adjusted.0, adjusted.1].into_iter().zip(&window.strides).map(|(by, stride)| by.min(stride - 1)).collect();
    let (dilations, strides) = (spec.dilations(), spec.strides());
    let padding =
        spec.padding.compute_for_deconv(&window.sizes, &spec.kernel_shape, &dilations, &strides, &adjustments);
    let lies = |axis: usize| {
        let field = (window.kernel[axis] - 1) * window.dilations[axis];
        let all = (window.sizes[axis] - 1) * window.strides[axis] + field + adjustments[axis] + 1;
        match &window.padding {
            PaddingSpec::Explicit(before, after) | PaddingSpec::ExplicitOnnxPool(before, after, _) => {
                before[axis] + after[axis] < all && before[axis] <= field
            }
            PaddingSpec::Valid => true,
            _ => window.kernel[axis] >= window.strides[axis],
        }
    };
    if !(0..window.sizes.len()).all(lies) || padding.is_err() {
        return None;
    }
    let op = Deconv::new(spec, KernelFormat::OIHW, adjustments.into_iter().collect(), 1);
    let made = graph.add(op, &[image, kernel, bias]);
    Some((graph, made))
}
