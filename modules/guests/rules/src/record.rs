//! What a record has in a field.

use serde_json::{Map, Value};

use crate::RulesError;
use crate::settings::{Condition, Test, shortened};

/// Whether the condition holds of the record, which is the `at`th.
///
/// A field that is missing or something else is an error only if all other tests hold: it decides then.
pub(crate) fn holds(condition: &Condition, record: &Map<String, Value>, at: usize) -> Result<bool, RulesError> {
    let mut undecided = None;
    for (field, test) in &condition.tests {
        let value = field_of(record, field);
        let (held, wanted) = match test {
            Test::OneOf(texts) => {
                (value.as_ref().and_then(Value::as_str).map(|text| texts.iter().any(|one| one == text)), "text")
            }
            Test::Number(comparison) => {
                (value.as_ref().and_then(Value::as_f64).map(|number| comparison.holds(number)), "number")
            }
        };
        match held {
            Some(true) => {}
            Some(false) => return Ok(false),
            None => {
                undecided.get_or_insert_with(|| RulesError::Field {
                    place: condition.place.clone(),
                    field: field.clone(),
                    wanted,
                    record: at,
                    found: value.as_ref().map_or("nothing".to_owned(), shortened),
                });
            }
        }
    }
    undecided.map_or(Ok(true), Err)
}

/// The field itself, or what it is of the record's box: left, top, right, bottom.
fn field_of(record: &Map<String, Value>, field: &str) -> Option<Value> {
    if let Some(value) = record.get(field) {
        return Some(value.clone());
    }
    let edges: Vec<f64> = record.get("box")?.as_array()?.iter().map(Value::as_f64).collect::<Option<_>>()?;
    let [left, top, right, bottom] = edges[..] else { return None };
    let value = match field {
        "left" => left,
        "top" => top,
        "right" => right,
        "bottom" => bottom,
        "width" => right - left,
        "height" => bottom - top,
        "area" => (right - left) * (bottom - top),
        _ => return None,
    };
    value.is_finite().then(|| value.into())
}
