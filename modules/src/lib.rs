//! Task modules: where a model's inputs come from and what its answer means.
//!
//! Some are compiled in: pure functions from bytes to tensors and back. They open no file and no socket: the caller
//! brings the bytes, and the name that errors should call them by. All others are components that run in the
//! [`sandbox`]; some of those come with the program, as bytes ([`own`]).

mod photo;
mod normalise;
pub mod numpy;
pub mod random;
pub mod classify;
pub mod outline;
pub mod own;
pub mod signature;
pub mod sandbox;
mod error;

use thalweg_planner::{Bytes, TensorSpec};

pub use error::ModuleError;
pub use normalise::{Layout, Normalise};
pub use photo::{PIXELS_MAX, Photo, SIDE_MAX};

/// The largest input that is made or read. It keeps a mistyped shape from taking all memory.
const INPUT_BYTES_MAX: Bytes = Bytes(1 << 30);

/// Refuses tensors above [`INPUT_BYTES_MAX`].
fn check_size(spec: &TensorSpec) -> Result<(), ModuleError> {
    match spec.bytes() {
        bytes if bytes > INPUT_BYTES_MAX => Err(ModuleError::InputTooLarge { spec: spec.clone(), bytes }),
        _ => Ok(()),
    }
}
