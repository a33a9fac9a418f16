//! What a run has shown: the same figures for people, for programs and for pictures.

use serde::Serialize;
use thalweg_modules::classify::Class;

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
    /// What people would do without a planner.
    pub baselines: Vec<BaselineRow>,
    /// The most memory that the process has had resident so far; none where the system does not tell.
    pub resident_bytes_max: Option<u64>,
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

/// One output of the model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OutputRow {
    /// Its name in the model.
    pub name: String,
    /// Type and shape: `f32[1,1000]`.
    pub spec: String,
    /// Lowest, mean and highest element of an f32 output without NaN.
    pub range: Option<[f32; 3]>,
}

/// A placement and how long it takes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlanRow {
    /// First digits of the plan's hash.
    pub id: String,
    /// Its epoch.
    pub epoch: u32,
    /// One row a tier in use, from the device up.
    pub tiers: Vec<TierRow>,
    /// What the planner said.
    pub predicted_ms: f64,
    /// What was measured; none when nothing was run.
    pub measured: Option<MeasuredRow>,
    /// Where the time of the median request went, in the order of its beginning; empty when nothing was run.
    pub spans: Vec<SpanRow>,
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
}

/// What crosses a link.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SendsRow {
    /// Names of the tensors.
    pub tensors: Vec<String>,
    /// How they are coded.
    pub codec: String,
    /// Bytes that the planner expected, without headers.
    pub predicted_bytes: u64,
    /// Bytes that were sent, without headers; none when nothing was run.
    pub measured_bytes: Option<u64>,
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

impl Report {
    /// The fastest baseline that would be allowed and is not the plan itself, with its milliseconds: by what was measured, or by prediction when
    /// nothing was run.
    pub fn best_single_place(&self) -> Option<(&BaselineRow, f64)> {
        let was_run = self.plan.measured.is_some();
        let measured = |row: &BaselineRow| row.measured.map(|measured| measured.median_ms);
        let time = |row: &BaselineRow| if was_run { measured(row) } else { row.predicted_ms };
        let allowed = self.baselines.iter().filter(|row| !row.sends_inputs_that_stay && !row.is_the_plan);
        let timed = allowed.filter_map(|row| Some((row, time(row)?)));
        timed.min_by(|one, other| one.1.total_cmp(&other.1))
    }

    /// Milliseconds of the plan: measured, or predicted when nothing was run.
    pub fn latency_ms(&self) -> f64 {
        self.plan.measured.map_or(self.plan.predicted_ms, |measured| measured.median_ms)
    }
}
