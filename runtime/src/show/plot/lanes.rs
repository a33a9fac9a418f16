//! The timeline: one lane a tier and one a link, over an axis of milliseconds.

use thalweg_planner::Bytes;

use super::spans::{Bar, bars, stacked};
use super::svg::{Anchor, FAINT_INK, Font, INK, RULE, Svg};
use super::{LEFT, RIGHT, SECTION};
use crate::run::report::{Report, TierRow};
use crate::show::figures::{count, ms, number};

/// Bars in one lane at the same time that get a row of their own.
const ROWS_MAX: usize = 3;

/// Where the lanes begin, after the names.
const AXIS: f64 = 180.0;

/// Height of the labels under bars that are too short to carry them.
const LABELS: f64 = 14.0;

/// A kind of time, its colour and that of text on it, from the palette of Okabe and Ito, which people with any kind
/// of colour vision can tell apart (<https://jfly.uni-koeln.de/color/>).
const KINDS: [(&str, &str, &str); 7] = [
    ("wait", "#999999", INK),
    ("decode", "#56b4e9", INK),
    ("compute", "#0072b2", "#ffffff"),
    ("encode", "#009e73", INK),
    ("queue", "#f0e442", INK),
    ("wire", "#e69f00", INK),
    ("answer", "#cc79a7", INK),
];

/// From milliseconds to pixels.
#[derive(Clone, Copy)]
struct Scale {
    end_ms: f64,
}

impl Scale {
    fn x(self, time_ms: f64) -> f64 {
        AXIS + (time_ms / self.end_ms).clamp(0.0, 1.0) * (RIGHT - AXIS)
    }
}

/// Draws the timeline from `top` downwards and returns where it ends.
pub(super) fn draw(svg: &mut Svg, report: &Report, top: f64) -> f64 {
    let bars = bars(report);
    let title = match report.plan.measured {
        Some(measured) if measured.runs > 1 => format!("One request: the median of {}", measured.runs),
        Some(_) => "One request".to_owned(),
        None => "One request, as predicted".to_owned(),
    };
    svg.text([LEFT, top + 14.0], Anchor::Start, SECTION, &title);
    legend(svg, &bars, top + 5.0);

    let last_ms = bars.iter().map(|bar| bar.end_ms).chain([report.latency_ms()]);
    let last_ms = last_ms.filter(|end_ms| end_ms.is_finite()).fold(0.0, f64::max);
    let scale = Scale { end_ms: if last_ms > 0.0 { last_ms } else { 1.0 } };
    let lanes = report.plan.tiers.len().saturating_mul(2).saturating_sub(1);
    let stacks: Vec<Vec<Vec<&Bar>>> = (0..lanes).map(|lane| stacked(&bars, lane, ROWS_MAX)).collect();
    let first = top + 52.0;
    let bottom = first + stacks.iter().enumerate().map(|(lane, rows)| lane_height(lane, rows.len())).sum::<f64>();
    let mut y = first;
    for (lane, rows) in stacks.iter().enumerate() {
        if lane % 2 == 0 {
            svg.rect([LEFT, y, RIGHT - LEFT, lane_height(lane, rows.len())], "#f3f5f8", "");
        }
        y += lane_height(lane, rows.len());
    }
    axis(svg, scale, first, bottom);
    let mut y = first;
    for (lane, rows) in stacks.iter().enumerate() {
        if let Some(tier) = report.plan.tiers.get(lane / 2) {
            name(svg, tier, lane % 2 == 1, y + 4.0);
            let bar_height = bar_height(lane);
            for (row, bars) in rows.iter().enumerate() {
                let top = y + 4.0 + row as f64 * (bar_height + LABELS);
                draw_row(svg, scale, &tier.tier, bars, [top, bar_height]);
            }
        }
        y += lane_height(lane, rows.len());
    }
    bottom
}

fn bar_height(lane: usize) -> f64 {
    if lane.is_multiple_of(2) { 26.0 } else { 20.0 }
}

fn lane_height(lane: usize, rows: usize) -> f64 {
    4.0 + rows as f64 * (bar_height(lane) + LABELS)
}

/// The kinds that occur, from the right.
fn legend(svg: &mut Svg, bars: &[Bar], y: f64) {
    let font = Font::new(11.0, INK);
    let mut x = RIGHT;
    for (kind, fill, _) in KINDS.iter().rev().filter(|(kind, ..)| bars.iter().any(|bar| bar.kind == *kind)) {
        x -= font.width_of(kind);
        svg.text([x, y + 9.0], Anchor::Start, font, kind);
        svg.rect([x - 15.0, y, 10.0, 10.0], fill, "");
        x -= 31.0;
    }
}

fn axis(svg: &mut Svg, scale: Scale, first: f64, bottom: f64) {
    let font = Font::new(11.0, FAINT_INK);
    svg.text([AXIS - 10.0, first - 7.0], Anchor::End, font, "ms");
    let (step, decimals) = round_step(scale.end_ms / 8.0);
    for index in 0..=(scale.end_ms / step * (1.0 + 1e-9)) as usize {
        let time_ms = index as f64 * step;
        let x = scale.x(time_ms);
        svg.line([x, first], [x, bottom], RULE, 1.0);
        svg.text([x, first - 7.0], Anchor::Middle, font, &number(time_ms, decimals));
    }
}

