//! What a run has shown: the same figures for people, for programs and for pictures.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;
use thalweg_modules::classify::Class;

use super::study::{ExplainedRow, ReplannedRow};

/// The goal that the headline speaks of where nothing else is said.
pub const LATENCY: &str = "latency";

/// All that `thalweg run` and `thalweg plan` tell. Times are in milliseconds, sizes in bytes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The pipeline's name, or the model file's.
    pub name: String,
    /// The model.
    pub model: ModelRow,
    /// Time to make the model's inputs on this machine: reading, decoding, resizing. Not part of any latency.
    pub input_ms: f64,
    /// What is not real: emulated devices and links, in words.
    pub emulated: Vec<String>,
    /// The best classes of the plan's answer, best first; empty when the pipeline does not say what the answer means.
    pub classes: Vec<Class>,
    /// The outputs of the plan's answer; empty when nothing was run.
    pub outputs: Vec<OutputRow>,
    /// The plan that was chosen.
    pub plan: PlanRow,
    /// The best plan, where this one was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best: Option<BestRow>,
    /// What people would do without a planner, and what published planners would do.
    pub baselines: Vec<BaselineRow>,
    /// What the measured times lead to; none when nothing was run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replanned: Option<ReplannedRow>,
    /// Why the plan is what it is, where that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explanation: Option<ExplainedRow>,
    /// The most memory that the process has had resident so far; none where the system does not tell.
    pub resident_bytes_max: Option<u64>,
}

/// The plan that would have been chosen.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BestRow {
    /// What it decides, in one line.
    pub decision: String,
    /// What the planner said.
    pub predicted_ms: f64,
    /// What the given plan costs by the objective's goal, against it: 1 is as good.
    pub ratio: f64,
}

/// The model that was run.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct ModelRow {
    pub hash: String,
    pub layers: usize,
    pub macs: u64,
    pub weights_bytes: u64,
}

/// One output.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OutputRow {
    /// Its name in the model or the pipeline.
    pub name: String,
    /// Type and shape: `f32[1,1000]`.
    pub spec: String,
    /// Lowest, mean and highest element of an f32 output without NaN.
    pub range: Option<[f32; 3]>,
    /// What a text says, of an output `u8[bytes]` in UTF-8: what it holds where it is JSON, else the text.
    pub text: Option<Value>,
}

/// A placement and how long it takes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlanRow {
    /// First digits of the plan's hash.
    pub id: String,
    /// Its epoch.
    pub epoch: u32,
    /// One row a tier on the path, from where the input is.
    pub tiers: Vec<TierRow>,
    /// What the planner said.
    pub predicted_ms: f64,
    /// What it was to be least in: `latency`, `interval`, `energy`, `bytes`, `price`, or `a weighted sum`.
    pub goal: &'static str,
    /// How much of that it is predicted to take.
    pub cost: CostRow,
    /// How far the cost may be above the least possible, as a share of it; none where that is not known.
    pub gap: Option<f64>,
    /// The limits that it does not keep to, in words.
    pub missed: Vec<String>,
    /// What was measured; none when nothing was run.
    pub measured: Option<MeasuredRow>,
    /// Where the time of the median request went, in the order of its beginning; empty when nothing was run.
    pub spans: Vec<SpanRow>,
    /// What tiers did not await all of in the median request, to answer in time; empty where everything was awaited.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub coarse: Vec<CoarseRow>,
}

/// A tensor of which a tier used what had come.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CoarseRow {
    /// The tier that went on.
    pub tier: String,
    /// The tensor's name.
    pub tensor: String,
    /// The share of its numbers that was there, 0 to 1.
    pub share: f64,
}

/// What is to be least, of one placement, by prediction.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CostRow {
    /// In nanoseconds, nanojoules, bytes or billionths of the currency; of a weighted sum as its weights say.
    pub value: f64,
    /// As people read it: `3.2 mJ`.
    pub text: String,
}

/// Latency over several requests.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MeasuredRow {
    /// The median.
    pub median_ms: f64,
    /// The fastest.
    pub least_ms: f64,
    /// The slowest.
    pub most_ms: f64,
    /// How many requests.
    pub runs: usize,
}

/// One tier's share.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TierRow {
    /// The tier's name.
    pub tier: String,
    /// Names of the first and the last layer; none when it only passes on.
    pub part: Option<[String; 2]>,
    /// How many layers.
    pub layers: usize,
    /// How many runs of layers that follow each other in the model these are: others run elsewhere in between.
    pub pieces: usize,
    /// Their share of the model's multiply-adds, 0 to 1.
    pub compute_share: f64,
    /// Their weights.
    pub weights_bytes: u64,
    /// What it sends up; none on the last tier.
    pub sends: Option<SendsRow>,
    /// Bytes of the outputs that it makes.
    pub answers_bytes: u64,
    /// What the planner said.
    pub predicted: TimesRow,
    /// What the median request took; none when nothing was run.
    pub measured: Option<TimesRow>,
    /// What computes its models on this machine, for people: "cpu" or the name of an adapter, and how much the CPU has all
    /// the same; empty where there was no choice.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub computed_on: BTreeSet<String>,
}

