//! Link profiles: what a kind of link is capable of, in each direction, and who says so.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thalweg_planner::{Bandwidth, Bytes, Direction, duration};

/// A kind of link, such as Wi-Fi or LTE.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkProfile {
    /// What people call it, with the conditions that the figures hold for.
    pub title: String,
    /// From the device towards the cloud.
    pub up: Shape,
    /// From the cloud towards the device.
    pub down: Shape,
    /// Where the figures come from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub source: Vec<Source>,
}

/// Who says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The keys that this source speaks of.
    pub keys: Vec<String>,
    /// A public document: title, year and address.
    pub document: String,
    /// What it says, and how the value follows from it where the value is not quoted.
    pub says: String,
}

/// What one direction of a link does to packets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// Bits a second, the IP and UDP headers of each packet counted. With a trace, its mean, for the planner.
    pub rate: Bandwidth,
    /// How long a packet is on the way after it has left the queue.
    #[serde(with = "duration")]
    pub delay: Duration,
    /// A packet's delay is drawn uniformly from `delay - jitter` to `delay + jitter`; order is kept.
    #[serde(default, with = "duration")]
    pub jitter: Duration,
    /// The share of packets that are lost, each by its own throw: 0 to 1.
    #[serde(default)]
    pub loss: f64,
    /// Bytes that may wait for the link; what comes when it is full is dropped.
    #[serde(default = "queue_default")]
    pub queue: Bytes,
    /// The share of packets that overtake the ones before them, by skipping the delay: 0 to 1.
    #[serde(default)]
    pub reorder: f64,
    /// The share of packets that arrive twice: 0 to 1.
    #[serde(default)]
    pub duplicate: f64,
    /// When the link is down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outage: Option<Outage>,
    /// A Mahimahi packet-delivery trace that replaces `rate`: one line a chance to deliver 1,504 bytes, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<PathBuf>,
}

/// A link that is down for `length` at the end of each `every`; packets that would leave meanwhile are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outage {
    /// From one outage's end to the next one's.
    #[serde(with = "duration")]
    pub every: Duration,
    /// How long it lasts.
    #[serde(with = "duration")]
    pub length: Duration,
}

/// What a drop-tail queue of a home router or base station holds at least.
fn queue_default() -> Bytes {
    Bytes(256 * 1024)
}

impl Shape {
    /// What the planner knows of it.
    pub fn direction(&self) -> Direction {
        Direction { bandwidth: self.rate, delay: self.delay }
    }
}
