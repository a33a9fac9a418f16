//! Operators over channels in blocks beside the same over planes.

use proptest::prelude::*;
use proptest::sample::select;
use pulp::Arch;
use tract_onnx::prelude::tensor1;
use tract_onnx::tract_hir::internal::{
    Approximation, Datum as _, IntoArcTensor as _, IntoTValue as _, OutletId, TValue, TypedModel, TypedModelPatch,
};
use tract_onnx::tract_hir::tract_core::ops::Downsample;
use tract_onnx::tract_hir::tract_core::ops::array::{Slice, TypedConcat};
use tract_onnx::tract_hir::tract_core::ops::cnn::{Conv, KernelFormat, MaxPool, PaddingSpec, PoolSpec, SumPool};
use tract_onnx::tract_hir::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_hir::tract_core::ops::math;
use tract_onnx::tract_hir::tract_core::ops::nn::{DataFormat, NearestUpsample, leaky_relu};
use tract_onnx::tract_hir::tract_core::ops::quant::quantize_linear_u8;

use super::function::FUNCTIONS;
use super::instructions::instructions;
use super::{TOLERANCE, agrees, kernels, numbers, on_three_cores, square};
use crate::agreement::difference;
use crate::cases::{Graph, Lies, cases, inputs};
use crate::cpu::nchwc::{Blocked, Depthwise, Pack, Rows, Unpack};
use crate::cpu::steps::{Kind, Step};
use crate::cut::Partition;

/// One layer of a network.
#[derive(Debug, Clone, Copy)]
enum Layer {
    /// To so many channels, by windows of this size, in steps.
    Convolution(usize, usize, usize),
    Depthwise(usize, usize),
    Pool {
        is_max: bool,
        size: usize,
    },
    /// By a constant for all, or one for each channel.
    By(bool),
    Leaky,
    /// What is not in a list of steps.
    Absolute,
    /// x · min(max(x + 3, 0), 6).
    Gated,
    Function(usize),
    /// With what went in two layers before, where that has the same shape: a sum, or a product.
    With(bool),
    /// By a number for each channel that comes from outside.
    Scaled,
    /// Beside itself.
    Concat,
    /// Half of the channels.
    Slice,
    Upsample,
    Downsample,
}

fn layer() -> impl Strategy<Value = Layer> {
    prop_oneof![
        6 => (select(&[8_usize, 13, 16, 32, 48, 80, 33][..]), select(&[1_usize, 3][..]), 1_usize..3)
            .prop_map(|(channels, size, step)| Layer::Convolution(channels, size, step)),
        2 => (select(&[3_usize, 5][..]), 1_usize..3).prop_map(|(size, step)| Layer::Depthwise(size, step)),
        2 => (any::<bool>(), 2_usize..4).prop_map(|(is_max, size)| Layer::Pool { is_max, size }),
        1 => any::<bool>().prop_map(Layer::By),
        1 => any::<bool>().prop_map(Layer::With),
        1 => (0..FUNCTIONS.len()).prop_map(Layer::Function),
        7 => select(&[Layer::Leaky, Layer::Absolute, Layer::Gated, Layer::Scaled, Layer::Concat, Layer::Slice, Layer::Upsample, Layer::Downsample][..]),
    ]
}

fn spec(channels: [usize; 2], size: usize, step: usize) -> PoolSpec {
    PoolSpec {
        data_format: DataFormat::NCHW,
        kernel_shape: [size, size].into_iter().collect(),
        padding: PaddingSpec::SameUpper,
        dilations: Some([1, 1].into_iter().collect()),
        strides: Some([step, step].into_iter().collect()),
        input_channels: channels[0],
        output_channels: channels[1],
    }
}

fn convolved(
    graph: &mut Graph,
    image: OutletId,
    outputs: usize,
    groups: usize,
    (size, step): (usize, usize),
) -> OutletId {
    let inputs = graph.shape(image)[1];
    let kernel = graph.weights(&[outputs, inputs / groups, size, size]);
    let bias = graph.weights(&[outputs]);
    let op = Conv {
        pool_spec: spec([inputs, outputs], size, step),
        kernel_fmt: KernelFormat::OIHW,
        group: groups,
        q_params: None,
    };
    graph.add(op, &[image, kernel, bias])
}

fn one(graph: &mut Graph, value: f32) -> OutletId {
    graph.constant(tensor1(&[value]).into_shape(&[1; 4]).expect("one"))
}

