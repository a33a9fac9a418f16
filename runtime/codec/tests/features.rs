//! Books as bytes, and streams that are the same on every machine.

use std::sync::Arc;

use proptest::prelude::*;
use thalweg_codec::features;
use thalweg_codec::features::fit::{Basis, Options, Rotation, fit};
use thalweg_codec::{Book, BookError, Bound, Codec, CodecError, LEVELS};
use thalweg_planner::{DType, Tensor, TensorSpec};

/// Twelve channels that have much in common, over 9 x 14 positions.
fn spec() -> TensorSpec {
    TensorSpec::new(DType::F32, [1, 12, 9, 14])
}

/// Smooth features with some noise, by integer arithmetic alone: the same on every machine.
fn sample(seed: u32) -> Tensor {
    let mut state = seed.wrapping_mul(2_654_435_769) | 1;
    let mut next = move || {
        // Xorshift (Marsaglia, 2003).
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 16) as i32 % 512 - 256
    };
    let mut values = vec![0_i32; spec().len()];
    let shapes: Vec<[i32; 3]> = (0..3).map(|_| [next(), next(), next()]).collect();
    for (at, value) in values.iter_mut().enumerate() {
        let (channel, row, column) = ((at / 126) as i32, (at / 14 % 9) as i32, (at % 14) as i32);
        let smooth: i32 = shapes
            .iter()
            .zip(1..)
            .map(|([base, down, right], shape)| {
                (base + down * row / 4 + right * column / 8) * ((channel * shape) % 5 - 2) / 4
            })
            .sum();
        *value = smooth + next() / 8;
    }
    let values: Vec<f32> = values.into_iter().map(|value| value as f32 / 256.0).collect();
    Tensor::from_f32([1, 12, 9, 14], &values).expect("as many values as elements")
}

fn fitted(options: Options) -> Arc<Book> {
    let samples: Vec<Vec<f32>> = (0..40).map(|seed| sample(seed).to_f32().expect("f32")).collect();
    let basis = Basis::fit(&spec(), &samples).expect("finite samples");
    let books = fit(&[basis], &[None], &[samples], options).expect("matrices that can be inverted");
    Arc::new(books.into_iter().next().expect("a book"))
}

fn codec(book: &Arc<Book>, level: u8) -> Codec {
    Codec::Features { level, book: None }.with_book(book)
}

fn coded(codec: &Codec, tensor: &Tensor) -> Vec<u8> {
    let mut stream = Vec::new();
    codec.encode(tensor, &mut stream).expect("a supported tensor");
    stream
}

/// The mean squared error of a decoded tensor.
fn error(one: &Tensor, other: &Tensor) -> f64 {
    let (one, other) = (one.to_f32().expect("f32"), other.to_f32().expect("f32"));
    one.iter().zip(&other).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>() / one.len() as f64
}

#[test]
fn finer_levels_take_more_bytes_and_come_closer() {
    let book = fitted(Options::DEFAULT);
    let tensor = sample(1000);
    let mut last = (0, f64::INFINITY);
    for level in (1..=LEVELS).step_by(3) {
        let codec = codec(&book, level);
        let stream = coded(&codec, &tensor);
        let now = (stream.len(), error(&tensor, &codec.decode(&spec(), &stream).expect("a stream")));
        assert!(now.0 > last.0 && now.1 < last.1, "level {level}: {now:?} after {last:?}");
        last = now;
    }
    assert!(last.0 < coded(&Codec::Int8, &tensor).len(), "{last:?}");
}

#[test]
fn what_channels_and_positions_have_in_common_is_sent_once() {
    // Bytes of the coarsest level that comes close enough.
    let bytes = |options| {
        let book = fitted(options);
        let level = |level| {
            let codec = codec(&book, level);
            let pairs = (1000..1010).map(sample).map(|tensor| {
                let stream = coded(&codec, &tensor);
                (stream.len(), error(&tensor, &codec.decode(&spec(), &stream).expect("a stream")))
            });
            pairs.fold((0, 0.0), |sum: (usize, f64), pair| (sum.0 + pair.0, sum.1 + pair.1))
        };
        let close = (1..=LEVELS).map(level).find(|(_, error)| *error < 10.0 * 0.03);
        close.expect("a level that comes close").0
    };
    let [alone, channels, both] = [
        Options { rotation: Rotation::Identity, spatial: false, ..Options::DEFAULT },
        Options { rotation: Rotation::Principal, spatial: false, ..Options::DEFAULT },
        Options { rotation: Rotation::Principal, ..Options::DEFAULT },
    ]
    .map(bytes);
    assert!(both < channels && channels < alone, "{both} {channels} {alone}");
}

