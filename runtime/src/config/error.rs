//! What can be wrong with a configuration file, where, and what to do about it.

use std::fmt;
use std::path::PathBuf;

use super::FILE_BYTES_MAX;

/// A configuration file that cannot be used. Prints as `FILE:LINE:COLUMN: problem`, then a line of help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file, as the caller named it.
    pub file: PathBuf,
    /// Where in the file; `None` where the file itself is the problem.
    pub place: Option<Place>,
    /// What is wrong there.
    pub problem: Box<Problem>,
}

/// A place in a text file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
}

/// What is wrong. Values are given as they are written in the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The file does not open.
    #[error("it cannot be read: {reason}")]
    Unreadable {
        /// What the operating system says.
        reason: String,
    },
    /// The file is no configuration.
    #[error("it is larger than {} MiB", FILE_BYTES_MAX.0 >> 20)]
    TooLarge,
    /// A byte that UTF-8 does not have.
    #[error("this is not UTF-8 text")]
    NotText,
    /// Not TOML.
    #[error("this is not TOML: {reason}")]
    Syntax {
        /// What the parser says.
        reason: String,
    },
    /// A key that nothing reads.
    #[error("`{key}` is not a key here")]
    UnknownKey {
        /// The key.
        key: String,
        /// The keys that are read at this place.
        known: Vec<String>,
    },
    /// A key without which there is no meaning.
    #[error("`{key}` is missing")]
    MissingKey {
        /// The key.
        key: String,
    },
    /// A value of another type, or a quantity without its unit.
    #[error("`{key}`: {reason}")]
    Value {
        /// The key.
        key: String,
        /// What is wrong with the value.
        reason: String,
        /// What can stand there; empty where only the reference says so.
        expected: String,
    },
    /// A value of the right type that makes no sense.
    #[error("`{key}` is {value}")]
    OutOfRange {
        /// The key.
        key: String,
        /// Its value.
        value: String,
        /// What to do.
        advice: &'static str,
    },
    /// A file that is named here and does not exist.
    #[error("`{key}` is {value}, but there is no file {path}", path = path.display())]
    NoFile {
        /// The key.
        key: String,
        /// Its value.
        value: String,
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A name that nothing has.
    #[error("`{key}` is {value}, but no {kind} has this name")]
    UnknownName {
        /// The key.
        key: String,
        /// Its value.
        value: String,
        /// What is named: `tier`, `device in the catalogue`, …
        kind: &'static str,
        /// The names that there are.
        known: Vec<String>,
    },
    /// A second thing of the same name.
    #[error("a second {kind} {value}; the first one is in line {first}")]
    Twice {
        /// What is named: `tier`, `input`, `link`.
        kind: &'static str,
        /// Its name.
        value: String,
        /// The line of the first one.
        first: usize,
    },
    /// Not exactly one of several keys.
    #[error("{}", chosen(given, keys))]
    OneOf {
        /// The keys that are given.
        given: Vec<&'static str>,
        /// Those of which one is meant.
        keys: &'static [&'static str],
        /// What leaving out all of them means; `None` where one is needed.
        otherwise: Option<&'static str>,
    },
    /// A key that says something about another one that is not there.
    #[error("`{key}` has no meaning without {owner}")]
    Needs {
        /// The key.
        key: String,
        /// What it belongs to.
        owner: &'static str,
    },
    /// Not one table of a kind that is needed.
    #[error("there is no [[{table}]]")]
    Empty {
        /// The name of the table.
        table: &'static str,
    },
    /// A tier that no links lead to from the first one.
    #[error("no links lead from \"{first}\" to \"{tier}\"")]
    Unreachable {
        /// The first tier, where requests are made.
        first: String,
        /// The tier that is cut off.
        tier: String,
        /// The tiers that can be reached.
        reached: Vec<String>,
    },
}

impl Problem {
    /// What to do about it: a sentence without its stop.
    pub fn help(&self) -> String {
        match self {
            Self::Unreadable { .. } => "check that the path is right and the file may be read".into(),
            Self::TooLarge => "check that it is the file you meant".into(),
            Self::NotText => "save the file as UTF-8".into(),
            Self::Syntax { .. } => "the language is described at https://toml.io".into(),
            Self::UnknownKey { key, known } => name_instead(key, known, "key"),
            Self::MissingKey { key } => format!("add `{key} = …` here"),
            Self::Value { expected, .. } if !expected.is_empty() => format!("write {expected}"),
            Self::Value { .. } => "the form of each value is in runtime/src/config/README.md".into(),
            Self::OutOfRange { advice, .. } => (*advice).into(),
            Self::NoFile { .. } => {
                "paths are taken from the folder of this file; put the file there or correct the path".into()
            }
            Self::UnknownName { value, known, .. } => name_instead(value.trim_matches('"'), known, "name"),
            Self::Twice { kind: "link" | "codec", .. } => "remove one of them".into(),
            Self::Twice { .. } => "give it another name".into(),
            Self::OneOf { keys, otherwise, .. } => match otherwise {
                Some(meaning) => format!("keep one of {}, or none for {meaning}", quoted(keys)),
                None => format!("give one of {}", quoted(keys)),
            },
            Self::Needs { key, owner } => format!("add {owner} or remove `{key}`"),
            Self::Empty { table } => format!("add at least one [[{table}]]"),
            Self::Unreachable { tier, reached, .. } => {
                format!("add a [[link]] that joins \"{tier}\" to one of {}, or remove the tier", quoted(reached))
            }
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:", self.file.display())?;
        if let Some(Place { line, column }) = self.place {
            write!(out, "{line}:{column}:")?;
        }
        write!(out, " {}\n  help: {}", self.problem, self.problem.help())
    }
}

impl std::error::Error for ConfigError {}

fn chosen(given: &[&str], keys: &[&str]) -> String {
    match given {
        [] => format!("none of {} is given", quoted(keys)),
        given => format!("{} cannot stand together", quoted(given)),
    }
}

/// The known name that was probably meant, or all of them.
fn name_instead(name: &str, known: &[String], kind: &str) -> String {
    const TYPING_ERRORS_MAX: usize = 3;
    let distance = |other: &&String| strsim::damerau_levenshtein(name, other);
    let nearest = known.iter().min_by_key(distance);
    match nearest.filter(|nearest| distance(nearest) <= TYPING_ERRORS_MAX.min(nearest.chars().count() / 2)) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None if known.is_empty() => format!("no {kind} is known here"),
        None => format!("known are {}", quoted(known)),
    }
}

fn quoted<T: AsRef<str>>(names: &[T]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{}`", name.as_ref())).collect();
    quoted.join(", ")
}
