//! What must be true of every report and every picture.

use serde_json::Value;

/// Checks a report: a plan whose tiers hold all layers, baselines with figures, and spans when something `was_run`.
pub(super) fn checked_report(report: &Value, was_run: bool) {
    let plan = &report["plan"];
    let tiers = plan["tiers"].as_array().expect("tiers");
    let layers: u64 = tiers.iter().filter_map(|tier| tier["layers"].as_u64()).sum();
    assert!(layers > 0 && Some(layers) == report["model"]["layers"].as_u64(), "{report:#}");
    assert!(plan["predicted_ms"].as_f64() > Some(0.0), "{report:#}");
    assert_eq!(plan["measured"].is_null(), !was_run);
    assert_eq!(plan["spans"].as_array().expect("spans").is_empty(), !was_run);
    let computing = tiers.iter().find(|tier| tier["layers"].as_u64() > Some(0)).expect("somebody computes");
    assert_eq!(computing["measured"].is_null(), !was_run);
    for row in report["baselines"].as_array().expect("baselines").iter().filter(|row| row["refused"].is_null()) {
        assert!(row["predicted_ms"].as_f64() > Some(0.0), "{row:#}");
        assert_eq!(row["measured"].is_null(), !was_run, "{row:#}");
    }
    if was_run {
        let measured = &plan["measured"];
        let [least, median, most] = ["least_ms", "median_ms", "most_ms"].map(|key| measured[key].as_f64().expect(key));
        assert!(0.0 < least && least <= median && median <= most, "{measured:#}");
        assert_eq!(measured["runs"], 3);
        let spans = plan["spans"].as_array().expect("spans");
        let ends =
            |span: &Value| span["start_ms"].as_f64().expect("start") + span["length_ms"].as_f64().expect("length");
        assert!(spans.iter().all(|span| ends(span) <= median + 1.0), "a span ends after its request: {plan:#}");
    }
}

/// Checks that a picture is one well-formed SVG element with something in it.
pub(super) fn check_svg(document: &str) {
    let mut open = Vec::new();
    let mut texts = 0;
    let mut rest = document;
    while let Some((_, after)) = rest.split_once('<') {
        let (tag, after) = after.split_once('>').expect("each tag ends");
        let name = tag.trim_start_matches('/').split([' ', '/', '\n']).next().unwrap_or_default();
        match tag {
            _ if tag.starts_with(['?', '!']) => {}
            _ if tag.starts_with('/') => assert_eq!(open.pop(), Some(name), "tags are nested"),
            _ if tag.ends_with('/') => assert!(!open.is_empty(), "{name} stands outside"),
            _ => {
                assert!(name == "svg" || !open.is_empty(), "the first tag is {name}");
                assert_eq!(tag.matches('"').count() % 2, 0, "quotes are closed in {tag}");
                open.push(name);
            }
        }
        texts += usize::from(tag.starts_with("text"));
        rest = after;
    }
    assert!(open.is_empty(), "{open:?} stay open");
    assert!(texts > 3, "there is nothing to read in {document}");
}