/// The least of 1, 2 and 5 times a power of ten that is not below `least`, and the decimals it needs.
fn round_step(least: f64) -> (f64, usize) {
    let power = least.log10().floor();
    let scale = 10f64.powf(power);
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * scale >= least * (1.0 - 1e-9)).unwrap_or(10.0);
    let power = if factor == 10.0 { power + 1.0 } else { power };
    (factor * scale, (-power).clamp(0.0, 12.0) as usize)
}

/// A tier's name and how much it computes, or what crosses the link above it.
fn name(svg: &mut Svg, tier: &TierRow, link: bool, y: f64) {
    let width = AXIS - LEFT - 26.0;
    let small = Font::new(11.0, FAINT_INK);
    let place = |dy: f64| [LEFT + 10.0, y + dy];
    if !link {
        let bold = Font::new(13.0, INK).bold();
        svg.text(place(14.0), Anchor::Start, bold, &bold.fit(&tier.tier, width));
        let share = if tier.part.is_some() { count(tier.layers, "layer") } else { "passes on".to_owned() };
        svg.text(place(30.0), Anchor::Start, small, &small.fit(&share, width));
    } else if let Some(sends) = &tier.sends {
        let bytes = Bytes(sends.measured_bytes.unwrap_or(sends.predicted_bytes));
        svg.text(place(13.0), Anchor::Start, small, &small.fit(&format!("{bytes}, {}", sends.codecs()), width));
    }
}

fn draw_row(svg: &mut Svg, scale: Scale, tier: &str, bars: &[&Bar], [top, height]: [f64; 2]) {
    let mut unlabelled: Vec<&Bar> = Vec::new();
    for bar in bars {
        let (fill, ink) =
            KINDS.iter().find(|kind| kind.0 == bar.kind).map_or(("#999999", INK), |kind| (kind.1, kind.2));
        let start = scale.x(bar.start_ms).min(RIGHT - 1.5);
        let end = scale.x(bar.end_ms).max(start + 1.5);
        svg.polygon(&corners(bar.kind, [start, end], [top, top + height]), fill, &tooltip(tier, bar));
        let font = Font::new(11.0, ink);
        let room = end - start - if crosses(bar.kind) { 2.0 * slant(end - start, height) } else { 8.0 };
        let is_alone =
            bars.iter().filter(|other| other.end_ms > bar.start_ms && other.start_ms < bar.end_ms).count() <= 1;
        match labels(bar).into_iter().find(|label| is_alone && font.width_of(label) <= room) {
            Some(label) => svg.text([(start + end) / 2.0, top + height / 2.0 + 4.0], Anchor::Middle, font, &label),
            None => unlabelled.push(bar),
        }
    }
    label_beneath(svg, scale, unlabelled, top + height + 10.5);
}

/// What fits into a bar, the most telling first.
fn labels(bar: &Bar) -> Vec<String> {
    let time = ms(bar.length_ms());
    if bar.bytes > 0 { vec![format!("{time}, {}", Bytes(bar.bytes)), time] } else { vec![time] }
}

/// Labels the bars that are too short for it, the longest first, as far as labels do not meet.
fn label_beneath(svg: &mut Svg, scale: Scale, mut bars: Vec<&Bar>, y: f64) {
    let font = Font::new(10.0, FAINT_INK);
    bars.sort_by(|one, other| other.length_ms().total_cmp(&one.length_ms()));
    let mut taken: Vec<[f64; 2]> = Vec::new();
    for bar in bars {
        let label = format!("{} {}", bar.kind, ms(bar.length_ms()));
        let width = font.width_of(&label);
        let middle = (scale.x(bar.start_ms) + scale.x(bar.end_ms)) / 2.0;
        let start = (middle - width / 2.0).clamp(AXIS, RIGHT - width);
        if taken.iter().all(|other| start > other[1] + 4.0 || start + width + 4.0 < other[0]) {
            taken.push([start, start + width]);
            svg.text([start + width / 2.0, y], Anchor::Middle, font, &label);
        }
    }
}

fn crosses(kind: &str) -> bool {
    matches!(kind, "wire" | "answer")
}

/// How far the ends of a crossing lean: towards the tier above on the way up, back on the way down.
fn slant(width: f64, height: f64) -> f64 {
    (width / 2.0).min(height * 0.6)
}

fn corners(kind: &str, [start, end]: [f64; 2], [top, bottom]: [f64; 2]) -> [[f64; 2]; 4] {
    let slant = slant(end - start, bottom - top);
    match kind {
        "wire" => [[start, top], [end - slant, top], [end, bottom], [start + slant, bottom]],
        "answer" => [[start + slant, top], [end, top], [end - slant, bottom], [start, bottom]],
        _ => [[start, top], [end, top], [end, bottom], [start, bottom]],
    }
}

fn tooltip(tier: &str, bar: &Bar) -> String {
    let bytes = if bar.bytes > 0 { format!(", {}", Bytes(bar.bytes)) } else { String::new() };
    let font = Font::new(1.0, INK);
    let tier = font.fit(tier, 40.0);
    format!("{tier}: {} {}, from {} to {}{bytes}", bar.kind, ms(bar.length_ms()), ms(bar.start_ms), ms(bar.end_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        assert_eq!(round_step(12.0), (20.0, 0));
        assert_eq!(round_step(0.6), (1.0, 0));
        assert_eq!(round_step(5.0), (5.0, 0));
        let (step, decimals) = round_step(0.013);
        assert!((step - 0.02).abs() < 1e-12 && decimals == 2);
    }
}