#[test]
fn what_no_sample_has_shown_is_sent_too() {
    // The means over all positions of two samples leave ten of the twelve channels' directions out.
    let few: Vec<Vec<f32>> = (0..2).map(|seed| sample(seed).to_f32().expect("f32")).collect();
    let basis = Basis::fit(&spec(), &few).expect("finite samples");
    let books = fit(&[basis], &[None], &[few], Options::DEFAULT).expect("matrices that can be inverted");
    let book = Arc::new(books.into_iter().next().expect("a book"));
    let other = offsets(77);
    let silence = Tensor::from_f32([1, 12, 9, 14], &vec![0.0; spec().len()]).expect("zeros");
    let codec = codec(&book, LEVELS);
    let decoded = codec.decode(&spec(), &coded(&codec, &other)).expect("its own stream");
    let lost = error(&other, &decoded) / error(&other, &silence);
    assert!(lost < 0.01, "{lost}");
}

/// A sample that has the same offset at all positions, another one in each channel.
fn offsets(seed: u32) -> Tensor {
    let numbers = sample(seed).to_f32().expect("f32");
    let values: Vec<f32> = (0..spec().len()).map(|at| 2.0 * numbers[at / 126 * 37]).collect();
    Tensor::from_f32([1, 12, 9, 14], &values).expect("as many values as elements")
}

#[test]
fn a_tensor_that_is_larger_than_all_samples_stays_within_the_bound() {
    let book = fitted(Options::DEFAULT);
    for factor in [3.0, 300.0, 3e6, 3e30] {
        let values: Vec<f32> = sample(7).to_f32().expect("f32").iter().map(|value| value * factor).collect();
        let tensor = Tensor::from_f32(spec().shape, &values).expect("as many values");
        let codec = codec(&book, 4);
        let decoded = codec.decode(&spec(), &coded(&codec, &tensor)).expect("a stream");
        match codec.bound(&tensor) {
            Bound::Exact => assert_eq!(decoded, tensor),
            Bound::Within(bounds) => {
                let pairs = values.iter().zip(decoded.to_f32().expect("f32"));
                assert!(pairs.zip(bounds).all(|((a, b), bound)| f64::from((a - b).abs()) <= bound), "{factor}");
            }
            Bound::Measured => panic!("a bound is declared"),
        }
    }
}

#[test]
fn what_is_beyond_the_range_of_a_type_becomes_its_largest_number() {
    for (dtype, largest) in
        [(DType::F16, 65_504.0), (DType::Bf16, 255.0 / 128.0 * 2.0_f32.powi(127)), (DType::F32, f32::MAX)]
    {
        let made =
            features::tensor(&TensorSpec::new(dtype, [2]), &[f32::INFINITY, -1.5 * largest]).expect("two floats");
        assert_eq!(features::elements(&made), Some(vec![largest, -largest]), "{dtype}");
    }
}

#[test]
fn a_book_is_of_one_type_and_shape() {
    let book = fitted(Options::DEFAULT);
    let other = TensorSpec::new(DType::F32, [1, 12, 14, 9]);
    let codec = codec(&book, 3);
    assert!(!codec.supports(&other) && codec.supports(&spec()));
    let error = codec.decode(&other, &[1, 2, 3]).expect_err("a tensor of another shape");
    assert_eq!(error, CodecError::NoBook { level: 3, spec: other.clone() });
    let text = "features/3 of f32[1,12,14,9] needs a codebook that was made for it: run `thalweg calibrate`";
    assert_eq!(error.to_string(), text);
    // The same number of elements and channels: only the shape tells them apart.
    let refused = Book::from_bytes(&book.to_bytes(), &other).expect_err("blocks of 9 rows in 14");
    assert!(matches!(refused, BookError::Senseless { .. }), "{refused}");
}

#[test]
fn a_stream_of_another_level_is_refused() {
    let book = fitted(Options::DEFAULT);
    let stream = coded(&codec(&book, 9), &sample(3));
    let error = codec(&book, 8).decode(&spec(), &stream).expect_err("a stream of level 9");
    assert!(matches!(error, CodecError::Damaged { .. } | CodecError::Partial { .. }), "{error}");
}

