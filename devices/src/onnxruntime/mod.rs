//! Runs parts by a library of onnxruntime that the user has, on the processor or on NVIDIA's GPUs.
//!
//! The part that travels is the same as ever. Where it is prepared, each of its nodes becomes a node of an ONNX model, or a
//! few, and the library compiles that. What has no counterpart there makes the library refuse the whole part, in words.
//!
//! A process loads one library, and keeps it.

mod error;
mod library;
mod onnx;
mod lower;
mod values;
mod part;
#[cfg(test)]
mod tests;

pub use error::OnnxruntimeError;
pub use library::Onnxruntime;
pub use part::OnnxruntimeStage;
