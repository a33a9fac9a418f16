//! What a plan is to be best at, what it has to keep to, and what it may use.

use std::time::Duration;

use serde::Serialize;

use crate::{Bytes, Energy, Graph, Loss, Price, TensorId, Totals, print_duration};

/// The name under which a tensor is offered as it is, whatever its type: no loss, and nothing to compute.
pub const UNCODED: &str = "f32";

/// Tensors that may cross a cut where nothing else is said: cuts of the usual vision networks have one to six, and what
/// has more is rarely worth its bytes.
pub const LIVE_MAX: usize = 8;

/// What one request takes of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// From the request to its answer.
    Latency,
    /// Time of the slowest stage, tier or link: requests that follow each other through all stages at once leave
    /// at this interval, so throughput is its reciprocal.
    Interval,
    /// Energy of all tiers and links.
    Energy,
    /// Bytes on all links, both ways, with headers.
    Bytes,
    /// Price of all tiers and links.
    Price,
}

impl Measure {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Latency, Self::Interval, Self::Energy, Self::Bytes, Self::Price];

    /// What it is called: `latency`, `interval`, `energy`, `bytes`, `price`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::Interval => "interval",
            Self::Energy => "energy",
            Self::Bytes => "bytes",
            Self::Price => "price",
        }
    }

    /// Its base unit.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Latency | Self::Interval => "ns",
            Self::Energy => "nJ",
            Self::Bytes => "B",
            Self::Price => "per billion",
        }
    }

    /// A value in the base unit, as people read it: `87.3 ms`.
    pub fn print(self, value: f64) -> String {
        let whole = value.round() as u64;
        match self {
            Self::Latency | Self::Interval => print_duration(Duration::from_nanos(whole)),
            Self::Energy => Energy(whole).to_string(),
            Self::Bytes => Bytes(whole).to_string(),
            Self::Price => Price(whole).to_string(),
        }
    }
}

/// What is minimised: a weighted sum of what a request takes.
///
/// Weights are per base unit (nanosecond, nanosecond, nanojoule, byte, billionth of the currency), finite and not
/// negative, and at least one is above zero.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(missing_docs)]
pub struct Goal {
    pub latency: f64,
    pub interval: f64,
    pub energy: f64,
    pub bytes: f64,
    pub price: f64,
}

impl Goal {
    const NOTHING: Self = Self { latency: 0.0, interval: 0.0, energy: 0.0, bytes: 0.0, price: 0.0 };

    /// One measure alone.
    pub fn least(measure: Measure) -> Self {
        let mut goal = Self::NOTHING;
        *goal.weight_mut(measure) = 1.0;
        goal
    }

    /// The weight of one measure.
    pub fn weight(&self, measure: Measure) -> f64 {
        let mut copy = *self;
        *copy.weight_mut(measure)
    }

    fn weight_mut(&mut self, measure: Measure) -> &mut f64 {
        match measure {
            Measure::Latency => &mut self.latency,
            Measure::Interval => &mut self.interval,
            Measure::Energy => &mut self.energy,
            Measure::Bytes => &mut self.bytes,
            Measure::Price => &mut self.price,
        }
    }

    /// This goal and a share of another.
    pub(crate) fn plus(&self, other: &Self, share: f64) -> Self {
        let mut sum = *self;
        for measure in Measure::ALL {
            *sum.weight_mut(measure) += share * other.weight(measure);
        }
        sum
    }

    /// What this costs.
    pub fn cost(&self, totals: &Totals) -> f64 {
        Measure::ALL.into_iter().map(|measure| self.weight(measure) * totals.of(measure)).sum()
    }
}

/// What a plan has to keep to. `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// The latest answer.
    pub deadline: Option<Duration>,
    /// The longest interval between requests that follow each other: 100 ms for ten a second.
    pub interval: Option<Duration>,
    /// The most energy of a request.
    pub energy: Option<Energy>,
    /// The most bytes of a request, on all links and both ways.
    pub bytes: Option<Bytes>,
    /// The highest price of a request.
    pub price: Option<Price>,
    /// The most accuracy that codecs and exits may lose together. Losses are measured one by one and added, which is
    /// their first-order sum.
    pub loss: Option<Loss>,
}

/// A limit that a plan misses.
#[derive(Debug, Clone, PartialEq)]
pub struct Miss {
    /// What is limited; none for the loss of accuracy.
    pub measure: Option<Measure>,
    /// The limit in words: `the deadline of 50 ms`.
    pub limit: String,
    /// What the plan takes: `87.3 ms`.
    pub takes: String,
    over: f64,
}

