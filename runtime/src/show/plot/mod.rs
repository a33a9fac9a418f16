//! A report as a picture: where one request spent its time, and the plan beside what else could be done.

mod svg;
mod spans;
mod lanes;
mod bars;
mod chart;
mod study;
mod rate;

pub use rate::rate_chart;
pub use study::{frontier_chart, sweep_chart};
use svg::{Anchor, FAINT_INK, Font, INK, Svg};

use super::figures::lines;
use super::headline::headline;
use crate::run::report::Report;

/// The picture's width, and where its contents begin and end, in pixels.
const WIDTH: f64 = 1000.0;
const LEFT: f64 = 30.0;
const RIGHT: f64 = 970.0;

/// The titles of its two parts.
const SECTION: Font = Font::new(14.0, INK).bold();

/// An SVG document: a title, a timeline of the median request with a lane for each tier and each link, and a chart of
/// the plan and the baselines.
///
/// Without a measurement the predicted times are laid end to end. Times that are negative or not finite are left out.
/// All names are escaped and shortened; nothing is drawn outside the view box.
pub fn timeline(report: &Report) -> String {
    let mut svg = Svg::default();
    let mut y = head(&mut svg, report) + 22.0;
    if !report.plan.tiers.is_empty() {
        y = lanes::draw(&mut svg, report, y) + 30.0;
    }
    y = bars::draw(&mut svg, report, y) + 18.0;
    svg.finish(&report.name, WIDTH, y)
}

/// The name, the headline and what is emulated; returns where they end.
fn head(svg: &mut Svg, report: &Report) -> f64 {
    let title = Font::new(22.0, INK).bold();
    svg.text([LEFT, 42.0], Anchor::Start, title, &title.fit(&report.name, RIGHT - LEFT));
    let mut y = 48.0;
    let font = Font::new(14.0, INK);
    for line in headline(report) {
        y += 21.0;
        svg.text([LEFT, y], Anchor::Start, font, &font.fit(&line, RIGHT - LEFT));
    }
    let font = Font::new(12.0, FAINT_INK);
    let items = report.emulated.iter().enumerate();
    let items = items.map(|(index, item)| if index == 0 { format!("Emulated: {item}") } else { item.clone() });
    for line in lines(items, ", ", 125) {
        y += 19.0;
        svg.text([LEFT, y], Anchor::Start, font, &font.fit(&line, RIGHT - LEFT));
    }
    y
}

#[cfg(test)]
mod tests;
