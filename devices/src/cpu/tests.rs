//! Kernels of our own beside tract's.

mod allocations;
mod bounds;
mod function;
mod instructions;
mod nchwc;
mod pool;
mod product;

use std::num::NonZero;
use std::sync::OnceLock;

use proptest::prelude::*;
use proptest::sample::select;
use thalweg_planner::Tensor;
use tract_onnx::prelude::tensor1;
use tract_onnx::tract_hir::internal::{Datum as _, ToDim as _, tvec};
use tract_onnx::tract_hir::tract_core::ops::TypedOp;
use tract_onnx::tract_hir::tract_core::ops::array::Gather;
use tract_onnx::tract_hir::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_hir::tract_core::ops::cast::{Cast, cast};
use tract_onnx::tract_hir::tract_core::ops::cnn::PaddingSpec;
use tract_onnx::tract_hir::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_hir::tract_core::ops::math;
use tract_onnx::tract_hir::tract_core::ops::nn::{DataFormat, leaky_relu};

use self::function::FUNCTIONS;
use super::chain::Chain;
use super::constants::once;
use super::convolution::{Convolution, floats};
use super::direct::Direct;
use super::nchwc::{Blocked, Depthwise, IS_OVER_BLOCKS, Rows};
use super::pool::Pool;
use super::product::Product;
use super::rewrite::{IS_MEASURED, kernels};
use super::steps::{Kind, Step};
use super::window::Window;
use crate::agreement::{difference, difference_beside};
use crate::cases::convolution::{Bias, Window as Case, bias, channels, convolved, paddings, window};
use crate::cases::{Graph, Lies, cases, inputs, lies, models, numbers};
use crate::cores::Cores;
use crate::cut::Partition;

/// Largest difference from tract's own kernels, of the output's largest value.
const TOLERANCE: f32 = 1e-5;

fn agrees(part: Partition) {
    let inputs = inputs(&part);
    let plain = part.clone().prepare_plain().expect("tract").run(&inputs).expect("tract");
    let own = part.clone().prepare().expect("kernels").run(&inputs).expect("a run");
    let off = difference(&own, &plain);
    assert!(off <= TOLERANCE, "off by {off:e}: {own:?} for {plain:?} of\n{}", part.graph);
    assert!(on_three_cores(&part, &inputs) == own, "three cores make other bits of\n{}", part.graph);
    let planes = over_planes(|| part.clone().prepare().expect("kernels")).run(&inputs).expect("a run");
    let off = difference(&planes, &plain);
    assert!(off <= TOLERANCE, "over planes off by {off:e}: {planes:?} for {plain:?} of\n{}", part.graph);
}

/// As on a processor without AVX-512.
fn over_planes<T>(prepare: impl FnOnce() -> T) -> T {
    IS_OVER_BLOCKS.set(false);
    let prepared = prepare();
    IS_OVER_BLOCKS.set(true);
    prepared
}

/// As on a processor for which tract has its own products and chains.
fn as_little_as_elsewhere<T>(prepare: impl FnOnce() -> T) -> T {
    IS_MEASURED.set(false);
    let prepared = over_planes(prepare);
    IS_MEASURED.set(true);
    prepared
}

fn on_three_cores(part: &Partition, inputs: &[Tensor]) -> Vec<Tensor> {
    static CORES: OnceLock<Cores> = OnceLock::new();
    let cores = CORES.get_or_init(|| Cores::start("three", NonZero::new(3).expect("three")).expect("threads"));
    let stage = part.clone().prepare().expect("kernels");
    cores.run(|| stage.run(inputs)).expect("a run")
}

/// How many kernels of our own a part has.
fn own(part: &Partition) -> usize {
    let mut graph = part.graph.clone();
    kernels(&mut graph).expect("a graph");
    let over_planes = |op: &dyn TypedOp| op.is::<Direct>() || op.is::<Product>() || op.is::<Pool>() || op.is::<Chain>();
    let over_blocks = |op: &dyn TypedOp| op.is::<Blocked>() || op.is::<Depthwise>() || op.is::<Rows>();
    let after_them = |op: &dyn TypedOp| op.is::<super::nchwc::Pool>() || op.is::<super::nchwc::Chain>();
    let is_own = |op: &dyn TypedOp| over_planes(op) || over_blocks(op) || after_them(op);
    graph.nodes.iter().filter(|node| is_own(&*node.op)).count()
}

