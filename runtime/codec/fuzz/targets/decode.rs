//! What holds for any bytes under every codec.
//!
//! The first byte of the input says which codec, the second which type, the third how many axes, one byte each then says
//! their sizes, and the rest is the stream.

use thalweg_codec::{Bound, Codec};
use thalweg_planner::{DType, Tensor, TensorSpec};

const CODECS: [&str; 6] = ["f32", "f16", "int8", "lossless", "jpeg/90", "webp/90"];
const AXES_MAX: u8 = 5;
/// Larger tensors find nothing that these do not, only later.
const ELEMENTS_MAX: usize = 1 << 14;

/// Decodes the bytes. A panic is a fault: of the decoder, or because what it gives is not what was asked for, or because
/// a tensor that was decoded does not travel as its codec declares.
pub(crate) fn decode(bytes: &[u8]) {
    let Some((codec, spec, stream)) = parse(bytes) else { return };
    let Ok(tensor) = codec.decode(&spec, stream) else { return };
    assert_eq!(tensor.spec(), &spec);
    // Encoders of pictures belong to other projects, and would take most of the time.
    if !matches!(codec, Codec::Picture { .. }) {
        travels(codec, &tensor);
    }
}

fn parse(bytes: &[u8]) -> Option<(Codec, TensorSpec, &[u8])> {
    let ([codec, dtype, axes], rest) = bytes.split_first_chunk()?;
    let codec = CODECS[usize::from(*codec) % CODECS.len()].parse().expect("a codec's name");
    let dtype = DType::ALL[usize::from(*dtype) % DType::ALL.len()];
    let (sizes, stream) = rest.split_at_checked(usize::from(axes % (AXES_MAX + 1)))?;
    let mut shape: Vec<usize> = Vec::new();
    for size in sizes.iter().map(|size| usize::from(*size)) {
        let fits = shape.iter().product::<usize>() * size <= ELEMENTS_MAX;
        shape.push(if fits { size } else { 1 });
    }
    Some((codec, TensorSpec::new(dtype, shape), stream))
}

/// Encodes and decodes a tensor and checks that it is within the declared bound where that is none at all.
fn travels(codec: Codec, tensor: &Tensor) {
    let mut stream = Vec::new();
    codec.encode(tensor, &mut stream).expect("all but pictures are supported");
    assert!(stream.len() as u64 <= codec.bytes_max(tensor.spec()).0, "{} bytes", stream.len());
    let again = codec.decode(tensor.spec(), &stream).expect("what was encoded can be decoded");
    assert_eq!(again.spec(), tensor.spec());
    if codec.bound(tensor) == Bound::Exact {
        assert_eq!(&again, tensor);
    }
}
