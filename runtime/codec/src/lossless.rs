//! `lossless`: every tensor bit for bit, in fewer bytes where its bytes are not all alike.
//!
//! The exponents of floats are few, the upper bytes of indices fewer, and their lower bytes look random: so each byte
//! of an element is stored apart, as a *plane* over all elements, in the way that takes the fewest bytes. What a stream
//! looks like stands on the crate's front page.

mod elements;
mod plane;
mod frequencies;

use thalweg_planner::{DType, Tensor, TensorSpec};

use crate::{CodecError, PlaneFault};
use elements::{add_up, differences, packed, row_of, unpacked};
use plane::Plane;

/// The planes are those of the elements.
const ELEMENTS: u8 = 0;
/// The planes are those of the differences between neighbours.
const DIFFERENCES: u8 = 1;

/// Appends the body and returns true; false where that saves nothing, and then `out` is as it was.
pub(crate) fn encode(tensor: &Tensor, out: &mut Vec<u8>) -> bool {
    let (spec, data) = (tensor.spec(), tensor.data());
    let (row, max) = (row_of(spec), data.len() as u64);
    match (spec.dtype, spec.dtype.size()) {
        // A byte that is no bool has no bit.
        (DType::Bool, _) if data.iter().any(|byte| *byte > 1) => false,
        (DType::Bool, _) => encode_as::<1>(&packed(data), 1, max, out),
        (_, 1) => encode_as::<1>(data, row, max, out),
        (_, 2) => encode_as::<2>(data, row, max, out),
        (_, 4) => encode_as::<4>(data, row, max, out),
        _ => encode_as::<8>(data, row, max, out),
    }
}

pub(crate) fn decode(spec: &TensorSpec, body: &[u8]) -> Result<Tensor, CodecError> {
    let row = row_of(spec);
    let data = match (spec.dtype, spec.dtype.size()) {
        (DType::Bool, _) => {
            let bytes = decode_as::<1>(spec, spec.len().div_ceil(8), 1, body)?;
            unpacked(&bytes, zeros(spec, spec.len())?)
        }
        (_, 1) => decode_as::<1>(spec, spec.len(), row, body)?,
        (_, 2) => decode_as::<2>(spec, spec.len(), row, body)?,
        (_, 4) => decode_as::<4>(spec, spec.len(), row, body)?,
        _ => decode_as::<8>(spec, spec.len(), row, body)?,
    };
    Tensor::new(spec.clone(), data).map_err(|_| CodecError::TooLarge { spec: spec.clone() })
}

/// Encodes elements in rows of `row`, unless that takes `max` bytes.
fn encode_as<const SIZE: usize>(data: &[u8], row: usize, max: u64, out: &mut Vec<u8>) -> bool {
    let (elements, _) = data.as_chunks::<SIZE>();
    let bytes = |planes: &[Plane; SIZE]| planes.iter().map(Plane::bytes).sum::<u64>();
    let (mut planes, mut form) = (Plane::all(elements), ELEMENTS);
    if row > 1 {
        let changes = Plane::all(&differences(elements, row));
        if bytes(&changes) < bytes(&planes) {
            (planes, form) = (changes, DIFFERENCES);
        }
    }
    if 1 + bytes(&planes) >= max {
        return false;
    }
    out.push(form);
    for plane in planes {
        plane.encode(out);
    }
    true
}

/// The bytes of `count` elements in rows of `row`.
fn decode_as<const SIZE: usize>(
    spec: &TensorSpec,
    count: usize,
    row: usize,
    body: &[u8],
) -> Result<Vec<u8>, CodecError> {
    let fault = |plane, fault| CodecError::Plane { spec: spec.clone(), plane, fault };
    let (form, mut rest) = body.split_first().ok_or_else(|| fault(0, PlaneFault::EndsEarly))?;
    if ![ELEMENTS, DIFFERENCES].contains(form) {
        return Err(CodecError::UnknownForm { spec: spec.clone(), form: *form });
    }
    let mut data = zeros(spec, count.saturating_mul(SIZE))?;
    let (elements, _) = data.as_chunks_mut::<SIZE>();
    for plane in 0..SIZE {
        rest = plane::decode(rest, plane, elements).map_err(|found| fault(plane, found))?;
    }
    if !rest.is_empty() {
        let expected = (body.len() - rest.len()) as u64;
        return Err(CodecError::WrongLength { spec: spec.clone(), expected, got: body.len() });
    }
    if *form == DIFFERENCES {
        add_up(elements, row);
    }
    Ok(data)
}

