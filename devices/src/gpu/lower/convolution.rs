//! Convolutions as products: of packed weights and an image that is read as a matrix.

use tract_onnx::tract_hir::internal::TypedNode;
use tract_onnx::tract_hir::tract_core::ops::cnn::{Conv, Deconv, KernelFormat};

use super::super::ir::{Arg, Constant, Kind, ValueId};
use super::super::matrix::{DEPTH_MAX, Left, Right};
use super::super::view::{Index, View, volume};
use super::product::Product;
use super::window::Window;
use super::{Lowering, Why, words};

/// Places of the largest window of a depthwise convolution that is unrolled.
const UNROLLED_MAX: usize = 128;

impl Lowering<'_> {
    pub(super) fn convolution(&mut self, node: &TypedNode, op: &Conv) -> Result<View, Why> {
        if op.q_params.is_some() || op.kernel_fmt != KernelFormat::OIHW {
            return Err(format!("it is quantised, or its kernel is {:?}", op.kernel_fmt));
        }
        let kernel = self.weights(&*self.constant(node.inputs[1]).ok_or("its kernel is computed")?)?;
        let before = self.padding(node, &op.pool_spec)?;
        let window = self.window(node, &op.pool_spec, &before)?;
        let (outputs, groups) = (op.output_channels(), op.group);
        let made = if groups > 1 && groups == window.channels && volume(&window.kernel) <= UNROLLED_MAX {
            let weights = self.upload(kernel, Kind::Float);
            self.depthwise(&window, weights, outputs)?
        } else {
            let (m, k) = (outputs / groups, window.channels / groups * volume(&window.kernel));
            let weights = kernel.packed((groups, m, k), |group, m_at, k_at| (group * m + m_at) * k + k_at);
            self.image(&window, (weights, m, k), groups, Right::Image)?
        };
        self.with_bias(node, made, (window.images, outputs))
    }

    pub(super) fn transposed_convolution(&mut self, node: &TypedNode, op: &Deconv) -> Result<View, Why> {
        if op.group != 1 || op.kernel_format != KernelFormat::OIHW {
            return Err(format!("it has {} groups, or its kernel is {:?}", op.group, op.kernel_format));
        }
        let kernel = self.weights(&*self.constant(node.inputs[1]).ok_or("its kernel is computed")?)?;
        let spec = &op.pool_spec;
        let sizes = self.image_sizes(node, spec)?;
        let padding = spec
            .padding
            .compute_for_deconv(&sizes, &spec.kernel_shape, &spec.dilations(), &spec.strides(), &op.adjustments)
            .map_err(|cause| cause.to_string())?;
        let before: Vec<usize> = padding.iter().map(|axis| axis.pad_before).collect();
        let window = self.window(node, spec, &before)?;
        let (m, k) = (spec.output_channels, window.channels * volume(&window.kernel));
        let weights = kernel.packed((1, m, k), |_, m_at, k_at| m_at * k + k_at);
        let made = self.image(&window, (weights, m, k), 1, Right::Spread)?;
        self.with_bias(node, made, (window.images, m))
    }

    fn image(
        &mut self,
        window: &Window,
        (weights, m, k): (Constant, usize, usize),
        groups: usize,
        kind: Right,
    ) -> Result<ValueId, Why> {
        let (batch_stride, channel_stride) = window.steps();
        let in_group = window.channels / groups;
        let n = volume(&window.output);
        let left = self.upload(weights, Kind::Float);
        let per_group = k.next_multiple_of(DEPTH_MAX) * m.div_ceil(4);
        let base = Index::of(&[window.images, groups], &[batch_stride, in_group * channel_stride], window.view.offset);
        let is_plain = window.kernel == [1, 1] && window.strides == [1, 1] && window.before == [0, 0];
        // Padding at the end alone makes a row longer than that of the image.
        let plain = is_plain && window.input == window.output && kind == Right::Image;
        let dense = Product {
            m,
            n,
            k,
            batch: window.images * groups,
            left,
            left_kind: Left::Packed,
            left_base: Index::of(&[window.images, groups], &[0, per_group], 0),
            right: window.view.value,
            right_kind: if plain { Right::Strided } else { kind },
            right_base: base,
            params: vec![("m4", m.div_ceil(4))],
            consts: Vec::new(),
        };
        let product = if plain {
            self.with_strides(dense, channel_stride, 1)
        } else {
            let mut product = dense;
            product.consts = window.consts();
            product.params.extend([
                ("height", window.input[0]),
                ("width", window.input[1]),
                ("columns", window.output[1]),
                ("top", window.before[0]),
                ("left", window.before[1]),
                ("channel_stride", channel_stride),
            ]);
            product
        };
        self.product(product)
    }

    fn with_bias(&mut self, node: &TypedNode, made: ValueId, (images, channels): (usize, usize)) -> Result<View, Why> {
        let shape = self.shape(node.id.into())?;
        let view = View::whole(made, &shape);
        let Some(bias) = self.constant(node.inputs[2]) else { return Err("its bias is computed".to_owned()) };
        let values = words(&bias)?;
        if values.iter().all(|word| f32::from_bits(*word) == 0.0) {
            return Ok(view);
        }
        // A scalar is the bias of all channels.
        let values = if values.len() == 1 { vec![values[0]; channels] } else { values };
        if values.len() != channels {
            return Err(format!("{} biases for {channels} channels", values.len()));
        }
        let bias = self.words(values, Kind::Float);
        let Some(call) = self.maker(made) else { return Err("it makes nothing".to_owned()) };
        let step = self.program.calls[call].steps.len() - 1;
        let plane = volume(&shape) / (images * channels);
        let index = Index::of(&[images, channels, plane], &[0, 1, 0], 0);
        let args = vec![Arg::Step(step), Arg::Read(bias, index)];
        let value = self.step(call, "$0 + $1".to_owned(), args, Kind::Float);
        Ok(View::whole(value, &shape))
    }
}
