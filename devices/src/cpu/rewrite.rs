//! Puts kernels of our own into a graph, in the place of nodes for which they are faster, or which may lie after one.

use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::tract_core::ops::Downsample;
use tract_onnx::tract_hir::tract_core::ops::cnn::{Conv, KernelFormat, MaxPool, PoolSpec, SumPool};
use tract_onnx::tract_hir::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_hir::tract_core::ops::nn::DataFormat;

use super::chain::Chain;
use super::convolution::Convolution;
use super::direct::Direct;
use super::nchwc::{self, Channels};
use super::pool::{Counted, Fold, Pool};
use super::product::Product;
use super::steps::{Kind, Next, Step, flat, gated, next, step};
use super::window::Window;

/// Input and output channels of a group with which a convolution is computed directly. With more of either, products of
/// matrices are as fast: what is gathered is used once for each output channel.
const INPUTS_MAX: usize = 4;
const OUTPUTS_MAX: usize = 32;
/// Output channels of a group from which on our product is used.
const PRODUCT_OUTPUTS_MIN: usize = 8;
/// And windows of a plane: fewer fill no vector.
pub(super) const ROW_MIN: usize = 16;
/// Elements that all windows of a plane see, of maxima and of sums, from which on our pooling is used: planes are copied first.
/// Measured: maxima of 64 took as long as tract's and of 100 two thirds, sums of 225 a fifth more and of 441 a sixth less.
const POOLED_MIN: [usize; 2] = [100, 256];
/// Longer steps of its windows, which see most elements once, are left to tract.
const POOLED_STEP_MAX: usize = 2;

#[cfg(test)]
thread_local! {
    /// Tests try all kernels on whatever there is, and what is left of them elsewhere.
    pub(super) static IS_MEASURED: std::cell::Cell<bool> = const { std::cell::Cell::new(true) };
}

/// Whether our products, and chains without functions, are faster than tract's here: it has some for many kinds of Arm's cores, beside
/// which ours were not measured.
fn is_measured() -> bool {
    #[cfg(test)]
    return IS_MEASURED.get();
    #[cfg(all(target_arch = "x86_64", not(test)))]
    return is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    #[cfg(not(any(target_arch = "x86_64", test)))]
    false
}

/// What takes the place of a node, if anything does.
pub(super) type Find = fn(&TypedModel, usize) -> TractResult<Option<TypedModelPatch>>;

/// Applies to all nodes what finds something for them, one after the other.
pub(super) fn rewrite(graph: &mut TypedModel, finds: &[Find]) -> TractResult<()> {
    for find in finds {
        for id in graph.eval_order()? {
            if let Some(patch) = find(graph, id)? {
                patch.apply(graph)?;
            }
        }
        graph.compact()?;
    }
    Ok(())
}

/// Convolutions, pooling, and chains of element-wise operators, with kernels of our own.
///
/// Which kernel a convolution gets depends on its node and its constants alone, so that on one machine it is the same in every
/// part of a model; and what is put into one kernel, or into a chain, gives the same numbers, bit for bit, as one after the other.
pub(super) fn kernels(graph: &mut TypedModel) -> TractResult<()> {
    rewrite(graph, &[windowed, pointwise])?;
    nchwc::settled(graph)?;
    rewrite(graph, &[pooled, chain])
}

/// A kernel in the place of a node and those that follow it up to `last`.
fn fused(
    graph: &TypedModel,
    op: impl Into<Box<dyn TypedOp>>,
    inputs: impl IntoIterator<Item = OutletId>,
    last: usize,
) -> TractResult<Option<TypedModelPatch>> {
    let mut patch = TypedModelPatch::default();
    let inputs = inputs.into_iter().map(|input| patch.tap_model(graph, input)).collect::<TractResult<TVec<_>>>()?;
    let made = patch.wire_node(&graph.node(last).name, op, &inputs)?;
    patch.shunt_outside(graph, last.into(), made[0])?;
    Ok(Some(patch))
}

