//! Inputs that nobody has to bring: reproducible random numbers, and zeros.

use half::{bf16, f16};
use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::{Rng, SeedableRng};
use thalweg_planner::{DType, Tensor, TensorSpec};

use crate::{ModuleError, check_size};

/// Numbers from `low`, which may be drawn, to `high`, which may not.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Range {
    /// What is drawn from where no range is given: -1 to 1 for floats, 0 or 1 for integers and booleans,
    /// because these are valid as an attention mask, as a segment and in every vocabulary.
    pub fn default_of(dtype: DType) -> Self {
        match dtype {
            DType::F32 | DType::F16 | DType::Bf16 | DType::F64 => Self { low: -1.0, high: 1.0 },
            _ => Self { low: 0.0, high: 2.0 },
        }
    }
}

/// Uniform random numbers of type and shape `spec`, from `range` or [`Range::default_of`] the type.
///
/// The same arguments give the same tensor on every machine. Floats are drawn in f64 and rounded to the type, which can
/// yield the upper end; integers are drawn from those within the range.
pub fn random(spec: &TensorSpec, seed: u64, range: Option<Range>) -> Result<Tensor, ModuleError> {
    check_size(spec)?;
    let range = range.unwrap_or_else(|| Range::default_of(spec.dtype));
    let refused = || ModuleError::Range { low: range.low, high: range.high, dtype: spec.dtype };
    let mut source = Pcg64Mcg::seed_from_u64(seed);
    let mut data = Vec::with_capacity(spec.len().saturating_mul(spec.dtype.size()));
    if let Some((least, most)) = bounds(spec.dtype) {
        let (low, high) =
            integers(range).filter(|(low, high)| least <= *low && *high <= most + 1).ok_or_else(refused)?;
        for _ in 0..spec.len() {
            let value = low + below(&mut source, high - low);
            data.extend_from_slice(&value.to_le_bytes()[..spec.dtype.size()]);
        }
    } else {
        let within = range.low < range.high && (range.high - range.low).is_finite();
        if !within || [range.low, range.high].into_iter().any(|end| end.abs() > largest(spec.dtype)) {
            return Err(refused());
        }
        for _ in 0..spec.len() {
            let value = range.low + unit(&mut source) * (range.high - range.low);
            push_float(&mut data, spec.dtype, value);
        }
    }
    Ok(Tensor::new(spec.clone(), data)?)
}

/// Zeros of type and shape `spec`; false for booleans.
pub fn zeros(spec: &TensorSpec) -> Result<Tensor, ModuleError> {
    check_size(spec)?;
    Ok(Tensor::new(spec.clone(), vec![0; spec.len().saturating_mul(spec.dtype.size())])?)
}

/// The least and the greatest value of an integer type or of booleans; `None` for floats.
fn bounds(dtype: DType) -> Option<(i128, i128)> {
    Some(match dtype {
        DType::Bool => (0, 1),
        DType::I8 => (i8::MIN.into(), i8::MAX.into()),
        DType::U8 => (0, u8::MAX.into()),
        DType::I16 => (i16::MIN.into(), i16::MAX.into()),
        DType::U16 => (0, u16::MAX.into()),
        DType::I32 => (i32::MIN.into(), i32::MAX.into()),
        DType::U32 => (0, u32::MAX.into()),
        DType::I64 => (i64::MIN.into(), i64::MAX.into()),
        DType::U64 => (0, u64::MAX.into()),
        DType::F32 | DType::F16 | DType::Bf16 | DType::F64 => return None,
    })
}

/// The largest finite value of a float type.
fn largest(dtype: DType) -> f64 {
    match dtype {
        DType::F16 => f16::MAX.to_f64(),
        DType::Bf16 => bf16::MAX.to_f64(),
        DType::F32 => f32::MAX.into(),
        _ => f64::MAX,
    }
}

/// The integers of a range: the first, and the one after the last; `None` where there is none or it is not finite.
fn integers(range: Range) -> Option<(i128, i128)> {
    let (low, high) = (range.low.ceil(), range.high.ceil());
    (low < high && low.is_finite() && high.is_finite()).then_some((low as i128, high as i128))
}

