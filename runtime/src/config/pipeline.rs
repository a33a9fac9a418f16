//! `pipeline.toml`: which model to run, with what input, and what its answer means.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use thalweg_codec::Codec;
use thalweg_modules::random::Range;
use thalweg_modules::{Layout, Normalise};
use thalweg_planner::{Goal, Limits, Loss, Mode, duration};

use super::objective::{GoalKey, LimitsKeys, ModeKey, Pins, goal, losses};
use super::read::{Document, Source, wrong_value};
use super::{ConfigError, Problem};

/// What to run. Paths are absolute.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    /// The file that says it.
    pub file: PathBuf,
    /// What people call it.
    pub name: String,
    /// The ONNX file, which exists.
    pub model: PathBuf,
    /// The topology file, which need not exist: the caller may be given another one.
    pub topology: PathBuf,
    /// What a crossing may use, at least one, none twice. The pixels of a picture codec are those of its parsed name.
    pub codecs: Vec<Codec>,
    /// Accuracy that each codec loses when a tensor crosses in it, as somebody has measured it for this model, by its
    /// name.
    pub losses: BTreeMap<String, Loss>,
    /// The file of the model's codebooks, which need not exist.
    pub codebooks: Option<PathBuf>,
    /// Whether the inputs may not leave the first tier as they are.
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
    /// At least one; all named where there are several, no name twice.
    pub inputs: Vec<Input>,
    /// What the answer means; `None` where that is not said.
    pub answer: Option<Answer>,
}

/// One input of the model.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    /// Its name in the model; `None` where it is the only one.
    pub name: Option<String>,
    /// Its shape, without zeros, where the file fixes it.
    pub shape: Option<Vec<usize>>,
    /// Where its elements come from.
    pub origin: Origin,
}

/// Where the elements of an input come from. Files exist.
#[derive(Debug, Clone, PartialEq)]
pub enum Origin {
    /// A JPEG or PNG photo.
    Photo {
        /// The photo.
        file: PathBuf,
        /// How its pixels become numbers: finite, and no scale is zero.
        normalise: Normalise,
    },
    /// A file of NumPy.
    Npy {
        /// The `.npy` file.
        file: PathBuf,
    },
    /// Reproducible random numbers.
    Random {
        /// The same seed gives the same numbers.
        seed: u64,
        /// What they are drawn from; `None` for the default of the input's type.
        range: Option<Range>,
    },
    /// Zeros.
    Zeros,
}

/// An output that holds a score a class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Names of the classes: a JSON list or one a line. The file exists.
    pub labels: PathBuf,
    /// How many of the best are shown; not zero.
    pub top: usize,
    /// The output of the model; `None` where it is the only one.
    pub output: Option<String>,
    /// Whether scores are logits, which a softmax makes probabilities.
    pub softmax: bool,
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
        Ok(Self {
            file: source.path().to_owned(),
            name: keys.name,
            model: document.resolve_file("model", &keys.model)?,
            topology: document.resolve(&keys.topology),
            codecs: codecs(&document, &keys.codecs)?,
            losses: losses(&document, keys.losses)?,
            codebooks: keys.codebooks.map(|file| document.resolve(&file)),
            inputs_stay: keys.inputs_stay,
            pins: keys.pins,
            goal: goal(&document, keys.goal)?,
            limits: keys.limits.limits(),
            mode: keys.mode.map_or(Mode::default(), Mode::from),
            deadline: keys.deadline,
            inputs: inputs(&document, keys.input)?,
            answer: keys.answer.map(|keys| answer(&document, keys)).transpose()?,
        })
    }
}

/// The keys of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PipelineKeys {
    name: String,
    model: PathBuf,
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
    #[serde(default)]
    input: Vec<InputKeys>,
    answer: Option<AnswerKeys>,
}

/// The keys of `[[input]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InputKeys {
    name: Option<String>,
    shape: Option<Vec<usize>>,
    image: Option<PathBuf>,
    mean: Option<PerChannel>,
    scale: Option<PerChannel>,
    layout: Option<Layout>,
    npy: Option<PathBuf>,
    random: Option<RandomKeys>,
    zeros: Option<bool>,
}

/// The keys of `random`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RandomKeys {
    seed: u64,
    low: Option<f64>,
    high: Option<f64>,
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

/// Exact, and exact to three digits.
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

