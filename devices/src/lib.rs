//! Reads models, cuts them, runs their parts, and knows what devices and links are capable of.

mod figure;
pub mod device;
pub mod link;
pub mod catalogue;
mod onnx;
mod bounds;
mod registers;
mod guard;
mod reason;
mod model;
mod describe;
mod machine;
pub mod profile;
mod cut;
mod files;
mod cores;
mod cpu;
mod stage;
mod precision;
mod provider;
mod backend;
mod tensor;
#[cfg(any(feature = "gpu", feature = "ort"))]
mod resize;
#[cfg(feature = "gpu")]
mod join;
#[cfg(feature = "gpu")]
pub mod gpu;
#[cfg(feature = "ort")]
pub mod onnxruntime;
#[cfg(test)]
mod agreement;
#[cfg(test)]
#[cfg_attr(not(feature = "gpu"), expect(dead_code, reason = "some are for the tests of GPUs alone"))]
mod cases;
mod split;
mod error;

pub use backend::{Backends, Compared};
pub use cores::Cores;
pub use cpu::OperatorTime;
pub use cut::Partition;
pub use error::{ModelError, StageError};
pub use figure::InvalidFigure;
pub use files::{FILES_MAX, PartFile};
pub use machine::this_machine;
pub use model::{Model, Port};
pub use onnx::Shapes;
pub use precision::{Precision, UnknownPrecision};
pub use provider::{NotBuilt, Provider, UnknownProvider};
pub use split::{Below, CutCheck, Split, check_cut, cuts};
pub use stage::{Seam, Stage};
