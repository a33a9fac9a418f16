//! Runs parts on this machine's GPU, through Vulkan, Metal or Direct3D 12.
//!
//! A part's shapes are fixed, so all of it is decided before the first run: which kernels, on which buffers, in which
//! order. A run writes inputs, submits that list once, and reads outputs; it allocates nothing. What has no kernel runs on
//! the processor, in turns with the rest.

mod context;
mod error;
mod view;
mod ir;
mod shader;
mod matrix;
mod tiling;
mod lower;
mod memory;
mod recorded;
mod words;
mod turns;
mod part;
mod peaks;
mod pick;
#[cfg(test)]
mod tests;

pub use context::{Adapter, Gpu, adapters};
pub use error::GpuError;
pub use part::{Coverage, GpuStage};
pub use peaks::{Peaks, square_product};
pub use recorded::{Footprint, KernelTime};