/// A number from 0 to `span` - 1, for a span of at most 2^64, by multiplication (Lemire 2019) without its rejection:
/// the bias is below `span` / 2^64.
fn below(source: &mut Pcg64Mcg, span: i128) -> i128 {
    ((u128::from(source.next_u64()) * span.unsigned_abs()) >> 64) as i128
}

/// A number from 0 to 1, 1 excluded, with the 53 bits that an f64 holds.
fn unit(source: &mut Pcg64Mcg) -> f64 {
    const STEPS: f64 = (1u64 << 53) as f64;
    (source.next_u64() >> 11) as f64 / STEPS
}

/// Appends a float in its own type.
fn push_float(data: &mut Vec<u8>, dtype: DType, value: f64) {
    match dtype {
        DType::F16 => data.extend(f16::from_f64(value).to_le_bytes()),
        DType::Bf16 => data.extend(bf16::from_f64(value).to_le_bytes()),
        DType::F32 => data.extend((value as f32).to_le_bytes()),
        _ => data.extend(value.to_le_bytes()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn floats(seed: u64, range: Option<Range>) -> Vec<f32> {
        random(&TensorSpec::new(DType::F32, [4, 2500]), seed, range).unwrap().to_f32().unwrap()
    }

    #[test]
    fn a_seed_gives_the_same_numbers_for_ever() {
        let first = &floats(1, None)[..3];
        assert_eq!(first, floats(1, None)[..3].to_vec());
        assert_ne!(first, &floats(2, None)[..3]);
        // Written down so that a change of the stream is noticed.
        assert_eq!(first, [0.7134343, -0.724891, -0.059076946]);
    }

    #[test]
    fn floats_fill_their_range_evenly() {
        for (values, centre, reach) in
            [(floats(3, None), 0.0, 1.0), (floats(3, Some(Range { low: 5.0, high: 9.0 })), 7.0, 2.0)]
        {
            assert!(values.iter().all(|value| (value - centre).abs() <= reach));
            let mean = values.iter().sum::<f32>() / values.len() as f32;
            assert!((mean - centre).abs() < 0.03 * reach, "mean {mean}");
        }
    }

    #[test]
    fn integers_stay_in_their_range_and_reach_its_ends() {
        let spec = TensorSpec::new(DType::I64, [1000]);
        let ids = random(&spec, 7, Some(Range { low: -2.0, high: 3.0 })).unwrap();
        let mut ids: Vec<_> = ids.data().chunks_exact(8).map(|id| i64::from_le_bytes(id.try_into().unwrap())).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids, [-2, -1, 0, 1, 2]);
        let bytes = random(&TensorSpec::new(DType::U8, [1000]), 7, Some(Range { low: 255.0, high: 256.0 })).unwrap();
        assert!(bytes.data().iter().all(|byte| *byte == 255));
    }

    #[test]
    fn every_type_has_a_default_and_zeros() {
        use DType::{Bf16, Bool, F16, F32, F64, I8, I16, I32, I64, U8, U16, U32, U64};
        for dtype in [F32, F16, Bf16, F64, I8, U8, I16, U16, I32, U32, I64, U64, Bool] {
            let spec = TensorSpec::new(dtype, [3, 5]);
            assert_eq!(random(&spec, 0, None).unwrap().data().len() as u64, spec.bytes().0);
            assert!(zeros(&spec).unwrap().data().iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    fn ranges_without_numbers_and_shapes_without_end_are_refused() {
        let refused = |dtype, low, high| {
            let result = random(&TensorSpec::new(dtype, [1]), 0, Some(Range { low, high }));
            assert!(matches!(result, Err(ModuleError::Range { .. })), "{dtype} {low} {high}");
        };
        refused(DType::F32, 1.0, 1.0);
        refused(DType::F32, f64::NAN, 1.0);
        refused(DType::F16, 0.0, 1e6);
        refused(DType::F64, f64::MIN, f64::MAX);
        refused(DType::U8, -1.0, 2.0);
        refused(DType::I64, 0.25, 0.75);
        refused(DType::I64, 0.0, f64::INFINITY);
        refused(DType::U64, 0.0, 1e300);
        let endless = TensorSpec::new(DType::F32, [usize::MAX, 2]);
        assert!(matches!(zeros(&endless), Err(ModuleError::InputTooLarge { .. })));
        assert!(matches!(random(&endless, 0, None), Err(ModuleError::InputTooLarge { .. })));
    }
}