/// Steps that follow a node, the last of their nodes, and the tensors that they take.
pub(super) type Following = (Vec<Step>, usize, TVec<OutletId>);

/// Of the first tensor that a step takes: kernels of convolutions add one.
fn adds_one(step: &Step, taken: usize) -> bool {
    *step == Step::With(Kind::Add) && taken == 0
}

/// What follows `id`, with channels along `axis`. `takes` tells which steps may take a tensor, after how many others.
pub(super) fn following(
    graph: &TypedModel,
    id: usize,
    axis: &mut Option<usize>,
    takes: impl Fn(&Step, usize) -> bool,
) -> TractResult<Following> {
    let (mut steps, mut last, mut taken) = (Vec::new(), id, TVec::new());
    loop {
        if let Some((gate, product)) = gated(graph, last.into(), axis)? {
            steps.extend(gate);
            last = product;
            continue;
        }
        let Some(Next { node, step, with }) = next(graph, last, axis)? else { break };
        if with.is_some() && !takes(&step, taken.len()) {
            break;
        }
        taken.extend(with);
        steps.push(step);
        last = node;
    }
    Ok((steps, last, taken))
}

/// At least two element-wise operators one after the other, the first of which is by a constant. Not those that follow a
/// convolution or product of tract, which does them itself. But a function, alone or before others, is ours wherever it is: a cut after
/// one of our kernels is to change no bit.
fn chain(graph: &TypedModel, id: usize) -> TractResult<Option<TypedModelPatch>> {
    let node = graph.node(id);
    let made = node.outputs.first().and_then(|made| made.fact.shape.as_concrete());
    let Some(shape) = made.filter(|shape| !shape.contains(&0)) else { return Ok(None) };
    for of in node.inputs.iter().copied() {
        let mut axis = None;
        let Some(Next { step: first, with: None, .. }) = step(graph, node, of, &mut axis)? else { continue };
        let (maker, is_function) = (graph.node(of.node), matches!(first, Step::Apply(_)));
        if !is_function && (!is_measured() || maker.op_is::<Conv>() || maker.op_is::<EinSum>()) {
            continue;
        }
        let (mut steps, mut last, mut added) = following(graph, id, &mut axis, adds_one)?;
        let plane: usize = shape[axis.map_or(0, |axis| axis + 1)..].iter().product();
        if plane < ROW_MIN {
            (steps, last, added, axis) = (Vec::new(), id, TVec::new(), None);
        }
        steps.insert(0, first);
        if steps.len() < 2 && !is_function {
            return Ok(None);
        }
        return fused(graph, Chain::new(steps, shape, axis), [of].into_iter().chain(added), last);
    }
    Ok(None)
}

/// The kernel for a convolution. None where tract's are faster.
fn windowed(graph: &TypedModel, id: usize) -> TractResult<Option<TypedModelPatch>> {
    let Some((mut of, channels)) = convolution(graph, id)? else { return Ok(None) };
    let mut axis = Some(channels);
    let [image, weights, bias] = *graph.node(id).inputs else { return Ok(None) };
    let constants = graph.outlet_fact(weights)?.konst.as_ref().zip(graph.outlet_fact(bias)?.konst.as_ref());
    if let Some((constant, constant_bias)) = constants.filter(|_| nchwc::is_worth(&of)) {
        let (steps, last, added) = following(graph, id, &mut axis, adds_one)?;
        let channels = Channels { read: channels, made: channels };
        of.steps = [Step::By(Kind::Add, flat(constant_bias)?)].into_iter().chain(steps).collect();
        of.window = of.window.in_one_row();
        return nchwc::fused(graph, of, &channels, constant, (image, &added), last);
    }
    let few = of.channels[0] <= INPUTS_MAX && of.channels[1] <= OUTPUTS_MAX && of.window.places() > 1;
    let direct = few && of.window.is_padded_in_little();
    let constants = constants.filter(|_| !direct && is_measured() && is_worth_a_product(&of));
    if !direct && constants.is_none() {
        return Ok(None);
    }
    let (steps, last, added) = following(graph, id, &mut axis, |step, taken| !direct && adds_one(step, taken))?;
    of.steps = steps;
    let Some((constant, constant_bias)) = constants else {
        return fused(graph, Direct(of), [image, weights, bias], last);
    };
    of.steps.insert(0, Step::By(Kind::Add, flat(constant_bias)?));
    of.window = of.window.in_one_row();
    fused(graph, Product::new(of, constant)?, [image].into_iter().chain(added), last)
}

