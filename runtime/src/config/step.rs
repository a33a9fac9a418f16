//! `[[step]]`: the models and task modules of a pipeline, and what goes into each.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::{Map, Value};
use thalweg_modules::own;
use thalweg_modules::sandbox::{Limit, Limits, NoLimit};
use thalweg_planner::Bytes;

use super::input::Input;
use super::objective::Time;
use super::pipeline::only;
use super::read::Document;
use super::{ConfigError, Problem};

/// A few lines of text, or boxes with their labels.
const TEXT_MAX_DEFAULT: Bytes = Bytes(4 << 10);
/// No machine gives an instance more.
const MEMORY_MAX: u64 = 1 << 30;
/// More than people read, and little enough to be sent.
const TEXT_BYTES_MAX: usize = 16 << 20;

/// One step of a pipeline. Files exist.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Unlike those of other steps and of inputs; empty where the pipeline is one model without steps.
    pub name: String,
    /// What it runs.
    pub runs: Runs,
    /// Where its inputs come from.
    pub links: Links,
}

/// What a step runs.
#[derive(Debug, Clone, PartialEq)]
pub enum Runs {
    /// A model, which the planner may cut.
    Model {
        /// The ONNX file.
        file: PathBuf,
        /// The file of its codebooks, which need not exist.
        codebooks: Option<PathBuf>,
    },
    /// A task module, which runs as a whole.
    Module(Module),
}

/// A task module and what it gets.
#[derive(Debug, Clone, PartialEq)]
pub struct Module {
    /// The name of one that comes with the program, or a file.
    pub module: PathBuf,
    /// Its settings.
    pub settings: Map<String, Value>,
    /// Settings that are the contents of files: of `.json` files what they hold, of others their text.
    pub files: BTreeMap<String, PathBuf>,
    /// ONNX files that it may run, by the names that it knows them by.
    pub models: BTreeMap<String, PathBuf>,
    /// What one instance may take.
    pub limits: Limits,
    /// Bytes to which texts that it writes, outputs `u8[bytes]`, are filled up with spaces; none is longer.
    pub text_max: usize,
}

/// Where the inputs of a step come from: `photo`, an input of the pipeline, or `boxes.count`, an output of a step; of a
/// step with one output its name is enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Links {
    /// From the pipeline's inputs of the same names, or the only one from the only one.
    SameNames,
    /// The only input; of a module, the first one.
    One(String),
    /// By the names that the model or module calls them. Those that a module can do without may be missing.
    Named(BTreeMap<String, String>),
}

/// The keys of `[[step]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StepKeys {
    name: String,
    model: Option<PathBuf>,
    codebooks: Option<PathBuf>,
    module: Option<PathBuf>,
    settings: Option<Map<String, Value>>,
    files: Option<BTreeMap<String, PathBuf>>,
    models: Option<BTreeMap<String, PathBuf>>,
    memory: Option<Bytes>,
    time: Option<Time>,
    text_max: Option<Bytes>,
    inputs: LinksKeys,
}

/// The steps of a pipeline that has them; `inputs` are what they may take beside each other's outputs.
pub(super) fn steps(document: &Document<'_>, keys: Vec<StepKeys>, inputs: &[Input]) -> Result<Vec<Step>, ConfigError> {
    let mut first = BTreeMap::new();
    for (at, input) in inputs.iter().enumerate() {
        match &input.name {
            Some(name) if name.contains(['.', '/']) => {
                let advice = "write a name without dots and slashes, such as \"photo\"";
                return Err(document.out_of_range(&format!("input.{at}.name"), advice));
            }
            Some(name) => first.insert(name.clone(), format!("input.{at}.name")),
            None => return Err(document.error(&format!("input.{at}"), Problem::MissingKey { key: "name".into() })),
        };
    }
    let mut steps: Vec<Step> = Vec::new();
    for (at, keys) in keys.into_iter().enumerate() {
        let table = format!("step.{at}");
        if keys.name.is_empty() || keys.name.contains(['.', '/']) {
            let advice = "write a name without dots and slashes, such as \"detect\"";
            return Err(document.out_of_range(&format!("{table}.name"), advice));
        }
        let step = Step {
            runs: runs(document, &table, &keys)?,
            links: links(document, &table, keys.inputs, &first)?,
            name: keys.name,
        };
        only(document, &mut first, "step or input", &step.name, format!("{table}.name"))?;
        steps.push(step);
    }
    Ok(steps)
}

