//! What is decided: which tier runs which layers, what crosses each link, and how long all of it should take.

use std::ops::Range;
use std::time::Duration;

use crate::{Bytes, TensorId};

/// One tier's share of the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// Index of the tier in the topology. Hops stand in the order of the path, without gaps, from tier 0.
    pub tier: usize,
    /// The layers it runs. Empty when it only passes on what it gets.
    pub layers: Range<usize>,
    /// Tensors it gets: the graph's inputs on the first hop.
    pub takes: Vec<TensorId>,
    /// Outputs of the graph that it makes: they go back to the caller from here.
    pub answers: Vec<TensorId>,
    /// Weights of its layers.
    pub weights: Bytes,
    /// Predicted time of its layers.
    pub compute: Duration,
}

/// What crosses the link from `hops[i]` to `hops[i + 1]`, and comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crossing {
    /// Tensors that are sent, in ascending order.
    pub tensors: Vec<TensorId>,
    /// The codec and its level.
    pub codec: String,
    /// Bytes that are sent, without the headers of the link.
    pub bytes: Bytes,
    /// Predicted time to encode; zero where the bytes are passed on as they came.
    pub encode: Duration,
    /// Predicted time from the first byte sent to the last byte received.
    pub wire: Duration,
    /// Predicted time to decode; zero where the bytes are passed on as they came.
    pub decode: Duration,
    /// Bytes of the answer on its way back over this link.
    pub answer_bytes: Bytes,
    /// Predicted time of the answer on this link.
    pub answer: Duration,
}

/// Where a model runs and what it should cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// From the device up to the last tier in use.
    pub hops: Vec<Hop>,
    /// One fewer than hops.
    pub crossings: Vec<Crossing>,
    /// Predicted latency of one request: the sum of all times in `hops` and `crossings`.
    pub latency: Duration,
}
