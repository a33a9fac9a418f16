//! Puts kernels of our own into a graph, in the place of nodes for which they are faster.

use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_hir::tract_core::ops::cnn::{Conv, KernelFormat};
use tract_onnx::tract_hir::tract_core::ops::math::{Max, Min};
use tract_onnx::tract_hir::tract_core::ops::nn::DataFormat;

use super::direct::{Clamp, Direct};
use super::window::Window;

/// Input and output channels of a group with which a convolution is computed directly. With more of either, products of packed
/// matrices are as fast: what is packed is used once for each output channel.
const INPUTS_MAX: usize = 4;
const OUTPUTS_MAX: usize = 32;

/// Convolutions whose windows see few channels, with the bounds that follow them.
///
/// Which kernel a node gets depends on the node alone, so that it is the same in every part of a model; and what is put into
/// one kernel gives the same numbers, bit for bit, as one after the other.
pub(super) fn convolutions(graph: &mut TypedModel) -> TractResult<()> {
    for id in graph.eval_order()? {
        let Some(mut op) = convolution(graph, id)? else { continue };
        let mut last = id;
        while let Some((bound, clamp)) = bounded(graph, last, op.clamp)? {
            (last, op.clamp) = (bound, Some(clamp));
        }
        let mut patch = TypedModelPatch::default();
        let inputs = patch.taps(graph, &graph.node(id).inputs)?;
        let made = patch.wire_node(&graph.node(last).name, op, &inputs)?;
        patch.shunt_outside(graph, last.into(), made[0])?;
        patch.apply(graph)?;
    }
    Ok(())
}

/// A node that is a convolution for which there is a kernel.
fn convolution(graph: &TypedModel, id: usize) -> TractResult<Option<Direct>> {
    let node = graph.node(id);
    let Some(conv) = node.op_as::<Conv>() else { return Ok(None) };
    let spec = &conv.pool_spec;
    let planes = matches!(spec.data_format, DataFormat::NCHW | DataFormat::CHW);
    let plain = conv.q_params.is_none() && conv.kernel_fmt == KernelFormat::OIHW && planes;
    let all = [spec.input_channels, spec.output_channels];
    if !plain || conv.group == 0 || all.iter().any(|channels| !channels.is_multiple_of(conv.group)) {
        return Ok(None);
    }
    let channels = all.map(|channels| channels / conv.group);
    let places = spec.kernel_shape.iter().product::<usize>();
    let few = channels[0] <= INPUTS_MAX && channels[1] <= OUTPUTS_MAX && places > 1;
    let facts = graph.node_input_facts(id)?;
    let floats = facts.iter().all(|fact| fact.datum_type == f32::datum_type());
    let shapes = (facts[0].shape.as_concrete(), node.outputs[0].fact.shape.as_concrete());
    let (Some(input), Some(output)) = shapes else { return Ok(None) };
    if !(few && floats && [input, output].into_iter().flatten().all(|size| *size > 0)) {
        return Ok(None);
    }
    let first = spec.data_format.h_axis();
    let before = spec.computed_padding(&input[first..].iter().map(TDim::from).collect::<Vec<_>>());
    let before: Result<Vec<usize>, _> = before.iter().map(|axis| axis.pad_before.to_usize()).collect();
    let two = |sizes: &[usize], fill: usize| match sizes {
        [width] => Some([fill, *width]),
        [height, width] => Some([*height, *width]),
        _ => None,
    };
    let window = (|| {
        Some(Window {
            input: two(&input[first..], 1)?,
            output: two(&output[first..], 1)?,
            kernel: two(&spec.kernel_shape, 1)?,
            strides: two(&spec.strides(), 1)?,
            dilations: two(&spec.dilations(), 1)?,
            before: two(&before.ok()?, 0)?,
        })
    })();
    let (groups, shape) = (conv.group, output.into());
    let window = window.filter(Window::is_padded_in_little);
    Ok(window.map(|window| Direct { window, groups, channels, shape, clamp: None }))
}

/// The one node that reads what `id` makes, if it only bounds that: with the bounds of both.
fn bounded(graph: &TypedModel, id: usize, clamp: Option<Clamp>) -> TractResult<Option<(usize, Clamp)>> {
    if graph.outputs.iter().any(|outlet| outlet.node == id) {
        return Ok(None);
    }
    let Some(next) = graph.single_succ(id)? else { return Ok(None) };
    let Some(op) = next.op_as::<TypedBinOp>() else { return Ok(None) };
    let Some(other) = next.inputs.iter().find(|outlet| outlet.node != id) else { return Ok(None) };
    let bound = graph.outlet_fact(*other)?.konst.as_ref().filter(|bound| bound.len() == 1);
    let same = next.outputs[0].fact.shape == graph.node(id).outputs[0].fact.shape;
    let Some(bound) = bound.filter(|_| same) else { return Ok(None) };
    let bound = bound.cast_to_scalar::<f32>()?;
    let after = if op.0.is::<Max>() {
        Clamp::at_least(clamp, bound)
    } else if op.0.is::<Min>() {
        Clamp::at_most(clamp, bound)
    } else {
        None
    };
    Ok(after.map(|clamp| (next.id, clamp)))
}
