//! Settings become conditions.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::RulesError;
use crate::comparison::Comparison;

/// The largest settings, in bytes.
pub const SETTINGS_BYTES_MAX: usize = 1 << 16;

/// The largest list of records, in bytes.
pub const RECORDS_BYTES_MAX: usize = 1 << 24;

/// What all must hold of a record.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Condition {
    /// Where it stands in the settings.
    pub(crate) place: String,
    /// Fields and what is asked of them.
    pub(crate) tests: BTreeMap<String, Test>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Test {
    OneOf(Vec<String>),
    Number(Comparison),
}

/// An alert before anything was found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Watch {
    pub(crate) name: String,
    pub(crate) when: Condition,
    pub(crate) count: Comparison,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    keep: Option<Vec<BTreeMap<String, Value>>>,
    #[serde(default)]
    alert: Vec<WatchDocument>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WatchDocument {
    name: String,
    when: BTreeMap<String, Value>,
    count: Option<String>,
}

/// The conditions of `keep`, if there are any, and the alerts.
pub(crate) fn read(settings: &str) -> Result<(Option<Vec<Condition>>, Vec<Watch>), RulesError> {
    if settings.len() > SETTINGS_BYTES_MAX {
        return Err(RulesError::SettingsTooLong { bytes: settings.len() });
    }
    let document: Document =
        serde_json::from_str(settings).map_err(|error| RulesError::Settings { reason: error.to_string() })?;
    let kept = |(at, tests)| condition(format!("keep[{at}]"), tests);
    let keep = document.keep.map(|keep| keep.into_iter().enumerate().map(kept).collect::<Result<_, _>>());
    let watch = |(at, watch): (usize, WatchDocument)| {
        let count = watch.count.map(|count| Comparison::read(&count, &format!("alert[{at}].count")));
        Ok(Watch {
            name: watch.name,
            when: condition(format!("alert[{at}].when"), watch.when)?,
            count: count.transpose()?.unwrap_or_else(Comparison::some),
        })
    };
    Ok((keep.transpose()?, document.alert.into_iter().enumerate().map(watch).collect::<Result<_, _>>()?))
}

fn condition(place: String, tests: BTreeMap<String, Value>) -> Result<Condition, RulesError> {
    if tests.is_empty() {
        return Err(RulesError::EmptyCondition { place });
    }
    let test = |(field, value): (String, Value)| {
        let place = format!("{place}.{field}");
        Ok((field, test(&place, value)?))
    };
    let tests = tests.into_iter().map(test).collect::<Result<_, _>>()?;
    Ok(Condition { place, tests })
}

fn test(place: &str, value: Value) -> Result<Test, RulesError> {
    let not_a_test = |found: &Value| RulesError::NotATest { place: place.to_owned(), found: shortened(found) };
    match value {
        Value::String(text) => Ok(Test::Number(Comparison::read(&text, place)?)),
        Value::Array(texts) if !texts.is_empty() => {
            let text = |value: &Value| value.as_str().map(str::to_owned).ok_or_else(|| not_a_test(value));
            Ok(Test::OneOf(texts.iter().map(text).collect::<Result<_, _>>()?))
        }
        other => Err(not_a_test(&other)),
    }
}

/// A value for messages: a record's may be megabytes long.
pub(crate) fn shortened(value: &Value) -> String {
    const LETTERS_MAX: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(LETTERS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn refused(settings: &str) -> String {
        read(settings).unwrap_err().to_string()
    }

    #[test]
    fn errors_name_the_place() {
        assert!(refused("{").starts_with("the settings cannot be read: EOF"));
        let unknown = refused(r#"{"kept": []}"#);
        assert!(unknown.contains("unknown field `kept`, expected `keep` or `alert` at line 1 column 7"), "{unknown}");
        assert!(refused(r#"{"keep": [{"a": ["b"]}, {}]}"#).starts_with("keep[1] says nothing"));
        assert!(refused(r#"{"keep": [{"a": 5}]}"#).starts_with("keep[0].a is 5: write a list of texts"));
        assert!(refused(r#"{"keep": [{"a": []}]}"#).starts_with("keep[0].a is []"));
        assert!(refused(r#"{"keep": [{"a": ["b", null]}]}"#).starts_with("keep[0].a is null"));
        assert!(refused(r#"{"keep": [{"a": "cat"}]}"#).starts_with("keep[0].a: `cat` is no comparison"));
        let count = r#"{"alert": [{"name": "n", "when": {"a": "> 1"}, "count": "2"}]}"#;
        assert!(refused(count).starts_with("alert[0].count: `2` is no comparison"));
        assert!(refused(r#"{"alert": [{"name": "n", "when": {"a": "1"}}]}"#).starts_with("alert[0].when.a: `1`"));
        assert!(refused(&" ".repeat(SETTINGS_BYTES_MAX + 1)).starts_with("the settings have 65537 bytes"));
    }
}
