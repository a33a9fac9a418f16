//! Opens a configuration file and knows where in it each value stands.

use std::fs;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use thalweg_planner::Bytes;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

use super::{ConfigError, Place, Problem};

/// Larger files are refused unread.
pub const FILE_BYTES_MAX: Bytes = Bytes(1 << 20);

/// A file that was read.
pub(super) struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    /// Reads a file of at most [`FILE_BYTES_MAX`].
    pub(super) fn open(path: &Path) -> Result<Self, ConfigError> {
        let fault = |problem| ConfigError { file: path.to_owned(), place: None, problem: Box::new(problem) };
        let unreadable = |error: std::io::Error| fault(Problem::Unreadable { reason: error.to_string() });
        let mut bytes = Vec::new();
        let file = fs::File::open(path).map_err(unreadable)?;
        file.take(FILE_BYTES_MAX.0 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > FILE_BYTES_MAX.0 {
            return Err(fault(Problem::TooLarge));
        }
        Self::new(path, bytes)
    }

    /// The file `path` with these bytes.
    pub(super) fn new(path: &Path, bytes: Vec<u8>) -> Result<Self, ConfigError> {
        let text = String::from_utf8(bytes).map_err(|error| {
            let valid = error.utf8_error().valid_up_to();
            let before = String::from_utf8_lossy(&error.as_bytes()[..valid]);
            ConfigError {
                file: path.to_owned(),
                place: Some(place(&before, valid)),
                problem: Box::new(Problem::NotText),
            }
        })?;
        Ok(Self { path: path.to_owned(), text })
    }

    /// As the caller named it.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Its values with their places.
    pub(super) fn parse(&self) -> Result<Document<'_>, ConfigError> {
        match DeTable::parse(&self.text) {
            Ok(tree) => Ok(Document { source: self, tree }),
            Err(error) => {
                let problem = Problem::Syntax { reason: error.message().to_owned() };
                Err(self.error(error.span().unwrap_or_default(), problem))
            }
        }
    }

    fn error(&self, span: Range<usize>, problem: Problem) -> ConfigError {
        ConfigError { file: self.path.clone(), place: Some(place(&self.text, span.start)), problem: Box::new(problem) }
    }
}

/// A file that is TOML.
///
/// Values are addressed by their keys and, in arrays, their positions from 0, joined by dots: `link.1.up.rate`.
/// No key of our files contains a dot.
pub(super) struct Document<'s> {
    source: &'s Source,
    tree: Spanned<DeTable<'s>>,
}