pub(super) fn is_worth_a_product(of: &Convolution) -> bool {
    let [_, windows] = of.window.planes();
    of.channels[1] >= PRODUCT_OUTPUTS_MIN && windows >= ROW_MIN && of.window.is_small()
}

/// The kernel for constant weights by the channels of a tensor, which is what tract makes of a convolution whose windows see
/// one element each.
fn pointwise(graph: &TypedModel, id: usize) -> TractResult<Option<TypedModelPatch>> {
    let node = graph.node(id);
    let Some(op) = node.op_as::<EinSum>() else { return Ok(None) };
    let (facts, made) = graph.node_facts(id)?;
    let floats = facts.iter().chain(&made).all(|fact| fact.datum_type == f32::datum_type());
    let ([image, weights], true) = (&*facts, op.q_params.is_none() && floats) else { return Ok(None) };
    let shapes = (image.shape.as_concrete(), made[0].shape.as_concrete());
    let (Some(input), Some(output), Some(weights)) = (shapes.0, shapes.1, &weights.konst) else { return Ok(None) };
    let Some(([from, to], [read, makes])) = mapped(&op.axes, input, output) else { return Ok(None) };
    let row: usize = input[from + 1..].iter().product();
    if input.contains(&0) || weights.shape()[read] != input[from] {
        return Ok(None);
    }
    let by = || weights.clone().into_tensor().permute_axes(&[makes, read]);
    let is_last = from + 1 == input.len() && to + 1 == output.len();
    if is_last && nchwc::is_worth_rows(input[..from].iter().product(), output[to]) {
        let (steps, last, added) = following(graph, id, &mut Some(to), adds_one)?;
        let op = nchwc::Rows::new(&by()?, output, steps)?;
        return fused(graph, op, [node.inputs[0]].into_iter().chain(added), last);
    }
    let [ones, row] = [[1, 1], [1, row]];
    let window = Window { input: row, output: row, kernel: ones, strides: ones, dilations: ones, before: [0, 0] };
    let channels = [input[from], output[to]];
    let mut of = Convolution { window, groups: 1, channels, shape: output.into(), steps: Vec::new() };
    if !(is_measured() && is_worth_a_product(&of)) {
        return Ok(None);
    }
    let (steps, last, added) = following(graph, id, &mut Some(to), adds_one)?;
    of.steps = steps;
    let weights = by()?;
    if nchwc::is_worth(&of) {
        let (image, window) = in_steps(graph, node.inputs[0], from)?.unwrap_or((node.inputs[0], of.window));
        of.window = window;
        return nchwc::fused(graph, of, &Channels { read: from, made: to }, &weights, (image, &added), last);
    }
    fused(graph, Product::new(of, &weights)?, [node.inputs[0]].into_iter().chain(added), last)
}

