//! Streams of tensors over links that lose frames, and the beginnings of single ones.

use std::f32::consts::TAU;
use std::sync::LazyLock;

use proptest::prelude::*;
use thalweg_planner::DType;

use super::*;
use crate::features::fit::{Basis, Options, Rotation, fit};
use crate::{Book, Codec, LEVELS};

/// What a camera sees: in each of eight channels a mixture of three waves, moved by `at` of the width, and noise.
fn scene(seed: u64, at: f32, noise: f32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    let waves: Vec<[f32; 4]> = (0..3).map(|_| [(); 4].map(|()| random())).collect();
    let position = |channel: usize, row: usize, column: usize| {
        let wave = |[strength, down, across, phase]: &[f32; 4]| {
            let place = 2.0 * down * row as f32 / 8.0 + 4.0 * across * (column as f32 / 8.0 + at);
            let mixed = 1.0 + (channel as f32 * (1.0 + phase)).cos();
            8.0 * mixed * strength * (TAU * (place + phase)).sin()
        };
        waves.iter().map(wave).sum::<f32>()
    };
    let places = (0..8).flat_map(|channel| (0..64).map(move |place| (channel, place / 8, place % 8)));
    places.map(|(channel, row, column)| position(channel, row, column) + noise * random()).collect()
}

static BOOK: LazyLock<Arc<Book>> = LazyLock::new(|| {
    let spec = TensorSpec::new(DType::F32, [1, 8, 8, 8]);
    let samples: Vec<Vec<f32>> = (1..200).map(|seed| scene(seed, 0.0, 0.5)).collect();
    let basis = Basis::fit(&spec, &samples).expect("numbers");
    let options = Options { rotation: Rotation::Principal, ..Options::DEFAULT };
    let mut books = fit(&[basis], &[None], &[samples], options).expect("a book");
    Arc::new(books.remove(0))
});

fn features(level: u8) -> Arc<Features> {
    Arc::new(Features::new(BOOK.clone(), level).expect("a level"))
}

fn tensor(values: &[f32]) -> Tensor {
    Tensor::from_f32(BOOK.spec().shape.clone(), values).expect("a tensor")
}

/// What a single frame makes of a tensor.
fn alone(features: &Arc<Features>, tensor: &Tensor) -> Tensor {
    let codec = Codec::Features { level: features.level(), book: Some(features.clone()) };
    let mut stream = Vec::new();
    codec.encode(tensor, &mut stream).expect("a tensor of the book");
    codec.decode(tensor.spec(), &stream).expect("its stream")
}

/// One moment of a stream.
#[derive(Debug, Clone)]
enum Moment {
    /// The camera moves by this much of its view, with so much noise.
    Moves(f32, f32),
    /// Nothing changes.
    Stands,
    /// Another scene.
    Cuts(u64),
    /// A number that is none, or one too large to be quantised.
    Breaks(f32),
}

fn moments() -> impl Strategy<Value = Vec<(Moment, bool)>> {
    let breaks = prop::sample::select(vec![f32::NAN, f32::INFINITY, -1e30]).prop_map(Moment::Breaks);
    let moment = prop_oneof![
        6 => (0.0..0.1_f32, 0.0..0.5_f32).prop_map(|(by, noise)| Moment::Moves(by, noise)),
        2 => Just(Moment::Stands),
        1 => (1..1000_u64).prop_map(Moment::Cuts),
        1 => breaks,
    ];
    prop::collection::vec((moment, prop::bool::weighted(0.2)), 1..30)
}

