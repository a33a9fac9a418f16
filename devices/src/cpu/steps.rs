//! Element-wise operators that follow another one in a graph, and are done to its result while that is in registers.
//!
//! They are done one after the other, as the graph has them, so the numbers are the same bit for bit.

use std::array;
use std::sync::Arc;

use pulp::Simd;
use smallvec::SmallVec;
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_hir::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_hir::tract_core::ops::math::{Add, Max, Min, Mul};
use tract_onnx::tract_hir::tract_core::ops::nn::LeakyRelu;

use super::convolution::floats;
use super::function::Function;

/// Operations that the longest of the functions takes for a vector.
const FUNCTION_WORK: usize = 20;

/// What is done with two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Add,
    Mul,
    Max,
    Min,
    /// Those below zero by the other one.
    Leaky,
}

/// One operator.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Step {
    /// With a constant for each channel, or one for all.
    By(Kind, Arc<Tensor>),
    /// With a tensor of the same shape. Of those that a kernel takes for its steps, each takes the next one.
    With(Kind),
    /// With a tensor that has a number for each channel of each image.
    WithChannels(Kind),
    /// A function of each number.
    Apply(Function),
    /// Keeps what there is now.
    Keep,
    /// Multiplies with what was kept.
    ByKept,
}

/// One operator, with its numbers.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ready<'a> {
    By(Kind, &'a [f32]),
    /// A bound that is zero somewhere: of two zeros tract keeps the first, as no one instruction does that all processors have.
    AtLeast(&'a [f32]),
    AtMost(&'a [f32]),
    With(Kind, &'a [f32]),
    Apply(Function),
    Keep,
    ByKept,
}

/// Some operators, seldom more than are kept without an allocation.
pub(super) type Steps<'a> = SmallVec<[Ready<'a>; 8]>;

impl Step {
    /// The same for so many channels, those beyond its own by the last one's constant.
    pub(super) fn for_channels(self, count: usize) -> TractResult<Self> {
        let Self::By(kind, values) = &self else { return Ok(self) };
        let mut numbers = floats(values)?.to_vec();
        if let [_, .., last] = *numbers {
            numbers.resize(count, last);
        }
        Ok(Self::By(*kind, Arc::new(tensor1(&numbers))))
    }

    /// What they take for an element, in multiply-adds.
    pub(super) fn work(steps: &[Self]) -> usize {
        steps.iter().map(|step| if matches!(step, Self::Apply(_)) { FUNCTION_WORK } else { 1 }).sum()
    }

    /// Those of a convolution, or of a product, to so many channels: none of them takes a tensor by channel, of which there is one for
    /// each image.
    pub(super) fn for_convolution(steps: Vec<Self>, channels: usize) -> TractResult<Vec<Self>> {
        ensure!(!steps.iter().any(|step| matches!(step, Self::WithChannels(_))), "a convolution scales no channels");
        steps.into_iter().map(|step| step.for_channels(channels)).collect()
    }

    /// All of them, with the tensors that they take.
    pub(super) fn ready<'a>(steps: &'a [Self], taken: &[&'a [f32]]) -> TractResult<Steps<'a>> {
        let mut taken = taken.iter();
        let mut take = || taken.next().context("a step takes a tensor, and none is there");
        let ready = |step: &'a Self| match step {
            Self::By(kind, values) => {
                let values = floats(values)?;
                // Arm's instructions are what tract has in its kernels there: zeros have an order, and what is no number stays it.
                let is_plain = cfg!(target_arch = "aarch64") || values.iter().all(|value| *value != 0.0);
                Ok(match kind {
                    Kind::Max if !is_plain => Ready::AtLeast(values),
                    Kind::Min if !is_plain => Ready::AtMost(values),
                    kind => Ready::By(*kind, values),
                })
            }
            Self::With(kind @ (Kind::Add | Kind::Mul)) => Ok(Ready::With(*kind, take()?)),
            Self::With(kind) => bail!("{kind:?} of two tensors is no step"),
            Self::WithChannels(kind) => Ok(Ready::By(*kind, take()?)),
            Self::Apply(function) => Ok(Ready::Apply(*function)),
            Self::Keep => Ok(Ready::Keep),
            Self::ByKept => Ok(Ready::ByKept),
        };
        steps.iter().map(ready).collect()
    }
}

impl Kind {
    fn of(op: &TypedBinOp) -> Option<Self> {
        let kinds = [(op.0.is::<Add>(), Self::Add), (op.0.is::<Mul>(), Self::Mul)];
        let bounds = [(op.0.is::<Max>(), Self::Max), (op.0.is::<Min>(), Self::Min)];
        kinds.into_iter().chain(bounds).find_map(|(is, kind)| is.then_some(kind))
    }
}

/// Does `$work` to each vector. It is no closure, since one that is called has no instructions of its caller's vectors.
macro_rules! each {
    ($vectors:ident, |$one:ident| $work:expr) => {
        for vector in &mut $vectors {
            let $one = *vector;
            *vector = $work;
        }
    };
}

/// The number of a channel, or the one of all.
#[inline(always)]
pub(super) fn of_channel<S: Simd>(simd: S, channel: usize) -> impl Fn(&[f32]) -> S::f32s {
    move |numbers| simd.splat_f32s(numbers[channel.min(numbers.len() - 1)])
}

/// All steps done to `N` vectors. Of constants `constant` tells those of their channels, of tensors `with` those that lie with them.
#[inline(always)]
pub(super) fn done<S: Simd, const N: usize>(
    simd: S,
    steps: &[Ready],
    constant: impl Fn(&[f32]) -> S::f32s,
    mut row: [S::f32s; N],
    with: impl Fn(&[f32]) -> [S::f32s; N],
) -> [S::f32s; N] {
    let mut kept = row;
    for step in steps {
        let by = match step {
            Ready::By(_, by) | Ready::AtLeast(by) | Ready::AtMost(by) => constant(by),
            Ready::With(..) | Ready::Apply(_) | Ready::Keep | Ready::ByKept => simd.splat_f32s(0.0),
        };
        match step {
            Ready::By(Kind::Add, _) => each!(row, |one| simd.add_f32s(one, by)),
            Ready::By(Kind::Mul, _) => each!(row, |one| simd.mul_f32s(one, by)),
            Ready::By(Kind::Max, _) => each!(row, |one| simd.max_f32s(one, by)),
            Ready::By(Kind::Min, _) => each!(row, |one| simd.min_f32s(one, by)),
            Ready::By(Kind::Leaky, _) => each!(row, |one| {
                let is_below = simd.less_than_f32s(one, simd.splat_f32s(0.0));
                simd.select_f32s(is_below, simd.mul_f32s(one, by), one)
            }),
            // What is no number compares with none, and becomes the bound.
            Ready::AtLeast(_) => each!(row, |one| simd.select_f32s(simd.less_than_or_equal_f32s(by, one), one, by)),
            Ready::AtMost(_) => each!(row, |one| simd.select_f32s(simd.less_than_or_equal_f32s(one, by), one, by)),
            Ready::With(kind, tensor) => {
                for (one, other) in row.iter_mut().zip(&with(tensor)) {
                    *one = if *kind == Kind::Mul { simd.mul_f32s(*one, *other) } else { simd.add_f32s(*one, *other) };
                }
            }
            Ready::Apply(function) => row = function.done(simd, row),
            Ready::Keep => kept = row,
            Ready::ByKept => {
                for (one, kept) in row.iter_mut().zip(&kept) {
                    *one = simd.mul_f32s(*one, *kept);
                }
            }
        }
    }
    row
}

/// Vectors of which as much is there as there are elements.
#[inline(always)]
pub(super) fn load<S: Simd, const N: usize>(simd: S, from: &[f32]) -> [S::f32s; N] {
    if let Some(all) = S::as_simd_f32s(from).0.first_chunk() {
        return *all;
    }
    let mut parts = from.chunks(S::F32_LANES);
    array::from_fn(|_| simd.partial_load_f32s(parts.next().unwrap_or_default()))
}

/// As [`load`], the other way.
#[inline(always)]
pub(super) fn store<S: Simd, const N: usize>(simd: S, into: &mut [f32], vectors: &[S::f32s; N]) {
    if let Some(all) = S::as_mut_simd_f32s(into).0.first_chunk_mut() {
        *all = *vectors;
        return;
    }
    // A copy of its own, which no loop forces the others into memory for.
    let some = *vectors;
    let parts = into.chunks_mut(S::F32_LANES);
    parts.zip(&some).for_each(|(into, vector)| simd.partial_store_f32s(into, *vector));
}

/// An operator that may follow in a graph.
pub(super) struct Next {
    pub(super) node: usize,
    pub(super) step: Step,
    /// The tensor that it takes.
    pub(super) with: Option<OutletId>,
}

/// The one node that reads what `id` makes, if it is such an operator. Channels lie along `axis`, or along that of the first
/// constant that has more than one number.
pub(super) fn next(graph: &TypedModel, id: usize, axis: &mut Option<usize>) -> TractResult<Option<Next>> {
    let is_output = graph.outputs.iter().any(|outlet| outlet.node == id);
    let Some(next) = (if is_output { None } else { graph.single_succ(id)? }) else { return Ok(None) };
    step(graph, next, id.into(), axis)
}

/// What a node does to the tensor `of`, if it is such an operator.
pub(super) fn step(
    graph: &TypedModel,
    node: &TypedNode,
    of: OutletId,
    axis: &mut Option<usize>,
) -> TractResult<Option<Next>> {
    let next = |step, with| Ok(Some(Next { node: node.id, step, with }));
    if let Some(step) = Function::of(node).map(Step::Apply).or_else(|| leaky(node)) {
        return next(step, None);
    }
    let Some(kind) = node.op_as::<TypedBinOp>().and_then(Kind::of) else { return Ok(None) };
    let Some(other) = node.inputs.iter().copied().find(|input| *input != of) else { return Ok(None) };
    let (made, fact, by) = (graph.outlet_fact(of)?, &node.outputs[0].fact, graph.outlet_fact(other)?);
    let plain = [made, fact, by].iter().all(|fact| fact.datum_type == f32::datum_type()) && made.shape == fact.shape;
    let Some(shape) = fact.shape.as_concrete().filter(|_| plain) else { return Ok(None) };
    let constant = by.konst.as_ref().and_then(|constant| by_channel(constant, shape, axis));
    // A bound that is no number is left to tract: what it makes of it differs from processor to processor.
    if let Some(constant) = constant.filter(|by| !matches!(kind, Kind::Max | Kind::Min) || is_numbers(by)) {
        return next(Step::By(kind, constant), None);
    }
    let takes = matches!(kind, Kind::Add | Kind::Mul) && by.konst.is_none();
    let step = if by.shape == fact.shape { Step::With(kind) } else { Step::WithChannels(kind) };
    let is_known = by.shape == fact.shape || by.shape.as_concrete().is_some_and(|by| is_by_channel(by, shape, *axis));
    if takes && is_known { next(step, Some(other)) } else { Ok(None) }
}

/// Whether a tensor has a number for each channel of each image, with which planes are scaled.
fn is_by_channel(by: &[usize], shape: &[usize], axis: Option<usize>) -> bool {
    let Some(axis) = axis else { return false };
    by.len() == shape.len() && by[..=axis] == shape[..=axis] && by[axis + 1..].iter().all(|size| *size == 1)
}

/// What is done to `of` by steps that are multiplied with it again, as hard-swish is, and the last of their nodes.
pub(super) fn gated(
    graph: &TypedModel,
    of: OutletId,
    axis: &mut Option<usize>,
) -> TractResult<Option<(Vec<Step>, usize)>> {
    let [one, other] = *graph.node(of.node).outputs[of.slot].successors else { return Ok(None) };
    if graph.outputs.contains(&of) {
        return Ok(None);
    }
    for (first, last) in [(one.node, other.node), (other.node, one.node)] {
        let mut tried = *axis;
        let (mut steps, mut found) = (vec![Step::Keep], step(graph, graph.node(first), of, &mut tried)?);
        while let Some(Next { node, step, with: None }) = found {
            steps.push(step);
            let product = graph.node(last);
            let is_product = product.op_as::<TypedBinOp>().and_then(Kind::of) == Some(Kind::Mul);
            if is_product && product.inputs.contains(&of) && product.inputs.contains(&node.into()) {
                let is_alone = graph.single_succ(node)?.is_some() && !graph.outputs.contains(&node.into());
                steps.push(Step::ByKept);
                *axis = if is_alone { tried } else { *axis };
                return Ok(is_alone.then_some((steps, last)));
            }
            found = next(graph, node, &mut tried)?;
        }
    }
    Ok(None)
}

/// Numbers of f32 below zero are multiplied with another one, if a node does only that.
fn leaky(node: &TypedNode) -> Option<Step> {
    let alpha = node.op_as::<ElementWiseOp>()?.0.downcast_ref::<LeakyRelu>()?.alpha;
    let is_f32 = node.outputs[0].fact.datum_type == f32::datum_type();
    is_f32.then(|| Step::By(Kind::Leaky, Arc::new(tensor1(&[alpha]))))
}

/// The numbers of a constant, if it has one for each channel or one for all.
fn by_channel(constant: &Arc<Tensor>, shape: &[usize], axis: &mut Option<usize>) -> Option<Arc<Tensor>> {
    let mut long = constant.shape().iter().enumerate().filter(|(_, size)| **size != 1);
    if let (Some((at, size)), None) = (long.next(), long.next()) {
        if shape.get(at) != Some(size) || *axis.get_or_insert(at) != at {
            return None;
        }
    } else if constant.len() != 1 {
        return None;
    }
    flat(constant).ok()
}

fn is_numbers(constant: &Tensor) -> bool {
    floats(constant).is_ok_and(|values| values.iter().all(|value| !value.is_nan()))
}

/// The numbers of a constant along one axis.
pub(super) fn flat(constant: &Arc<Tensor>) -> TractResult<Arc<Tensor>> {
    Ok(constant.clone().into_tensor().into_shape(&[constant.len()])?.into())
}