/// What a layer makes of the last of these.
fn layered(graph: &mut Graph, all: &[OutletId], layer: Layer) -> OutletId {
    let image = all[all.len() - 1];
    let shape = graph.shape(image);
    let channels = shape[1];
    match layer {
        Layer::Convolution(outputs, size, step) => convolved(graph, image, outputs, 1, (size, step)),
        Layer::Depthwise(size, step) => convolved(graph, image, channels, channels, (size, step)),
        Layer::Pool { is_max: true, size } => {
            graph.add(MaxPool { pool_spec: spec([channels; 2], size, 2), with_index_outputs: None }, &[image])
        }
        Layer::Pool { is_max: false, size } => {
            let pool_spec = spec([channels; 2], size, 1);
            graph.add(SumPool { pool_spec, count_include_pad: false, normalize: true }, &[image])
        }
        Layer::By(is_one) => {
            let by = graph.weights(&[1, if is_one { 1 } else { channels }, 1, 1]);
            graph.add(math::mul(), &[image, by])
        }
        Layer::Leaky => graph.add(leaky_relu(0.1), &[image]),
        Layer::Absolute => graph.add(math::abs(), &[image]),
        Layer::Gated => {
            let [three, zero, six] = [3.0, 0.0, 6.0].map(|value| one(graph, value));
            let gate = graph.add(math::add(), &[image, three]);
            let gate = graph.add(math::max(), &[gate, zero]);
            let gate = graph.add(math::min(), &[gate, six]);
            graph.add(math::mul(), &[image, gate])
        }
        Layer::Function(number) => graph.add(FUNCTIONS[number].0(), &[image]),
        Layer::With(is_sum) => {
            let before = all.iter().rev().skip(2).find(|before| graph.shape(**before) == shape);
            let op = if is_sum { math::add() } else { math::mul() };
            before.map_or(image, |before| graph.add(op, &[image, *before]))
        }
        Layer::Scaled => {
            let scale = graph.input(&[shape[0], channels, 1, 1]);
            graph.add(math::mul(), &[image, scale])
        }
        Layer::Concat if channels < 200 => graph.add(
            TypedConcat { axis: 1 },
            &[image, all[all.len().saturating_sub(2)], image]
                .map(|part| if graph.shape(part)[2..] == shape[2..] { part } else { image }),
        ),
        Layer::Slice if channels > 32 => graph.add(Slice::new(1, 16, channels), &[image]),
        Layer::Upsample if shape[2] < 32 => {
            graph.add(NearestUpsample { scales: [1, 1, 2, 3].into_iter().collect() }, &[image])
        }
        Layer::Downsample => graph.add(Downsample { axis: 2, stride: 2, modulo: 0 }, &[image]),
        Layer::Concat | Layer::Slice | Layer::Upsample => image,
    }
}

/// As a node that nobody outside reads, and where each of what its layers make is an output.
fn networks(channels: usize, sizes: [usize; 2], images: usize, layers: &[Layer]) -> [Partition; 2] {
    [false, true].map(|is_apart| {
        let mut graph = Graph::default();
        let mut all = vec![graph.operand(&[images, channels, sizes[0], sizes[1]], Lies::Whole)];
        for layer in layers {
            let made = layered(&mut graph, &all, *layer);
            all.push(made);
        }
        let last = all[all.len() - 1];
        let mut outputs = vec![last];
        for made in all.into_iter().filter(|_| is_apart).skip(1) {
            if !outputs.contains(&made) {
                outputs.push(made);
            }
        }
        graph.part(&outputs)
    })
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn networks_make_what_tract_makes_of_them_and_the_same_bits_where_each_layer_is_an_output(
        channels in select(&[3_usize, 16, 17, 48][..]),
        sizes in [select(&[5_usize, 7, 14, 23][..]), select(&[6_usize, 7, 13, 40][..])],
        images in 1_usize..3,
        layers in prop::collection::vec(layer(), 1..8),
    ) {
        let [whole, apart] = networks(channels, sizes, images, &layers);
        let run = |part: &Partition| part.clone().prepare().expect("kernels").run(&inputs(part)).expect("a run").remove(0);
        prop_assert!(run(&whole) == run(&apart), "other bits apart of\n{}", whole.graph);
        // Of numbers far from zero a sigmoid keeps nothing but what rounding has made of those near it.
        if !layers.iter().any(|layer| matches!(layer, Layer::Function(_))) {
            agrees(whole);
        }
    }
}

