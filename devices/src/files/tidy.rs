//! Takes out of a graph what writing and reading it add: it is to be the part that was written, which gets the same kernels.
//! Nothing else is simplified.

use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::tract_core::model::Rewriter;
use tract_onnx::tract_hir::tract_core::ops::cast::Cast;
use tract_onnx::tract_hir::tract_core::ops::cnn::{Conv, Deconv};
use tract_onnx::tract_hir::tract_core::ops::nn::DataFormat;

type Rewritten = TractResult<Option<TypedModelPatch>>;

/// Without casts to what a tensor is, without an axis for images around what has none, and with constants that are there.
pub(super) fn tidied(mut graph: TypedModel) -> TractResult<TypedModel> {
    graph.prop_consts()?;
    let rules = Rewriter::default()
        .with_rule_for("uncast", uncast)
        .with_rule_for("convolution", |(), graph, node, _, op: &Conv| {
            one_image(graph, node, op.clone(), |op| &mut op.pool_spec.data_format)
        })
        .with_rule_for("deconvolution", |(), graph, node, _, op: &Deconv| {
            one_image(graph, node, op.clone(), |op| &mut op.pool_spec.data_format)
        });
    rules.rewrite(&(), &mut graph)?;
    graph.compact()?;
    Ok(graph)
}

fn uncast(_: &(), graph: &TypedModel, node: &TypedNode, _: &str, cast: &Cast) -> Rewritten {
    let is_needed = graph.outlet_fact(node.inputs[0])?.datum_type != cast.to;
    if is_needed { Ok(None) } else { TypedModelPatch::shunt_one_op(graph, node) }
}

/// `op` for one image, in the place of a node around which an axis of images is added and taken away.
fn one_image<O: Into<Box<dyn TypedOp>>>(
    graph: &TypedModel,
    node: &TypedNode,
    mut op: O,
    format: impl Fn(&mut O) -> &mut DataFormat,
) -> Rewritten {
    let format = format(&mut op);
    *format = match format {
        DataFormat::NCHW => DataFormat::CHW,
        DataFormat::NHWC => DataFormat::HWC,
        DataFormat::CHW | DataFormat::HWC => return Ok(None),
    };
    let adds = graph.node(node.inputs[0].node);
    let Some(takes) = graph.single_succ(node.id)? else { return Ok(None) };
    if adds.op_as::<AxisOp>() != Some(&AxisOp::Add(0)) || takes.op_as::<AxisOp>() != Some(&AxisOp::Rm(0)) {
        return Ok(None);
    }
    let mut patch = TypedModelPatch::default();
    let mut inputs = patch.taps(graph, &node.inputs)?;
    inputs[0] = patch.tap_model(graph, adds.inputs[0])?;
    let made = patch.wire_node(&node.name, op, &inputs)?;
    patch.shunt_outside(graph, takes.id.into(), made[0])?;
    Ok(Some(patch))
}
