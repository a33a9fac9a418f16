//! A tensor as the host holds it for a module, and whether the module itself made it of what are no numbers.

use thalweg_planner::{DType, Tensor};

/// Elements that are looked at before one of them is asked for by itself.
const BLOCK: usize = 1024;

/// What a handle of a module stands for.
#[allow(unreachable_pub, reason = "generated code names it as its own")]
pub struct Held {
    /// The tensor.
    pub(super) tensor: Tensor,
    /// The first element that is not a number, of a tensor that the module made. Others are not looked through: passing
    /// them on costs nothing.
    pub(super) nan: Option<usize>,
}

impl Held {
    /// One that the module was given.
    pub(super) fn given(tensor: Tensor) -> Self {
        Self { tensor, nan: None }
    }

    /// One that the module has just made, so that its bytes are still near.
    pub(super) fn made(tensor: Tensor) -> Self {
        let nan = first_nan(tensor.spec().dtype, tensor.data());
        Self { tensor, nan }
    }
}

/// Where the first element lies that is not a number; nowhere in types that have numbers only. Infinities are numbers:
/// the scores of what cannot be are minus infinity.
fn first_nan(dtype: DType, bytes: &[u8]) -> Option<usize> {
    // IEEE 754 and bfloat16: without its sign, a bit pattern above that of infinity.
    match dtype {
        DType::F16 => first(bytes, |element| u16::from_le_bytes(*element) & 0x7fff > 0x7c00),
        DType::Bf16 => first(bytes, |element| u16::from_le_bytes(*element) & 0x7fff > 0x7f80),
        DType::F32 => first(bytes, |element| u32::from_le_bytes(*element) & (u32::MAX >> 1) > 0x7f80_0000),
        DType::F64 => first(bytes, |element| u64::from_le_bytes(*element) & (u64::MAX >> 1) > 0x7ff0 << 48),
        DType::I8
        | DType::U8
        | DType::I16
        | DType::U16
        | DType::I32
        | DType::U32
        | DType::I64
        | DType::U64
        | DType::Bool => None,
    }
}

fn first<const SIZE: usize>(bytes: &[u8], is_nan: impl Fn(&[u8; SIZE]) -> bool) -> Option<usize> {
    let (elements, _) = bytes.as_chunks();
    // A block has no way out in its middle: so it is looked through with vector instructions.
    let has_one = |block: &[[u8; SIZE]]| block.iter().fold(false, |any, element| any | is_nan(element));
    let start = BLOCK * elements.chunks(BLOCK).position(has_one)?;
    elements[start..].iter().position(is_nan).map(|at| start + at)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use half::{bf16, f16};
    use proptest::prelude::*;

    use super::*;

    fn found<T: Copy, const SIZE: usize>(dtype: DType, numbers: &[T], bytes: fn(T) -> [u8; SIZE]) -> Option<usize> {
        first_nan(dtype, &numbers.iter().flat_map(|number| bytes(*number)).collect::<Vec<_>>())
    }

    #[test]
    fn every_kind_of_nan_is_found_and_infinities_are_numbers() {
        let signs = [1.0, -1.0];
        for (sign, at) in signs.iter().zip([0, 3 * BLOCK + 17]) {
            let numbers = |nan: f32| {
                let mut numbers = vec![f32::NEG_INFINITY; at];
                numbers.extend([f32::INFINITY, nan, f32::NAN]);
                numbers
            };
            let quiet = numbers(f32::NAN.copysign(*sign));
            assert_eq!(found(DType::F32, &quiet, f32::to_le_bytes), Some(at + 1));
            assert_eq!(found(DType::F64, &quiet, |number| f64::from(number).to_le_bytes()), Some(at + 1));
            assert_eq!(found(DType::F16, &quiet, |number| f16::from_f32(number).to_le_bytes()), Some(at + 1));
            assert_eq!(found(DType::Bf16, &quiet, |number| bf16::from_f32(number).to_le_bytes()), Some(at + 1));
        }
        assert_eq!(found(DType::F32, &[f32::from_bits(0x7f80_0001)], f32::to_le_bytes), Some(0), "a signalling one");
        assert_eq!(found(DType::U32, &[u32::MAX], u32::to_le_bytes), None);
        assert_eq!(first_nan(DType::F64, &[]), None);
    }

    proptest! {
        #[test]
        fn halves_are_told_as_their_crate_tells_them(bits: u16) {
            let nan = |is_nan: bool| is_nan.then_some(0);
            prop_assert_eq!(found(DType::F16, &[bits], u16::to_le_bytes), nan(f16::from_bits(bits).is_nan()));
            prop_assert_eq!(found(DType::Bf16, &[bits], u16::to_le_bytes), nan(bf16::from_bits(bits).is_nan()));
        }

        #[test]
        fn bits_are_told_as_rust_tells_them(bits: u64) {
            let single = f32::from_bits(bits as u32);
            prop_assert_eq!(found(DType::F32, &[single], f32::to_le_bytes), single.is_nan().then_some(0));
            let double = f64::from_bits(bits);
            prop_assert_eq!(found(DType::F64, &[double], f64::to_le_bytes), double.is_nan().then_some(0));
        }
    }
}
