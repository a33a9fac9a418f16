//! What holds for every codec, tensor and byte sequence.

use half::{bf16, f16};
use proptest::prelude::*;
use thalweg_planner::{DType, Tensor, TensorSpec};

use crate::features::fit::{Basis, Options, fit};
use crate::{Bound, Codec, CodecError, Format, LEVELS, Pixels, Quality};

fn codecs() -> impl Strategy<Value = Codec> {
    let pixels = Pixels { mean: [127.0; 3], scale: [128.0; 3] };
    let picture = |format| {
        (1..=100_u8).prop_map(move |quality| Codec::Picture {
            format,
            quality: Quality::new(quality).expect("a quality"),
            pixels,
        })
    };
    let (jpeg, webp) = (picture(Format::Jpeg), picture(Format::Webp));
    let features = (1..=LEVELS).prop_map(|level| Codec::Features { level, book: None });
    prop_oneof![Just(Codec::F32), Just(Codec::F16), Just(Codec::Int8), Just(Codec::Lossless), jpeg, webp, features]
}

/// The codec itself, or with a book for tensors of `spec` where it needs one.
fn ready(codec: Codec, spec: &TensorSpec) -> Codec {
    let coded = matches!(spec.dtype, DType::F32 | DType::F16 | DType::Bf16) && !spec.is_empty();
    if !(coded && matches!(codec, Codec::Features { .. })) {
        return codec;
    }
    let around = Fill::Around { centre: 0.3, width: 4.0, outliers: Vec::new() };
    let sample = |seed| numbers(&filled(spec.clone(), &around, seed)).into_iter().map(|number| number as f32).collect();
    let samples = vec![(1..4).map(sample).collect::<Vec<_>>()];
    let basis = Basis::fit(spec, &samples[0]).expect("finite samples");
    let books = fit(&[basis], &[None], &samples, Options::DEFAULT).expect("matrices that can be inverted");
    codec.with_book(&std::sync::Arc::new(books.into_iter().next().expect("a book")))
}

/// Ranks 0 to 5 with some empty axes, and the shapes of each row of the channel rule with enough elements for it.
fn shapes() -> impl Strategy<Value = Vec<usize>> {
    let small = prop::collection::vec(0..6_usize, 0..=5);
    let many = (64..80_usize, 1..6_usize).prop_flat_map(|(elements, channels)| {
        prop::sample::select(vec![
            vec![elements * channels],
            vec![elements, channels],
            vec![1, elements, channels],
            vec![channels, elements, 2],
            vec![1, channels, elements, 1],
            vec![2, channels, 3, 2, elements],
        ])
    });
    let pictures = (1..24_usize, 1..24_usize).prop_map(|(height, width)| vec![1, 3, height, width]);
    prop_oneof![small, many, pictures]
}

fn specs() -> impl Strategy<Value = TensorSpec> {
    let types = prop_oneof![2 => Just(DType::F32), 1 => prop::sample::select(DType::ALL.to_vec())];
    (types, shapes()).prop_map(|(dtype, shape)| TensorSpec::new(dtype, shape))
}

/// What a tensor is filled with.
#[derive(Debug, Clone)]
enum Fill {
    /// Any bytes at all, which are NaN now and then.
    Bytes,
    /// One value everywhere.
    Constant(f64),
    /// Numbers around `centre`, and now and then one of `outliers`.
    Around { centre: f64, width: f64, outliers: Vec<f64> },
}

fn fills() -> impl Strategy<Value = Fill> {
    let special = prop::sample::select(vec![
        0.0,
        -0.0,
        1e-45,
        1e-40,
        -1e-38,
        6e-8,
        -65504.0,
        65505.0,
        -1e30,
        f64::from(f32::MAX),
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
    ]);
    let magnitude = (-44.0..37.0_f64).prop_map(|exponent| 10.0_f64.powf(exponent));
    let centre = prop_oneof![Just(0.0), -10.0..10.0_f64, magnitude.clone().prop_map(|x| -x)];
    let outliers = prop_oneof![2 => Just(Vec::new()), 1 => prop::collection::vec(special.clone(), 1..4)];
    // Of ordinary width, of any, and so narrow that f32 has few numbers left.
    let width = prop_oneof![Just((1.0, 0.0)), magnitude.prop_map(|x| (x, 0.0)), Just((0.0, 2e-6))];
    let around = (centre, width, outliers)
        .prop_map(|(centre, (fixed, relative), outliers)| (centre, fixed + relative * centre.abs(), outliers));
    prop_oneof![
        1 => Just(Fill::Bytes),
        1 => special.prop_map(Fill::Constant),
        4 => around.prop_map(|(centre, width, outliers)| Fill::Around { centre, width, outliers }),
    ]
}