/// Of planes of `side` squared, by windows of `kernel` squared, to as many elements.
fn square(side: usize, kernel: usize, [channels, groups]: [usize; 2], steps: Vec<Step>) -> Convolution {
    let pair = |value| [value, value];
    let window = Window {
        input: pair(side),
        output: pair(side),
        kernel: pair(kernel),
        strides: pair(1),
        dilations: pair(1),
        before: pair(kernel / 2),
    };
    Convolution { window, groups, channels: pair(channels / groups), shape: tvec![1, channels, side, side], steps }
}

/// Convolutions that take fewer multiplications by tiles.
fn three_by_three() -> impl Strategy<Value = (Case, (usize, usize, usize))> {
    let size = || select(&[3_usize, 4, 7, 14, 16, 31, 205][..]);
    let channels = select(&[(40_usize, 40_usize), (48, 33), (24, 100), (41, 64)][..]);
    let sizes = prop_oneof![(size(), 3_usize..8), (3_usize..8, size()), (size(), Just(14))];
    let case = (1_usize..3, sizes, paddings(2)).prop_map(|(images, (height, width), padding)| Case {
        format: DataFormat::NCHW,
        images,
        sizes: vec![height, width],
        kernel: vec![3, 3],
        strides: vec![1, 1],
        dilations: vec![1, 1],
        padding,
    });
    let groups = (1_usize..3, channels).prop_map(|(groups, (inputs, outputs))| (groups, inputs, outputs));
    (case.prop_filter("a window fits", Case::fits), groups)
}

/// Of which blocks are filled: depthwise, or in one group.
fn many_channels() -> impl Strategy<Value = (usize, usize, usize)> {
    prop_oneof![(16_usize..40, Just(1), Just(1)), (Just(1), select(&[33_usize, 40][..]), select(&[80_usize, 130][..]))]
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn convolutions_are_what_tract_makes_of_them(
        (window, channels) in prop_oneof![2 => (window(5), channels()), 1 => three_by_three(), 1 => (window(5), many_channels())],
        bias in bias(),
        lies in lies(),
        adds in any::<bool>(),
        bounds in select(&[[None, None], [None, Some(0.1)], [Some(0.0), None], [Some(0.0), Some(6.0)], [Some(0.5), Some(-0.5)]][..]),
    ) {
        let mut graph = Graph::default();
        let mut made = convolved(&mut graph, &window, channels, bias, lies);
        let shape = graph.shape(made);
        let axes = shape.len();
        if adds {
            let other = graph.operand(&shape, lies);
            made = graph.add(math::add(), &[other, made]);
        }
        let [low, high]: [Option<f32>; 2] = bounds;
        for (bound, op) in [(low, math::max()), (high, math::min())] {
            if let Some(bound) = bound {
                let bound = graph.constant(tensor1(&[bound]).into_shape(&vec![1; axes]).expect("one"));
                made = graph.add(op, &[made, bound]);
            }
        }
        agrees(graph.part(&[made]));
    }
}

proptest! {
    #![proptest_config(cases(100))]

    #[test]
    fn products_by_channel_are_what_tract_makes_of_them(
        (image, to) in select(&[("NIHW", "NOHW"), ("IHW", "OHW"), ("IHW", "NOHW"), ("NIHW", "OHW"), ("NHIW", "NHOW"), ("NHI", "NHO"), ("NIHW", "NHOW")][..]),
        weights in select(&["OI", "IO"][..]),
        sizes in prop::collection::vec(select(&[1_usize, 2, 7, 8, 13, 17, 40, 80, 208][..]), 4),
        [batched, biased, adds, bounded] in any::<[bool; 4]>(),
        lies in lies(),
    ) {
        let size = |axis: char| match axis {
            'N' if batched && image.contains('N') == to.contains('N') => 3,
            'N' => 1,
            axis => sizes["IOHW".find(axis).expect("an axis")],
        };
        let shape = |axes: &str| axes.chars().map(size).collect::<Vec<_>>();
        let mut graph = Graph::default();
        let operands = [graph.operand(&shape(image), lies), graph.weights(&shape(weights))];
        let op = EinSum::new(format!("{image},{weights}->{to}").parse().expect("axes"), f32::datum_type());
        let mut made = graph.add(op, &operands);
        if biased {
            let bias: Vec<usize> = to.chars().map(|axis| if axis == 'O' { size(axis) } else { 1 }).collect();
            let bias = graph.weights(&bias);
            made = graph.add(math::add(), &[made, bias]);
        }
        if adds {
            let other = graph.operand(&shape(to), lies);
            made = graph.add(math::add(), &[made, other]);
        }
        if bounded {
            let zero = graph.constant(tensor1(&[0_f32]).into_shape(&vec![1; to.len()]).expect("one"));
            made = graph.add(math::max(), &[made, zero]);
        }
        let part = graph.part(&[made]);
        let after = [(image, 'I'), (to, 'O')].map(|(axes, channel)| axes.split_once(channel).expect("a channel").1);
        let is_whole_row = after[0] == after[1] && shape(after[0]).iter().product::<usize>() >= 16;
        // Channels that lie last are all of a row.
        let rows: usize = image.chars().filter(|axis| *axis != 'I').map(size).product();
        let is_of_rows = after == ["", ""] && rows >= 16 && size('O').is_multiple_of(16);
        let is_own = size('O') >= 8 && is_whole_row || is_of_rows;
        assert_eq!(own(&part), usize::from(is_own), "{}", part.graph);
        agrees(part);
    }
}

