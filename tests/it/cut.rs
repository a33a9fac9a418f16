//! A split equals the whole: every model, cut everywhere, under every codec.
#![allow(clippy::print_stdout)]

use thalweg_codec::{Bound, Codec};
use thalweg_devices::{Split, StageError, cuts};
use thalweg_planner::{Graph, LIVE_MAX, Separator, Tensor};

use crate::models::{CASES, Case};

/// Multiply-adds that the cuts of one model may cost together: small models are cut everywhere, VGG-19 at a few places.
const MACS_MAX: u64 = 200_000_000_000;
/// Bytes of weights that the cuts of one model may prepare together.
const WEIGHTS_MAX: u64 = 6_000_000_000;

/// Checks the cases whose index leaves `rest` when divided by `parts`, so that tests run side by side.
fn check_cases(parts: usize, rest: usize) {
    for case in CASES.iter().enumerate().filter(|(index, _)| index % parts == rest).map(|(_, case)| case) {
        match case.path() {
            Some(path) => check_case(case, &path),
            None => println!("{}: skipped, this machine does not have it", case.file),
        }
    }
}

#[test]
fn every_cut_under_every_codec_equals_the_whole_1() {
    check_cases(2, 0);
}

#[test]
fn every_cut_under_every_codec_equals_the_whole_2() {
    check_cases(2, 1);
}

fn check_case(case: &Case, path: &std::path::Path) {
    let (model, inputs) = case.load(path);
    let graph = model.describe();
    let whole =
        model.whole().and_then(|whole| whole.run(&inputs)).unwrap_or_else(|error| panic!("{}: {error}", case.file));
    let all = cuts(&model, &graph, LIVE_MAX);
    assert!(!all.is_empty(), "{} cannot be cut anywhere", case.file);
    let places = affordable(&graph, all);
    let count = places.len();
    for place in places {
        let at = place.at;
        let split = Split::new(&model, &graph, place).unwrap_or_else(|error| panic!("{} cut {at}: {error}", case.file));
        for codec in [Codec::F32, Codec::F16, Codec::Int8] {
            let outputs = split.run(&inputs, |_, tensor| Ok::<_, StageError>(carried(&codec, &tensor)));
            let outputs = outputs.unwrap_or_else(|error| panic!("{} cut {at} {codec}: {error}", case.file));
            if codec == Codec::F32 {
                assert_eq!(outputs, whole, "{} cut {at} is not the whole, bit for bit", case.file);
            }
            let specs = |tensors: &[Tensor]| tensors.iter().map(|tensor| tensor.spec().clone()).collect::<Vec<_>>();
            assert_eq!(specs(&outputs), specs(&whole), "{} cut {at} {codec}", case.file);
        }
    }
    println!("{}: {count} cuts, each under f32, f16 and int8", case.file);
}

/// All places, or as many as the budget allows, evenly spread.
fn affordable(graph: &Graph, all: Vec<Separator>) -> Vec<Separator> {
    let layers = 0..graph.layers.len();
    let by_macs = MACS_MAX / (3 * graph.macs(layers.clone()).0).max(1);
    let by_weights = WEIGHTS_MAX / graph.weights(layers).0.max(1);
    let count = (by_macs.min(by_weights).max(3) as usize).min(all.len());
    (0..count).map(|index| all[index * all.len() / count].clone()).collect()
}

/// The tensor after the codec, which must be as near as the codec declares.
fn carried(codec: &Codec, tensor: &Tensor) -> Tensor {
    let mut stream = Vec::new();
    codec.encode(tensor, &mut stream).expect("these codecs carry every tensor");
    assert!(stream.len() as u64 <= codec.bytes_max(tensor.spec()).0);
    let decoded = codec.decode(tensor.spec(), &stream).expect("what was encoded can be decoded");
    match codec.bound(tensor) {
        Bound::Exact => assert_eq!(&decoded, tensor, "{codec} declares to be exact"),
        Bound::Within(bounds) => {
            let (Some(original), Some(decoded)) = (tensor.to_f32(), decoded.to_f32()) else { return decoded };
            for ((x, y), bound) in original.iter().zip(&decoded).zip(&bounds) {
                assert!((f64::from(*x) - f64::from(*y)).abs() <= *bound, "{codec}: {x} became {y}, bound {bound:e}");
            }
        }
        Bound::Measured => panic!("{codec} declares no bound"),
    }
    decoded
}