impl Document<'_> {
    /// The whole file as a `T`.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        T::deserialize(Deserializer::from(self.tree.clone())).map_err(|error| {
            let span = error.span().unwrap_or_default();
            let key = key_at(self.tree.get_ref(), span.start).unwrap_or_default();
            self.source.error(span, problem_of(error.message(), key))
        })
    }

    /// A problem with the value at `address`, or with the innermost table around it that exists.
    pub(super) fn error(&self, address: &str, problem: Problem) -> ConfigError {
        self.source.error(self.find(address), problem)
    }

    /// The value at `address` makes no sense; `advice` says what to write.
    pub(super) fn out_of_range(&self, address: &str, advice: &'static str) -> ConfigError {
        let value = self.written(address);
        self.error(address, Problem::OutOfRange { key: last(address).to_owned(), value, advice })
    }

    /// The value at `address` names a `kind` that is not among the `known` ones.
    pub(super) fn unknown_name(&self, address: &str, kind: &'static str, known: Vec<String>) -> ConfigError {
        let value = self.written(address);
        self.error(address, Problem::UnknownName { key: last(address).to_owned(), value, kind, known })
    }

    /// The value at `address` as it is written, in one line, cut after 60 characters.
    pub(super) fn written(&self, address: &str) -> String {
        const CHARACTERS_MAX: usize = 60;
        let value = self.source.text.get(self.find(address)).unwrap_or_default();
        let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
        match value.char_indices().nth(CHARACTERS_MAX) {
            Some((end, _)) => format!("{}…", &value[..end]),
            None => value,
        }
    }

    /// The line of the value at `address`.
    pub(super) fn line(&self, address: &str) -> usize {
        place(&self.source.text, self.find(address).start).line
    }

    /// A path of the file, which may be relative to its folder, made absolute.
    pub(super) fn resolve(&self, path: &Path) -> PathBuf {
        let joined = self.source.path.parent().unwrap_or(Path::new("")).join(path);
        std::path::absolute(&joined).unwrap_or(joined)
    }

    /// The same for the path at `address`, which must name a file; links and `..` are followed.
    pub(super) fn resolve_file(&self, address: &str, path: &Path) -> Result<PathBuf, ConfigError> {
        let path = self.resolve(path);
        match path.canonicalize() {
            Ok(path) if path.is_file() => Ok(path),
            _ => {
                let (key, value) = (last(address).to_owned(), self.written(address));
                Err(self.error(address, Problem::NoFile { key, value, path }))
            }
        }
    }

    /// The bytes of the value at `address`, or of the innermost table around it that exists.
    fn find(&self, address: &str) -> Range<usize> {
        let mut steps = address.split('.');
        let Some(mut value) = steps.next().and_then(|key| self.tree.get_ref().get(key)) else { return 0..0 };
        for step in steps {
            let inner = match value.get_ref() {
                DeValue::Table(table) => table.get(step),
                DeValue::Array(array) => step.parse::<usize>().ok().and_then(|at| array.get(at)),
                _ => None,
            };
            match inner {
                Some(inner) => value = inner,
                None => break,
            }
        }
        value.span()
    }
}

/// The key at the end of an address; for an element of an array, the key of the array.
fn last(address: &str) -> &str {
    let is_key = |step: &&str| step.parse::<usize>().is_err();
    address.rsplit('.').find(is_key).unwrap_or_default()
}

/// The key whose value starts at byte `at`, or has it inside.
fn key_at(table: &DeTable<'_>, at: usize) -> Option<String> {
    let inside = |value: &Spanned<DeValue<'_>>| match value.get_ref() {
        DeValue::Table(table) => key_at(table, at),
        DeValue::Array(array) => {
            array.iter().find_map(|item| item.get_ref().as_table().and_then(|table| key_at(table, at)))
        }
        _ => None,
    };
    let own = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
        value.span().contains(&at).then(|| AsRef::<str>::as_ref(key.get_ref()).to_owned())
    };
    table.iter().find_map(|(_, value)| inside(value)).or_else(|| table.iter().find_map(own))
}

/// Understands serde's messages: the only place that knows their form.
fn problem_of(message: &str, key: String) -> Problem {
    let mut names = message.split('`').skip(1).step_by(2).map(str::to_owned);
    let mut name = || names.next().unwrap_or_default();
    if message.starts_with("unknown field `") {
        Problem::UnknownKey { key: name(), known: names.collect() }
    } else if message.starts_with("missing field `") {
        Problem::MissingKey { key: name() }
    } else {
        wrong_value(key, message)
    }
}

/// Divides a message about a value into what is wrong and what is expected, in words of the reference.
pub(super) fn wrong_value(key: String, message: &str) -> Problem {
    let divided = message.split_once(": write ").or_else(|| message.rsplit_once(", expected "));
    let (reason, expected) = divided.unwrap_or((message, ""));
    let expected = match expected {
        "a string" | "path string" => "a text in quotes",
        "a sequence" => "a list",
        "a boolean" => "true or false",
        "usize" | "u32" | "u64" => "a whole number from 0",
        "f32" | "f64" => "a number",
        table if table.starts_with("struct ") => "a table",
        other => other,
    };
    Problem::Value { key, reason: reason.to_owned(), expected: expected.to_owned() }
}

/// Line and column of byte `at`.
fn place(text: &str, at: usize) -> Place {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Place { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
}