/// A few bytes may stand for many elements, so the length of a stream does not tell that its tensor fits.
fn zeros(spec: &TensorSpec, len: usize) -> Result<Vec<u8>, CodecError> {
    let mut data = Vec::new();
    data.try_reserve_exact(len).map_err(|_| CodecError::TooLarge { spec: spec.clone() })?;
    data.resize(len, 0);
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Codec;

    fn tensor<const SIZE: usize>(dtype: DType, shape: &[usize], elements: impl Iterator<Item = [u8; SIZE]>) -> Tensor {
        Tensor::new(TensorSpec::new(dtype, shape), elements.flatten().collect()).expect("as many as the shape says")
    }

    fn stream(tensor: &Tensor) -> Vec<u8> {
        let mut out = Vec::new();
        Codec::Lossless.encode(tensor, &mut out).expect("every tensor is supported");
        assert_eq!(Codec::Lossless.decode(tensor.spec(), &out).as_ref(), Ok(tensor));
        out
    }

    /// Bytes of a linear congruential generator.
    fn noise() -> impl Iterator<Item = u8> {
        let step = |state: &u32| Some(state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
        std::iter::successors(Some(1), step).map(|state| (state >> 24) as u8)
    }

    #[test]
    fn what_does_not_vary_takes_two_bytes_a_plane() {
        let zeros = tensor(DType::I64, &[40, 50], (0..2000).map(|_| 0_i64.to_le_bytes()));
        assert_eq!(stream(&zeros).len(), 2 + 8 * 2);
        let ones = tensor(DType::Bool, &[64], (0..64).map(|_| [1]));
        assert_eq!(stream(&ones), [1, 0, 1, 0xff]);
    }

    #[test]
    fn indices_that_count_up_take_a_few_bytes() {
        let positions = tensor(DType::I64, &[8, 512], (0..4096).map(|at| (at % 512_i64).to_le_bytes()));
        let bytes = stream(&positions).len();
        assert!(bytes < 80, "{bytes}");
    }

    #[test]
    fn a_mask_takes_bits() {
        let mask = tensor(DType::Bool, &[1000], noise().map(|byte| [byte % 2]).take(1000));
        assert!(stream(&mask).len() <= 3 + 125);
    }

    #[test]
    fn what_has_no_rare_bytes_takes_one_byte_more() {
        let even = tensor(DType::U8, &[3000], noise().map(|byte| [byte]).take(3000));
        assert_eq!(stream(&even).len(), 3001);
        for dtype in [DType::Bool, DType::F16, DType::I64] {
            let scalar = Tensor::new(TensorSpec::new(dtype, []), vec![1; dtype.size()]).expect("one element");
            assert_eq!(stream(&scalar).len(), 1 + dtype.size());
        }
    }

    #[test]
    fn bytes_that_are_no_bools_are_not_rounded_to_bits() {
        let odd = tensor(DType::Bool, &[64], (0..64).map(|_| [2]));
        let mut out = Vec::new();
        Codec::Lossless.encode(&odd, &mut out).expect("every tensor is supported");
        assert_eq!(out[..2], [0, 2]);
        assert_eq!(out.len(), 65);
    }

    /// Their lengths and hashes (FNV-1a): of elements and of differences, with planes of each kind.
    #[test]
    fn streams_are_the_same_on_every_machine() {
        let sums = |count: i64| noise().take(4000).map(move |byte| count * i64::from(byte % 16 + byte % 5));
        let floats = sums(1).map(|sum| (sum as f32 / 7.0 - 1.0).to_le_bytes());
        let shorts = sums(1).map(|sum| (sum as i16).to_le_bytes());
        let mut position = 0;
        let longs = sums(1000).map(|sum| {
            position += sum;
            position.to_le_bytes()
        });
        let bools = noise().take(4000).map(|byte| [u8::from(byte % 16 == 0)]);
        let tensors = [
            tensor(DType::F32, &[1, 40, 100], floats),
            tensor(DType::I16, &[4, 1000], shorts),
            tensor(DType::I64, &[4000], longs),
            tensor(DType::Bool, &[4000], bools),
        ];
        let hash = |stream: &[u8]| {
            stream
                .iter()
                .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
        };
        let streams = tensors.each_ref().map(stream);
        assert_eq!(
            streams.each_ref().map(|stream| (stream[1], stream.len(), hash(stream))),
            [
                (0, 5064, 4469365037374074909),
                (0, 2141, 7168886619923893140),
                (1, 4340, 17192366099630036200),
                (0, 231, 1320987405379483635)
            ]
        );
    }

    #[test]
    fn damage_is_named_with_its_place() {
        let spec = TensorSpec::new(DType::I16, [500]);
        let whole =
            stream(&tensor(DType::I16, &[500], noise().map(|byte| i16::from(byte % 4).to_le_bytes()).take(500)));
        let last = whole.len() - 3;
        let changed = |at: usize, byte: u8| [&whole[..at], &[byte], &whole[at + 1..]].concat();
        let cases: [(Vec<u8>, &str); 8] = [
            (vec![1], "plane 0 of a stream of i16[500] ends early"),
            (
                changed(1, 2),
                "a stream of i16[500] has planes of the form 2: known are 0 (elements) and 1 (differences)",
            ),
            (
                changed(2, 9),
                "plane 0 of a stream of i16[500] begins with the byte 9: known are 0 (raw), 1 (constant) and 2 (coded)",
            ),
            (whole[..last - 9].to_vec(), "plane 0 of a stream of i16[500] ends early"),
            (changed(last, whole[last] ^ 1), "plane 0 of a stream of i16[500] is not as it was encoded"),
            (whole[..last + 1].to_vec(), "plane 1 of a stream of i16[500] ends early"),
            ([&whole[..], &[0]].concat(), "the body of a stream of i16[500] takes 144 bytes, but 145 were given"),
            (
                [&[1, 0, 2], &[0xff; 600][..]].concat(),
                "plane 0 of a stream of i16[500] has frequencies of 4096 or more beside the most frequent byte",
            ),
        ];
        for (stream, text) in cases {
            assert_eq!(Codec::Lossless.decode(&spec, &stream).expect_err("a damaged stream").to_string(), text);
        }
    }
}
