//! Tensors that travel as the words of 4 bytes that kernels compute on, and back.

use half::f16;
use thalweg_planner::{DType, Tensor, TensorSpec};

use super::error::GpuError;

/// Writes a tensor's elements as words. `input` is its place among what the part takes.
pub(super) fn write(tensor: &Tensor, input: usize, mut words: wgpu::WriteOnly<'_, [u8]>) -> Result<(), GpuError> {
    let data = tensor.data();
    let mut put = |made: Vec<i32>| words.slice(..made.len() * 4).copy_from_slice(bytemuck::cast_slice(&made));
    match tensor.spec().dtype {
        DType::F32 | DType::I32 => words.slice(..data.len()).copy_from_slice(data),
        DType::F16 => {
            let float = |two: &[u8]| f16::from_le_bytes([two[0], two[1]]).to_f32().to_bits().cast_signed();
            put(data.chunks_exact(2).map(float).collect());
        }
        DType::Bool if data.iter().any(|byte| *byte > 1) => {
            return Err(GpuError::Engine("a boolean is neither 0 nor 1".to_owned()));
        }
        DType::U8 | DType::Bool => put(data.iter().map(|byte| i32::from(*byte)).collect()),
        DType::I8 => put(data.iter().map(|byte| i32::from(byte.cast_signed())).collect()),
        DType::I16 => put(data.chunks_exact(2).map(|two| i32::from(i16::from_le_bytes([two[0], two[1]]))).collect()),
        DType::I64 => {
            let wide = data.chunks_exact(8).map(|eight| eight.try_into().map_or(0, i64::from_le_bytes));
            let fits = |value: i64| i32::try_from(value).map_err(|_| GpuError::TooLarge { index: input, value });
            put(wide.map(fits).collect::<Result<_, _>>()?);
        }
        other => return Err(GpuError::Engine(format!("{other:?} is not computed on"))),
    }
    Ok(())
}

/// The tensor of this type and shape that these words are.
pub(super) fn read(spec: &TensorSpec, words: &[u8]) -> Result<Tensor, GpuError> {
    let ints = || words.chunks_exact(4).map(|four| four.try_into().map_or(0, i32::from_le_bytes));
    let bytes = match spec.dtype {
        DType::F32 | DType::I32 => words.to_vec(),
        DType::F16 => {
            let half = |bits: i32| f16::from_f32(f32::from_bits(bits.cast_unsigned())).to_le_bytes();
            ints().flat_map(half).collect()
        }
        DType::U8 | DType::I8 | DType::Bool => ints().map(|value| value.to_le_bytes()[0]).collect(),
        DType::I16 => ints().flat_map(|value| [value.to_le_bytes()[0], value.to_le_bytes()[1]]).collect(),
        DType::I64 => ints().flat_map(|value| i64::from(value).to_le_bytes()).collect(),
        other => return Err(GpuError::Engine(format!("{other:?} is not computed on"))),
    };
    Tensor::new(spec.clone(), bytes).map_err(|cause| GpuError::Engine(cause.to_string()))
}
