//! Reads models, cuts them, runs their parts, and knows what devices and links are capable of.

mod bounds;
mod cpu;
mod cut;
mod describe;
mod error;
mod guard;
mod reason;
mod machine;
mod model;
mod onnx;
mod split;
mod tensor;
pub mod profile;
mod figure;
pub mod device;
pub mod link;
pub mod catalogue;

pub use cpu::Stage;
pub use cut::Partition;
pub use error::{ModelError, StageError};
pub use figure::InvalidFigure;
pub use machine::this_machine;
pub use model::{Model, Port};
pub use onnx::Shapes;
pub use split::{CutCheck, Split, check_cut, cuts, difference};
