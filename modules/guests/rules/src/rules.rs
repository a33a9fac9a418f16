//! Rules are applied to records.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::settings::{Condition, RECORDS_BYTES_MAX, Watch, read};
use crate::{RulesError, record};

/// Rules that were read.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    keep: Option<Vec<Condition>>,
    watches: Vec<Watch>,
}

/// What became of records.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// Those that were kept, in their order and with all their fields.
    pub kept: Vec<Map<String, Value>>,
    /// The alerts that were raised, in the order of the settings.
    pub alerts: Vec<Alert>,
}

/// An alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Alert {
    /// Its name.
    pub name: String,
    /// The kept records that raised it, by their index among the kept ones.
    pub records: Vec<usize>,
}

impl Rules {
    /// Reads settings, at most [`SETTINGS_BYTES_MAX`](crate::SETTINGS_BYTES_MAX) of JSON.
    pub fn read(settings: &str) -> Result<Self, RulesError> {
        let (keep, watches) = read(settings)?;
        Ok(Self { keep, watches })
    }

    /// Applies the rules to a JSON list of objects of at most [`RECORDS_BYTES_MAX`].
    ///
    /// A record that lacks a field a condition asks for, or has something else there, is an error, unless the condition
    /// does not hold anyway.
    pub fn apply(&self, records: &[u8]) -> Result<Outcome, RulesError> {
        if records.len() > RECORDS_BYTES_MAX {
            return Err(RulesError::RecordsTooLong { bytes: records.len() });
        }
        let records: Vec<Map<String, Value>> =
            serde_json::from_slice(records).map_err(|error| RulesError::Records { reason: error.to_string() })?;
        let mut kept = Vec::new();
        // Of each kept record its place in the input, which errors name.
        let mut places = Vec::new();
        for (at, record) in records.into_iter().enumerate() {
            if self.keeps(&record, at)? {
                kept.push(record);
                places.push(at);
            }
        }
        let mut alerts = Vec::new();
        for watch in &self.watches {
            let mut matching = Vec::new();
            for (index, (record, at)) in kept.iter().zip(&places).enumerate() {
                if record::holds(&watch.when, record, *at)? {
                    matching.push(index);
                }
            }
            if watch.count.holds(matching.len() as f64) {
                alerts.push(Alert { name: watch.name.clone(), records: matching });
            }
        }
        Ok(Outcome { kept, alerts })
    }

    fn keeps(&self, record: &Map<String, Value>, at: usize) -> Result<bool, RulesError> {
        let Some(keep) = &self.keep else { return Ok(true) };
        for condition in keep {
            if record::holds(condition, record, at)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    const FOUND: &str = r#"[
        {"label": "person", "confidence": 0.9, "box": [0, 0, 10, 20]},
        {"label": "person", "confidence": 0.4, "box": [5, 5, 6, 6]},
        {"label": "dog", "confidence": 0.6, "box": [1.5, 2, 4, 4], "age": 3}
    ]"#;

    fn apply(settings: &str, records: &str) -> Result<Outcome, RulesError> {
        Rules::read(settings).unwrap().apply(records.as_bytes())
    }

    fn check(settings: &str, expected: &str) {
        assert_eq!(serde_json::to_string(&apply(settings, FOUND).unwrap()).unwrap(), expected);
    }

    #[test]
    fn all_of_one_condition_or_another_must_hold() {
        check(
            r#"{"keep": [{"label": ["cat", "person"], "confidence": ">= 0.5"}, {"area": "= 5"}]}"#,
            concat!(
                r#"{"kept":[{"box":[0,0,10,20],"confidence":0.9,"label":"person"},"#,
                r#"{"age":3,"box":[1.5,2,4,4],"confidence":0.6,"label":"dog"}],"alerts":[]}"#
            ),
        );
        check(r#"{"keep": []}"#, r#"{"kept":[],"alerts":[]}"#);
        assert_eq!(apply("{}", FOUND).unwrap().kept.len(), 3);
        assert_eq!(apply(r#"{"keep": [{"left": "> 1 and < 5", "height": "= 2"}]}"#, FOUND).unwrap().kept.len(), 1);
    }

    #[test]
    fn alerts_count_what_is_kept() {
        let settings = r#"{
            "keep": [{"confidence": "> 0.5"}],
            "alert": [
                {"name": "a dog", "when": {"label": ["dog"]}},
                {"name": "two", "when": {"label": ["person"]}, "count": ">= 2"},
                {"name": "no cat", "when": {"label": ["cat"]}, "count": "= 0"}
            ]
        }"#;
        let raised = |name: &str, records: &[usize]| Alert { name: name.to_owned(), records: records.to_vec() };
        assert_eq!(apply(settings, FOUND).unwrap().alerts, [raised("a dog", &[1]), raised("no cat", &[])]);
    }

    #[test]
    fn errors_name_rule_and_record() {
        let refused = |settings: &str, records: &str| apply(settings, records).unwrap_err().to_string();
        assert_eq!(
            refused(r#"{"keep": [{"confidance": "> 0"}]}"#, FOUND),
            "keep[0] asks for a number in `confidance`, but record 0 has nothing there"
        );
        assert_eq!(
            refused(r#"{"alert": [{"name": "n", "when": {"confidence": ["high"]}}]}"#, FOUND),
            "alert[0].when asks for a text in `confidence`, but record 0 has 0.9 there"
        );
        let age = r#"{"keep": [{"age": "> 2", "label": ["dog"]}]}"#;
        assert_eq!(apply(age, FOUND).unwrap().kept.len(), 1, "persons without age are no dogs");
        let area = r#"{"keep": [{"area": "> 0"}]}"#;
        assert!(refused(area, r#"[{"box": [0, 0, 1e308, -1e308]}]"#).ends_with("record 0 has nothing there"));
        assert!(refused(area, r#"[{"box": [0, 0, 1]}]"#).ends_with("record 0 has nothing there"));
        assert!(refused("{}", "{}").starts_with("the records cannot be read: invalid type: map"));
        assert!(refused("{}", "[1]").contains("at line 1 column 2; send a JSON list of objects"));
        assert!(refused("{}", &"[".repeat(999)).starts_with("the records cannot be read"));
        assert!(refused("{}", &" ".repeat(RECORDS_BYTES_MAX + 1)).starts_with("the records have 16777217 bytes"));
    }

    proptest! {
        #[test]
        fn arbitrary_texts_never_panic(settings in "[\\[\\]{}\":a-c<>=0-9. ]{0,40}", records in any::<Vec<u8>>()) {
            if let Ok(rules) = Rules::read(&settings) {
                let _ = rules.apply(&records);
            }
        }

        #[test]
        fn what_is_kept_fulfils_the_rule(confidences in proptest::collection::vec(0.0f64..1.0, 0..20)) {
            let record = |value: &f64| format!(r#"{{"confidence": {value}}}"#);
            let records = format!("[{}]", confidences.iter().map(record).collect::<Vec<_>>().join(","));
            let outcome = apply(r#"{"keep": [{"confidence": ">= 0.25 and < 0.75"}]}"#, &records).unwrap();
            let expected = confidences.iter().filter(|value| (0.25..0.75).contains(*value)).count();
            prop_assert_eq!(outcome.kept.len(), expected);
        }
    }
}