fn tensors(moments: &[(Moment, bool)]) -> Vec<Tensor> {
    let (mut seed, mut at, mut last) = (1, 0.0, scene(1, 0.0, 0.0));
    let next = |(moment, _): &(Moment, bool)| {
        let mut broken = None;
        match moment {
            Moment::Moves(by, noise) => {
                at += by;
                last = scene(seed, at, *noise);
            }
            Moment::Stands => {}
            Moment::Cuts(other) => {
                seed = *other;
                last = scene(seed, at, 0.1);
            }
            Moment::Breaks(number) => broken = Some(*number),
        }
        let mut values = last.clone();
        values[7] = broken.unwrap_or(values[7]);
        tensor(&values)
    };
    moments.iter().map(next).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn whatever_is_lost_frames_decode_as_alone_or_ask_for_a_key(
        moments in moments(),
        level in 1..=LEVELS,
        key_every in 1..20_u16,
        asks in any::<bool>(),
    ) {
        let features = features(level);
        let mut encoder = FrameEncoder::new(features.clone()).with_key_every(key_every);
        let mut decoder = FrameDecoder::new(features.clone());
        let mut behind = true;
        let mut since_key = 0;
        for (tensor, (_, lost)) in tensors(&moments).iter().zip(&moments) {
            let mut frame = Vec::new();
            let kind = encoder.encode(tensor, &mut frame).expect("a tensor of the book");
            prop_assert!(frame.len() <= HEADER_MAX + tensor.data().len());
            since_key = if kind == FrameKind::Delta { since_key + 1 } else { 0 };
            prop_assert!(since_key < key_every);
            if *lost {
                behind = true;
                continue;
            }
            match decoder.decode(tensor.spec(), &frame) {
                Ok(decoded) => {
                    prop_assert_eq!(decoded, alone(&features, tensor));
                    behind = false;
                }
                Err(CodecError::NeedsKey { has, wants, .. }) => {
                    prop_assert!(behind && kind == FrameKind::Delta, "{kind:?} needs {wants}, {has:?} is there");
                    if asks {
                        encoder.force_key();
                    }
                }
                Err(error) => prop_assert!(false, "{error}"),
            }
        }
        encoder.force_key();
        let (last, mut frame) = (tensor(&scene(5, 0.0, 0.0)), Vec::new());
        prop_assert_eq!(encoder.encode(&last, &mut frame).expect("a tensor"), FrameKind::Key);
        let decoded = decoder.decode(last.spec(), &frame).expect("a key frame always decodes");
        prop_assert_eq!(decoded, alone(&features, &last));
    }

    #[test]
    fn damaged_frames_change_nothing(
        level in 1..=LEVELS,
        seeds in (1..1000_u64, 1..1000_u64),
        cut in any::<prop::sample::Index>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        noise in prop::collection::vec(any::<u8>(), 0..300),
        kind in 0..4_u8,
    ) {
        let features = features(level);
        let (mut encoder, mut decoder) = (FrameEncoder::new(features.clone()), FrameDecoder::new(features.clone()));
        let spec = BOOK.spec();
        let mut frames = [(); 3].map(|()| Vec::new());
        let steps = [scene(seeds.0, 0.0, 0.0), scene(seeds.0, 0.01, 0.1), scene(seeds.1, 0.0, 0.0)];
        let tensors = steps.map(|values| tensor(&values));
        for (tensor, frame) in tensors.iter().zip(&mut frames) {
            encoder.encode(tensor, frame).expect("a tensor of the book");
        }
        decoder.decode(spec, &frames[0]).expect("a key frame");
        let short = &frames[1][..cut.index(frames[1].len())];
        // An empty body stands for a frame in which nothing changes.
        if short.len() != HEADER_MAX {
            prop_assert!(decoder.decode(spec, short).is_err());
        } else {
            return Ok(());
        }
        for (tensor, frame) in tensors.iter().zip(&frames).skip(1) {
            let decoded = decoder.decode(spec, frame).expect("the frame that it needs is there");
            prop_assert_eq!(decoded, alone(&features, tensor));
        }
        let mut altered = frames[1].clone();
        for (at, value) in flips {
            let at = at.index(altered.len());
            altered[at] = value;
        }
        let _ = decoder.decode(spec, &altered);
        let mut noise = noise;
        for hostile in [kind, 2] {
            if let Some(first) = noise.first_mut() {
                *first = hostile;
            }
            // As a delta of what is there.
            if noise.len() > 6 && let Some(has) = decoder.has {
                noise[1..5].copy_from_slice(&has.wrapping_add(1).to_le_bytes());
                noise[5] = 1;
            }
            if let Ok(decoded) = decoder.decode(spec, &noise) {
                prop_assert_eq!(decoded.spec(), spec);
            }
        }
    }

    #[test]
    fn every_beginning_decodes_and_more_of_it_is_nearer(seed in 200..10_000_u64, level in 1..=LEVELS) {
        let features = features(level);
        let codec = Codec::Features { level, book: Some(features.clone()) };
        let original = scene(seed, 0.0, 0.5);
        let mut stream = Vec::new();
        codec.encode(&tensor(&original), &mut stream).expect("a tensor of the book");
        let (mut share, mut error_min) = (0.0, f64::INFINITY);
        for end in 0..=stream.len() {
            let (decoded, there) = codec.decode_prefix(BOOK.spec(), &stream[..end]).expect("a beginning");
            prop_assert!(there >= share, "{there} after {share}");
            share = there;
            let squared = |(one, other): (&f32, f32)| f64::from(one - other).powi(2);
            let error: f64 = original.iter().zip(decoded.to_f32().expect("f32")).map(squared).sum();
            // Directions are rounded to f16, so they are not quite at right angles.
            prop_assert!(error <= error_min * 1.01 + 1e-3, "{error} after {error_min} with {end} bytes");
            error_min = error.min(error_min);
        }
        prop_assert_eq!(share, 1.0);
        let whole = codec.decode(BOOK.spec(), &stream).expect("a stream");
        prop_assert_eq!(codec.decode_prefix(BOOK.spec(), &stream).expect("a stream"), (whole, 1.0));
    }
}

