//! A tensor as a module sees it: what it is at once, its numbers when they are asked for.

use crate::Failure;
use crate::dtype::{DType, Element};

#[cfg(target_arch = "wasm32")]
use crate::hosted::Held;
#[cfg(not(target_arch = "wasm32"))]
use crate::native::Held;

/// Bytes that are fetched at a time. They pass through the cache rather than through memory, and a module that goes
/// through a large tensor needs no second copy of it.
const READ_BYTES: usize = 64 << 10;

/// A tensor: little-endian, row-major, never changed. Clones are the same tensor.
#[derive(Debug)]
pub struct Tensor(pub(crate) Held);

impl Tensor {
    /// A tensor of these bytes; fails when they are not as many as type and shape ask for.
    pub fn new(dtype: DType, shape: &[u64], bytes: Vec<u8>) -> Result<Self, Failure> {
        Held::new(dtype, shape, bytes).map(Self)
    }

    /// A tensor of these numbers; fails when they are not as many as the shape asks for.
    pub fn from_f32(shape: &[u64], numbers: &[f32]) -> Result<Self, Failure> {
        Self::from_numbers(shape, numbers)
    }

    /// As [`Self::from_f32`].
    pub fn from_i32(shape: &[u64], numbers: &[i32]) -> Result<Self, Failure> {
        Self::from_numbers(shape, numbers)
    }

    /// As [`Self::from_f32`].
    pub fn from_i64(shape: &[u64], numbers: &[i64]) -> Result<Self, Failure> {
        Self::from_numbers(shape, numbers)
    }

    /// Bytes as a tensor `u8[length]`. An output of that kind is a text, which the host fills up with spaces: a link to
    /// another node carries only tensors whose shapes are known before.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, Failure> {
        let len = bytes.len() as u64;
        Self::new(DType::U8, &[len], bytes)
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        self.0.dtype()
    }

    /// Sizes of the axes, outermost first. Empty for a scalar.
    pub fn shape(&self) -> Vec<u64> {
        self.0.shape()
    }

    /// The same as numbers that this module can count with; fails for larger ones.
    pub fn sizes(&self) -> Result<Vec<usize>, Failure> {
        let sizes = self.shape().into_iter().map(usize::try_from).collect::<Result<_, _>>();
        sizes.map_err(|_| Failure::Input("a tensor too large for this module".into()))
    }

    /// Number of elements; fails where no memory holds as many.
    pub fn elements(&self) -> Result<usize, Failure> {
        let product = self.shape().iter().try_fold(1u64, |len, size| len.checked_mul(*size));
        let len = product.and_then(|len| usize::try_from(len).ok());
        len.filter(|len| len.checked_mul(8).is_some())
            .ok_or_else(|| Failure::Input("a tensor too large for this module".into()))
    }

    /// The numbers of an f32 tensor; fails for another type.
    pub fn to_f32(&self) -> Result<Vec<f32>, Failure> {
        self.to_numbers()
    }

    /// As [`Self::to_f32`].
    pub fn to_i32(&self) -> Result<Vec<i32>, Failure> {
        self.to_numbers()
    }

    /// As [`Self::to_f32`].
    pub fn to_i64(&self) -> Result<Vec<i64>, Failure> {
        self.to_numbers()
    }

    /// All bytes, whatever their type.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Failure> {
        let bytes = self.elements()? * self.dtype().size();
        self.read(0, bytes)
    }

    /// `len` bytes from byte `start` on.
    pub fn read(&self, start: usize, len: usize) -> Result<Vec<u8>, Failure> {
        self.0.read(start as u64, len as u64)
    }

    /// The same bytes in another shape, which must have as many elements; nothing is copied.
    pub fn reshape(&self, shape: &[u64]) -> Result<Self, Failure> {
        self.0.reshape(shape).map(Self)
    }

    fn from_numbers<T: Element>(shape: &[u64], numbers: &[T]) -> Result<Self, Failure> {
        Self::new(T::DTYPE, shape, T::encode(numbers))
    }

    fn to_numbers<T: Element>(&self) -> Result<Vec<T>, Failure> {
        if self.dtype() != T::DTYPE {
            return Err(Failure::Input(format!("a tensor of {} where {} is expected", self.dtype(), T::DTYPE)));
        }
        let count = self.elements()?;
        let bytes = count * T::DTYPE.size();
        let mut numbers = Vec::with_capacity(count);
        for start in (0..bytes).step_by(READ_BYTES) {
            T::decode(&self.read(start, READ_BYTES.min(bytes - start))?, &mut numbers);
        }
        Ok(numbers)
    }
}

impl Clone for Tensor {
    fn clone(&self) -> Self {
        Self(self.0.again())
    }
}
