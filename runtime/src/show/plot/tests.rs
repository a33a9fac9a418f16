//! Properties of the picture: well-formed, complete, nothing outside, nothing on top of anything else.

use crate::run::report::{Report, SpanRow, TimesRow};
use crate::show::{sample, timeline};

/// An element: its name, its attributes and its text.
struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    text: String,
}

impl Element {
    fn number(&self, attribute: &str) -> Option<f64> {
        self.attributes.iter().find(|(name, _)| name == attribute)?.1.parse().ok()
    }

    fn is(&self, attribute: &str, value: &str) -> bool {
        self.attributes.iter().any(|(name, own)| name == attribute && own == value)
    }
}

/// The elements of a document without comments and declarations; panics where it is not well-formed.
fn elements(document: &str) -> Vec<Element> {
    let mut found: Vec<Element> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    for piece in document.split('<').skip(1) {
        let (tag, text) = piece.split_once('>').expect("a tag is closed");
        assert!(!text.contains('>'), "a bare > in {text}");
        for reference in text.split('&').skip(1) {
            assert!(
                ["amp;", "lt;", "gt;", "quot;", "apos;"].iter().any(|known| reference.starts_with(known)),
                "{text}"
            );
        }
        if let Some(name) = tag.strip_prefix('/') {
            let index = open.pop().expect("an open element");
            assert_eq!(found[index].name, name);
            continue;
        }
        let (name, attributes) = tag.trim_end_matches('/').split_once(' ').unwrap_or((tag, ""));
        let mut quoted = attributes.split('"');
        let mut attributes = Vec::new();
        while let (Some(name), Some(value)) = (quoted.next(), quoted.next()) {
            attributes.push((name.trim().trim_end_matches('=').to_owned(), value.to_owned()));
        }
        found.push(Element { name: name.to_owned(), attributes, text: text.to_owned() });
        if !tag.ends_with('/') {
            open.push(found.len() - 1);
        }
    }
    assert!(open.is_empty() && document.trim_end().ends_with("</svg>"), "elements stay open");
    found
}

/// The box of a text, with characters as wide as in DejaVu Sans on average.
fn text_box(text: &Element) -> [f64; 4] {
    let [x, y, size] = ["x", "y", "font-size"].map(|name| text.number(name).expect("a number"));
    let plain = ["&amp;", "&lt;", "&gt;", "&quot;", "&apos;"]
        .iter()
        .fold(text.text.clone(), |text, entity| text.replace(entity, "_"));
    let width = plain.chars().count() as f64 * size * 0.6;
    let start = match () {
        () if text.is("text-anchor", "middle") => x - width / 2.0,
        () if text.is("text-anchor", "end") => x - width,
        () => x,
    };
    [start, y - size * 0.75, start + width, y + size * 0.2]
}

/// Checks everything that holds for every picture, and returns it.
fn check(report: &Report) -> String {
    let document = timeline(report);
    assert!(!document.contains("NaN") && !document.contains("inf"), "{document}");
    let elements = elements(&document);
    let root = elements.first().expect("a root");
    let [width, height] = ["width", "height"].map(|name| root.number(name).expect("a number"));
    let inside = |[left, top, right, bottom]: [f64; 4], what: &str| {
        assert!(left >= 0.0 && top >= 0.0 && right <= width && bottom <= height, "{what} leaves the picture");
    };
    for rect in elements.iter().filter(|element| element.name == "rect" && element.number("x").is_some()) {
        let [x, y, w, h] = ["x", "y", "width", "height"].map(|name| rect.number(name).expect("a number"));
        assert!(w >= 0.0 && h >= 0.0);
        inside([x, y, x + w, y + h], "a rectangle");
    }
    for polygon in elements.iter().filter(|element| element.name == "polygon") {
        for corner in polygon.attributes[0].1.split(' ') {
            let (x, y) = corner.split_once(',').expect("a point");
            let [x, y] = [x, y].map(|number| number.parse().expect("a number"));
            inside([x, y, x, y], "a corner");
        }
    }
    let texts: Vec<&Element> = elements.iter().filter(|element| element.name == "text").collect();
    for (index, text) in texts.iter().enumerate() {
        let own = text_box(text);
        inside(own, &text.text);
        for other in &texts[..index] {
            let other_box = text_box(other);
            let apart =
                own[0] >= other_box[2] || own[2] <= other_box[0] || own[1] >= other_box[3] || own[3] <= other_box[1];
            assert!(apart, "\"{}\" lies on \"{}\"", text.text, other.text);
        }
    }
    document
}

#[test]
fn every_tier_has_its_lane() {
    for tiers in 1..=8 {
        for measured in [true, false] {
            let report = sample::report(tiers, measured);
            let document = check(&report);
            for tier in &report.plan.tiers {
                assert!(document.contains(&format!(">{}</text>", tier.tier)), "{} is missing", tier.tier);
            }
        }
    }
}

#[test]
fn names_from_files_are_text() {
    let mut report = sample::report(3, true);
    let name = "<svg onload=\"alert(1)\"> & 'more' ".repeat(9);
    report.name.clone_from(&name);
    report.emulated = vec![name.clone(); 3];
    report.plan.spans.iter_mut().for_each(|span| span.tier.clone_from(&name));
    report.plan.tiers[0].tier.clone_from(&name);
    report.baselines.iter_mut().for_each(|row| row.name.clone_from(&name));
    report.plan.tiers[0].sends.as_mut().expect("sends").tensors[0].codec = name;
    assert!(!check(&report).contains("<svg onload"));
}

#[test]
fn times_of_every_size_are_drawn() {
    for length_ms in [0.0, 1e-9, 0.02, 3.0, 7e4, 1e12, 1e300, f64::MAX, -5.0, f64::INFINITY, f64::NAN] {
        let mut report = sample::report(3, true);
        let span = SpanRow { tier: "edge".into(), kind: "compute", start_ms: 1.0, length_ms, bytes: 0 };
        report.plan.spans.push(span);
        report.baselines[1].predicted_ms = Some(length_ms);
        check(&report);
        report.plan.spans.iter_mut().for_each(|span| span.length_ms = length_ms);
        check(&report);
        report.plan.spans.clear();
        report.plan.tiers[0].predicted = TimesRow { compute_ms: length_ms, ..TimesRow::default() };
        report.plan.measured = None;
        report.plan.predicted_ms = length_ms;
        check(&report);
    }
}

#[test]
fn an_empty_report_is_a_picture() {
    let mut report = sample::report(0, true);
    report.baselines.clear();
    check(&report);
}
