//! Depthwise convolution and pooling: a window over one channel.

use std::fmt::Write as _;

use tract_onnx::tract_hir::internal::TypedNode;
use tract_onnx::tract_hir::tract_core::ops::cnn::{MaxPool, PaddingSpec, PoolSpec, SumPool};
use tract_onnx::tract_hir::tract_core::ops::nn::DataFormat;

use super::super::ir::{Insert, Operand, Template, ValueId};
use super::super::view::{View, volume};
use super::{Lowering, Why};

const DEPTHWISE: Template = Template { name: "depthwise", text: include_str!("../kernels/depthwise.wgsl") };
const POOL: Template = Template { name: "pool", text: include_str!("../kernels/pool.wgsl") };

/// An image and a window that goes over it, both in two dimensions.
#[derive(Debug, Clone)]
pub(super) struct Window {
    pub(super) view: View,
    pub(super) images: usize,
    pub(super) channels: usize,
    pub(super) input: [usize; 2],
    pub(super) kernel: [usize; 2],
    pub(super) strides: [usize; 2],
    pub(super) dilations: [usize; 2],
    /// Padding before.
    pub(super) before: [usize; 2],
    pub(super) output: [usize; 2],
}

impl Window {
    pub(super) fn consts(&self) -> Vec<(&'static str, usize)> {
        let Self { kernel, strides, dilations, .. } = self;
        vec![
            ("KH", kernel[0]),
            ("KW", kernel[1]),
            ("SH", strides[0]),
            ("SW", strides[1]),
            ("DH", dilations[0]),
            ("DW", dilations[1]),
        ]
    }

    /// From one image, and from one channel, to the next.
    pub(super) fn steps(&self) -> (usize, usize) {
        let channel = self.view.shape.len() - 3;
        (if channel == 1 { self.view.strides[0] } else { 0 }, self.view.strides[channel])
    }

    /// Numbers of the kernels that read channels in one piece, one thread an element.
    fn params(&self, len: usize, pitch: usize, channels: usize) -> Vec<(&'static str, usize)> {
        let (batch_stride, channel_stride) = self.steps();
        vec![
            ("len", len),
            ("pitch", pitch),
            ("channels", channels),
            ("height", self.input[0]),
            ("width", self.input[1]),
            ("rows", self.output[0]),
            ("columns", self.output[1]),
            ("top", self.before[0]),
            ("left", self.before[1]),
            ("offset", self.view.offset),
            ("batch_stride", batch_stride),
            ("channel_stride", channel_stride),
        ]
    }
}

