//! Tensors as they travel between the parts of Thalweg: little-endian, row-major, owned by nobody's engine.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Bytes;

/// The type of a tensor's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
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
    /// Every type.
    pub const ALL: [Self; 13] = [
        Self::F32,
        Self::F16,
        Self::Bf16,
        Self::F64,
        Self::I8,
        Self::U8,
        Self::I16,
        Self::U16,
        Self::I32,
        Self::U32,
        Self::I64,
        Self::U64,
        Self::Bool,
    ];

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

/// The type and shape of a tensor: what both ends of a link agree on before a byte is sent.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TensorSpec {
    /// Element type.
    pub dtype: DType,
    /// Sizes of the axes, outermost first. Empty for a scalar.
    pub shape: Vec<usize>,
}

impl TensorSpec {
    /// A spec of this type and shape.
    pub fn new(dtype: DType, shape: impl Into<Vec<usize>>) -> Self {
        Self { dtype, shape: shape.into() }
    }

    /// Number of elements: 1 for a scalar; `usize::MAX` where the product does not fit.
    pub fn len(&self) -> usize {
        self.shape.iter().fold(1, |len, size| len.saturating_mul(*size))
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Size of the uncoded tensor.
    pub fn bytes(&self) -> Bytes {
        Bytes(self.len().saturating_mul(self.dtype.size()) as u64)
    }
}

impl fmt::Display for TensorSpec {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes: Vec<_> = self.shape.iter().map(usize::to_string).collect();
        write!(out, "{}[{}]", self.dtype, sizes.join(","))
    }
}

/// A tensor: as many bytes as its spec asks for, little-endian, row-major. Clones share the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    spec: TensorSpec,
    data: Arc<Vec<u8>>,
}

/// Bytes that are not as many as the spec asks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a tensor {spec} takes {} bytes, but {got} were given", spec.bytes().0)]
pub struct WrongLength {
    /// What was asked for.
    pub spec: TensorSpec,
    /// How many bytes there were.
    pub got: usize,
}

impl Tensor {
    /// A tensor of these bytes.
    pub fn new(spec: TensorSpec, data: Vec<u8>) -> Result<Self, WrongLength> {
        if spec.bytes().0 == data.len() as u64 {
            Ok(Self { spec, data: Arc::new(data) })
        } else {
            Err(WrongLength { spec, got: data.len() })
        }
    }

    /// A tensor of these numbers; fails when they are not as many as the shape asks for.
    pub fn from_f32(shape: impl Into<Vec<usize>>, values: &[f32]) -> Result<Self, WrongLength> {
        let data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self::new(TensorSpec::new(DType::F32, shape), data)
    }

    /// The tensor `u8[bytes]` of these bytes, such as a file's.
    pub fn from_bytes(data: Vec<u8>) -> Self {
        Self { spec: TensorSpec::new(DType::U8, [data.len()]), data: Arc::new(data) }
    }

    /// The elements of an f32 tensor; `None` for another type.
    pub fn to_f32(&self) -> Option<Vec<f32>> {
        let numbers = self.data.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]));
        (self.spec.dtype == DType::F32).then(|| numbers.collect())
    }

    /// Type and shape.
    pub fn spec(&self) -> &TensorSpec {
        &self.spec
    }

    /// The bytes, little-endian, row-major.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The same bytes in another shape of as many elements; nothing is copied.
    pub fn reshape(&self, shape: impl Into<Vec<usize>>) -> Result<Self, WrongLength> {
        let spec = TensorSpec::new(self.spec.dtype, shape);
        if spec.bytes() == self.spec.bytes() {
            Ok(Self { spec, data: Arc::clone(&self.data) })
        } else {
            Err(WrongLength { spec, got: self.data.len() })
        }
    }

    /// Gives the bytes away; they are copied only where a clone still shares them.
    pub fn into_data(self) -> Vec<u8> {
        Arc::unwrap_or_clone(self.data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scalar_has_one_element_and_an_empty_axis_none() {
        assert_eq!(TensorSpec::new(DType::I64, []).bytes(), Bytes(8));
        assert!(TensorSpec::new(DType::F32, [3, 0]).is_empty());
        assert_eq!(TensorSpec::new(DType::F32, [usize::MAX, 9]).len(), usize::MAX);
    }

    #[test]
    fn bytes_must_be_as_many_as_the_shape_says() {
        let spec = TensorSpec::new(DType::F16, [2, 3]);
        assert_eq!(
            Tensor::new(spec.clone(), vec![0; 11]).expect_err("11 bytes are too few").to_string(),
            "a tensor f16[2,3] takes 12 bytes, but 11 were given"
        );
        assert!(Tensor::new(spec, vec![0; 12]).is_ok());
    }

    #[test]
    fn clones_and_other_shapes_share_the_bytes() {
        let tensor = Tensor::from_f32([2, 3], &[1.0; 6]).expect("six numbers");
        let flat = tensor.reshape([6]).expect("as many elements");
        assert_eq!(flat.spec().shape, [6]);
        assert_eq!(flat.data().as_ptr(), tensor.clone().data().as_ptr());
        assert!(tensor.reshape([7]).is_err());
        assert_eq!(flat.into_data(), tensor.data());
    }
}
