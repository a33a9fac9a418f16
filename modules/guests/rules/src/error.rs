//! Why rules could not be read or applied.

use crate::{RECORDS_BYTES_MAX, SETTINGS_BYTES_MAX};

/// What is wrong with settings or records. Each message names the place and says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// Settings that are too long.
    #[error("the settings have {bytes} bytes, more than {SETTINGS_BYTES_MAX}: write fewer rules")]
    SettingsTooLong {
        /// Their size.
        bytes: usize,
    },
    /// Settings that are no JSON, or have other keys.
    #[error("the settings cannot be read: {reason}")]
    Settings {
        /// What is wrong and where.
        reason: String,
    },
    /// A condition without a field.
    #[error("{place} says nothing: name at least one field, or leave it out")]
    EmptyCondition {
        /// Where it stands.
        place: String,
    },
    /// A test that is neither a list of texts nor a comparison.
    #[error("{place} is {found}: write a list of texts, such as [\"person\"], or a comparison, such as \">= 0.5\"")]
    NotATest {
        /// Where it stands.
        place: String,
        /// What stands there.
        found: String,
    },
    /// A comparison that cannot be read.
    #[error(
        "{place}: `{part}` is no comparison: write <, <=, >, >=, = or != and a number, and join several by `and`; a \
         text is compared by a list, such as [\"person\"]"
    )]
    Comparison {
        /// Where it stands.
        place: String,
        /// The part that cannot be read.
        part: String,
    },
    /// Records that are too long.
    #[error("the records have {bytes} bytes, more than {RECORDS_BYTES_MAX}: send fewer at once")]
    RecordsTooLong {
        /// Their size.
        bytes: usize,
    },
    /// Records that are no JSON list of objects.
    #[error("the records cannot be read: {reason}; send a JSON list of objects")]
    Records {
        /// What is wrong and where.
        reason: String,
    },
    /// A record without what a rule asks for.
    #[error("{place} asks for a {wanted} in `{field}`, but record {record} has {found} there")]
    Field {
        /// The rule.
        place: String,
        /// The field.
        field: String,
        /// A number or a text.
        wanted: &'static str,
        /// The record, counted from 0.
        record: usize,
        /// What it has.
        found: String,
    },
}