/// What windows of one element each see of a tensor with channels along an axis, of which only some rows and columns are taken before:
/// the tensor, and these windows, which go over it in steps.
fn in_steps(graph: &TypedModel, mut image: OutletId, channels: usize) -> TractResult<Option<(OutletId, Window)>> {
    let planes = |image: OutletId| -> TractResult<Option<[usize; 2]>> {
        let shape = graph.outlet_fact(image)?.shape.as_concrete();
        Ok(shape.and_then(|shape| shape[channels + 1..].try_into().ok()))
    };
    let Some(output) = planes(image)? else { return Ok(None) };
    let (ones, mut strides) = ([1, 1], [1_usize; 2]);
    while let Some(Downsample { axis, stride, modulo: 0 }) = graph.node(image.node).op_as() {
        let step = axis.checked_sub(channels + 1).and_then(|axis| strides.get_mut(axis));
        let (Some(step), Ok(stride)) = (step, usize::try_from(*stride)) else { return Ok(None) };
        *step = step.saturating_mul(stride);
        image = graph.node(image.node).inputs[0];
    }
    let Some(input) = planes(image)? else { return Ok(None) };
    let window = Window { input, output, kernel: ones, strides, dilations: ones, before: [0, 0] };
    let is_in_steps = strides != ones && window.is_small() && window.is_padded_in_little();
    Ok(is_in_steps.then_some((image, window)))
}

/// If a product maps one axis of its first operand, of shape `input`, to one of its output by a matrix, and keeps all others
/// but those of one element: these two axes, and which of the matrix are the one that is read and the one that is made.
fn mapped(axes: &AxesMapping, input: &[usize], output: &[usize]) -> Option<([usize; 2], [usize; 2])> {
    let (mut made, mut read, mut kept) = (None, None, Vec::new());
    for axis in axes.iter_all_axes() {
        match (&*axis.inputs[0], &*axis.inputs[1], &*axis.outputs[0]) {
            ([from], [], [to]) => kept.push((*from, *to)),
            ([from], [], []) if input[*from] == 1 => {}
            ([], [], [to]) if output[*to] == 1 => {}
            ([from], [of], []) if read.is_none() => read = Some((*from, *of)),
            ([], [of], [to]) if made.is_none() => made = Some((*to, *of)),
            _ => return None,
        }
    }
    let ((from, read), (to, made)) = read.zip(made)?;
    kept.sort_unstable();
    let in_order = kept.is_sorted_by_key(|(_, to)| *to) && kept.iter().all(|axis| (axis.0 < from) == (axis.1 < to));
    in_order.then_some(([from, to], [read, made]))
}

/// What a node computes, if it is a convolution of f32 over planes of known size: and the axis of channels.
pub(super) fn convolution(graph: &TypedModel, id: usize) -> TractResult<Option<(Convolution, usize)>> {
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
    let facts = graph.node_input_facts(id)?;
    let floats = facts.iter().all(|fact| fact.datum_type == f32::datum_type());
    let shapes = (facts[0].shape.as_concrete(), node.outputs[0].fact.shape.as_concrete());
    let (Some(input), Some(output)) = shapes else { return Ok(None) };
    if !(floats && [input, output].into_iter().flatten().all(|size| *size > 0)) {
        return Ok(None);
    }
    let (window, groups, shape) = (sliding(spec, input, output), conv.group, output.into());
    let of = |window| Convolution { window, groups, channels, shape, steps: Vec::new() };
    Ok(window.map(|window| (of(window), spec.data_format.h_axis() - 1)))
}

/// The window of an operator over planes, between tensors of these shapes, if planes have two axes at most.
fn sliding(spec: &PoolSpec, input: &[usize], output: &[usize]) -> Option<Window> {
    let first = spec.data_format.h_axis();
    let before = spec.computed_padding(&input[first..].iter().map(TDim::from).collect::<Vec<_>>());
    let before: Result<Vec<usize>, _> = before.iter().map(|axis| axis.pad_before.to_usize()).collect();
    let two = |sizes: &[usize], fill: usize| match sizes {
        [width] => Some([fill, *width]),
        [height, width] => Some([*height, *width]),
        _ => None,
    };
    Some(Window {
        input: two(&input[first..], 1)?,
        output: two(&output[first..], 1)?,
        kernel: two(&spec.kernel_shape, 1)?,
        strides: two(&spec.strides(), 1)?,
        dilations: two(&spec.dilations(), 1)?,
        before: two(&before.ok()?, 0)?,
    })
}

