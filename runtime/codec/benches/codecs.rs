//! How fast codecs are, in bytes of the uncoded tensor a second on one core, on two cuts of EfficientNet-Lite0 and on
//! its input, and how often they ask for memory.

use std::sync::Arc;

use divan::counter::BytesCount;
use divan::{AllocProfiler, Bencher};
use thalweg_codec::features::fit::{Basis, Options, fit};
use thalweg_codec::{Codec, Pixels};
use thalweg_planner::{DType, Tensor, TensorSpec};

/// A codec by name, what it codes, and the shape of that.
const CASES: [(&str, Content, [usize; 4]); 18] = [
    ("f32", Content::Pixels, [1, 80, 14, 14]),
    ("f32", Content::Pixels, [1, 32, 112, 112]),
    ("f16", Content::Pixels, [1, 80, 14, 14]),
    ("f16", Content::Pixels, [1, 32, 112, 112]),
    ("int8", Content::Pixels, [1, 80, 14, 14]),
    ("int8", Content::Pixels, [1, 32, 112, 112]),
    // Channels side by side.
    ("int8", Content::Pixels, [1, 1, 784, 512]),
    ("features/6", Content::Related, [1, 80, 14, 14]),
    ("features/10", Content::Related, [1, 80, 14, 14]),
    ("features/14", Content::Related, [1, 80, 14, 14]),
    ("features/10", Content::Related, [1, 32, 112, 112]),
    ("lossless", Content::Features, [1, 80, 14, 14]),
    ("lossless", Content::Features, [1, 32, 112, 112]),
    ("lossless", Content::Activated, [1, 80, 14, 14]),
    ("lossless", Content::Activated, [1, 32, 112, 112]),
    ("lossless", Content::Tokens, [1, 1, 1, 512]),
    ("jpeg/90", Content::Pixels, [1, 3, 224, 224]),
    ("webp/90", Content::Pixels, [1, 3, 224, 224]),
];

/// How many tensors a book is fitted to.
const FITTED: u64 = 24;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

/// What a tensor is made of, whatever its shape means.
#[derive(Debug, Clone, Copy)]
enum Content {
    /// Pixels of soft colours with a little noise.
    Pixels,
    /// Numbers as a layer without an activation makes them: around zero, no two alike.
    Features,
    /// Smooth fields that channels share in different proportions, and noise.
    Related,
    /// The same as `Features` behind a ReLU.
    Activated,
    /// Indices of words, as i64.
    Tokens,
}

impl Content {
    fn tensor(self, shape: &[usize]) -> Tensor {
        let count = shape.iter().product();
        let floats = |value: fn(usize) -> f32| Tensor::from_f32(shape, &(0..count).map(value).collect::<Vec<_>>());
        let tensor = match self {
            Self::Pixels => floats(pixel),
            Self::Features => floats(feature),
            Self::Related => Tensor::from_f32(shape, &related(shape, 0)),
            Self::Activated => floats(|at| feature(at).max(0.0)),
            Self::Tokens => {
                let words = (0..count as u64).flat_map(|at| (noise(at) % 30_000).to_le_bytes());
                Tensor::new(TensorSpec::new(DType::I64, shape), words.collect())
            }
        };
        tensor.expect("as many values as elements")
    }
}

fn pixel(at: usize) -> f32 {
    let wave = (at as f32 / 97.0).sin() + (at as f32 / 6007.0).cos();
    let noise = (at * 2_654_435_761 % 16) as f32;
    ((120.0 + 50.0 * wave + noise).round() - 127.0) / 128.0
}

/// The sum of four uniform numbers is nearly normal.
fn feature(at: usize) -> f32 {
    let uniform = |part: u64| (noise(4 * at as u64 + part) >> 40) as f32 / (1 << 24) as f32;
    (0..4).map(uniform).sum::<f32>() - 2.0
}

/// Sixteen fields, each less than the one before, over the last two axes.
fn related(shape: &[usize], seed: u64) -> Vec<f32> {
    let [channels, height, width] = *shape.last_chunk().expect("three axes");
    let uniform = |at: u64| (noise(at) >> 40) as f32 / (1 << 24) as f32 - 0.5;
    let value = |at: usize| {
        let (channel, row, column) = (at / (height * width), at / width % height, at % width);
        let field = |field: u64| {
            let [phase, down, right] = [0, 1, 2].map(|part| uniform(seed << 32 | field << 2 | part));
            let share = uniform(1 << 60 | (channel as u64) << 8 | field) / (1.0 + field as f32).sqrt();
            let wave =
                6.0 * phase + 9.0 * down * row as f32 / height as f32 + 9.0 * right * column as f32 / width as f32;
            share * wave.cos()
        };
        (0..16).map(field).sum::<f32>() + 0.1 * feature(at + (seed as usize) * channels * height * width)
    };
    (0..channels * height * width).map(value).collect()
}

/// SplitMix64.
fn noise(seed: u64) -> u64 {
    let state = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn main() {
    divan::main();
}

#[divan::bench(args = CASES.map(Case::new))]
fn encode(bencher: Bencher, case: &Case) {
    let mut stream = Vec::with_capacity(case.stream.len());
    bencher.counter(BytesCount::new(case.tensor.data().len())).bench_local(|| {
        stream.clear();
        case.codec.encode(divan::black_box(&case.tensor), &mut stream)
    });
}

#[divan::bench(args = CASES.map(Case::new))]
fn decode(bencher: Bencher, case: &Case) {
    let spec: &TensorSpec = case.tensor.spec();
    bencher
        .counter(BytesCount::new(case.tensor.data().len()))
        .bench_local(|| case.codec.decode(spec, divan::black_box(&case.stream)));
}

/// A codec, a tensor and its stream.
struct Case {
    codec: Codec,
    content: Content,
    tensor: Tensor,
    stream: Vec<u8>,
}

impl std::fmt::Display for Case {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} {:?} {} -> {} B", self.codec, self.content, self.tensor.spec(), self.stream.len())
    }
}

impl Case {
    fn new((name, content, shape): (&str, Content, [usize; 4])) -> Self {
        let mut codec: Codec = name.parse().expect("a codec's name");
        if let Codec::Picture { pixels, .. } = &mut codec {
            *pixels = Pixels { mean: [127.0; 3], scale: [128.0; 3] };
        }
        let tensor = content.tensor(if shape[1] == 1 { &shape[1..] } else { &shape });
        if matches!(codec, Codec::Features { .. }) {
            let samples: Vec<Vec<f32>> = (1..=FITTED).map(|seed| related(&shape, seed)).collect();
            let basis = Basis::fit(tensor.spec(), &samples).expect("finite samples");
            let books = fit(&[basis], &[None], &[samples], Options::DEFAULT).expect("matrices that can be inverted");
            codec = codec.with_book(&Arc::new(books.into_iter().next().expect("a book")));
        }
        let mut stream = Vec::new();
        codec.encode(&tensor, &mut stream).expect("a supported tensor");
        Self { codec, content, tensor, stream }
    }
}
