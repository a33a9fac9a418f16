//! Decides where a model is cut.
//!
//! Pure: this crate reads no clock, no file, no socket and no environment. A [`Graph`] says what a model costs,
//! a [`Topology`] what the places and links are capable of, and a [`Plan`] is the answer.
//! It also owns the vocabulary that all other crates share: quantities and tensors.

mod graph;
mod plan;
mod quantity;
mod tensor;
mod topology;

pub use graph::{Coding, Graph, Layer, OpClass, Separator, TensorCost, TensorId};
pub use plan::{Crossing, Hop, Plan};
pub use quantity::{Bandwidth, ByteRate, Bytes, MacRate, Macs, QuantityError, duration, parse_duration, print_duration};
pub use tensor::{DType, Tensor, TensorSpec, WrongLength};
pub use topology::{Direction, Link, Slowdown, Tier, Topology};
