//! Which operators work on channels in blocks, and what lies between them.
//!
//! A convolution does by its own shape alone, whatever is around it, so that a cut changes no bit. What makes the same bits either way
//! does where what it reads is in blocks.

use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::tract_core::dyn_clone;
use tract_onnx::tract_hir::tract_core::ops::Downsample;
use tract_onnx::tract_hir::tract_core::ops::array::{Slice, TypedConcat};
use tract_onnx::tract_hir::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_hir::tract_core::ops::nn::NearestUpsample;

use super::{BLOCK, Blocked, Chain, Depthwise, Pack, Pool, Unpack, Upsample};
use crate::cpu::convolution::Convolution;
use crate::cpu::rewrite::{Find, ROW_MIN, following, pool, rewrite};
use crate::cpu::steps::{Next, gated, step};

#[cfg(test)]
thread_local! {
    /// Tests try kernels over blocks, and those over planes, on whatever there is.
    pub(in crate::cpu) static IS_OVER_BLOCKS: std::cell::Cell<bool> = const { std::cell::Cell::new(true) };
}

/// Whether convolutions over blocks were measured to be faster here.
fn is_measured() -> bool {
    #[cfg(test)]
    return IS_OVER_BLOCKS.get();
    #[cfg(all(target_arch = "x86_64", not(test)))]
    return pulp::x86::V4::try_new().is_some();
    #[cfg(not(any(target_arch = "x86_64", test)))]
    false
}

/// Whether a convolution is computed over blocks.
pub(in crate::cpu) fn is_worth(of: &Convolution) -> bool {
    let [_, windows] = of.window.planes();
    let is_large = windows >= ROW_MIN && of.window.is_small() && of.window.is_padded_in_little();
    is_measured() && is_large && (is_depthwise(of) || of.groups == 1 && of.channels[1] >= BLOCK)
}

/// Whether so many rows are multiplied by weights for so many outputs here.
pub(in crate::cpu) fn is_worth_rows(rows: usize, outputs: usize) -> bool {
    is_measured() && rows >= ROW_MIN && outputs > 0 && outputs.is_multiple_of(BLOCK)
}

fn is_depthwise(of: &Convolution) -> bool {
    of.channels == [1, 1] && of.groups >= BLOCK
}

/// Channels of what a convolution reads, and of what it makes: each in a tensor, along an axis.
pub(in crate::cpu) struct Channels {
    pub(in crate::cpu) read: usize,
    pub(in crate::cpu) made: usize,
}

/// A convolution over blocks in the place of a node and those that follow it up to `last`: of an image, and what is added.
pub(in crate::cpu) fn fused(
    graph: &TypedModel,
    of: Convolution,
    channels: &Channels,
    weights: &Tensor,
    (image, added): (OutletId, &[OutletId]),
    last: usize,
) -> TractResult<Option<TypedModelPatch>> {
    let shape = of.shape.clone();
    let is_depthwise = is_depthwise(&of);
    let is_packed = is_depthwise || of.channels[0] >= BLOCK;
    let op: Box<dyn TypedOp> = if is_depthwise {
        Box::new(Depthwise::new(of, channels.made, weights)?)
    } else {
        Box::new(Blocked::new(of, channels.made, weights)?)
    };
    let image = (image, is_packed.then_some(channels.read));
    let added = added.iter().map(|added| (*added, Some(channels.made)));
    let inputs: TVec<_> = [image].into_iter().chain(added).collect();
    over_blocks(graph, op, &inputs, (&shape, channels.made), last)
}

/// Puts what can be over blocks where it is, and takes out what turns blocks to planes and back.
pub(in crate::cpu) fn settled(graph: &mut TypedModel) -> TractResult<()> {
    let over_blocks: Find = |graph, id| {
        let found = pooled(graph, id)?;
        let found = if found.is_some() { found } else { chained(graph, id)? };
        if found.is_some() { Ok(found) } else { sunk(graph, id) }
    };
    rewrite(graph, &[over_blocks, met])
}

/// What makes blocks of planes that were made of the same blocks.
fn met(graph: &TypedModel, id: usize) -> TractResult<Option<TypedModelPatch>> {
    let node = graph.node(id);
    let Some(op) = node.op_as::<Pack>() else { return Ok(None) };
    let Some((before, from)) = unpacked(graph, node.inputs[0]) else { return Ok(None) };
    if before != op {
        return Ok(None);
    }
    let mut patch = TypedModelPatch::default();
    let from = patch.tap_model(graph, from)?;
    patch.shunt_outside(graph, id.into(), from)?;
    Ok(Some(patch))
}

/// How a tensor was made of blocks, and of which, if it was.
fn unpacked(graph: &TypedModel, planes: OutletId) -> Option<(&Pack, OutletId)> {
    let node = graph.node(planes.node);
    node.op_as::<Unpack>().map(|Unpack(pack)| (pack, node.inputs[0]))
}

/// An operator that makes the same of blocks.
fn sunk(graph: &TypedModel, id: usize) -> TractResult<Option<TypedModelPatch>> {
    let node = graph.node(id);
    let Some(all) = node.inputs.iter().map(|input| unpacked(graph, *input)).collect::<Option<TVec<_>>>() else {
        return Ok(None);
    };
    let ([made], Some((first, _))) = (&*node.outputs, all.first()) else { return Ok(None) };
    let (axis, Some(shape)) = (first.axis, made.fact.shape.as_concrete()) else { return Ok(None) };
    if made.fact.datum_type != f32::datum_type() {
        return Ok(None);
    }
    let channels: TVec<usize> = all.iter().map(|(pack, _)| pack.shape[pack.axis]).collect();
    let is_alike = all.iter().all(|(pack, _)| pack.axis == axis);
    let Some(op) = over(&*node.op, axis, &channels, shape).filter(|_| is_alike) else { return Ok(None) };
    let inputs: TVec<_> = all.iter().map(|(_, blocks)| (*blocks, None)).collect();
    over_blocks(graph, op, &inputs, (shape, axis), id)
}

