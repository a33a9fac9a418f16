//! `pipeline.toml`: which models and task modules to run, on what input, and what the answer means.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use thalweg_codec::Codec;
use thalweg_planner::{Goal, Limits, Loss, Mode, duration};

use super::input::{Input, InputKeys, inputs};
use super::objective::{GoalKey, LimitsKeys, ModeKey, Pins, goal, losses};
use super::read::{Document, Source, wrong_value};
use super::step::{Links, Runs, Step, StepKeys, steps};
use super::{ConfigError, Problem};

/// What to run. Paths are absolute.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    /// The file that says it.
    pub file: PathBuf,
    /// What people call it.
    pub name: String,
    /// At least one, each after those whose outputs it takes. One without a name is alone.
    pub steps: Vec<Step>,
    /// What is answered, such as `lines.text`; empty for all outputs of the last step.
    pub answers: Vec<String>,
    /// The topology file, which need not exist: the caller may be given another one.
    pub topology: PathBuf,
    /// What a crossing may use, at least one, none twice. The pixels of a picture codec are those of its parsed name.
    pub codecs: Vec<Codec>,
    /// Accuracy that each codec loses when a tensor crosses in it, as somebody has measured it for this model, by its
    /// name.
    pub losses: BTreeMap<String, Loss>,
    /// Whether the inputs, and what task modules alone make of them, may not leave the first tier.
    pub inputs_stay: bool,
    /// Names of layers that run on the first tier only, and of layers that need a tier with a GPU.
    pub pins: Pins,
    /// What a plan has to be best at.
    pub goal: Goal,
    /// What a plan has to keep to, by prediction.
    pub limits: Limits,
    /// What if no plan can.
    pub mode: Mode,
    /// How long a request may take before it is given up; not zero.
    pub deadline: Duration,
    /// Name of the node to which a deployment delivers its answers; `None` for nowhere.
    pub deliver_to: Option<String>,
    /// At least one; all named where there are several, no name twice.
    pub inputs: Vec<Input>,
    /// What the answer means; `None` where that is not said.
    pub answer: Option<Answer>,
    /// What can be drawn of the answer; `None` where that is not said.
    pub draw: Option<Draw>,
}

/// An output that holds a score a class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Names of the classes: a JSON list or one a line. The file exists.
    pub labels: PathBuf,
    /// How many of the best are shown; not zero.
    pub top: usize,
    /// The output of the model, or what is answered; `None` where it is the only one.
    pub output: Option<String>,
    /// Whether scores are logits, which a softmax makes probabilities.
    pub softmax: bool,
}

/// Boxes to draw onto a photo.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draw {
    /// The photo, `u8[height, width, 3]`: an output of a step.
    pub photo: String,
    /// Its boxes, one of the answers: `f32[boxes, 6]`, of each left, top, right and bottom, or `f32[boxes, 9]`, of each
    /// four corners. Those without an area are left out.
    pub boxes: String,
}

impl Pipeline {
    /// Reads a pipeline file, or `pipeline.toml` in a folder.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let file = if path.is_dir() { path.join("pipeline.toml") } else { path.to_owned() };
        Self::from_source(&Source::open(&file)?)
    }

    pub(super) fn from_source(source: &Source) -> Result<Self, ConfigError> {
        let document = source.parse()?;
        let keys: PipelineKeys = document.read()?;
        if keys.deadline.is_zero() {
            return Err(document.out_of_range("deadline", "write a time above zero, such as \"5 s\""));
        }
        let codecs = codecs(&document, &keys.codecs)?;
        let inputs = inputs(&document, keys.input)?;
        let of_steps = [("answers", !keys.answers.is_empty()), ("draw", keys.draw.is_some())];
        if let Some((key, _)) = of_steps.into_iter().find(|(_, given)| *given && keys.step.is_empty()) {
            return Err(document.error(key, Problem::Needs { key: key.into(), owner: "[[step]]" }));
        }
        Ok(Self {
            file: source.path().to_owned(),
            name: keys.name,
            steps: match keys.model {
                Some(model) => vec![alone(&document, &model, keys.codebooks, &keys.step)?],
                None => several(&document, keys.codebooks, keys.step, &inputs)?,
            },
            answers: keys.answers,
            topology: document.resolve(&keys.topology),
            codecs,
            losses: losses(&document, keys.losses)?,
            inputs_stay: keys.inputs_stay,
            pins: keys.pins,
            goal: goal(&document, keys.goal)?,
            limits: keys.limits.limits(),
            mode: keys.mode.map_or(Mode::default(), Mode::from),
            deadline: keys.deadline,
            deliver_to: keys.deliver_to,
            inputs,
            answer: keys.answer.map(|keys| answer(&document, keys)).transpose()?,
            draw: keys.draw,
        })
    }
}