fn inputs(document: &Document<'_>, keys: Vec<InputKeys>) -> Result<Vec<Input>, ConfigError> {
    if keys.is_empty() {
        return Err(document.error("", Problem::Empty { table: "input" }));
    }
    let several = keys.len() > 1;
    let mut first = BTreeMap::new();
    let mut inputs = Vec::new();
    for (at, keys) in keys.into_iter().enumerate() {
        let table = format!("input.{at}");
        match &keys.name {
            Some(name) => only(document, &mut first, "input", name, format!("{table}.name"))?,
            None if several => return Err(document.error(&table, Problem::MissingKey { key: "name".into() })),
            None => {}
        }
        if let Some(axis) = keys.shape.iter().flatten().position(|size| *size == 0) {
            return Err(document.out_of_range(&format!("{table}.shape.{axis}"), "write sizes from 1"));
        }
        inputs.push(Input {
            name: keys.name.clone(),
            shape: keys.shape.clone(),
            origin: origin(document, &table, keys)?,
        });
    }
    Ok(inputs)
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

fn origin(document: &Document<'_>, table: &str, keys: InputKeys) -> Result<Origin, ConfigError> {
    const KEYS: &[&str] = &["image", "npy", "random", "zeros"];
    let of_image = [("mean", keys.mean.is_some()), ("scale", keys.scale.is_some()), ("layout", keys.layout.is_some())];
    if let Some((key, _)) = of_image.into_iter().find(|(_, given)| *given && keys.image.is_none()) {
        let problem = Problem::Needs { key: key.into(), owner: "`image`" };
        return Err(document.error(&format!("{table}.{key}"), problem));
    }
    match (&keys.image, &keys.npy, &keys.random, keys.zeros) {
        (Some(image), None, None, None) => {
            let file = document.resolve_file(&format!("{table}.image"), image)?;
            Ok(Origin::Photo { file, normalise: normalise(document, table, &keys)? })
        }
        (None, Some(npy), None, None) => Ok(Origin::Npy { file: document.resolve_file(&format!("{table}.npy"), npy)? }),
        (None, None, Some(random), None) => {
            Ok(Origin::Random { seed: random.seed, range: range(document, &format!("{table}.random"), random)? })
        }
        (None, None, None, Some(true)) => Ok(Origin::Zeros),
        (None, None, None, Some(false)) => {
            Err(document.out_of_range(&format!("{table}.zeros"), "write zeros = true, or another origin"))
        }
        (image, npy, random, zeros) => {
            let given = [image.is_some(), npy.is_some(), random.is_some(), zeros.is_some()];
            let given = KEYS.iter().zip(given).filter_map(|(key, given)| given.then_some(*key)).collect();
            Err(document.error(table, Problem::OneOf { given, keys: KEYS, otherwise: None }))
        }
    }
}

fn normalise(document: &Document<'_>, table: &str, keys: &InputKeys) -> Result<Normalise, ConfigError> {
    let mean = keys.mean.as_ref().map_or([0.0; 3], |mean| mean.0);
    let scale = keys.scale.as_ref().map_or([255.0; 3], |scale| scale.0);
    if !mean.iter().all(|mean| mean.is_finite()) {
        return Err(document.out_of_range(&format!("{table}.mean"), "write finite numbers, such as 127"));
    }
    if !scale.iter().all(|scale| scale.is_normal()) {
        return Err(
            document.out_of_range(&format!("{table}.scale"), "write finite numbers other than zero, such as 255")
        );
    }
    Ok(Normalise { mean, scale, layout: keys.layout.unwrap_or_default() })
}

fn range(document: &Document<'_>, table: &str, keys: &RandomKeys) -> Result<Option<Range>, ConfigError> {
    let missing = |key: &str| Err(document.error(table, Problem::MissingKey { key: key.into() }));
    match (keys.low, keys.high) {
        (None, None) => Ok(None),
        (Some(low), Some(high)) if low < high && low.is_finite() && high.is_finite() => Ok(Some(Range { low, high })),
        (Some(_), Some(_)) => Err(document.out_of_range(&format!("{table}.high"), "write a finite number above `low`")),
        (None, Some(_)) => missing("low"),
        (Some(_), None) => missing("high"),
    }
}

fn answer(document: &Document<'_>, keys: AnswerKeys) -> Result<Answer, ConfigError> {
    if keys.top == 0 {
        return Err(document.out_of_range("answer.top", "write how many classes to show, from 1"));
    }
    let labels = document.resolve_file("answer.labels", &keys.labels)?;
    Ok(Answer { labels, top: keys.top, output: keys.output, softmax: keys.softmax })
}

/// A number for each of R, G and B, written as one number for all or as a list of three.
struct PerChannel([f32; 3]);

impl<'de> Deserialize<'de> for PerChannel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrThree)
    }
}

struct OneOrThree;

impl<'de> Visitor<'de> for OneOrThree {
    type Value = PerChannel;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a number, or a list of three numbers for red, green and blue")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<PerChannel, E> {
        Ok(PerChannel([number as f32; 3]))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<PerChannel, E> {
        Ok(PerChannel([number as f32; 3]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<PerChannel, A::Error> {
        let mut channels = [0.0; 3];
        for (at, channel) in channels.iter_mut().enumerate() {
            *channel = list.next_element()?.ok_or_else(|| Error::invalid_length(at, &self))?;
        }
        match list.next_element::<f32>()? {
            Some(_) => Err(Error::invalid_length(4, &self)),
            None => Ok(PerChannel(channels)),
        }
    }
}