impl Miss {
    /// By which share of the limit it is missed.
    pub fn share(&self) -> f64 {
        self.over
    }
}

impl Limits {
    /// By how much these totals miss limits, as a sum of shares of them; zero where they keep to all.
    pub(crate) fn missed_by(&self, totals: &Totals) -> f64 {
        self.misses(totals).iter().map(Miss::share).sum()
    }

    /// The limits that these totals miss.
    pub fn misses(&self, totals: &Totals) -> Vec<Miss> {
        let mut misses = Vec::new();
        for measure in Measure::ALL {
            let (Some(limit), takes) = (self.of(measure), totals.of(measure)) else { continue };
            if takes > limit {
                let name = match measure {
                    Measure::Latency => "the deadline",
                    Measure::Interval => "the interval",
                    Measure::Energy => "the energy",
                    Measure::Bytes => "the size",
                    Measure::Price => "the price",
                };
                let limit_text = format!("{name} of {}", measure.print(limit));
                let over = (takes - limit) / limit.max(1.0);
                misses.push(Miss { measure: Some(measure), limit: limit_text, takes: measure.print(takes), over });
            }
        }
        if let Some(limit) = self.loss.filter(|limit| totals.loss > *limit) {
            let over = (totals.loss.0 as f64 - limit.0 as f64) / (limit.0 as f64).max(1.0);
            misses.push(Miss {
                measure: None,
                limit: format!("the loss of {limit}"),
                takes: totals.loss.to_string(),
                over,
            });
        }
        misses
    }

    /// The same limits but that of one measure.
    pub(crate) fn without(mut self, measure: Measure) -> Self {
        match measure {
            Measure::Latency => self.deadline = None,
            Measure::Interval => self.interval = None,
            Measure::Energy => self.energy = None,
            Measure::Bytes => self.bytes = None,
            Measure::Price => self.price = None,
        }
        self
    }

    /// The limit of one measure in its base unit.
    pub fn of(&self, measure: Measure) -> Option<f64> {
        match measure {
            Measure::Latency => self.deadline.map(|limit| limit.as_nanos() as f64),
            Measure::Interval => self.interval.map(|limit| limit.as_nanos() as f64),
            Measure::Energy => self.energy.map(|limit| limit.0 as f64),
            Measure::Bytes => self.bytes.map(|limit| limit.0 as f64),
            Measure::Price => self.price.map(|limit| limit.0 as f64),
        }
    }
}

/// What to do when no plan keeps to all limits. Memory and pins are never given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Refuse, and say which limit is missed by how much.
    #[default]
    MustMeet,
    /// The plan that misses the limits by the smallest sum of shares; the better one by the goal on a tie.
    BestEffort,
}

/// What the planner looks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Objective {
    /// What is minimised.
    pub goal: Goal,
    /// What has to be kept to.
    pub limits: Limits,
    /// What if that is impossible.
    pub mode: Mode,
    /// Codecs that may be used, with their level, in order of preference where two cost the same.
    /// A name that no tensor offers is never used.
    pub codecs: Vec<String>,
    /// Cuts that are tried when limits or memory bind have at most this many tensors cross. Without limits any number
    /// may.
    pub live_max: usize,
    /// Whether the graph's inputs may not leave the tier where they are. Features may still reveal much of them.
    pub inputs_stay: bool,
    /// The tier where the input is born.
    pub input_at: usize,
    /// The tier where the answer is wanted. It has to lie on the path.
    pub answer_at: usize,
}

impl Objective {
    /// Whether this tensor may cross a link.
    pub(crate) fn allows(&self, graph: &Graph, tensor: TensorId) -> bool {
        !(self.inputs_stay && graph.inputs.contains(&tensor))
    }
}

impl Default for Objective {
    /// The least latency, without limits. The uncoded tensor, half precision, 8 bits a channel, and for photos what
    /// people send today: a JPEG of quality 90, which costs EfficientNet-Lite0 no accuracy. Input and answer are at the
    /// first tier.
    fn default() -> Self {
        Self {
            goal: Goal::least(Measure::Latency),
            limits: Limits::default(),
            mode: Mode::MustMeet,
            codecs: [UNCODED, "f16", "int8", "jpeg/90"].map(str::to_owned).to_vec(),
            live_max: LIVE_MAX,
            inputs_stay: false,
            input_at: 0,
            answer_at: 0,
        }
    }
}
