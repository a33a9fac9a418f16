//! The float types that `int8` codes, as f32.

use half::{bf16, f16};

/// A float of at most f32's range and precision.
pub(crate) trait Element {
    /// Bytes of one.
    const SIZE: usize;
    /// An f32 is rounded by at most this fraction of itself when it is written, above the subnormal numbers…
    const ROUNDING: f64;
    /// … and by at most this among them.
    const ROUNDING_MIN: f64;
    /// The largest finite number.
    const LARGEST: f32;

    /// The number in `SIZE` little-endian bytes.
    fn read(bytes: &[u8]) -> f32;

    /// Rounds `value` to nearest even and writes it into `SIZE` bytes.
    fn write(value: f32, bytes: &mut [u8]);
}

impl Element for f32 {
    const SIZE: usize = 4;
    const ROUNDING: f64 = 0.0;
    const ROUNDING_MIN: f64 = 0.0;
    const LARGEST: f32 = f32::MAX;

    fn read(bytes: &[u8]) -> f32 {
        Self::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
    }

    fn write(value: f32, bytes: &mut [u8]) {
        bytes.copy_from_slice(&value.to_le_bytes());
    }
}

impl Element for f16 {
    const SIZE: usize = 2;
    const ROUNDING: f64 = power_of_half(11);
    const ROUNDING_MIN: f64 = power_of_half(25);
    const LARGEST: f32 = f16::MAX.to_f32_const();

    fn read(bytes: &[u8]) -> f32 {
        Self::from_le_bytes([bytes[0], bytes[1]]).to_f32()
    }

    fn write(value: f32, bytes: &mut [u8]) {
        bytes.copy_from_slice(&Self::from_f32(value).to_le_bytes());
    }
}

impl Element for bf16 {
    const SIZE: usize = 2;
    const ROUNDING: f64 = power_of_half(8);
    const ROUNDING_MIN: f64 = power_of_half(134);
    const LARGEST: f32 = bf16::MAX.to_f32_const();

    fn read(bytes: &[u8]) -> f32 {
        Self::from_le_bytes([bytes[0], bytes[1]]).to_f32()
    }

    fn write(value: f32, bytes: &mut [u8]) {
        bytes.copy_from_slice(&Self::from_f32(value).to_le_bytes());
    }
}

/// 2 to the power of `-exponent`, for exponents up to 1022.
pub(crate) const fn power_of_half(exponent: u64) -> f64 {
    f64::from_bits((1023 - exponent) << 52)
}