#[test]
fn a_moving_camera_takes_fewer_bytes_than_single_frames() {
    let features = features(8);
    let mut encoder = FrameEncoder::new(features.clone());
    let (mut together, mut apart) = (0, 0);
    for step in 0..20 {
        let next = tensor(&scene(300, 0.005 * step as f32, 0.05));
        let mut frame = Vec::new();
        let kind = encoder.encode(&next, &mut frame).expect("a tensor of the book");
        assert_eq!(kind == FrameKind::Key, step == 0, "frame {step}");
        together += frame.len();
        FrameEncoder::new(features.clone()).encode(&next, &mut Vec::new()).expect("a tensor");
        let mut single = Vec::new();
        FrameEncoder::new(features.clone()).encode(&next, &mut single).expect("a tensor");
        apart += single.len();
    }
    assert!(together * 2 < apart, "{together} bytes instead of {apart}");
}

#[test]
fn a_frame_in_which_nothing_changes_is_its_header() {
    let mut encoder = FrameEncoder::new(features(8));
    let mut frames = Vec::new();
    let next = tensor(&scene(300, 0.0, 0.0));
    encoder.encode(&next, &mut frames).expect("a tensor");
    let key = frames.len();
    assert_eq!(encoder.encode(&next, &mut frames).expect("a tensor"), FrameKind::Delta);
    assert_eq!(frames.len() - key, HEADER_MAX);
}

#[test]
fn other_tensors_and_missing_frames_are_told() {
    let mut decoder = FrameDecoder::new(features(8));
    let spec = BOOK.spec();
    let delta = [2, 9, 0, 0, 0, 1, 0, 0];
    let text = decoder.decode(spec, &delta).expect_err("nothing is there").to_string();
    assert_eq!(text, "a frame of f32[1,8,8,8] needs frame 8, but none is there: ask the sender for a key frame");
    let other = TensorSpec::new(DType::F32, [3]);
    assert!(matches!(decoder.decode(&other, &delta), Err(CodecError::NoBook { level: 8, .. })));
    let long = vec![1; HEADER_MAX + spec.bytes().0 as usize + 1];
    assert!(matches!(decoder.decode(spec, &long), Err(CodecError::TooLong { .. })));
    assert!(matches!(decoder.decode(spec, &[]), Err(CodecError::Empty { .. })));
    assert!(matches!(decoder.decode(spec, &[1, 0]), Err(CodecError::Damaged { .. })));
}
