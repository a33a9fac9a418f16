//! The places a model can run and the links between them: a directed graph.

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

    /// Each factor changed in the same way.
    pub fn map(&self, change: impl Fn(f64) -> f64) -> Self {
        Self {
            convolution: change(self.convolution),
            depthwise: change(self.depthwise),
            matrix_product: change(self.matrix_product),
            memory_bound: change(self.memory_bound),
        }
    }

    /// How long what takes `reference` on the reference machine takes here, in whole nanoseconds; more than 584 years
    /// are 584 years.
    pub fn scale(&self, class: OpClass, reference: Duration) -> Duration {
        Duration::from_nanos((reference.as_nanos() as f64 * self.of(class)).round() as u64)
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
    /// Whether layers that need a GPU can run here.
    pub gpu: bool,
    /// What it draws while it computes, encodes or decodes, above what it draws when idle, in watts.
    pub watts: f64,
    /// What an hour of its computing costs, in any one currency.
    pub price_hour: f64,
}

impl Tier {
    /// What a nanosecond of its computing costs, in billionths of the currency.
    pub(crate) fn price_ns(&self) -> f64 {
        self.price_hour * 1e9 / 3600e9
    }
}

/// One direction between two tiers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Direction {
    /// What it carries.
    pub bandwidth: Bandwidth,
    /// How long a bit is on the way.
    pub delay: Duration,
    /// Energy that both ends spend on a byte, in nanojoules.
    pub nanojoules_byte: f64,
    /// What a gigabyte (10⁹ bytes) costs, in the currency of [`Tier::price_hour`].
    pub price_gb: f64,
}

impl Direction {
    /// One that takes time only: no energy, no price.
    pub const fn new(bandwidth: Bandwidth, delay: Duration) -> Self {
        Self { bandwidth, delay, nanojoules_byte: 0.0, price_gb: 0.0 }
    }
}

/// A direct way from one tier to another. The way back is another link.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Link {
    /// Index of the tier that sends.
    pub from: usize,
    /// Index of the tier that receives.
    pub to: usize,
    /// What it is capable of.
    pub direction: Direction,
}

/// Tiers, and the links between those that reach each other. Pairs without a link are unreachable.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Topology {
    /// In any order. Requests are made at [`Objective::input_at`](crate::Objective::input_at), by default the first.
    pub tiers: Vec<Tier>,
    /// At most one from each tier to each other.
    pub links: Vec<Link>,
}

impl Topology {
    /// What the link from one tier to another is capable of.
    pub fn direction(&self, from: usize, to: usize) -> Option<&Direction> {
        self.link(from, to).map(|link| &self.links[link].direction)
    }

    /// The links between two tiers, in both directions.
    pub fn between_mut(&mut self, one: usize, other: usize) -> impl Iterator<Item = &mut Direction> {
        let joins = move |link: &&mut Link| [(one, other), (other, one)].contains(&(link.from, link.to));
        self.links.iter_mut().filter(joins).map(|link| &mut link.direction)
    }

    /// Index of the link from one tier to another.
    pub(crate) fn link(&self, from: usize, to: usize) -> Option<usize> {
        self.links.iter().position(|link| (link.from, link.to) == (from, to))
    }
}
