//! What a task module is written with. The same source runs in the sandbox, where tensors belong to the host, and
//! natively, where they lie in memory.
//!
//! ```
//! use thalweg_guest::{DType, Description, Failure, Module, Port, Tensor};
//!
//! /// Turns a tensor's numbers around.
//! struct Negate;
//!
//! impl Module for Negate {
//!     fn describe() -> Description {
//!         Description {
//!             name: "negate".into(),
//!             version: "1.0.0".into(),
//!             inputs: vec![Port::new("numbers", DType::F32, [None])],
//!             outputs: vec![Port::new("negated", DType::F32, [None])],
//!             nanoseconds_per_byte: 0.5,
//!             settings_schema: r#"{"type": "object", "additionalProperties": false}"#.into(),
//!         }
//!     }
//!
//!     fn configure(_settings: &str) -> Result<Self, Failure> {
//!         Ok(Self)
//!     }
//!
//!     fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, Failure> {
//!         let [numbers] = inputs else { return Err(Failure::Input("one tensor".into())) };
//!         let negated: Vec<f32> = numbers.to_f32()?.iter().map(|number| -number).collect();
//!         Ok(vec![Tensor::from_f32(&numbers.shape(), &negated)?])
//!     }
//! }
//!
//! thalweg_guest::export!(Negate);
//!
//! let numbers = Tensor::from_f32(&[2], &[1.0, -2.0])?;
//! assert_eq!(Negate.run(&[numbers])?[0].to_f32()?, [-1.0, 2.0]);
//! # Ok::<(), Failure>(())
//! ```

mod dtype;
mod tensor;
#[cfg(target_arch = "wasm32")]
mod hosted;
#[cfg(not(target_arch = "wasm32"))]
mod native;
pub mod models;

use std::fmt;

pub use dtype::DType;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub use hosted::{bindings, report_panics};
pub use tensor::Tensor;

/// Text for the operator of the node. Natively it goes nowhere.
pub mod log {
    #[cfg(target_arch = "wasm32")]
    pub use super::hosted::{debug, error, info, warn};
    #[cfg(not(target_arch = "wasm32"))]
    pub use super::native::{debug, error, info, warn};
}

/// A task module.
pub trait Module: Sized {
    /// What the module is: always the same.
    fn describe() -> Description;

    /// A module with these settings: JSON that fits the schema. Refuse with [`Failure::Settings`].
    fn configure(settings: &str) -> Result<Self, Failure>;

    /// Works on one request. Inputs and outputs are as many as the description says, in its order. An input may be
    /// given out again: clones copy nothing.
    ///
    /// The host refuses outputs that the module made and in which an element is not a number (NaN); infinities are
    /// numbers. Refuse inputs of which nothing else can come with [`Failure::Input`].
    fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, Failure>;
}

/// What a module says of itself. The host holds every call to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    /// Lower-case words with `-`.
    pub name: String,
    /// `major.minor.patch`.
    pub version: String,
    /// What goes in.
    pub inputs: Vec<Port>,
    /// What comes out.
    pub outputs: Vec<Port>,
    /// What a call takes on one core of a current desktop machine, in nanoseconds a byte of input.
    pub nanoseconds_per_byte: f64,
    /// JSON Schema of the settings.
    pub settings_schema: String,
}

/// An input or output. What a pipeline does not link comes in as a tensor without elements, and what a module does not
/// give with its settings goes out as one: so a port of either kind has open axes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Lower-case words with `-`, unique among the inputs or outputs.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Sizes of the axes, none for one that depends on settings or inputs; or any shape.
    pub shape: Option<Vec<Option<u64>>>,
}

impl Port {
    /// A port for tensors of this type, with these axes.
    pub fn new(name: &str, dtype: DType, shape: impl Into<Vec<Option<u64>>>) -> Self {
        Self { name: name.to_owned(), dtype, shape: Some(shape.into()) }
    }

    /// A port for tensors of this type and any shape.
    pub fn any(name: &str, dtype: DType) -> Self {
        Self { name: name.to_owned(), dtype, shape: None }
    }
}

/// Why a module cannot go on: the case says who has to do something, the text is for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The settings do not fit.
    #[error("{0}")]
    Settings(String),
    /// The inputs cannot be worked on.
    #[error("{0}")]
    Input(String),
    /// The host refused a tensor.
    #[error("{0}")]
    Tensor(String),
    /// A part of a model failed.
    #[error("{0}")]
    Model(String),
    /// The module itself is broken.
    #[error("{0}")]
    Inner(String),
}

impl Failure {
    /// Settings that do not fit, for this reason.
    pub fn settings(reason: impl fmt::Display) -> Self {
        Self::Settings(reason.to_string())
    }

    /// Inputs that cannot be worked on, for this reason.
    pub fn input(reason: impl fmt::Display) -> Self {
        Self::Input(reason.to_string())
    }
}

/// Makes a [`Module`] the one that this crate exports. Natively it does nothing.
#[macro_export]
macro_rules! export {
    ($module:ty) => {
        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code, reason = "functions with fixed names, which the host looks for, are declared with it")]
        mod exported_to_thalweg {
            use super::*;

            thread_local! {
                static MODULE: ::std::cell::OnceCell<$module> = const { ::std::cell::OnceCell::new() };
            }

            struct Exported;

            impl $crate::bindings::Guest for Exported {
                fn describe() -> $crate::bindings::Description {
                    <$module as $crate::Module>::describe().into()
                }

                fn configure(settings: String) -> Result<(), $crate::bindings::Failure> {
                    $crate::report_panics();
                    let module = <$module as $crate::Module>::configure(&settings)?;
                    let again = |_| $crate::Failure::Inner("configured twice".into()).into();
                    MODULE.with(|cell| cell.set(module)).map_err(again)
                }

                fn run(
                    inputs: Vec<$crate::bindings::Tensor>,
                ) -> Result<Vec<$crate::bindings::Tensor>, $crate::bindings::Failure> {
                    let inputs: Vec<_> = inputs.into_iter().map($crate::Tensor::from).collect();
                    let outputs = MODULE.with(|cell| match cell.get() {
                        Some(module) => $crate::Module::run(module, &inputs),
                        None => Err($crate::Failure::Inner("run before it was configured".into())),
                    })?;
                    Ok(outputs.into_iter().map(Into::into).collect())
                }
            }

            $crate::bindings::export!(Exported with_types_in $crate::bindings);
        }
    };
}
