//! Tensors as they are: what `f32` is, and what the other codecs fall back to.

use thalweg_planner::{DType, Tensor, TensorSpec};

use crate::CodecError;

pub(crate) fn encode(tensor: &Tensor, out: &mut Vec<u8>) {
    out.extend_from_slice(tensor.data());
}

/// Checks that bools are 0 or 1, because engines may rely on it.
pub(crate) fn decode(spec: &TensorSpec, body: &[u8]) -> Result<Tensor, CodecError> {
    let expected = spec.bytes().0;
    let wrong_length = || CodecError::WrongLength { spec: spec.clone(), expected, got: body.len() };
    if body.len() as u64 != expected {
        return Err(wrong_length());
    }
    if spec.dtype == DType::Bool
        && let Some(at) = body.iter().position(|byte| *byte > 1)
    {
        return Err(CodecError::NotBool { spec: spec.clone(), at, value: body[at] });
    }
    Tensor::new(spec.clone(), body.to_vec()).map_err(|_| wrong_length())
}
