//! `f16`: every f32 rounded to 16 bits.

use half::f16;
use half::slice::HalfFloatSliceExt;
use thalweg_planner::{Tensor, TensorSpec};

use crate::CodecError;
use crate::element::power_of_half;

/// Elements that are converted at a time: they stay in the first-level cache.
const BLOCK: usize = 1024;

/// The largest finite f16.
const LARGEST: f32 = 65504.0;

/// Appends the body and returns true; false where a value is beyond f16, and then `out` has some bytes too many.
pub(crate) fn encode(tensor: &Tensor, out: &mut Vec<u8>) -> bool {
    let (numbers, _) = tensor.data().as_chunks::<4>();
    let start = out.len();
    out.resize(start + 2 * numbers.len(), 0);
    let (codes, _) = out[start..].as_chunks_mut::<2>();
    let mut singles = [0.0; BLOCK];
    let mut halves = [f16::ZERO; BLOCK];
    for (numbers, codes) in numbers.chunks(BLOCK).zip(codes.chunks_mut(BLOCK)) {
        let (singles, halves) = (&mut singles[..numbers.len()], &mut halves[..numbers.len()]);
        for (single, number) in singles.iter_mut().zip(numbers) {
            *single = f32::from_le_bytes(*number);
        }
        if !representable(singles) {
            return false;
        }
        halves.convert_from_f32_slice(singles);
        for (code, half) in codes.iter_mut().zip(halves) {
            *code = half.to_le_bytes();
        }
    }
    true
}

pub(crate) fn decode(spec: &TensorSpec, body: &[u8]) -> Result<Tensor, CodecError> {
    let expected = (spec.len() as u64).saturating_mul(2);
    let wrong_length = || CodecError::WrongLength { spec: spec.clone(), expected, got: body.len() };
    if body.len() as u64 != expected {
        return Err(wrong_length());
    }
    let (codes, _) = body.as_chunks::<2>();
    let mut data = vec![0; 4 * codes.len()];
    let (numbers, _) = data.as_chunks_mut::<4>();
    let mut singles = [0.0; BLOCK];
    let mut halves = [f16::ZERO; BLOCK];
    for (numbers, codes) in numbers.chunks_mut(BLOCK).zip(codes.chunks(BLOCK)) {
        let (singles, halves) = (&mut singles[..codes.len()], &mut halves[..codes.len()]);
        for (half, code) in halves.iter_mut().zip(codes) {
            *half = f16::from_le_bytes(*code);
        }
        halves.convert_to_f32_slice(singles);
        for (number, single) in numbers.iter_mut().zip(singles) {
            *number = single.to_le_bytes();
        }
    }
    Tensor::new(spec.clone(), data).map_err(|_| wrong_length())
}

/// Half a unit in the last place, an element; `None` where the tensor travels exactly.
pub(crate) fn bound(original: &Tensor) -> Option<Vec<f64>> {
    let numbers = original.to_f32()?;
    let half_ulp = |x: &f32| power_of_half(11) * f64::from(x.abs()) + power_of_half(25);
    representable(&numbers).then(|| numbers.iter().map(half_ulp).collect())
}

/// Compares magnitudes as bits: infinities and NaN are above all numbers, and the loop is vectorised.
fn representable(numbers: &[f32]) -> bool {
    let magnitude = |number: &f32| number.abs().to_bits();
    numbers.iter().map(magnitude).fold(0, u32::max) <= LARGEST.to_bits()
}