/// The kernel for pooling. None where tract's is faster, or makes other bits: but then without indices that nobody reads, as it is
/// in a part that comes from no files.
fn pooled(graph: &TypedModel, id: usize) -> TractResult<Option<TypedModelPatch>> {
    let node = graph.node(id);
    if let Some((window, fold, _)) = pool(graph, id)?.filter(|(window, fold, _)| is_worth_pooling(window, fold)) {
        let shape = node.outputs[0].fact.shape.as_concrete().unwrap_or_default();
        return fused(graph, Pool { window, shape: shape.into(), fold }, [node.inputs[0]], id);
    }
    let indexed = node.op_as::<MaxPool>().filter(|op| op.with_index_outputs.is_some() && !has_second(graph, node));
    let Some(op) = indexed else { return Ok(None) };
    fused(graph, MaxPool { with_index_outputs: None, ..op.clone() }, [node.inputs[0]], id)
}

/// The window of a node that pools, what it makes of one, and the axis of channels, if our kernels make the same.
pub(super) fn pool(graph: &TypedModel, id: usize) -> TractResult<Option<(Window, Fold, usize)>> {
    let node = graph.node(id);
    let max = node.op_as::<MaxPool>().filter(|op| op.with_index_outputs.is_none() || !has_second(graph, node));
    let sum = node.op_as::<SumPool>();
    let specs = (max.map(|op| &op.pool_spec), sum.map(|op| &op.pool_spec));
    let Some(spec) = specs.0.or(specs.1) else { return Ok(None) };
    let (from, made) = (graph.outlet_fact(node.inputs[0])?, &node.outputs[0].fact);
    let (Some(input), Some(output)) = (from.shape.as_concrete(), made.shape.as_concrete()) else { return Ok(None) };
    let planes = matches!(spec.data_format, DataFormat::NCHW | DataFormat::CHW);
    let plain =
        planes && from.datum_type == f32::datum_type() && [input, output].iter().all(|shape| !shape.contains(&0));
    let window = if plain { sliding(spec, input, output) } else { None };
    let has_vectors = |window: &Window| max.is_some() && has_vectors(window, spec);
    let window = window.filter(|window| window.is_small() && window.is_padded_in_little() && !has_vectors(window));
    let fold = |window: &Window| {
        sum.map_or(Fold::Max, |op| {
            let counted = match (op.normalize, op.count_include_pad) {
                (false, _) => Counted::None,
                (true, false) => Counted::Image,
                (true, true) => Counted::Padded(&spec.padding),
            };
            Fold::sum(window, counted)
        })
    };
    let axis = spec.data_format.h_axis() - 1;
    Ok(window.map(|window| (window.clone(), fold(&window), axis)))
}

/// Whether anybody reads the second output of a node: of a pool from a file it is where the largest elements were.
fn has_second(graph: &TypedModel, node: &TypedNode) -> bool {
    let second = OutletId::new(node.id, 1);
    graph.outputs.contains(&second) || node.outputs.get(1).is_some_and(|output| !output.successors.is_empty())
}

/// Whether tract takes vectors itself to find the largest, on Arm by an instruction that tells zeros apart.
fn has_vectors(window: &Window, spec: &PoolSpec) -> bool {
    let is_two_by_two = *spec.kernel_shape == [2, 2] && window.dilations == [1, 1];
    let has_kernel = is_two_by_two && spec.data_format == DataFormat::NCHW;
    has_kernel && (window.strides == [1, 1] || !cfg!(target_arch = "x86_64"))
}

/// Whether planes are so large that it pays to copy them.
fn is_worth_pooling(window: &Window, fold: &Fold) -> bool {
    let [_, windows] = window.planes();
    let seen = windows.saturating_mul(window.places());
    seen >= POOLED_MIN[usize::from(*fold != Fold::Max)] && window.strides[1] <= POOLED_STEP_MAX
}
