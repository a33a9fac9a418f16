//! `[[input]]`: what goes into a pipeline.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use thalweg_modules::random::Range;
use thalweg_modules::{Layout, Normalise};

use super::pipeline::only;
use super::read::Document;
use super::{ConfigError, Problem};

/// One input of a pipeline.
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
    /// The bytes of any file, `u8[bytes]`: for a task module.
    File {
        /// The file.
        file: PathBuf,
    },
    /// A text in UTF-8, `u8[bytes]`: for a task module.
    Text {
        /// The text.
        text: String,
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
    file: Option<PathBuf>,
    text: Option<String>,
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

pub(super) fn inputs(document: &Document<'_>, keys: Vec<InputKeys>) -> Result<Vec<Input>, ConfigError> {
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

fn origin(document: &Document<'_>, table: &str, keys: InputKeys) -> Result<Origin, ConfigError> {
    const KEYS: &[&str] = &["image", "npy", "file", "text", "random", "zeros"];
    let of_image = [("mean", keys.mean.is_some()), ("scale", keys.scale.is_some()), ("layout", keys.layout.is_some())];
    if let Some((key, _)) = of_image.into_iter().find(|(_, given)| *given && keys.image.is_none()) {
        let problem = Problem::Needs { key: key.into(), owner: "`image`" };
        return Err(document.error(&format!("{table}.{key}"), problem));
    }
    let given = [
        keys.image.is_some(),
        keys.npy.is_some(),
        keys.file.is_some(),
        keys.text.is_some(),
        keys.random.is_some(),
        keys.zeros.is_some(),
    ];
    if given.into_iter().filter(|given| *given).count() != 1 {
        let given = KEYS.iter().zip(given).filter_map(|(key, given)| given.then_some(*key)).collect();
        return Err(document.error(table, Problem::OneOf { given, keys: KEYS, otherwise: None }));
    }
    let file = |key: &str, file: &Path| document.resolve_file(&format!("{table}.{key}"), file);
    Ok(match &keys {
        InputKeys { image: Some(image), .. } => {
            Origin::Photo { file: file("image", image)?, normalise: normalise(document, table, &keys)? }
        }
        InputKeys { npy: Some(npy), .. } => Origin::Npy { file: file("npy", npy)? },
        InputKeys { file: Some(any), .. } => Origin::File { file: file("file", any)? },
        InputKeys { text: Some(text), .. } => Origin::Text { text: text.clone() },
        InputKeys { random: Some(random), .. } => {
            Origin::Random { seed: random.seed, range: range(document, &format!("{table}.random"), random)? }
        }
        InputKeys { zeros: Some(true), .. } => Origin::Zeros,
        _ => return Err(document.out_of_range(&format!("{table}.zeros"), "write zeros = true, or another origin")),
    })
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