/// The keys of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PipelineKeys {
    name: String,
    model: Option<PathBuf>,
    #[serde(default = "topology_default")]
    topology: PathBuf,
    #[serde(default = "codecs_default")]
    codecs: Vec<String>,
    #[serde(default)]
    losses: BTreeMap<String, Loss>,
    codebooks: Option<PathBuf>,
    #[serde(default)]
    inputs_stay: bool,
    #[serde(default)]
    pins: Pins,
    goal: Option<GoalKey>,
    #[serde(default)]
    limits: LimitsKeys,
    mode: Option<ModeKey>,
    #[serde(default = "deadline_default", with = "duration")]
    deadline: Duration,
    deliver_to: Option<String>,
    #[serde(default)]
    input: Vec<InputKeys>,
    #[serde(default)]
    step: Vec<StepKeys>,
    #[serde(default)]
    answers: Vec<String>,
    answer: Option<AnswerKeys>,
    draw: Option<Draw>,
}

/// The keys of `[answer]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AnswerKeys {
    labels: PathBuf,
    #[serde(default = "top_default")]
    top: usize,
    output: Option<String>,
    #[serde(default = "softmax_default")]
    softmax: bool,
}

fn topology_default() -> PathBuf {
    "topology.toml".into()
}

/// What a link may carry where nothing else is said: without loss, or nearly.
pub const CODECS_DEFAULT: [Codec; 2] = [Codec::F32, Codec::F16];

/// Long enough for a slow device and a satellite, short enough for someone who waits.
pub const DEADLINE_DEFAULT: Duration = Duration::from_secs(5);

fn codecs_default() -> Vec<String> {
    CODECS_DEFAULT.iter().map(Codec::to_string).collect()
}

fn deadline_default() -> Duration {
    DEADLINE_DEFAULT
}

fn top_default() -> usize {
    5
}

fn softmax_default() -> bool {
    true
}

fn codecs(document: &Document<'_>, names: &[String]) -> Result<Vec<Codec>, ConfigError> {
    if names.is_empty() {
        return Err(document.out_of_range("codecs", "write at least one codec, such as [\"f32\"]"));
    }
    let mut first = BTreeMap::new();
    let mut codecs = Vec::new();
    for (at, name) in names.iter().enumerate() {
        let address = format!("codecs.{at}");
        let unknown = |error: thalweg_codec::UnknownCodec| {
            document.error(&address, wrong_value("codecs".into(), &error.to_string()))
        };
        codecs.push(name.parse().map_err(unknown)?);
        only(document, &mut first, "codec", name, address)?;
    }
    Ok(codecs)
}

const MODEL_OR_STEPS: &[&str] = &["model", "[[step]]"];

/// The pipeline is one model.
fn alone(
    document: &Document<'_>,
    model: &Path,
    codebooks: Option<PathBuf>,
    steps: &[StepKeys],
) -> Result<Step, ConfigError> {
    if !steps.is_empty() {
        return Err(document
            .error("model", Problem::OneOf { given: MODEL_OR_STEPS.to_vec(), keys: MODEL_OR_STEPS, otherwise: None }));
    }
    let codebooks = codebooks.map(|file| document.resolve(&file));
    let runs = Runs::Model { file: document.resolve_file("model", model)?, codebooks };
    Ok(Step { name: String::new(), runs, links: Links::SameNames })
}

/// The pipeline has steps.
fn several(
    document: &Document<'_>,
    codebooks: Option<PathBuf>,
    keys: Vec<StepKeys>,
    inputs: &[Input],
) -> Result<Vec<Step>, ConfigError> {
    if keys.is_empty() {
        let problem = Problem::OneOf { given: Vec::new(), keys: MODEL_OR_STEPS, otherwise: None };
        return Err(document.error("", problem));
    }
    if codebooks.is_some() {
        let problem = Problem::Needs { key: "codebooks".into(), owner: "`model` beside it" };
        return Err(document.error("codebooks", problem));
    }
    steps(document, keys, inputs)
}

/// Refuses a name that `first`, which maps names to their addresses, has already.
pub(super) fn only(
    document: &Document<'_>,
    first: &mut BTreeMap<String, String>,
    kind: &'static str,
    name: &str,
    address: String,
) -> Result<(), ConfigError> {
    if let Some(earlier) = first.get(name) {
        let problem = Problem::Twice { kind, value: format!("\"{name}\""), first: document.line(earlier) };
        return Err(document.error(&address, problem));
    }
    first.insert(name.to_owned(), address);
    Ok(())
}

fn answer(document: &Document<'_>, keys: AnswerKeys) -> Result<Answer, ConfigError> {
    if keys.top == 0 {
        return Err(document.out_of_range("answer.top", "write how many classes to show, from 1"));
    }
    let labels = document.resolve_file("answer.labels", &keys.labels)?;
    Ok(Answer { labels, top: keys.top, output: keys.output, softmax: keys.softmax })
}