/// A step of a chain, and what it is by: a number for all, one for each channel, or a tensor.
#[derive(Debug, Clone, Copy)]
enum By {
    One,
    Channels,
    Tensor,
}

proptest! {
    #![proptest_config(cases(100))]

    #[test]
    fn chains_are_what_tract_makes_of_them(
        sizes in prop::collection::vec(select(&[1_usize, 2, 3, 7, 16, 33, 130][..]), 1..4),
        axis in 0_usize..4,
        steps in prop::collection::vec((0_usize..8, select(&[By::One, By::Channels, By::Tensor][..])), 1..6),
        lies in lies(),
    ) {
        let axis = axis % sizes.len();
        let channels: Vec<usize> = sizes.iter().enumerate().map(|(at, size)| if at == axis { *size } else { 1 }).collect();
        let mut graph = Graph::default();
        let mut made = graph.operand(&sizes, lies);
        for (op, by) in steps {
            let Some(op) = [math::add, math::mul, math::max, math::min].get(op) else {
                let function = FUNCTIONS.get(op - 4).map_or_else(|| leaky_relu(0.1), |(function, _)| function());
                made = graph.add(function, &[made]);
                continue;
            };
            let by = match by {
                By::One => graph.weights(&vec![1; sizes.len()]),
                By::Channels => graph.weights(&channels),
                By::Tensor => graph.operand(&sizes, lies),
            };
            made = graph.add(op(), &[made, by]);
        }
        agrees(graph.part(&[made]));
    }
}

type BinOp = fn() -> TypedBinOp;

/// Where only a cut parts them, operators give the same bits: signs of zeros, and what is no number.
#[test]
fn a_chain_makes_the_bits_that_its_operators_make_apart() {
    let values = [0.0, -0.0, f32::NAN, 1.0, -1.0, f32::INFINITY, f32::NEG_INFINITY, 0.5].repeat(8);
    let image = Tensor::from_f32([2, 32], &values).expect("a tensor");
    let part = |steps: &[(BinOp, f32)]| {
        let mut graph = Graph::default();
        let mut made = graph.operand(&[2, 32], Lies::Whole);
        for (op, by) in steps {
            let by = graph.constant(tensor1(&[*by]).into_shape(&[1, 1]).expect("one"));
            made = graph.add(op().clone(), &[made, by]);
        }
        graph.part(&[made])
    };
    let run = |part: Partition, image: &Tensor| {
        part.prepare().expect("kernels").run(std::slice::from_ref(image)).expect("a run").remove(0)
    };
    for (op, bound) in [
        (math::max as BinOp, 0.0),
        (math::max, -0.0),
        (math::min, 0.0),
        (math::min, -0.0),
        (math::max, 0.5),
        (math::min, 0.5),
        (math::max, f32::NAN),
    ] {
        let steps = [(math::mul as BinOp, -1.0), (op, bound)];
        let whole = part(&steps);
        assert_eq!(own(&whole), usize::from(!bound.is_nan()));
        let apart = run(part(&steps[1..]), &run(part(&steps[..1]), &image));
        let bits =
            |tensor: &Tensor| tensor.to_f32().expect("floats").iter().map(|one| one.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&run(whole, &image)), bits(&apart), "{bound:?}");
    }
}

#[test]
fn efficientnet_makes_what_it_makes_with_tracts_kernels() {
    model_agrees("efficientnet_lite0/efficientnet_lite0_op13", "", 49);
}

#[test]
fn efficientnet_over_planes_makes_what_it_makes_with_tracts_kernels() {
    let model = models::model("efficientnet_lite0/efficientnet_lite0_op13", "");
    let (inputs, part) = (models::inputs(&model), model.whole_part().expect("a part"));
    let plain = part.clone().prepare_plain().expect("tract").run(&inputs).expect("tract");
    let made = over_planes(|| part.prepare().expect("kernels")).run(&inputs).expect("a run");
    assert!(difference(&made, &plain) <= TOLERANCE);
}

