//! `int8`: a byte an element, with a step and an offset a channel.

use half::{bf16, f16};
use thalweg_planner::{DType, Tensor, TensorSpec};

use crate::CodecError;
use crate::channels::Channels;
use crate::element::{Element, power_of_half};

/// Magnitudes up to here: neither a channel's range nor a decoded value overflows.
const LARGEST: f32 = f32::MAX / 4.0;

/// 1.5 · 2²³: adding it to a number below 2²² leaves that number, rounded to nearest even, in the low bits.
const ROUNDER: f32 = 12_582_912.0;

/// Appends the body and returns true; false where a value is not represented, and then `out` is as it was.
pub(crate) fn encode(tensor: &Tensor, out: &mut Vec<u8>) -> bool {
    match tensor.spec().dtype {
        DType::F32 => encode_as::<f32>(tensor, out),
        DType::F16 => encode_as::<f16>(tensor, out),
        DType::Bf16 => encode_as::<bf16>(tensor, out),
        _ => false,
    }
}

pub(crate) fn decode(spec: &TensorSpec, body: &[u8]) -> Result<Tensor, CodecError> {
    let channels = Channels::of(spec);
    let side = (channels.count as u64).saturating_mul(8);
    let expected = side.saturating_add(spec.len() as u64);
    let wrong_length = || CodecError::WrongLength { spec: spec.clone(), expected, got: body.len() };
    if body.len() as u64 != expected {
        return Err(wrong_length());
    }
    let (sides, codes) = body.split_at(8 * channels.count);
    let (sides, _) = sides.as_chunks::<4>();
    let (steps, offsets) = sides.split_at(channels.count);
    for (channel, (step, offset)) in steps.iter().zip(offsets).enumerate() {
        let (step, offset) = (f32::from_le_bytes(*step), f32::from_le_bytes(*offset));
        if !step.is_finite() || !offset.is_finite() {
            return Err(CodecError::NotFinite { spec: spec.clone(), channel, step, offset });
        }
    }
    let data = match spec.dtype {
        DType::F16 => dequantise::<f16>(channels, steps, offsets, codes),
        DType::Bf16 => dequantise::<bf16>(channels, steps, offsets, codes),
        _ => dequantise::<f32>(channels, steps, offsets, codes),
    };
    Tensor::new(spec.clone(), data).map_err(|_| wrong_length())
}

/// Half a step of the element's channel and what the arithmetic rounds; `None` where the tensor travels exactly.
pub(crate) fn bound(original: &Tensor) -> Option<Vec<f64>> {
    match original.spec().dtype {
        DType::F32 => bound_as::<f32>(original),
        DType::F16 => bound_as::<f16>(original),
        DType::Bf16 => bound_as::<bf16>(original),
        _ => None,
    }
}

/// Four roundings of f32 scale with the code, thus with at most 255 · 4 · 2⁻²⁴ < 2⁻¹³ steps; the last one, and the
/// one to the element's type, with the decoded number, which is at most a step beyond the channel's largest.
fn bound_as<E: Element>(original: &Tensor) -> Option<Vec<f64>> {
    let channels = Channels::of(original.spec());
    let grid = Grid::of::<E>(channels, original.data())?;
    let bound_of = |(step, lowest): (&f32, &f32)| {
        let (step, lowest) = (f64::from(*step), f64::from(*lowest));
        let largest = lowest.abs().max((lowest + 255.0 * step).abs()) + step;
        step * (0.5 + power_of_half(13)) + largest * (power_of_half(24) + E::ROUNDING) + E::ROUNDING_MIN
    };
    let bounds: Vec<f64> = grid.steps.iter().zip(&grid.offsets).map(bound_of).collect();
    Some((0..original.spec().len()).map(|element| bounds[channels.at(element)]).collect())
}

fn encode_as<E: Element>(tensor: &Tensor, out: &mut Vec<u8>) -> bool {
    let channels = Channels::of(tensor.spec());
    let Some(grid) = Grid::of::<E>(channels, tensor.data()) else { return false };
    out.reserve(8 * channels.count + tensor.spec().len());
    out.extend(grid.steps.iter().chain(&grid.offsets).flat_map(|number| number.to_le_bytes()));
    let start = out.len();
    out.resize(start + tensor.spec().len(), 0);
    quantise::<E>(channels, &grid, tensor.data(), &mut out[start..]);
    true
}

/// A step and an offset a channel.
struct Grid {
    steps: Vec<f32>,
    offsets: Vec<f32>,
}