impl Lowering<'_> {
    /// The window of a convolution or pool over what the node reads. Images of one dimension have a height of 1.
    pub(super) fn window(&mut self, node: &TypedNode, spec: &PoolSpec, before: &[usize]) -> Result<Window, Why> {
        let view = self.view(node.inputs[0])?;
        self.float(&view)?;
        let images = match spec.data_format {
            DataFormat::NCHW => view.shape[0],
            DataFormat::CHW => 1,
            other => return Err(format!("the layout {other:?}")),
        };
        let channel = usize::from(spec.data_format == DataFormat::NCHW);
        let shape = self.shape(node.id.into())?;
        let two = |sizes: &[usize], fill: usize| match sizes {
            [width] => Ok([fill, *width]),
            [height, width] => Ok([*height, *width]),
            _ => Err(format!("a window of {} dimensions", sizes.len())),
        };
        let mut view = self.in_planes(view, channel)?;
        if view.shape.len() == channel + 2 {
            view = view.with_axis(channel + 1);
        }
        Ok(Window {
            images,
            channels: view.shape[channel],
            input: [view.shape[channel + 1], view.shape[channel + 2]],
            kernel: two(&spec.kernel_shape, 1)?,
            strides: two(&spec.strides(), 1)?,
            dilations: two(&spec.dilations(), 1)?,
            before: two(before, 0)?,
            output: two(&shape[channel + 1..], 1)?,
            view,
        })
    }

    /// With each channel in one piece.
    fn in_planes(&mut self, view: View, channel: usize) -> Result<View, Why> {
        let plane = View {
            value: view.value,
            shape: view.shape[channel + 1..].to_vec(),
            strides: view.strides[channel + 1..].to_vec(),
            offset: 0,
        };
        if plane.is_dense() { Ok(view) } else { self.copied(view) }
    }

    /// How much of a convolution's or pool's window lies before the image at its beginning.
    pub(super) fn padding(&self, node: &TypedNode, spec: &PoolSpec) -> Result<Vec<usize>, Why> {
        Ok(spec.computed_padding(&self.image_sizes(node, spec)?).iter().map(|axis| axis.pad_before).collect())
    }

    /// Height and width of what a node with a window reads, or its width alone.
    pub(super) fn image_sizes(&self, node: &TypedNode, spec: &PoolSpec) -> Result<Vec<usize>, Why> {
        let shape = self.shape(node.inputs[0])?;
        let first = spec.data_format.h_axis();
        let sizes = shape.get(first..first + spec.kernel_shape.len()).ok_or("its shape is too short")?;
        Ok(sizes.to_vec())
    }

    pub(super) fn depthwise(&mut self, window: &Window, weights: ValueId, channels: usize) -> Result<ValueId, Why> {
        let plane = volume(&window.output);
        let len = window.images * channels * plane;
        let (grid, pitch) = self.grid(len, 64)?;
        let call = self.call(DEPTHWISE, len, window.params(len, pitch, channels), grid);
        let call = &mut self.program.calls[call];
        call.consts = window.consts();
        call.consts.push(("MULTIPLIER", channels / window.channels));
        call.inserts = vec![("taps", Insert::Text(taps(window)))];
        call.row = plane;
        call.macs = (len * volume(&window.kernel)) as u64;
        call.sizes = format!("{channels}x{:?} by {:?}", window.output, window.kernel);
        let operand = |value| Operand { value, wide: false };
        Ok(self.template(vec![operand(weights), operand(window.view.value)]))
    }

    pub(super) fn max_pool(&mut self, node: &TypedNode, op: &MaxPool) -> Result<View, Why> {
        if op.with_index_outputs.is_some() {
            return Err("it gives indices too".to_owned());
        }
        self.pool(node, &op.pool_spec, true, 0)
    }

    pub(super) fn sum_pool(&mut self, node: &TypedNode, op: &SumPool) -> Result<View, Why> {
        let count = match (op.normalize, op.count_include_pad) {
            (false, _) => 0,
            (true, true) => 1,
            (true, false) => 2,
        };
        if count == 1 && matches!(op.pool_spec.padding, PaddingSpec::ExplicitOnnxPool(_, _, true)) {
            return Err("its last windows reach beyond the padding".to_owned());
        }
        self.pool(node, &op.pool_spec, false, count)
    }

    fn pool(&mut self, node: &TypedNode, spec: &PoolSpec, max: bool, count: usize) -> Result<View, Why> {
        let before = self.padding(node, spec)?;
        let window = self.window(node, spec, &before)?;
        let plane = volume(&window.output);
        let len = window.images * window.channels * plane;
        let (grid, pitch) = self.grid(len, 64)?;
        let call = self.call(POOL, len, window.params(len, pitch, window.channels), grid);
        let call = &mut self.program.calls[call];
        call.consts = window.consts();
        call.consts.extend([("MAX", usize::from(max)), ("COUNT", count)]);
        call.row = plane;
        let value = self.template(vec![Operand { value: window.view.value, wide: false }]);
        let shape = self.shape(node.id.into())?;
        Ok(View::whole(value, &shape))
    }
}

/// Multiply-adds of one window, unrolled.
fn taps(window: &Window) -> String {
    let ([height, width], [down, across]) = (window.kernel, window.dilations);
    let mut text = String::new();
    for ky in 0..height {
        let _ = writeln!(text, "  {{\n    let y = top + {};\n    if y >= 0 && y < i32(p.height) {{", ky * down);
        let _ = writeln!(text, "      let origin = input + u32(y) * p.width;");
        for kx in 0..width {
            let tap = ky * width + kx;
            let multiply = format!("sum = fma(in0[weights + {tap}u], in1[origin + u32(x)], sum);");
            let x = kx * across;
            let _ = writeln!(text, "      {{ let x = left + {x}; if x >= 0 && x < i32(p.width) {{ {multiply} }} }}");
        }
        text.push_str("    }\n  }\n");
    }
    text
}