fn runs(document: &Document<'_>, table: &str, keys: &StepKeys) -> Result<Runs, ConfigError> {
    const KEYS: &[&str] = &["model", "module"];
    let of_module = [
        ("settings", keys.settings.is_some()),
        ("files", keys.files.is_some()),
        ("models", keys.models.is_some()),
        ("memory", keys.memory.is_some()),
        ("time", keys.time.is_some()),
        ("text_max", keys.text_max.is_some()),
    ];
    let of_model = [("codebooks", keys.codebooks.is_some())];
    let stray = |given: &[(&str, bool)], owner| match given.iter().find(|(_, given)| *given) {
        Some((key, _)) => Err(document.error(&format!("{table}.{key}"), Problem::Needs { key: (*key).into(), owner })),
        None => Ok(()),
    };
    match (&keys.model, &keys.module) {
        (Some(model), None) => {
            stray(&of_module, "`module`")?;
            let codebooks = keys.codebooks.as_ref().map(|file| document.resolve(file));
            Ok(Runs::Model { file: document.resolve_file(&format!("{table}.model"), model)?, codebooks })
        }
        (None, Some(module)) => {
            stray(&of_model, "`model`")?;
            let files = |name: &str, keys: &Option<BTreeMap<String, PathBuf>>| {
                let file = |(key, file): (&String, &PathBuf)| {
                    Ok((key.clone(), document.resolve_file(&format!("{table}.{name}.{key}"), file)?))
                };
                keys.iter().flatten().map(file).collect::<Result<_, ConfigError>>()
            };
            Ok(Runs::Module(Module {
                module: found(document, &format!("{table}.module"), module)?,
                settings: keys.settings.clone().unwrap_or_default(),
                files: files("files", &keys.files)?,
                models: files("models", &keys.models)?,
                limits: limits(document, table, keys)?,
                text_max: text_max(document, table, keys)?,
            }))
        }
        (model, module) => {
            let given = KEYS.iter().zip([model.is_some(), module.is_some()]);
            let given = given.filter_map(|(key, given)| given.then_some(*key)).collect();
            Err(document.error(table, Problem::OneOf { given, keys: KEYS, otherwise: None }))
        }
    }
}

/// The name of a module that comes with the program, or the file.
fn found(document: &Document<'_>, address: &str, module: &Path) -> Result<PathBuf, ConfigError> {
    if module.to_str().and_then(own::named).is_some() {
        return Ok(module.to_owned());
    }
    if own::is_name(module) {
        let known = own::ALL.iter().map(|own| own.name.to_owned()).collect();
        return Err(document.unknown_name(address, "module of the program", known));
    }
    document.resolve_file(address, module)
}

fn limits(document: &Document<'_>, table: &str, keys: &StepKeys) -> Result<Limits, ConfigError> {
    let mut limits = Limits::RECOMMENDED;
    let refused = |key: &str, advice| document.out_of_range(&format!("{table}.{key}"), advice);
    if let Some(Bytes(bytes)) = keys.memory {
        let refused = |_| refused("memory", "write a size from 1 B to 1 GiB");
        limits.memory_bytes = Limit::new(bytes.min(MEMORY_MAX + 1)).map_err(refused)?;
        if bytes > MEMORY_MAX {
            return Err(refused(NoLimit { value: bytes, max: MEMORY_MAX }));
        }
        // What it copies and gives out grows with what it may hold.
        let grown = |times: u64, least: u64| (times * bytes).max(least);
        limits.host_bytes = Limit::new(grown(4, limits.host_bytes.get())).map_err(refused)?;
        limits.output_bytes = Limit::new(grown(2, limits.output_bytes.get())).map_err(refused)?;
    }
    if let Some(Time(time)) = keys.time {
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        limits.time_ms = Limit::new(ms).map_err(|_| refused("time", "write a time from 1 ms to 10 min"))?;
    }
    Ok(limits)
}

fn text_max(document: &Document<'_>, table: &str, keys: &StepKeys) -> Result<usize, ConfigError> {
    let Bytes(bytes) = keys.text_max.unwrap_or(TEXT_MAX_DEFAULT);
    match usize::try_from(bytes) {
        Ok(bytes @ 1..=TEXT_BYTES_MAX) => Ok(bytes),
        _ => Err(document.out_of_range(&format!("{table}.text_max"), "write a size from 1 B to 16 MiB")),
    }
}

/// Refuses what is neither an input nor a step before this one.
fn links(
    document: &Document<'_>,
    table: &str,
    keys: LinksKeys,
    known: &BTreeMap<String, String>,
) -> Result<Links, ConfigError> {
    let address = |port: Option<&str>| match port {
        Some(port) => format!("{table}.inputs.{port}"),
        None => format!("{table}.inputs"),
    };
    let check = |port: Option<&str>, source: &str| {
        let whole = source.split('.').next().unwrap_or_default();
        if known.contains_key(whole) {
            return Ok(());
        }
        let names = known.keys().cloned().collect();
        Err(document.unknown_name(&address(port), "input, or step above this one,", names))
    };
    match keys {
        LinksKeys::One(source) => {
            check(None, &source)?;
            Ok(Links::One(source))
        }
        LinksKeys::Named(named) => {
            named.iter().try_for_each(|(port, source)| check(Some(port), source))?;
            Ok(Links::Named(named))
        }
    }
}

/// `inputs`, written as one text or as a table of them.
enum LinksKeys {
    One(String),
    Named(BTreeMap<String, String>),
}

impl<'de> Deserialize<'de> for LinksKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrNamed)
    }
}

struct OneOrNamed;

impl<'de> Visitor<'de> for OneOrNamed {
    type Value = LinksKeys;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the name of an input or output, or a table of them")
    }

    fn visit_str<E: Error>(self, source: &str) -> Result<LinksKeys, E> {
        Ok(LinksKeys::One(source.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<LinksKeys, A::Error> {
        let mut named = BTreeMap::new();
        while let Some((port, source)) = map.next_entry()? {
            named.insert(port, source);
        }
        Ok(LinksKeys::Named(named))
    }
}
