//! What holds for any bytes as a codebook, as a stream of `features/L`, and as frames of a stream of tensors.
//!
//! The first byte of the input says which of these the rest is, the second at which level.

use std::sync::{Arc, LazyLock};

use thalweg_codec::features::FrameDecoder;
use thalweg_codec::{Book, Codec, Features, LEVELS};
use thalweg_planner::{DType, Tensor, TensorSpec};

/// The book of the codec's test vectors, and the tensors that it is of.
const BOOK: &[u8] = include_bytes!("../../tests/vectors/book.bin");
const SHAPE: [usize; 4] = [1, 12, 9, 14];
static VECTORS: LazyLock<Arc<Book>> = LazyLock::new(|| {
    let book = Book::from_bytes(BOOK, &TensorSpec::new(DType::F32, SHAPE));
    Arc::new(book.expect("the book of the vectors"))
});
/// Each level of it, from the coarsest.
static CODECS: LazyLock<Vec<Codec>> = LazyLock::new(|| {
    let codec = |level| Codec::Features { level, book: None }.with_book(&VECTORS);
    (1..=LEVELS).map(codec).collect()
});

/// A panic is a fault: of a decoder, or because what it gives is not what was asked for, or because a book that was read
/// cannot code.
pub(crate) fn features(bytes: &[u8]) {
    let Some(([kind, level], rest)) = bytes.split_first_chunk() else { return };
    let spec = TensorSpec::new(DType::F32, SHAPE);
    let level = 1 + level % LEVELS;
    match kind % 3 {
        0 => book(rest, &spec, level),
        1 => stream(rest, &spec, level),
        _ => frames(rest, &spec, level),
    }
}

/// The rest is a book without its checksum, which libFuzzer would never find.
fn book(body: &[u8], spec: &TensorSpec, level: u8) {
    let whole = [body, blake3::hash(body).as_bytes()].concat();
    let Ok(book) = Book::from_bytes(&whole, spec) else { return };
    assert_eq!(book.to_bytes(), whole, "a book is written as it was read");
    let codec = Codec::Features { level, book: None }.with_book(&Arc::new(book));
    let values: Vec<f32> = (0..spec.len()).map(|at| (at % 29) as f32 - 14.0).collect();
    let tensor = Tensor::from_f32(SHAPE, &values).expect("as many values as elements");
    let mut out = Vec::new();
    codec.encode(&tensor, &mut out).expect("a supported tensor");
    assert_eq!(codec.decode(spec, &out).expect("its own stream").spec(), spec);
}

fn stream(bytes: &[u8], spec: &TensorSpec, level: u8) {
    let codec = &CODECS[usize::from(level) - 1];
    if let Ok(tensor) = codec.decode(spec, bytes) {
        assert_eq!(tensor.spec(), spec);
    }
    if let Ok((tensor, share)) = codec.decode_prefix(spec, bytes) {
        assert!(tensor.spec() == spec && (0.0..=1.0).contains(&share), "{share}");
    }
}

/// Each frame is a byte with its length, and so many bytes.
fn frames(mut bytes: &[u8], spec: &TensorSpec, level: u8) {
    let features = Features::new(VECTORS.clone(), level).expect("a level of a book");
    let mut decoder = FrameDecoder::new(Arc::new(features));
    while let Some((len, rest)) = bytes.split_first() {
        let (frame, rest) = rest.split_at(rest.len().min(usize::from(*len)));
        if let Ok(tensor) = decoder.decode(spec, frame) {
            assert_eq!(tensor.spec(), spec);
        }
        bytes = rest;
    }
}
