//! Decides where a model is cut.
//!
//! Pure: this crate reads no clock, no file, no socket and no environment. A [`Graph`] says what a model costs,
//! a [`Topology`] what the places and links are capable of, an [`Objective`] what may be used, and a [`Plan`] is the answer.
//! It also owns the vocabulary that all other crates share: quantities and tensors.
//!
//! # The cost model
//!
//! The layers stand in one order in which they can run. A plan for K tiers along a path cuts that order K − 1 times, at
//! c₁ ≤ … ≤ cₖ₋₁; tier t runs the layers between its two cuts, and tiers after the last one with layers take no part.
//! Whatever crosses a cut crosses its link in one codec, each tensor once however many layers read it, and a tensor that
//! is live across several cuts crosses each of their links. The latency of one request is the sum of these times, for
//! one request at a time and nothing overlapped; each is rounded to nanoseconds, and sums and comparisons are exact.
//!
//! | symbol | meaning | unit | source |
//! |---|---|---|---|
//! | r(i) | time of layer i on the reference machine | ns | [`Layer::reference`], measured |
//! | s(t, class) | slowdown of tier t against the reference machine | 1 | [`Tier::slowdown`], measured or published |
//! | b(x, k) | size of tensor x in codec k | bytes | [`Coding::bytes`] |
//! | e(x, k), d(x, k) | time to encode, to decode it on the reference machine | ns | [`Coding`], measured |
//! | h | header of a message | bytes | 128: names, plan, deadline and specs in one frame |
//! | p, o | stream bytes in a datagram; what each datagram adds | bytes | 1,416 and 64: RFC 9000, 9001, 768, 791 |
//! | B, D | bandwidth and delay of one direction of a link | bit/s, ns | [`Direction`], measured or given |
//!
//! - *Compute* on tier t: the sum over its layers of s(t, class of i) · r(i).
//! - *Encode* and *decode* of a crossing: s(t, memory bound) · Σ e(x, k) on the sender, Σ d(x, k) on the receiver. A tier
//!   above the device that has no layers passes on the bytes as they came, in the codec they came in, and does neither.
//! - *Wire* of a message with n bytes of payload: D + 8 · (m + ⌈m / p⌉ · o) / B, where m = h + n.
//!   The connection is up and its congestion window open; acknowledgements travel the other way and are not counted.
//! - *Answer*: outputs go back to the caller, uncoded, from the tier that makes them, over all links below it. The answers
//!   of all tiers above a link are counted as one message on it, which is sent even when it carries no outputs.
//!
//! *Memory*: weights and uncoded activations of a tier's layers ([`Graph::memory`]) times 1.2 must fit into its memory.

mod quantity;
mod tensor;
mod graph;
mod topology;
mod objective;
mod plan;
mod error;
mod check;
mod cost;
mod memory;
mod evaluate;
mod search;
mod shortage;
mod baseline;
#[cfg(test)]
mod sample;

pub use baseline::{Baseline, baselines};
pub use error::{PlanError, Shortage};
pub use evaluate::evaluate;
pub use graph::{Coding, Graph, Layer, OpClass, Separator, TensorCost, TensorId};
pub use objective::{LIVE_MAX, Objective, UNCODED};
pub use plan::{Crossing, Hop, Plan};
pub use quantity::{Bandwidth, ByteRate, Bytes, MacRate, Macs, QuantityError, duration, print_duration};
pub use search::plan;
pub use tensor::{DType, Tensor, TensorSpec, WrongLength};
pub use topology::{Direction, Link, Slowdown, Tier, Topology};