/// What crosses a link.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SendsRow {
    /// The tensors.
    pub tensors: Vec<SentRow>,
    /// Bytes that the planner expected, without headers.
    pub predicted_bytes: u64,
    /// Bytes that were sent, without headers; none when nothing was run.
    pub measured_bytes: Option<u64>,
}

/// A tensor that crosses a link.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SentRow {
    /// Its name.
    pub name: String,
    /// How it is coded.
    pub codec: String,
    /// Bytes that the planner expected, without headers.
    pub predicted_bytes: u64,
}

impl SendsRow {
    /// The codecs of its tensors, each once: `int8`, or `int8, f32`.
    pub fn codecs(&self) -> String {
        let codecs: Vec<&str> = self.tensors.iter().map(|tensor| tensor.codec.as_str()).collect();
        let first = codecs.iter().enumerate().filter(|(at, codec)| !codecs[..*at].contains(codec));
        first.map(|(_, codec)| *codec).collect::<Vec<_>>().join(", ")
    }
}

/// Where the time of a tier, and of the link above it, goes.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct TimesRow {
    /// Waiting for the tier's compute thread.
    pub wait_ms: f64,
    /// Bytes become tensors.
    pub decode_ms: f64,
    /// The part runs.
    pub compute_ms: f64,
    /// Tensors become bytes.
    pub encode_ms: f64,
    /// Bytes wait to be sent.
    pub queue_ms: f64,
    /// From the first byte sent to the last byte received on the next tier.
    pub wire_ms: f64,
    /// The answer's way back over the same link.
    pub answer_ms: f64,
}

/// A stretch of time of one request.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SpanRow {
    /// The tier; for what crosses a link, its lower end.
    pub tier: String,
    /// `wait`, `decode`, `compute`, `encode`, `queue`, `wire` or `answer`.
    pub kind: &'static str,
    /// When it began, since the request was made.
    pub start_ms: f64,
    /// How long it took.
    pub length_ms: f64,
    /// Bytes that crossed, for `wire` and `answer`.
    pub bytes: u64,
}

/// A placement without a planner.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BaselineRow {
    /// As users read it: `all on device`, …
    pub name: String,
    /// Whether the whole model runs in one place.
    pub single_place: bool,
    /// How much it takes of what the plan is to be least in; none when it cannot be.
    pub cost: Option<CostRow>,
    /// What the planner's cost model says; none when it cannot be.
    pub predicted_ms: Option<f64>,
    /// What was measured; none when nothing was run.
    pub measured: Option<MeasuredRow>,
    /// Bytes of its inputs on each link it uses.
    pub sent_bytes: Option<u64>,
    /// Whether its best class is that of the plan; none where there are no classes.
    pub same_class: Option<bool>,
    /// Whether it is the very plan: then both were run once, together.
    pub is_the_plan: bool,
    /// Whether it sends inputs that the pipeline says must stay: it is shown, but is no choice.
    pub sends_inputs_that_stay: bool,
    /// Why it cannot be.
    pub refused: Option<String>,
}

impl PlanRow {
    /// What computes the models of each tier.
    pub fn set_computed_on(&mut self, backends: Vec<BTreeSet<String>>) {
        for (tier, backends) in self.tiers.iter_mut().zip(backends) {
            tier.computed_on = backends;
        }
    }
}

impl Report {
    /// The single places that would be allowed and are not the plan itself.
    pub fn single_places(&self) -> impl Iterator<Item = &BaselineRow> {
        self.baselines.iter().filter(|row| row.single_place && !row.sends_inputs_that_stay && !row.is_the_plan)
    }

    /// The fastest of [`Report::single_places`], with its milliseconds: by what was measured, or by prediction when
    /// nothing was run.
    pub fn best_single_place(&self) -> Option<(&BaselineRow, f64)> {
        let was_run = self.plan.measured.is_some();
        let measured = |row: &BaselineRow| row.measured.map(|measured| measured.median_ms);
        let time = |row: &BaselineRow| if was_run { measured(row) } else { row.predicted_ms };
        let timed = self.single_places().filter_map(|row| Some((row, time(row)?)));
        timed.min_by(|one, other| one.1.total_cmp(&other.1))
    }

    /// Milliseconds of the plan: measured, or predicted when nothing was run.
    pub fn latency_ms(&self) -> f64 {
        self.plan.measured.map_or(self.plan.predicted_ms, |measured| measured.median_ms)
    }
}
