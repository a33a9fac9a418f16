//! Sweeps and frontiers as pictures.

use std::time::Duration;

use thalweg_planner::{Bandwidth, Measure, print_duration};

use super::chart::{Axes, Band, Curve, Scale, band_colour, draw};
use super::svg::{Anchor, FAINT_INK, Font, INK, Svg};
use super::{LEFT, WIDTH};
use crate::run::study::{FrontierRow, SweepRow};

/// Left, top, right and bottom of the field in which curves are drawn.
pub(super) const FIELD: [f64; 4] = [90.0, 96.0, 800.0, 440.0];

/// The plan's colour.
pub(super) const PLAN: &str = "#0072b2";

/// Colours of what else could be done, in the order of their names.
const OTHERS: [&str; 6] = ["#5c6773", "#8a5a00", "#3d7a3a", "#8c3d73", "#7a2e2e", "#2e6b7a"];

/// An SVG document: the latency of the best plan over a range, the whole model in one place beside it, and a coloured
/// band for each decision.
pub fn sweep_chart(name: &str, row: &SweepRow) -> String {
    let mut svg = Svg::default();
    title(&mut svg, name, &format!("What is decided as {} changes", row.setting));
    let points = |time: &dyn Fn(usize) -> Option<f64>| -> Vec<[f64; 2]> {
        (0..row.points.len()).filter_map(|at| Some([row.points[at].value, time(at)?])).collect()
    };
    let best = Curve { name: "the plan", points: points(&|at| row.points[at].predicted_ms), colour: PLAN, width: 3.0 };
    let names = row.points.first().map_or(&[][..], |point| &point.instead_ms);
    let others = names.iter().enumerate().map(|(index, (name, _))| Curve {
        name,
        points: points(&|at| row.points[at].instead_ms.get(index)?.1),
        colour: OTHERS[index % OTHERS.len()],
        width: 1.2,
    });
    let curves: Vec<Curve<'_>> = std::iter::once(best).chain(others).collect();
    let bands: Vec<Band<'_>> = row
        .regions
        .iter()
        .enumerate()
        .filter_map(|(index, region)| {
            let first = row.points.iter().position(|point| point.region == index)?;
            let end = row.points.iter().rposition(|point| point.region == index)?;
            let to = row.points.get(end + 1).unwrap_or(&row.points[end]).value;
            Some(Band { from: row.points[first].value, to, kind: index, title: &region.decision })
        })
        .collect();
    let x = [row.points.first(), row.points.last()].map(|point| point.map_or(1.0, |point| point.value));
    let print_x: &dyn Fn(f64) -> String = match row.unit {
        "bit/s" => &|value| Bandwidth(value.round() as u64).to_string(),
        "ns" => &|value| print_duration(Duration::from_nanos(value.round() as u64)),
        _ => &|value| format!("{value} x"),
    };
    let y = ends(curves.iter().flat_map(|curve| &curve.points).map(|point| point[1]));
    let axes = Axes {
        x,
        y,
        titles: [&row.setting, "predicted latency"],
        print: [print_x, &print_ms],
        scale: Scale::Logarithmic,
    };
    draw(&mut svg, FIELD, &axes, &bands, &curves);
    let mut y = FIELD[3] + 66.0;
    for (index, region) in row.regions.iter().enumerate() {
        svg.rect([LEFT, y - 11.0, 14.0, 14.0], band_colour(index), "");
        let font = Font::new(12.0, INK);
        let text = format!("{} to {}: {}", region.from, region.to, region.decision);
        svg.text([LEFT + 22.0, y], Anchor::Start, font, &font.fit(&text, WIDTH - LEFT - 40.0));
        y += 20.0;
    }
    svg.finish(name, WIDTH, y + 4.0)
}

/// An SVG document: a mark for each plan, from the least of one measure to the least of the other, and the steps
/// between. What takes nothing of a measure stands at the beginning of its axis, which is logarithmic.
pub fn frontier_chart(name: &str, row: &FrontierRow) -> String {
    let mut svg = Svg::default();
    title(&mut svg, name, "Plans of which none is better in both");
    let [x, y] = [0, 1].map(|at| ends(row.plans.iter().map(|plan| plan.values[at])));
    let points: Vec<[f64; 2]> =
        row.plans.iter().map(|plan| [plan.values[0].max(x[0]), plan.values[1].max(y[0])]).collect();
    let [print_x, print_y] = row.measures.map(|measure| move |value: f64| measure.print(value));
    let titles = row.measures.map(Measure::name);
    let axes = Axes { x, y, titles, print: [&print_x, &print_y], scale: Scale::Logarithmic };
    // Between two plans nothing is better than the first one.
    let steps = points.windows(2).flat_map(|pair| [pair[0], [pair[1][0], pair[0][1]]]).chain(points.last().copied());
    let curve = Curve { name: "", points: steps.collect(), colour: PLAN, width: 2.0 };
    draw(&mut svg, FIELD, &axes, &[], &[curve]);
    for (point, plan) in points.iter().zip(&row.plans) {
        if let Some([x, y]) = axes.place(FIELD, *point) {
            svg.rect([x - 4.0, y - 4.0, 8.0, 8.0], PLAN, &plan.decision);
        }
    }
    svg.finish(name, WIDTH, FIELD[3] + 60.0)
}

fn print_ms(value: f64) -> String {
    Duration::try_from_secs_f64(value / 1e3).map_or_else(|_| String::new(), print_duration)
}

pub(super) fn title(svg: &mut Svg, name: &str, what: &str) {
    let font = Font::new(22.0, INK).bold();
    svg.text([LEFT, 38.0], Anchor::Start, font, &font.fit(name, WIDTH - 2.0 * LEFT));
    let font = Font::new(14.0, FAINT_INK);
    svg.text([LEFT, 60.0], Anchor::Start, font, &font.fit(what, WIDTH - 2.0 * LEFT));
}

/// The least and the largest of positive values, with a little room.
pub(super) fn ends(values: impl Iterator<Item = f64>) -> [f64; 2] {
    let positive = values.filter(|value| value.is_finite() && *value > 0.0);
    let [low, high] =
        positive.fold([f64::INFINITY, 0.0], |[low, high], value| [f64::min(low, value), f64::max(high, value)]);
    if high > 0.0 { [low / 1.1, high * 1.1] } else { [1.0, 10.0] }
}
