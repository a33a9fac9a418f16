//! Answers that are texts, as task modules write them.

use serde_json::{Map, Value};

use super::figures::{count, number, short, wrapped};
use super::grid::{INDENT, WIDTH, fitted, grid};

/// How many entries of a list are shown; all are in the JSON.
const ENTRIES_SHOWN: usize = 20;

/// A list of objects as a table, with the texts of each first; anything else as it is.
pub(super) fn said(name: &str, text: &Value) -> String {
    let entries = text.as_array().and_then(|list| list.iter().map(Value::as_object).collect::<Option<Vec<_>>>());
    match entries {
        Some(entries) if !entries.is_empty() => listed(name, &entries),
        Some(_) => format!("{INDENT}{}: nothing\n", short(name, 40)),
        None => {
            let text = text.as_str().map_or_else(|| text.to_string(), str::to_owned);
            let lines = wrapped(&format!("{}: {}", short(name, 40), short(&text, 1000)), WIDTH - INDENT.len());
            lines.into_iter().map(|line| format!("{INDENT}{line}\n")).collect()
        }
    }
}

fn listed(name: &str, entries: &[&Map<String, Value>]) -> String {
    let mut keys: Vec<&String> = entries[0].keys().collect();
    keys.sort_by_key(|key| match &entries[0][*key] {
        Value::String(_) => 0,
        Value::Array(_) | Value::Object(_) => 2,
        _ => 1,
    });
    let header: Vec<String> = std::iter::once(short(name, 40)).chain(keys.iter().map(|key| short(key, 20))).collect();
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let row = |at: usize, entry: &Map<String, Value>, width| {
        let cells = keys.iter().map(|key| entry.get(*key).map_or_else(String::new, |value| cell(value, width)));
        std::iter::once((at + 1).to_string()).chain(cells).collect()
    };
    let is_text = |key: &&&String| matches!(entries[0][**key], Value::String(_) | Value::Array(_));
    let texts: Vec<usize> = (1..).zip(&keys).filter(|(_, key)| is_text(key)).map(|(at, _)| at).collect();
    let shown = entries.iter().take(ENTRIES_SHOWN).enumerate();
    let mut text =
        fitted(60, 12, |width| grid(&header, &texts, shown.clone().map(|(at, entry)| row(at, entry, width)).collect()));
    if let Some(more @ 1..) = entries.len().checked_sub(ENTRIES_SHOWN) {
        text += &format!("{INDENT}and {}\n", count(more, "more line"));
    }
    text
}

fn cell(value: &Value, width: usize) -> String {
    match value {
        Value::String(text) => short(text, width),
        Value::Number(whole) if whole.is_i64() || whole.is_u64() => whole.to_string(),
        Value::Number(any) => number(any.as_f64().unwrap_or(f64::NAN), 3),
        Value::Array(list) => list
            .iter()
            .map(|value| match value.as_f64() {
                Some(value) => number(value, 0),
                None => short(&value.to_string(), width),
            })
            .collect::<Vec<_>>()
            .join(" "),
        other => short(&other.to_string(), width),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_is_a_table_and_control_characters_are_gone() {
        let found = json!([
            {"box": [1.4, 2.0, 30.9, 40.0], "class": 3, "confidence": 0.98765, "label": "dog"},
            {"box": [0, 0, 5, 5], "class": 0, "confidence": 0.5, "label": "a\u{1b}[31mred\nline"},
        ]);
        let table = concat!(
            "  found  label           class  confidence  box\n",
            "      1  dog                 3       0.988  1 2 31 40\n",
            "      2  a�[31mred�line      0       0.500  0 0 5 5\n",
        );
        assert_eq!(said("found", &found), table);
    }

    #[test]
    fn other_texts_are_shown_as_they_are() {
        assert_eq!(said("lines", &json!([])), "  lines: nothing\n");
        assert_eq!(said("alarm", &json!({"raised": true})), "  alarm: {\"raised\":true}\n");
        assert_eq!(said("note", &json!("all is well")), "  note: all is well\n");
        let many = json!(vec![json!({"at": 1}); 23]);
        assert!(said("many", &many).ends_with("and 3 more lines\n"), "{}", said("many", &many));
    }
}
