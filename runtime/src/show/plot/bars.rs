//! The chart of the plan and of what else could be done: a bar for what was measured, a tick for what was predicted.

use super::svg::{Anchor, FAINT_INK, Font, INK, PAPER, Svg};
use super::{LEFT, RIGHT, SECTION};
use crate::run::report::Report;
use crate::show::figures::ms;

const ROW: f64 = 27.0;
const BAR: f64 = 17.0;

/// Where the bars begin, after the names, and where the longest ends, before the figures.
const BARS: [f64; 2] = [290.0, 580.0];

/// The plan's colour, and that of everything else.
const PLAN: &str = "#0072b2";
const OTHERS: &str = "#9fb0c0";

struct Row<'a> {
    name: &'a str,
    predicted_ms: Option<f64>,
    measured_ms: Option<f64>,
    same_class: Option<bool>,
    forbidden: bool,
    refused: Option<&'a str>,
}

/// Draws the chart from `top` downwards and returns where it ends.
pub(super) fn draw(svg: &mut Svg, report: &Report, top: f64) -> f64 {
    let rows = rows(report);
    svg.text([LEFT, top + 14.0], Anchor::Start, SECTION, "The plan, and what else could be done");
    legend(svg, rows.iter().any(|row| row.measured_ms.is_some()), top + 5.0);
    let times = rows.iter().flat_map(|row| [row.predicted_ms, row.measured_ms]).flatten();
    let most_ms = times.fold(0.0, f64::max);
    let x = |time_ms: f64| BARS[0] + if most_ms > 0.0 { time_ms / most_ms * (BARS[1] - BARS[0]) } else { 0.0 };
    for (index, row) in rows.iter().enumerate() {
        draw_row(svg, row, index == 0, top + 32.0 + index as f64 * ROW, &x);
    }
    top + 32.0 + rows.len() as f64 * ROW
}

fn rows(report: &Report) -> Vec<Row<'_>> {
    let drawable = |time_ms: Option<f64>| time_ms.filter(|time_ms| time_ms.is_finite() && *time_ms >= 0.0);
    let plan = Row {
        name: "the plan",
        predicted_ms: drawable(Some(report.plan.predicted_ms)),
        measured_ms: drawable(report.plan.measured.map(|measured| measured.median_ms)),
        same_class: None,
        forbidden: false,
        refused: None,
    };
    let others = report.baselines.iter().map(|baseline| Row {
        name: &baseline.name,
        predicted_ms: drawable(baseline.predicted_ms),
        measured_ms: drawable(baseline.measured.map(|measured| measured.median_ms)),
        same_class: baseline.same_class,
        forbidden: baseline.sends_inputs_that_stay,
        refused: baseline.refused.as_deref(),
    });
    std::iter::once(plan).chain(others).collect()
}

fn legend(svg: &mut Svg, any_measured: bool, y: f64) {
    let font = Font::new(11.0, INK);
    let mut x = RIGHT - font.width_of("predicted");
    svg.text([x, y + 9.0], Anchor::Start, font, "predicted");
    svg.rect([x - 11.0, y - 2.0, 3.0, 14.0], INK, "");
    if any_measured {
        x -= 31.0 + font.width_of("measured");
        svg.text([x, y + 9.0], Anchor::Start, font, "measured");
        svg.rect([x - 25.0, y, 20.0, 10.0], OTHERS, "");
    }
}

fn draw_row(svg: &mut Svg, row: &Row<'_>, is_plan: bool, y: f64, x: &impl Fn(f64) -> f64) {
    let font = if is_plan { Font::new(12.0, INK).bold() } else { Font::new(12.0, INK) };
    let name = font.fit(row.name, BARS[0] - LEFT - 20.0);
    svg.text([BARS[0] - 10.0, y + 13.0], Anchor::End, font, &name);
    let mut end = BARS[0];
    if let Some(measured_ms) = row.measured_ms {
        end = x(measured_ms).max(BARS[0] + 1.5);
        svg.rect([BARS[0], y, end - BARS[0], BAR], if is_plan { PLAN } else { OTHERS }, "");
    }
    if let Some(predicted_ms) = row.predicted_ms {
        let tick = x(predicted_ms);
        svg.rect([tick - 2.5, y - 3.0, 5.0, BAR + 6.0], PAPER, "");
        svg.rect([tick - 1.5, y - 3.0, 3.0, BAR + 6.0], INK, "");
        end = end.max(tick + 2.5);
    }
    let figures = if is_plan { Font::new(11.0, INK).bold() } else { Font::new(11.0, FAINT_INK) };
    let place = [end + 8.0, y + 12.5];
    svg.text(place, Anchor::Start, figures, &figures.fit(&caption(row), RIGHT - place[0]));
}

fn caption(row: &Row<'_>) -> String {
    let times = match (row.measured_ms, row.predicted_ms) {
        (Some(measured_ms), Some(predicted_ms)) => format!("{}, {} predicted", ms(measured_ms), ms(predicted_ms)),
        (Some(measured_ms), None) => ms(measured_ms),
        (None, Some(predicted_ms)) => format!("{} predicted", ms(predicted_ms)),
        (None, None) => {
            row.refused.map_or_else(|| "no time is known".to_owned(), |reason| format!("cannot be: {reason}"))
        }
    };
    let other = if row.same_class == Some(false) { ", another answer" } else { "" };
    let forbidden = if row.forbidden { ", no choice: the input must stay" } else { "" };
    format!("{times}{other}{forbidden}")
}