fn count<T: tract_onnx::tract_hir::internal::Op>(graph: &TypedModel) -> usize {
    graph.nodes.iter().filter(|node| node.op_is::<T>()).count()
}

fn rewritten(part: &Partition) -> TypedModel {
    let mut graph = part.graph.clone();
    kernels(&mut graph).expect("a graph");
    graph
}

/// Of a network whose channels fill blocks only what goes in and comes out is turned.
#[test]
fn blocks_stay_blocks_from_layer_to_layer() {
    use Layer::*;
    let layers = [
        Convolution(32, 3, 2),
        Gated,
        Function(1),
        Depthwise(5, 1),
        Pool { is_max: true, size: 3 },
        Convolution(32, 1, 1),
        With(true),
        Scaled,
        Absolute,
        Concat,
        Convolution(48, 3, 1),
        By(false),
        Pool { is_max: false, size: 3 },
        Slice,
        Downsample,
        Upsample,
        Convolution(80, 1, 1),
        Leaky,
    ];
    for (channels, packed) in [(3, 1), (32, 2)] {
        let [part, _] = networks(channels, [32, 32], 1, &layers);
        let graph = rewritten(&part);
        assert_eq!([count::<Pack>(&graph), count::<Unpack>(&graph)], [packed, 1], "{graph}");
        agrees(part);
    }
}

/// Of so many channels that sums are put aside, and three threads begin in the middle of what is stored together.
#[test]
fn many_channels_by_tiles_are_shared_without_changing_a_bit() {
    let mut graph = Graph::default();
    let image = graph.operand(&[1, 130, 14, 14], Lies::Whole);
    let made = convolved(&mut graph, image, 224, 1, (3, 1));
    let part = graph.part(&[made]);
    let inputs = inputs(&part);
    let own = part.clone().prepare().expect("kernels").run(&inputs).expect("a run");
    assert!(on_three_cores(&part, &inputs) == own, "three cores make other bits");
    let plain = part.prepare_plain().expect("tract").run(&inputs).expect("tract");
    let off = difference(&own, &plain);
    // Of 130 channels of noise Winograd's scheme rounds a little more than of fewer.
    assert!(off <= 2.0 * TOLERANCE, "off by {off}");
}

#[test]
fn rows_and_columns_that_are_taken_before_a_product_are_steps_of_its_windows() {
    let left = |modulo: usize, last: Downsample| {
        let mut graph = Graph::default();
        let image = graph.operand(&[2, 36, 12, 15], Lies::Whole);
        let image = graph.add(Downsample { axis: 2, stride: 2, modulo }, &[image]);
        let image = graph.add(last, &[image]);
        let weights = graph.weights(&[graph.shape(image)[1], 48]);
        let product = EinSum::new("nihw,io->nohw".parse().expect("axes"), f32::datum_type());
        let made = graph.add(product, &[image, weights]);
        let part = graph.part(&[made]);
        let left = count::<Downsample>(&rewritten(&part));
        agrees(part);
        left
    };
    let of = |axis, stride, modulo| Downsample { axis, stride, modulo };
    assert_eq!(left(0, of(3, 3, 0)), 0);
    assert_eq!(left(0, of(2, 2, 0)), 0);
    assert_eq!(left(1, of(3, 3, 0)), 1, "the first begins elsewhere");
    assert_eq!(left(0, of(3, 3, 1)), 2, "it begins elsewhere");
    assert_eq!(left(0, of(2, 3, 0)), 2, "no kernel goes so far");
    assert_eq!(left(0, of(1, 2, 0)), 2, "it takes channels");
}

/// The same, but what each input holds came in blocks.
pub(super) fn over_blocks(part: &Partition, axis: usize) -> Partition {
    let mut part = part.clone();
    for input in part.graph.inputs.clone() {
        let fact = part.graph.outlet_fact(input).expect("an input");
        let pack = Pack { shape: fact.shape.as_concrete().expect("fixed").into(), axis };
        let mut patch = TypedModelPatch::default();
        let tap = patch.tap_model(&part.graph, input).expect("an input");
        let blocks = patch.wire_node(format!("packed.{}", input.node), pack.clone(), &[tap]).expect("planes");
        let planes = patch.wire_node(format!("planes.{}", input.node), Unpack(pack), &blocks).expect("blocks");
        patch.shunt_outside(&part.graph, input, planes[0]).expect("its like");
        patch.apply(&mut part.graph).expect("a graph");
    }
    part
}

