//! Tensors of the engine and tensors that travel: one copy each way.

use thalweg_planner::{DType, Tensor, TensorSpec};
use tract_onnx::tract_hir::internal::{DatumType, TDim, TypedFact, tvec};
use tract_onnx::tract_hir::tract_core::internal::{Tensor as EngineTensor, bail};
use tract_onnx::tract_hir::tract_core::prelude::{TVec, TractResult};

/// The type under which elements travel; `None` for what has no fixed size on the wire.
///
/// Quantised types travel as the integers they are stored in, and shape arithmetic (`TDim`) as i64: both ends know the
/// engine's own type from the graph.
pub(crate) fn dtype(datum: DatumType) -> Option<DType> {
    Some(match datum {
        DatumType::Bool => DType::Bool,
        DatumType::U8 | DatumType::QU8(_) => DType::U8,
        DatumType::U16 => DType::U16,
        DatumType::U32 => DType::U32,
        DatumType::U64 => DType::U64,
        DatumType::I8 | DatumType::QI8(_) => DType::I8,
        DatumType::I16 => DType::I16,
        DatumType::I32 | DatumType::QI32(_) => DType::I32,
        DatumType::I64 | DatumType::TDim => DType::I64,
        DatumType::F16 => DType::F16,
        DatumType::F32 => DType::F32,
        DatumType::F64 => DType::F64,
        _ => return None,
    })
}

/// Type and shape of a wire, when both are fixed.
pub(crate) fn spec(fact: &TypedFact) -> Option<TensorSpec> {
    if fact.is_exotic() {
        return None;
    }
    Some(TensorSpec::new(dtype(fact.datum_type)?, fact.shape.as_concrete()?.to_vec()))
}

/// A tensor of the engine's type `datum` from one that has travelled.
pub(crate) fn to_engine(tensor: &Tensor, datum: DatumType) -> TractResult<EngineTensor> {
    let stored = if datum == DatumType::TDim { DatumType::I64 } else { datum };
    #[expect(unsafe_code, reason = "every byte is written before anybody reads it")]
    let mut made = unsafe { EngineTensor::uninitialized_dt(stored, &tensor.spec().shape)? };
    let Some(mut view) = made.as_plain_ram_mut() else { bail!("a tensor of {datum:?} has no plain storage") };
    let bytes = view.as_bytes_mut();
    if bytes.len() != tensor.data().len() {
        bail!("{} bytes do not fill a tensor of {datum:?}", tensor.data().len());
    }
    // To the engine they are Rust's, of which only 0 and 1 exist. Modules and networks may have sent any.
    if datum == DatumType::Bool && tensor.data().iter().any(|byte| *byte > 1) {
        bail!("a boolean is neither 0 nor 1");
    }
    bytes.copy_from_slice(tensor.data());
    if datum == DatumType::TDim { Ok(made.cast_to::<TDim>()?.into_owned()) } else { Ok(made) }
}

/// A tensor that can travel from one of the engine.
pub(crate) fn from_engine(tensor: &EngineTensor) -> TractResult<Tensor> {
    if tensor.datum_type() == DatumType::TDim {
        return from_engine(tensor.cast_to::<i64>()?.as_ref());
    }
    let Some(dtype) = dtype(tensor.datum_type()) else { bail!("{:?} cannot travel", tensor.datum_type()) };
    let Some(view) = tensor.as_plain_ram() else { bail!("a tensor of {:?} has no plain storage", tensor.datum_type()) };
    Ok(Tensor::new(TensorSpec::new(dtype, tensor.shape().to_vec()), view.as_bytes().to_vec())?)
}

/// The engine's tensors for `tensors`, typed as `datums`.
pub(crate) fn all_to_engine<'a>(
    tensors: impl Iterator<Item = (&'a Tensor, DatumType)>,
) -> TractResult<TVec<tract_onnx::prelude::TValue>> {
    let mut values = tvec!();
    for (tensor, datum) in tensors {
        values.push(to_engine(tensor, datum)?.into());
    }
    Ok(values)
}
