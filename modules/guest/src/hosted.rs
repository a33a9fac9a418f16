//! Tensors that the host holds, for modules in the sandbox.

use std::panic;

use crate::{DType, Description, Failure, Port, Tensor};

/// What the interface of modules is in Rust, for a guest.
#[allow(missing_docs, unreachable_pub, unused_qualifications, unsafe_code, clippy::all, reason = "generated code")]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../wit",
        // A component imports of it what its code calls.
        world: "module-with-models",
        pub_export_macro: true,
        default_bindings_module: "thalweg_guest::bindings",
    });
}

use bindings::thalweg::module::{descriptions, failures, log, models, tensors};

/// A handle.
#[derive(Debug)]
pub(crate) struct Held(tensors::Tensor);

impl Held {
    pub(crate) fn new(dtype: DType, shape: &[u64], bytes: Vec<u8>) -> Result<Self, Failure> {
        let spec = tensors::Spec { dtype: dtype.into(), shape: shape.to_vec() };
        Ok(Self(tensors::Tensor::make(&spec, &bytes)?))
    }

    pub(crate) fn dtype(&self) -> DType {
        self.0.spec().dtype.into()
    }

    pub(crate) fn shape(&self) -> Vec<u64> {
        self.0.spec().shape
    }

    pub(crate) fn read(&self, start: u64, len: u64) -> Result<Vec<u8>, Failure> {
        Ok(self.0.read(start, len)?)
    }

    pub(crate) fn reshape(&self, shape: &[u64]) -> Result<Self, Failure> {
        Ok(Self(self.0.reshape(shape)?))
    }

    pub(crate) fn again(&self) -> Self {
        // Its own shape always fits, so this fails for no tensor.
        self.reshape(&self.shape()).expect("a tensor fits its own shape")
    }
}

impl From<tensors::Tensor> for Tensor {
    fn from(handle: tensors::Tensor) -> Self {
        Self(Held(handle))
    }
}

impl From<Tensor> for tensors::Tensor {
    fn from(tensor: Tensor) -> Self {
        tensor.0.0
    }
}

macro_rules! failures {
    ($($case:ident),*) => {
        impl From<Failure> for failures::Failure {
            fn from(failure: Failure) -> Self {
                match failure { $(Failure::$case(text) => Self::$case(text)),* }
            }
        }

        impl From<failures::Failure> for Failure {
            fn from(failure: failures::Failure) -> Self {
                match failure { $(failures::Failure::$case(text) => Self::$case(text)),* }
            }
        }
    };
}

failures!(Settings, Input, Tensor, Model, Inner);

macro_rules! dtypes {
    ($($name:ident),*) => {
        impl From<tensors::Dtype> for DType {
            fn from(dtype: tensors::Dtype) -> Self {
                match dtype { $(tensors::Dtype::$name => Self::$name),* }
            }
        }

        impl From<DType> for tensors::Dtype {
            fn from(dtype: DType) -> Self {
                match dtype { $(DType::$name => Self::$name),* }
            }
        }
    };
}

dtypes!(F32, F16, Bf16, F64, I8, U8, I16, U16, I32, U32, I64, U64, Bool);

impl From<Description> for descriptions::Description {
    fn from(description: Description) -> Self {
        let port = |port: Port| descriptions::Port { name: port.name, dtype: port.dtype.into(), shape: port.shape };
        Self {
            name: description.name,
            version: description.version,
            inputs: description.inputs.into_iter().map(port).collect(),
            outputs: description.outputs.into_iter().map(port).collect(),
            nanoseconds_per_byte: description.nanoseconds_per_byte,
            settings_schema: description.settings_schema,
        }
    }
}

/// See [`crate::models::infer`].
pub(crate) fn infer(part: &str, inputs: &[&Tensor]) -> Result<Vec<Tensor>, Failure> {
    let handles: Vec<&tensors::Tensor> = inputs.iter().map(|input| &input.0.0).collect();
    Ok(models::infer(part, &handles)?.into_iter().map(Tensor::from).collect())
}

/// Sends what a panic says to the host's log: the trap after it has no text.
#[doc(hidden)]
pub fn report_panics() {
    panic::set_hook(Box::new(|panic| error(&panic.to_string())));
}

/// For who looks for a fault in the module.
pub fn debug(text: &str) {
    log::write(log::Level::Debug, text);
}

/// For who wants to know what it does.
pub fn info(text: &str) {
    log::write(log::Level::Info, text);
}

/// Something that should be looked at.
pub fn warn(text: &str) {
    log::write(log::Level::Warn, text);
}

/// Something that is broken.
pub fn error(text: &str) {
    log::write(log::Level::Error, text);
}
