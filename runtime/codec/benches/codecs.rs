//! How fast codecs are, in bytes of the uncoded tensor a second on one core, on two cuts of EfficientNet-Lite0 and on
//! its input.

use divan::Bencher;
use divan::counter::BytesCount;
use thalweg_codec::{Codec, Pixels};
use thalweg_planner::{Tensor, TensorSpec};

/// A codec by name, and a shape.
const CASES: [(&str, [usize; 4]); 9] = [
    ("f32", [1, 80, 14, 14]),
    ("f32", [1, 32, 112, 112]),
    ("f16", [1, 80, 14, 14]),
    ("f16", [1, 32, 112, 112]),
    ("int8", [1, 80, 14, 14]),
    ("int8", [1, 32, 112, 112]),
    // Channels side by side.
    ("int8", [1, 1, 784, 512]),
    ("jpeg/90", [1, 3, 224, 224]),
    ("webp/90", [1, 3, 224, 224]),
];

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
    tensor: Tensor,
    stream: Vec<u8>,
}

impl std::fmt::Display for Case {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} {} -> {} B", self.codec, self.tensor.spec(), self.stream.len())
    }
}

impl Case {
    fn new((name, shape): (&str, [usize; 4])) -> Self {
        let mut codec: Codec = name.parse().expect("a codec's name");
        if let Codec::Picture { pixels, .. } = &mut codec {
            *pixels = Pixels { mean: [127.0; 3], scale: [128.0; 3] };
        }
        // Pixels of soft colours with a little noise, whatever the shape means.
        let pixel = |at: usize| {
            let wave = (at as f32 / 97.0).sin() + (at as f32 / 6007.0).cos();
            let noise = (at * 2_654_435_761 % 16) as f32;
            ((120.0 + 50.0 * wave + noise).round() - 127.0) / 128.0
        };
        let shape = if shape[1] == 1 { shape[1..].to_vec() } else { shape.to_vec() };
        let values: Vec<f32> = (0..shape.iter().product()).map(pixel).collect();
        let tensor = Tensor::from_f32(shape, &values).expect("as many values as elements");
        let mut stream = Vec::new();
        codec.encode(&tensor, &mut stream).expect("a supported tensor");
        Self { codec, tensor, stream }
    }
}
