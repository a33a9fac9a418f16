//! Tensors that travel and tensors of onnxruntime: one copy each way.

use half::f16;
use ort::value::{DynTensor, DynValue, PrimitiveTensorElementType, Tensor as Value};
use thalweg_planner::{DType, Tensor, TensorSpec};

/// An element as it lies in bytes.
trait Element: PrimitiveTensorElementType + Copy + std::fmt::Debug + 'static {
    fn read(bytes: &[u8]) -> Self;
    fn write(self, to: &mut Vec<u8>);
}

macro_rules! element {
    ($($number:ty),*) => {$(
        impl Element for $number {
            fn read(bytes: &[u8]) -> Self {
                bytes.try_into().map(Self::from_le_bytes).unwrap_or_default()
            }

            fn write(self, to: &mut Vec<u8>) {
                to.extend_from_slice(&self.to_le_bytes());
            }
        }
    )*};
}

element!(f16, f32, f64, i8, i16, i32, i64, u8, u16, u32, u64);

impl Element for bool {
    fn read(bytes: &[u8]) -> Self {
        bytes.iter().any(|byte| *byte != 0)
    }

    fn write(self, to: &mut Vec<u8>) {
        to.push(u8::from(self));
    }
}

/// Calls a function with the element's type as its last parameter.
macro_rules! by_type {
    ($dtype:expr, $function:ident($($argument:expr),*)) => {
        match $dtype {
            DType::Bool => $function::<bool>($($argument),*),
            DType::U8 => $function::<u8>($($argument),*),
            DType::U16 => $function::<u16>($($argument),*),
            DType::U32 => $function::<u32>($($argument),*),
            DType::U64 => $function::<u64>($($argument),*),
            DType::I8 => $function::<i8>($($argument),*),
            DType::I16 => $function::<i16>($($argument),*),
            DType::I32 => $function::<i32>($($argument),*),
            DType::I64 => $function::<i64>($($argument),*),
            DType::F16 => $function::<f16>($($argument),*),
            DType::F32 => $function::<f32>($($argument),*),
            DType::F64 => $function::<f64>($($argument),*),
            #[allow(unreachable_patterns, reason = "the planner may learn more types")]
            other => Err(format!("{other:?} is not known to onnxruntime")),
        }
    };
}

/// The library's tensor of one that has travelled.
pub(super) fn taken(tensor: &Tensor) -> Result<DynTensor, String> {
    // To Rust only 0 and 1 are booleans. Modules and networks may have sent any.
    if tensor.spec().dtype == DType::Bool && tensor.data().iter().any(|byte| *byte > 1) {
        return Err("a boolean is neither 0 nor 1".to_owned());
    }
    by_type!(tensor.spec().dtype, take(tensor))
}

/// What the library has made, which is to be of this type and shape.
pub(super) fn given(value: &DynValue, spec: &TensorSpec) -> Result<Tensor, String> {
    by_type!(spec.dtype, give(value, spec))
}

fn take<T: Element>(tensor: &Tensor) -> Result<DynTensor, String> {
    let data: Vec<T> = tensor.data().chunks_exact(size_of::<T>()).map(T::read).collect();
    let shape: Vec<i64> = tensor.spec().shape.iter().map(|size| *size as i64).collect();
    let value = Value::from_array((shape, data)).map_err(|cause| cause.to_string())?;
    Ok(value.upcast())
}

fn give<T: Element>(value: &DynValue, spec: &TensorSpec) -> Result<Tensor, String> {
    let (shape, data) = value.try_extract_tensor::<T>().map_err(|cause| cause.to_string())?;
    let as_said = shape.iter().copied().eq(spec.shape.iter().map(|size| *size as i64));
    if !as_said {
        return Err(format!("a shape of {:?} came out for {spec}", &shape[..]));
    }
    let mut bytes = Vec::with_capacity(size_of_val(data));
    data.iter().for_each(|element| element.write(&mut bytes));
    Tensor::new(spec.clone(), bytes).map_err(|cause| cause.to_string())
}
