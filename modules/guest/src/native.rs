//! Tensors in memory and parts of models that tests bring, for modules that are compiled natively.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use crate::{DType, Failure, Tensor};

/// What runs parts of models.
type Parts = Rc<dyn Fn(&str, &[&Tensor]) -> Result<Vec<Tensor>, Failure>>;

thread_local! {
    static PARTS: RefCell<Option<Parts>> = const { RefCell::new(None) };
}

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

/// See [`crate::models::infer`].
pub(crate) fn infer(part: &str, inputs: &[&Tensor]) -> Result<Vec<Tensor>, Failure> {
    let Some(parts) = PARTS.with_borrow(Clone::clone) else {
        return Err(Failure::Model(format!("part {part} was not granted: use `models::granting`")));
    };
    // In the sandbox there is no other failure.
    parts(part, inputs).map_err(|failure| Failure::Model(failure.to_string()))
}

/// See [`crate::models::granting`].
pub(crate) fn granting<T>(parts: Parts, body: impl FnOnce() -> T) -> T {
    /// Grants again what was granted before, also after a panic.
    struct Former(Option<Parts>);

    impl Drop for Former {
        fn drop(&mut self) {
            PARTS.set(self.0.take());
        }
    }

    let _former = Former(PARTS.replace(Some(parts)));
    body()
}

/// For who looks for a fault in the module.
pub fn debug(_text: &str) {}

/// For who wants to know what it does.
pub fn info(_text: &str) {}

/// Something that should be looked at.
pub fn warn(_text: &str) {}

/// Something that is broken.
pub fn error(_text: &str) {}