/// By each set of instructions, in blocks that any of them may have.
#[test]
fn every_instruction_set_makes_the_same() {
    for (size, kernel, channels) in
        [(9, 3, [3, 40]), (7, 1, [40, 33]), (14, 3, [40, 64]), (31, 5, [20, 17]), (9, 1, [130, 130])]
    {
        let of = |groups: usize| {
            let outputs = if groups == 1 { channels[1] } else { groups };
            let bias = Step::By(Kind::Add, numbers(3, &[outputs]).into_arc_tensor());
            let mut of = square(size, kernel, [outputs, groups], vec![bias, Step::With(Kind::Add)]);
            if groups == 1 {
                of.channels = channels;
            }
            of
        };
        let tensor = |at: usize, channels: usize| -> TValue { numbers(at, &[1, channels, size, size]).into_tvalue() };
        let packed = |tensor: &TValue| {
            let pack = Pack { shape: tensor.shape().into(), axis: 1 };
            pack.run(tensor).expect("planes").remove(0)
        };
        let blocked =
            Blocked::new(of(1), 1, &numbers(5, &[channels[1], channels[0], kernel, kernel])).expect("its weights");
        let image = tensor(1, channels[0]);
        let image = if channels[0] < 16 { image } else { packed(&image) };
        let blocked_inputs = [image, packed(&tensor(2, channels[1]))];
        let depthwise = Depthwise::new(of(40), 1, &numbers(6, &[40, kernel, kernel])).expect("its weights");
        let depthwise_inputs = [1, 2].map(|at| packed(&tensor(at, 40)));
        let [inputs, outputs] = channels.map(|channels| channels.next_multiple_of(16));
        let rows = Rows::new(&numbers(7, &[outputs, inputs]), &[size, outputs], vec![Step::With(Kind::Add)]);
        let rows = rows.expect("its weights");
        let rows_inputs = [inputs, outputs].map(|row| -> TValue { numbers(8, &[size, row]).into_tvalue() });
        let made = |arch: Arch| {
            let made = [blocked.run_on(arch, &blocked_inputs), depthwise.run_on(arch, &depthwise_inputs)];
            let made = made.into_iter().chain([rows.run_on(arch, &rows_inputs)]);
            made.map(|made| made.expect("a run")).collect::<Vec<_>>()
        };
        let best = made(Arch::new());
        for arch in instructions() {
            for (one, other) in best.iter().zip(made(arch)) {
                // Without any a product and a sum are rounded one after the other.
                let is_fused = !matches!(arch, Arch::Scalar);
                let accuracy = if is_fused { Approximation::Exact } else { Approximation::Approximate };
                one[0].close_enough(&other[0], accuracy).expect("the same");
            }
        }
    }
}

#[test]
fn of_channels_that_fill_no_block_the_others_make_no_difference() {
    let mut graph = Graph::default();
    let image = graph.operand(&[1, 17, 6, 6], Lies::Whole);
    // Zeros, which those beyond the last channel are, become no finite number.
    let made = graph.add(math::recip(), &[image]);
    let made = convolved(&mut graph, made, 16, 1, (3, 1));
    let part = graph.part(&[made]);
    let part = over_blocks(&part, 1);
    assert_eq!(count::<Pack>(&rewritten(&part)), 1, "all of it is over blocks");
    agrees(part);
}

#[test]
fn what_makes_other_types_or_pools_the_axis_of_blocks_is_left_over_planes() {
    let mut graph = Graph::default();
    let image = graph.operand(&[1, 8, 6, 6], Lies::Whole);
    let made = convolved(&mut graph, image, 16, 1, (3, 1));
    let made = graph.add(quantize_linear_u8(0.1, 3), &[made]);
    agrees(graph.part(&[made]));

    let mut graph = Graph::default();
    let image = graph.operand(&[1, 2, 32, 32], Lies::Whole);
    let weights = graph.weights(&[32, 64]);
    let product = EinSum::new("nhiw,io->nhow".parse().expect("axes"), f32::datum_type());
    let made = graph.add(product, &[image, weights]);
    let made = graph.add(MaxPool { pool_spec: spec([2; 2], 2, 2), with_index_outputs: None }, &[made]);
    agrees(graph.part(&[made]));
}