/// These take minutes on a processor that is emulated.
#[test]
fn larger_models_make_what_they_make_with_tracts_kernels() {
    // Of noise its probabilities are near zero, where tract's sigmoid ends: at that of -14.5, which is 5e-7.
    model_agrees_beside(0.1, "ppocr/ch_PP-OCRv4_det_infer", "1,3,320,320", 64);
    model_agrees("ppocr/ch_PP-OCRv4_rec_infer", "1,3,48,320", 50);
    model_agrees("onnx_light/light_densenet121", "", 186);
    model_agrees("silero_vad/silero_vad_openvino_16k", "", 1);
}

/// A model of the repository, with the shape that it leaves open and how many kernels of our own it has.
fn model_agrees(name: &str, shape: &str, kernels: usize) {
    model_agrees_beside(1e-2, name, shape, kernels);
}

/// The same beside values of that scale, where all are smaller.
fn model_agrees_beside(scale: f32, name: &str, shape: &str, kernels: usize) {
    let model = models::model(name, shape);
    let inputs = models::inputs(&model);
    let part = model.whole_part().expect("a part");
    let read = part.to_files().and_then(|files| Partition::from_files(&files)).expect("a part");
    assert_eq!(own(&read), kernels, "{name} from files");
    let plain = part.clone().prepare_plain().expect("tract").run(&inputs).expect("tract");
    let shared = on_three_cores(&part, &inputs);
    let is_alike = own(&part) == kernels;
    let [made, came] = [part, read].map(|part| part.prepare().expect("kernels").run(&inputs).expect("a run"));
    // On Arm tract turns some convolutions of a model that it loads to channels last.
    assert!(is_alike || cfg!(target_arch = "aarch64"), "{name} has other kernels than from files");
    assert!(made == came || !is_alike, "{name} from files makes other bits");
    assert!(made == shared, "{name} on three cores makes other bits");
    for (made, how) in [(made, "loaded"), (came, "from files")] {
        let off = difference_beside(scale, &made, &plain);
        assert!(off <= TOLERANCE, "{name} {how} is off by {off:e}");
    }
}

/// Weights in f16, and a table of which the rows that are gathered are turned.
#[test]
fn constants_are_turned_once() {
    let mut graph = Graph::default();
    let rows = graph.input_of(i64::datum_type(), &[3, 5]);
    let half = |graph: &mut Graph, shape: &[usize]| {
        let kept = numbers(shape[0], shape).cast_to::<half::f16>().expect("in f16").into_owned();
        let kept = graph.constant(kept);
        graph.add(cast(f32::datum_type()), &[kept])
    };
    let mut table = half(&mut graph, &[64, 24]);
    for scales in [1, 64] {
        let scale = graph.weights(&[scales, 1]);
        table = graph.add(math::mul(), &[scale, table]);
    }
    let table = graph.add(Gather::new(0), &[table, rows]);
    let weights = half(&mut graph, &[24, 16]);
    let product = EinSum::new("abi,io->abo".parse().expect("axes"), f32::datum_type());
    let made = graph.add(product, &[table, weights]);
    let part = graph.part(&[made]);
    let mut turned = part.graph.clone();
    once(&mut turned).expect("constants");
    let casts: Vec<_> = turned
        .nodes
        .iter()
        .filter(|node| node.op_is::<Cast>())
        .map(|node| node.outputs[0].fact.shape.to_tvec())
        .collect();
    assert_eq!(casts, [tvec![3.to_dim(), 5.to_dim(), 24.to_dim()]], "{turned}");
    agrees(part);
}

#[test]
fn what_would_take_terabytes_between_zeros_is_left_to_tract() {
    for (strides, dilations, kernels) in [([2, 2], [1, 1], 1), ([65_536, 65_536], [1, 1], 0), ([1, 1], [1 << 20, 1], 0)]
    {
        let (before, after) = (tvec![dilations[0] / 2, 0], tvec![dilations[0] / 2, 0]);
        let case = Case {
            format: DataFormat::NCHW,
            images: 1,
            sizes: vec![8, 8],
            kernel: vec![2, 2],
            strides: strides.to_vec(),
            dilations: dilations.to_vec(),
            padding: PaddingSpec::Explicit(before, after),
        };
        let mut graph = Graph::default();
        let made = convolved(&mut graph, &case, (1, 1, 1), Bias::None, Lies::Whole);
        let part = graph.part(&[made]);
        assert_eq!(own(&part), kernels, "{case:?}");
        agrees(part);
    }
}
