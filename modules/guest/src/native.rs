//! Tensors in memory, for modules that are compiled natively.

use std::sync::Arc;

use crate::{DType, Failure};

/// Type, shape and bytes.
#[derive(Debug)]
pub(crate) struct Held {
    dtype: DType,
    shape: Vec<u64>,
    bytes: Arc<Vec<u8>>,
}

impl Held {
    pub(crate) fn new(dtype: DType, shape: &[u64], bytes: Vec<u8>) -> Result<Self, Failure> {
        Self::of(dtype, shape, Arc::new(bytes))
    }

    fn of(dtype: DType, shape: &[u64], bytes: Arc<Vec<u8>>) -> Result<Self, Failure> {
        let wanted = shape.iter().try_fold(dtype.size() as u64, |bytes, size| bytes.checked_mul(*size));
        if wanted == Some(bytes.len() as u64) {
            return Ok(Self { dtype, shape: shape.to_vec(), bytes });
        }
        Err(Failure::Tensor(format!("{} bytes do not make a tensor {dtype}{shape:?}", bytes.len())))
    }

    pub(crate) fn dtype(&self) -> DType {
        self.dtype
    }

    pub(crate) fn shape(&self) -> Vec<u64> {
        self.shape.clone()
    }

    pub(crate) fn read(&self, start: u64, len: u64) -> Result<Vec<u8>, Failure> {
        let outside = || format!("{len} bytes from byte {start} on do not lie within its {} bytes", self.bytes.len());
        let end = start.checked_add(len).and_then(|end| usize::try_from(end).ok());
        let bytes = end.and_then(|end| self.bytes.get(usize::try_from(start).ok()?..end));
        bytes.map(<[u8]>::to_vec).ok_or_else(|| Failure::Tensor(outside()))
    }

    pub(crate) fn reshape(&self, shape: &[u64]) -> Result<Self, Failure> {
        Self::of(self.dtype, shape, Arc::clone(&self.bytes))
    }

    pub(crate) fn again(&self) -> Self {
        Self { dtype: self.dtype, shape: self.shape.clone(), bytes: Arc::clone(&self.bytes) }
    }
}

/// For who looks for a fault in the module.
pub fn debug(_text: &str) {}

/// For who wants to know what it does.
pub fn info(_text: &str) {}

/// Something that should be looked at.
pub fn warn(_text: &str) {}

/// Something that is broken.
pub fn error(_text: &str) {}