/// What does to blocks of channels, which lie along an axis, what an operator does to planes to make a tensor of this shape.
fn over(op: &dyn TypedOp, axis: usize, channels: &[usize], made: &[usize]) -> Option<Box<dyn TypedOp>> {
    if let Some(concat) = op.downcast_ref::<TypedConcat>() {
        let [whole @ .., _] = channels else { return None };
        let is_whole = whole.iter().all(|channels| channels.is_multiple_of(BLOCK));
        return (concat.axis == axis && is_whole).then(|| concat.clone().into());
    }
    if let Some(slice) = op.downcast_ref::<Slice>() {
        let [start, end] = [slice.start.to_usize().ok()?, slice.end.to_usize().ok()?];
        let is_whole = start.is_multiple_of(BLOCK) && (end.is_multiple_of(BLOCK) || [end] == *channels);
        let blocks = || Slice::new(axis, start / BLOCK, end.div_ceil(BLOCK));
        return (slice.axis == axis && is_whole).then(|| blocks().into());
    }
    if let Some(downsample) = op.downcast_ref::<Downsample>() {
        return (downsample.axis > axis).then(|| downsample.clone().into());
    }
    if let Some(NearestUpsample { scales }) = op.downcast_ref::<NearestUpsample>() {
        let (ones, [down, across]) = scales.split_last_chunk()?;
        let is_over_planes = axis + 3 == made.len() && ones.iter().all(|scale| *scale == 1) && *across > 0;
        return is_over_planes.then(|| Upsample { scales: [*down, *across], shape: made.into(), axis }.into());
    }
    op.is::<ElementWiseOp>().then(|| dyn_clone::clone_box(op))
}

/// Pooling of blocks.
fn pooled(graph: &TypedModel, id: usize) -> TractResult<Option<TypedModelPatch>> {
    let node = graph.node(id);
    let Some((pack, blocks)) = node.inputs.first().and_then(|planes| unpacked(graph, *planes)) else { return Ok(None) };
    let (Some((window, fold, axis)), Some(shape)) = (pool(graph, id)?, node.outputs[0].fact.shape.as_concrete()) else {
        return Ok(None);
    };
    // Blocks may be of another axis, which is one that is pooled.
    if axis != pack.axis {
        return Ok(None);
    }
    let op = Pool::new(window, fold, shape, pack.axis);
    over_blocks(graph, op, &[(blocks, None)], (shape, pack.axis), id)
}

/// Element-wise operators, the first of which reads blocks.
fn chained(graph: &TypedModel, id: usize) -> TractResult<Option<TypedModelPatch>> {
    let node = graph.node(id);
    for planes in &node.inputs {
        let Some((pack, blocks)) = unpacked(graph, *planes) else { continue };
        let mut axis = Some(pack.axis);
        let (mut steps, last, taken) = if let Some((gate, product)) = gated(graph, *planes, &mut axis)? {
            (gate, product, None)
        } else {
            let Some(Next { step, with, .. }) = step(graph, node, *planes, &mut axis)? else { continue };
            (vec![step], id, with)
        };
        let (more, last, others) = following(graph, last, &mut axis, |_, _| true)?;
        steps.extend(more);
        let taken = taken.into_iter().chain(others).map(|taken| (taken, Some(pack.axis)));
        let inputs: TVec<_> = [(blocks, None)].into_iter().chain(taken).collect();
        let op = Chain::new(steps, &pack.shape, pack.axis)?;
        return over_blocks(graph, op, &inputs, (&pack.shape, pack.axis), last);
    }
    Ok(None)
}

/// An operator over blocks in the place of a node and those that follow it up to `last`, which makes a tensor of this shape with its
/// channels along an axis. Of its inputs some are packed first, along an axis.
fn over_blocks(
    graph: &TypedModel,
    op: impl Into<Box<dyn TypedOp>>,
    inputs: &[(OutletId, Option<usize>)],
    (shape, axis): (&[usize], usize),
    last: usize,
) -> TractResult<Option<TypedModelPatch>> {
    let (name, mut patch) = (&graph.node(last).name, TypedModelPatch::default());
    let packed = |(at, (outlet, axis)): (usize, &(OutletId, Option<usize>))| {
        let tapped = patch.tap_model(graph, *outlet)?;
        let Some(axis) = *axis else { return Ok(tapped) };
        let shape = patch.outlet_fact(tapped)?.shape.as_concrete().context("no fixed shape")?.into();
        Ok(patch.wire_node(format!("{name}.packed.{at}"), Pack { shape, axis }, &[tapped])?[0])
    };
    let inputs = inputs.iter().enumerate().map(packed).collect::<TractResult<TVec<_>>>()?;
    let made = patch.wire_node(name, op, &inputs)?;
    let made = patch.wire_node(format!("{name}.planes"), Unpack(Pack { shape: shape.into(), axis }), &made)?;
    patch.shunt_outside(graph, last.into(), made[0])?;
    Ok(Some(patch))
}
