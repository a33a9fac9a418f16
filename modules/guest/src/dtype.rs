//! The types of elements, and how each lies in a tensor's bytes.

use std::fmt;

/// The type of a tensor's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum DType {
    F32,
    F16,
    Bf16,
    F64,
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    I64,
    U64,
    /// One byte an element: 0 or 1.
    Bool,
}

impl DType {
    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Self::I8 | Self::U8 | Self::Bool => 1,
            Self::F16 | Self::Bf16 | Self::I16 | Self::U16 => 2,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F64 | Self::I64 | Self::U64 => 8,
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", format!("{self:?}").to_lowercase())
    }
}

/// Numbers that tensors hold, little-endian.
pub(crate) trait Element: Copy {
    /// Their type.
    const DTYPE: DType;

    /// The numbers that lie in `bytes`; a rest that makes none is left out.
    fn decode(bytes: &[u8], into: &mut Vec<Self>);

    /// The bytes of `numbers`.
    fn encode(numbers: &[Self]) -> Vec<u8>;
}

macro_rules! elements {
    ($($number:ty, $dtype:ident);*) => {
        $(impl Element for $number {
            const DTYPE: DType = DType::$dtype;

            fn decode(bytes: &[u8], into: &mut Vec<Self>) {
                let (numbers, _) = bytes.as_chunks();
                into.extend(numbers.iter().map(|number| Self::from_le_bytes(*number)));
            }

            fn encode(numbers: &[Self]) -> Vec<u8> {
                let mut bytes = vec![0; size_of_val(numbers)];
                bytes.as_chunks_mut().0.iter_mut().zip(numbers).for_each(|(to, number)| *to = number.to_le_bytes());
                bytes
            }
        })*
    };
}

elements!(f32, F32; f64, F64; u8, U8; i32, I32; i64, I64);