impl Grid {
    /// The finest grid that holds all values; `None` where one is not represented.
    fn of<E: Element>(channels: Channels, data: &[u8]) -> Option<Self> {
        let (lows, highs) = extents::<E>(channels, data);
        let represented = |(low, high): (&i32, &i32)| *low >= rank(-LARGEST) && *high <= rank(LARGEST);
        if !lows.iter().zip(&highs).all(represented) {
            return None;
        }
        // At least the smallest normal number, or the step of a nearly constant channel would have no inverse.
        let step = |(low, high): (&i32, &i32)| ((unrank(*high) - unrank(*low)) / 255.0).max(f32::MIN_POSITIVE);
        let steps = lows.iter().zip(&highs).map(step).collect();
        Some(Self { steps, offsets: lows.iter().copied().map(unrank).collect() })
    }
}

/// The lowest and the highest rank of each channel.
fn extents<E: Element>(channels: Channels, data: &[u8]) -> (Vec<i32>, Vec<i32>) {
    let Channels { count, inner } = channels;
    let mut lows = vec![i32::MAX; count];
    let mut highs = vec![i32::MIN; count];
    if inner == 1 {
        for row in data.chunks_exact(E::SIZE * count) {
            for ((low, high), bytes) in lows.iter_mut().zip(&mut highs).zip(row.chunks_exact(E::SIZE)) {
                let rank = rank(E::read(bytes));
                (*low, *high) = (rank.min(*low), rank.max(*high));
            }
        }
    } else {
        for (run, channel) in data.chunks_exact(E::SIZE * inner).zip((0..count).cycle()) {
            let ranks = run.chunks_exact(E::SIZE).map(|bytes| rank(E::read(bytes)));
            let widen = |(low, high): (i32, i32), rank: i32| (rank.min(low), rank.max(high));
            (lows[channel], highs[channel]) = ranks.fold((lows[channel], highs[channel]), widen);
        }
    }
    (lows, highs)
}

/// A number's place in the order of `f32::total_cmp`: NaN beyond the infinities, on both sides. Minima and maxima of
/// integers are vectorised, those of floats are not.
fn rank(number: f32) -> i32 {
    let bits = number.to_bits().cast_signed();
    bits ^ ((bits >> 31) & i32::MAX)
}

/// The number of a rank.
fn unrank(rank: i32) -> f32 {
    f32::from_bits((rank ^ ((rank >> 31) & i32::MAX)).cast_unsigned())
}

fn quantise<E: Element>(channels: Channels, grid: &Grid, data: &[u8], codes: &mut [u8]) {
    let Channels { count, inner } = channels;
    let inverses: Vec<f32> = grid.steps.iter().map(|step| step.recip()).collect();
    let code_of = |bytes: &[u8], inverse: f32, offset: f32| {
        // In 0..=255.001 by the choice of the step.
        let steps = (E::read(bytes) - offset) * inverse;
        (steps + ROUNDER).to_bits() as u8
    };
    if inner == 1 {
        for (row, codes) in data.chunks_exact(E::SIZE * count).zip(codes.chunks_exact_mut(count)) {
            let grid = inverses.iter().zip(&grid.offsets);
            for ((code, bytes), (inverse, offset)) in codes.iter_mut().zip(row.chunks_exact(E::SIZE)).zip(grid) {
                *code = code_of(bytes, *inverse, *offset);
            }
        }
    } else {
        let grid = inverses.iter().zip(&grid.offsets).cycle();
        let runs = data.chunks_exact(E::SIZE * inner).zip(codes.chunks_exact_mut(inner));
        for ((run, codes), (inverse, offset)) in runs.zip(grid) {
            for (code, bytes) in codes.iter_mut().zip(run.chunks_exact(E::SIZE)) {
                *code = code_of(bytes, *inverse, *offset);
            }
        }
    }
}

fn dequantise<E: Element>(channels: Channels, steps: &[[u8; 4]], offsets: &[[u8; 4]], codes: &[u8]) -> Vec<u8> {
    let Channels { count, inner } = channels;
    let mut data = vec![0; E::SIZE * codes.len()];
    let write = |bytes: &mut [u8], code: u8, step: [u8; 4], offset: [u8; 4]| {
        let value = f32::from_le_bytes(offset) + f32::from(code) * f32::from_le_bytes(step);
        E::write(value, bytes);
    };
    if inner == 1 {
        for (row, codes) in data.chunks_exact_mut(E::SIZE * count).zip(codes.chunks_exact(count)) {
            let grid = steps.iter().zip(offsets);
            for ((bytes, code), (step, offset)) in row.chunks_exact_mut(E::SIZE).zip(codes).zip(grid) {
                write(bytes, *code, *step, *offset);
            }
        }
    } else {
        let grid = steps.iter().zip(offsets).cycle();
        let runs = data.chunks_exact_mut(E::SIZE * inner).zip(codes.chunks_exact(inner));
        for ((run, codes), (step, offset)) in runs.zip(grid) {
            for (bytes, code) in run.chunks_exact_mut(E::SIZE).zip(codes) {
                write(bytes, *code, *step, *offset);
            }
        }
    }
    data
}