#[test]
fn a_scale_with_more_raw_bits_than_a_value_has_is_refused() {
    let read = |scale| {
        let mut body = BOOK[..BOOK.len() - 32].to_vec();
        // The last scale stands before 24 classes of 68 bytes.
        let last = body.len() - 24 * 68 - 1;
        body[last] = scale;
        body.extend(blake3::hash(&body.clone()).as_bytes());
        Book::from_bytes(&body, &spec())
    };
    let book = Arc::new(read(225).expect("the largest scale"));
    let finest = codec(&book, LEVELS);
    finest.decode(&spec(), &coded(&finest, &sample(8))).expect("its own stream");
    let refused = read(226).expect_err("a scale that is too large");
    assert!(matches!(refused, BookError::Senseless { what, .. } if what.contains("scale")), "{refused}");
}

#[test]
fn a_table_that_leaves_a_symbol_none_is_refused() {
    let mut body = BOOK[..BOOK.len() - 32].to_vec();
    // The last of 24 classes of 68 bytes: its first symbol gets what its second one had.
    let class = body.len() - 68;
    let [first, second] = [0, 2].map(|at| u16::from_le_bytes([body[class + at], body[class + at + 1]]));
    body[class..class + 2].copy_from_slice(&(first + second).to_le_bytes());
    body[class + 2..class + 4].fill(0);
    body.extend(blake3::hash(&body.clone()).as_bytes());
    let refused = Book::from_bytes(&body, &spec()).expect_err("a symbol that could not be coded");
    assert!(matches!(refused, BookError::Senseless { what, .. } if what.contains("table")), "{refused}");
}

/// A book as fitted once on one machine; streams of it have to be the same for ever and everywhere.
const BOOK: &[u8] = include_bytes!("vectors/book.bin");

fn streams(book: &[u8]) -> String {
    let book = Arc::new(Book::from_bytes(book, &spec()).expect("the book of the vectors"));
    let line = |level| {
        let codec = codec(&book, level);
        let stream = coded(&codec, &sample(2000));
        let decoded = codec.decode(&spec(), &stream).expect("a stream");
        let [stream_hash, decoded_hash] = [&stream, decoded.data()].map(|bytes| blake3::hash(bytes).to_hex());
        format!("level {level}: {} bytes {} -> {}\n", stream.len(), &stream_hash[..16], &decoded_hash[..16])
    };
    [1, 6, 11, 16].map(line).concat()
}

#[test]
fn streams_are_these_bytes_on_every_machine() {
    assert_eq!(streams(BOOK), include_str!("vectors/streams.txt"));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "vectors are files; the crate itself writes none")]
#[ignore = "writes the vectors anew, after the format has changed on purpose"]
fn write_the_vectors() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let book = fitted(Options::DEFAULT).to_bytes();
    std::fs::write(folder.join("streams.txt"), streams(&book)).expect("the streams");
    std::fs::write(folder.join("book.bin"), book).expect("the book");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_book_that_was_altered_is_refused(at in any::<prop::sample::Index>(), flip in 1..=u8::MAX, cut in any::<bool>()) {
        let mut bytes = BOOK.to_vec();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] ^= flip }
        let refused = Book::from_bytes(&bytes, &spec()).expect_err("an altered book");
        prop_assert!(matches!(refused, BookError::Damaged { .. }), "{}", refused);
    }

    #[test]
    fn a_book_that_was_altered_with_its_checksum_is_refused_or_codes(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        level in 1..=LEVELS,
    ) {
        let mut body = BOOK[..BOOK.len() - 32].to_vec();
        for (at, value) in changes {
            // Most of a book are numbers that may be anything: the beginning is what can be senseless.
            let at = if value % 2 == 0 { at.index(body.len()) } else { at.index(64) };
            body[at] = value;
        }
        body.extend(blake3::hash(&body.clone()).as_bytes());
        if let Ok(book) = Book::from_bytes(&body, &spec()) {
            let book = Arc::new(book);
            let codec = codec(&book, level);
            let stream = coded(&codec, &sample(5));
            let decoded = codec.decode(&spec(), &stream).expect("its own stream");
            prop_assert_eq!(decoded.spec(), &spec());
            prop_assert_eq!(Book::from_bytes(&book.to_bytes(), &spec()).expect("its own bytes"), Arc::unwrap_or_clone(book));
        }
    }
}
