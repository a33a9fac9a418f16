//! Link profiles: what a kind of link is capable of, in each direction, and who says so.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thalweg_planner::{Bandwidth, Bytes, Direction, duration, print_duration};

use crate::figure::{InvalidFigure, check};

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

/// One whole packet of the internet. A shorter queue would drop each of them.
const QUEUE_MIN: Bytes = Bytes(1500);

/// What a drop-tail queue of a home router or base station holds at least.
fn queue_default() -> Bytes {
    Bytes(256 * 1024)
}

impl LinkProfile {
    /// Refuses what [`Shape::validate`] refuses, in either direction.
    pub fn validate(&self) -> Result<(), InvalidFigure> {
        self.up.validate().map_err(|error| error.inside("up"))?;
        self.down.validate().map_err(|error| error.inside("down"))
    }
}

impl Shape {
    /// A direction that does nothing to packets but to carry them at this rate and with this delay.
    pub fn new(rate: Bandwidth, delay: Duration) -> Self {
        let (jitter, queue) = (Duration::ZERO, queue_default());
        Self { rate, delay, jitter, loss: 0.0, queue, reorder: 0.0, duplicate: 0.0, outage: None, trace: None }
    }

    /// Refuses a direction that nothing passes, a share that is none, and times that contradict each other.
    pub fn validate(&self) -> Result<(), InvalidFigure> {
        check(self.rate > Bandwidth(0), "rate", self.rate, "write a bandwidth above zero, such as \"5 Mbit/s\"")?;
        let jitter = print_duration(self.jitter);
        check(self.jitter <= self.delay, "jitter", jitter, "no packet arrives before it left: at most the delay")?;
        for (key, share) in [("loss", self.loss), ("reorder", self.reorder), ("duplicate", self.duplicate)] {
            let advice = "write a share of the packets, 0 to 1: 0.01 is one in 100";
            check((0.0..=1.0).contains(&share), key, share, advice)?;
        }
        check(self.queue >= QUEUE_MIN, "queue", self.queue, "a packet must fit: at least \"1500 B\"")?;
        if let Some(Outage { every, length }) = self.outage {
            let advice = "the link must be up in between: shorter than outage.every";
            check(length < every, "outage.length", print_duration(length), advice)?;
        }
        Ok(())
    }

    /// What the planner knows of it; what its bytes cost is not part of a shape.
    pub fn direction(&self) -> Direction {
        Direction { bandwidth: self.rate, delay: self.delay, nanojoules_byte: 0.0, price_gb: 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Spoil = fn(&mut Shape);

    fn shape() -> Shape {
        Shape {
            rate: Bandwidth(5_000_000),
            delay: Duration::from_millis(20),
            jitter: Duration::from_millis(20),
            loss: 1.0,
            queue: QUEUE_MIN,
            reorder: 0.0,
            duplicate: 0.5,
            outage: Some(Outage { every: Duration::from_secs(10), length: Duration::from_secs(9) }),
            trace: None,
        }
    }

    #[test]
    fn refuses_what_no_link_is_like() {
        assert_eq!(shape().validate(), Ok(()));
        let wrong: [(&str, Spoil); 8] = [
            ("rate", |shape| shape.rate = Bandwidth(0)),
            ("jitter", |shape| shape.jitter = Duration::from_millis(21)),
            ("loss", |shape| shape.loss = 1.01),
            ("loss", |shape| shape.loss = f64::NAN),
            ("reorder", |shape| shape.reorder = -0.1),
            ("duplicate", |shape| shape.duplicate = f64::INFINITY),
            ("queue", |shape| shape.queue = Bytes(1499)),
            ("outage.length", |shape| {
                shape.outage = Some(Outage { every: Duration::from_secs(9), length: Duration::from_secs(9) });
            }),
        ];
        for (key, spoil) in wrong {
            let mut down = shape();
            spoil(&mut down);
            assert_eq!(down.validate().map_err(|error| error.key), Err(key.to_owned()));
            let link = LinkProfile { title: "any".to_owned(), up: shape(), down, source: Vec::new() };
            assert_eq!(link.validate().map_err(|error| error.key), Err(format!("down.{key}")));
        }
    }

    #[test]
    fn an_error_says_what_stands_there_and_what_to_write() {
        let error = Shape { loss: 3.0, ..shape() }.validate().expect_err("300 % of the packets");
        assert_eq!(error.to_string(), "loss = 3: write a share of the packets, 0 to 1: 0.01 is one in 100");
    }
}
