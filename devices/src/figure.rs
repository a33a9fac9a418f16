//! What profile files share: the check of a figure, and the error for one that makes no sense.

use std::fmt::Display;

/// A figure of a profile that makes no sense. The file that it stands in is known to who read it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key} = {value}: {advice}")]
pub struct InvalidFigure {
    /// The key in the file, with the tables that it stands in: `up.jitter`.
    pub key: String,
    /// What stands there.
    pub value: String,
    /// What to write instead.
    pub advice: &'static str,
}

impl InvalidFigure {
    /// The same error seen from the table that holds `table`.
    pub(crate) fn inside(mut self, table: &str) -> Self {
        self.key = format!("{table}.{}", self.key);
        self
    }
}

/// Lets `fits` pass; otherwise `value`, which stands at `key`, is the error.
pub(crate) fn check(fits: bool, key: &str, value: impl Display, advice: &'static str) -> Result<(), InvalidFigure> {
    if fits { Ok(()) } else { Err(InvalidFigure { key: key.to_owned(), value: value.to_string(), advice }) }
}