/// A tensor of `spec` by `fill`, with the random numbers that follow from `seed`.
fn filled(spec: TensorSpec, fill: &Fill, seed: u64) -> Tensor {
    let mut state = seed;
    let mut next = move || {
        // SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    let mut data = Vec::new();
    for _ in 0..spec.len() {
        let random = next();
        let value = match fill {
            Fill::Bytes => f64::NAN,
            Fill::Constant(value) => *value,
            Fill::Around { outliers, .. } if !outliers.is_empty() && random % 64 == 0 => {
                outliers[(random >> 8) as usize % outliers.len()]
            }
            Fill::Around { centre, width, .. } => centre + width * (random as f64 / u64::MAX as f64 - 0.5),
        };
        let integer = if matches!(fill, Fill::Bytes) { random } else { value as i64 as u64 };
        match (spec.dtype, fill) {
            (DType::Bool, _) => data.push(u8::from(random.is_multiple_of(2))),
            (DType::F32, Fill::Constant(_) | Fill::Around { .. }) => data.extend((value as f32).to_le_bytes()),
            (DType::F16, Fill::Constant(_) | Fill::Around { .. }) => data.extend(f16::from_f64(value).to_le_bytes()),
            (DType::Bf16, Fill::Constant(_) | Fill::Around { .. }) => data.extend(bf16::from_f64(value).to_le_bytes()),
            (DType::F64, Fill::Constant(_) | Fill::Around { .. }) => data.extend(value.to_le_bytes()),
            (dtype, _) => data.extend(&integer.to_le_bytes()[..dtype.size()]),
        }
    }
    Tensor::new(spec, data).expect("as many bytes as the spec asks for")
}

fn tensors() -> impl Strategy<Value = Tensor> {
    (specs(), fills(), any::<u64>()).prop_map(|(spec, fill, seed)| filled(spec, &fill, seed))
}

/// The elements of a tensor of 16- or 32-bit floats.
fn numbers(tensor: &Tensor) -> Vec<f64> {
    let (pairs, _) = tensor.data().as_chunks::<2>();
    match tensor.spec().dtype {
        DType::F16 => pairs.iter().map(|pair| f16::from_le_bytes(*pair).to_f64()).collect(),
        DType::Bf16 => pairs.iter().map(|pair| bf16::from_le_bytes(*pair).to_f64()).collect(),
        _ => tensor.to_f32().expect("an f32 tensor").into_iter().map(f64::from).collect(),
    }
}

fn check_within(original: &Tensor, decoded: &Tensor, bounds: &[f64]) -> Result<(), TestCaseError> {
    prop_assert_eq!(bounds.len(), original.spec().len());
    let pairs = numbers(original).into_iter().zip(numbers(decoded));
    for (at, ((original, decoded), bound)) in pairs.zip(bounds).enumerate() {
        let distance = (decoded - original).abs();
        prop_assert!(distance <= *bound, "element {at}: {original:e} became {decoded:e}, {distance:e} > {bound:e}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn decoded_tensors_are_within_the_declared_bound(codec in codecs(), original in tensors()) {
        let spec = original.spec();
        let codec = ready(codec, spec);
        let mut stream = vec![1, 2, 3];
        if let Err(error) = codec.encode(&original, &mut stream) {
            prop_assert!(!codec.supports(spec), "{error}");
            prop_assert_eq!(stream, [1, 2, 3]);
            return Ok(());
        }
        prop_assert!(codec.supports(spec));
        prop_assert_eq!(&stream[..3], [1, 2, 3]);
        let stream = &stream[3..];
        prop_assert!(stream.len() as u64 <= codec.bytes_max(spec).0);
        let decoded = codec.decode(spec, stream).expect("what was encoded can be decoded");
        prop_assert_eq!(decoded.spec(), spec);
        match codec.bound(&original) {
            Bound::Exact => prop_assert_eq!(decoded, original),
            Bound::Within(bounds) => check_within(&original, &decoded, &bounds)?,
            Bound::Measured => prop_assert!(matches!(codec, Codec::Picture { .. }), "{codec} declares no bound"),
        }
    }

    #[test]
    fn any_bytes_are_an_error_or_a_tensor_of_the_spec(
        codec in codecs(),
        spec in specs(),
        tag in 0..3_u8,
        mut bytes in prop::collection::vec(any::<u8>(), 0..2000),
        exact_length in any::<bool>(),
    ) {
        let codec = ready(codec, &spec);
        if let Some(first) = bytes.first_mut() {
            *first = tag;
        }
        if exact_length && codec.bytes_max(&spec).0 < 10_000 {
            bytes.resize(codec.bytes_max(&spec).0 as usize, tag);
        }
        if let Ok(tensor) = codec.decode(&spec, &bytes) {
            prop_assert_eq!(tensor.spec(), &spec);
        }
    }

    #[test]
    fn damaged_streams_are_an_error_or_a_tensor_of_the_spec(
        codec in codecs(),
        original in tensors(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let codec = ready(codec, original.spec());
        let mut stream = Vec::new();
        if codec.encode(&original, &mut stream).is_err() || stream.is_empty() {
            return Ok(());
        }
        let cut = cut.index(stream.len());
        prop_assert!(codec.decode(original.spec(), &stream[..cut]).is_err(), "{cut} of {} bytes", stream.len());
        for (at, value) in flips {
            let at = at.index(stream.len());
            stream[at] = value;
        }
        if let Ok(tensor) = codec.decode(original.spec(), &stream) {
            prop_assert_eq!(tensor.spec(), original.spec());
        }
    }

    #[test]
    fn impossible_specs_decode_to_an_error(codec in codecs(), dtype in prop::sample::select(DType::ALL.to_vec()), rank in 1..6_usize) {
        let spec = TensorSpec::new(dtype, vec![1 << 50; rank]);
        prop_assert!(codec.decode(&spec, &[1; 100]).is_err());
    }
}

#[test]
fn integers_and_bools_travel_exactly_and_without_a_tag() {
    for dtype in [DType::I64, DType::I32, DType::U8, DType::Bool, DType::F64] {
        let original = filled(TensorSpec::new(dtype, [3, 5]), &Fill::Bytes, 1);
        for codec in ["f32", "f16", "int8"] {
            let codec: Codec = codec.parse().expect("a codec");
            let mut stream = Vec::new();
            codec.encode(&original, &mut stream).expect("a supported tensor");
            assert_eq!(stream, original.data(), "{codec} of {dtype}");
        }
    }
}

#[test]
fn coded_tensors_are_as_small_as_promised() {
    let spec = TensorSpec::new(DType::F32, [1, 80, 14, 14]);
    let original = filled(spec, &Fill::Around { centre: 0.0, width: 6.0, outliers: Vec::new() }, 1);
    let elements = 80 * 14 * 14;
    for (codec, bytes) in [("f32", 4 * elements), ("f16", 1 + 2 * elements), ("int8", 1 + 8 * 80 + elements)] {
        let mut stream = Vec::new();
        codec.parse::<Codec>().expect("a codec").encode(&original, &mut stream).expect("a supported tensor");
        assert_eq!(stream.len(), bytes, "{codec}");
    }
}

#[test]
fn an_outlier_of_one_channel_costs_the_others_nothing() {
    let mut values: Vec<f32> = (0..128).map(|at| (at % 64) as f32 / 63.0).collect();
    values[64] = 1e6;
    let original = Tensor::from_f32([2, 8, 8], &values).expect("a tensor");
    let mut stream = Vec::new();
    Codec::Int8.encode(&original, &mut stream).expect("a supported tensor");
    let decoded = Codec::Int8.decode(original.spec(), &stream).expect("a stream").to_f32().expect("f32");
    let farthest = values[..64].iter().zip(&decoded).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(farthest < 0.6 / 255.0, "{farthest}");
}

#[test]
fn steps_that_are_no_numbers_are_refused() {
    let spec = TensorSpec::new(DType::F32, [3]);
    for (step, offset) in [(f32::NAN, 0.0), (0.0, f32::INFINITY)] {
        let stream = [&[1], &step.to_le_bytes()[..], &offset.to_le_bytes(), &[0, 1, 2]].concat();
        assert!(matches!(Codec::Int8.decode(&spec, &stream), Err(CodecError::NotFinite { channel: 0, .. })));
    }
}

#[test]
fn streams_that_are_too_long_are_refused_unread() {
    let spec = TensorSpec::new(DType::F32, [3, 8, 8]);
    for codec in ["f32", "f16", "int8", "lossless", "jpeg/90", "webp/90"] {
        let codec: Codec = codec.parse().expect("a codec");
        let max = codec.bytes_max(&spec).0;
        let decoded = codec.decode(&spec, &vec![9; max as usize + 1]);
        assert!(matches!(decoded, Err(CodecError::TooLong { .. })), "{codec}: {decoded:?}");
    }
}

#[test]
fn bools_other_than_zero_and_one_are_refused() {
    let spec = TensorSpec::new(DType::Bool, [3]);
    let error = Codec::F32.decode(&spec, &[0, 1, 2]).expect_err("2 is no bool");
    assert_eq!(error.to_string(), "element 2 of bool[3] is the byte 2: a bool is 0 or 1");
}

#[test]
fn errors_say_what_to_do() {
    let codec: Codec = "jpeg/90".parse().expect("a codec");
    let error = codec.encode(&filled(TensorSpec::new(DType::F32, [2]), &Fill::Bytes, 1), &mut Vec::new());
    let text = "jpeg/90 codes pictures, f32[3,H,W] or f32[1,3,H,W] with sides up to 65,535 (JPEG) or 16,383 (WebP), \
                not f32[2]: choose another codec for this tensor";
    assert_eq!(error.expect_err("no picture").to_string(), text);
}
