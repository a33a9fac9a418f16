//! The places a model can run and the links between them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Bandwidth, Bytes, OpClass};

/// How much longer a layer takes here than on the reference machine, by class. 1 is the reference machine itself.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Slowdown {
    pub convolution: f64,
    pub depthwise: f64,
    pub matrix_product: f64,
    pub memory_bound: f64,
}

impl Slowdown {
    /// The reference machine.
    pub const NONE: Self = Self { convolution: 1.0, depthwise: 1.0, matrix_product: 1.0, memory_bound: 1.0 };

    /// The factor of one class.
    pub fn of(&self, class: OpClass) -> f64 {
        match class {
            OpClass::Convolution => self.convolution,
            OpClass::Depthwise => self.depthwise,
            OpClass::MatrixProduct => self.matrix_product,
            OpClass::MemoryBound => self.memory_bound,
        }
    }

    /// How long what takes `reference` on the reference machine takes here.
    pub fn scale(&self, class: OpClass, reference: Duration) -> Duration {
        Duration::try_from_secs_f64(reference.as_secs_f64() * self.of(class)).unwrap_or(Duration::MAX)
    }
}

/// A place where a part of the model can run.
#[derive(Debug, Clone, PartialEq)]
pub struct Tier {
    /// Its name: `device`, `edge`, `cloud`, …
    pub name: String,
    /// Memory for weights and activations; the planner leaves headroom.
    pub memory: Bytes,
    /// Its speed.
    pub slowdown: Slowdown,
}

/// One direction of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Direction {
    /// What it carries.
    pub bandwidth: Bandwidth,
    /// How long a bit is on the way.
    pub delay: Duration,
}

/// A link between neighbouring tiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Towards the cloud.
    pub up: Direction,
    /// Towards the device.
    pub down: Direction,
}

/// Tiers along a path, from where the input is born to the farthest; `links[i]` joins `tiers[i]` and `tiers[i + 1]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Topology {
    /// From the device upwards.
    pub tiers: Vec<Tier>,
    /// One fewer than tiers.
    pub links: Vec<Link>,
}
