//! The table of where the time went: tier by kind, in milliseconds, measured over predicted.

use super::figures::{NONE, number, short};
use super::grid::grid;
use crate::run::report::{Report, TierRow, TimesRow};

/// The kinds of time, in the order in which a request meets them, and at the end their sum.
const KINDS: [&str; 8] = ["wait", "decode", "compute", "encode", "queue", "wire", "answer", "sum"];

/// Which of [`KINDS`] is the sum.
const SUM: usize = KINDS.len() - 1;

/// Milliseconds of each of [`KINDS`].
type Cells = [f64; KINDS.len()];

/// Times that were measured, or predicted.
struct Source {
    name: &'static str,
    latency_ms: f64,
    /// One row a tier.
    rows: Vec<Cells>,
}

/// One line of the table.
struct Line {
    head: String,
    source: &'static str,
    cells: Cells,
}

/// A title and the table; columns without any time are left out. The sums add up to the latency, with what no tier
/// accounts for as `other` where it would not read as zero.
pub(super) fn times(report: &Report) -> String {
    let plan = &report.plan;
    let measured = plan.measured.map(|measured| (measured.median_ms, |tier: &TierRow| tier.measured));
    let measured = measured.and_then(|(latency_ms, times)| Source::of(report, "measured", latency_ms, times));
    let predicted = Source::of(report, "predicted", plan.predicted_ms, |tier| Some(tier.predicted));
    let title = if measured.is_some() { "where the time went, in ms" } else { "where the time would go, in ms" };
    let sources: Vec<Source> = measured.into_iter().chain(predicted).collect();

    let decimals = if report.latency_ms() >= 10.0 { 1 } else { 2 };
    let reads_as_zero = |line: &Line| number(line.cells[SUM], decimals) == number(0.0, decimals);
    let tiers = plan.tiers.iter().enumerate();
    let tiers = tiers.flat_map(|(index, tier)| block(&short(&tier.tier, 16), &sources, |source| source.row(index)));
    let mut lines: Vec<Line> = tiers.collect();
    let other = block("other", &sources, Source::other);
    if !other.iter().all(reads_as_zero) {
        lines.extend(other);
    }
    lines.extend(block("total", &sources, Source::total));
    format!("  {title}\n{}", print(&lines, sources.len() > 1, decimals))
}

impl Source {
    /// None when a tier lacks these times.
    fn of(
        report: &Report,
        name: &'static str,
        latency_ms: f64,
        times: impl Fn(&TierRow) -> Option<TimesRow>,
    ) -> Option<Self> {
        let rows: Option<Vec<Cells>> = report.plan.tiers.iter().map(|tier| times(tier).map(cells)).collect();
        Some(Self { name, latency_ms, rows: rows? })
    }

    fn row(&self, index: usize) -> Cells {
        self.rows.get(index).copied().unwrap_or_default()
    }

    /// What the tiers leave of the latency; negative where their times overlap.
    fn other(&self) -> Cells {
        let mut cells = Cells::default();
        cells[SUM] = self.latency_ms - self.rows.iter().map(|row| row[SUM]).sum::<f64>();
        cells
    }

    /// The sum of each column, and the latency as theirs.
    fn total(&self) -> Cells {
        let mut cells: Cells = std::array::from_fn(|kind| self.rows.iter().map(|row| row[kind]).sum());
        cells[SUM] = self.latency_ms;
        cells
    }
}

fn cells(times: TimesRow) -> Cells {
    let TimesRow { wait_ms, decode_ms, compute_ms, encode_ms, queue_ms, wire_ms, answer_ms } = times;
    let sum_ms = wait_ms + decode_ms + compute_ms + encode_ms + queue_ms + wire_ms + answer_ms;
    [wait_ms, decode_ms, compute_ms, encode_ms, queue_ms, wire_ms, answer_ms, sum_ms]
}

/// The lines under one head, which stands on the first of them only.
fn block(head: &str, sources: &[Source], cells: impl Fn(&Source) -> Cells) -> Vec<Line> {
    let heads = std::iter::once(head).chain(std::iter::repeat(""));
    let line =
        |(source, head): (&Source, &str)| Line { head: head.to_owned(), source: source.name, cells: cells(source) };
    sources.iter().zip(heads).map(line).collect()
}

/// All cells have the same number of decimals, so that columns can be added up by eye.
fn print(lines: &[Line], with_source: bool, decimals: usize) -> String {
    let cell = |value: f64| if value.is_finite() && value != 0.0 { number(value, decimals) } else { NONE.to_owned() };
    let shown = (0..KINDS.len()).filter(|kind| lines.iter().any(|line| line.cells[*kind] != 0.0));
    let shown: Vec<usize> = shown.collect();
    let texts: &[usize] = if with_source { &[0, 1] } else { &[0] };
    let header = ["tier", ""].into_iter().take(texts.len()).chain(shown.iter().map(|kind| KINDS[*kind]));
    let row = |line: &Line| {
        let source = with_source.then(|| line.source.to_owned());
        let cells = shown.iter().map(|kind| cell(line.cells[*kind]));
        std::iter::once(line.head.clone()).chain(source).chain(cells).collect()
    };
    grid(&header.collect::<Vec<_>>(), texts, lines.iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::report::MeasuredRow;
    use crate::show::sample;

    /// The last figure of the measured line under `head`.
    fn sum_of(text: &str, head: &str) -> Option<f64> {
        let line = text.lines().find(|line| line.trim_start().starts_with(head))?;
        line.split_whitespace().last()?.parse().ok()
    }

    #[test]
    fn the_sums_and_the_rest_add_up_to_the_latency() {
        let mut report = sample::report(3, true);
        for latency_ms in [50.0, 123.4, 999.0] {
            report.plan.measured = report.plan.measured.map(|row| MeasuredRow { median_ms: latency_ms, ..row });
            let text = times(&report);
            let parts: f64 = ["device", "edge", "cloud", "other"].iter().filter_map(|head| sum_of(&text, head)).sum();
            assert!((parts - latency_ms).abs() < 0.2, "{parts} of {latency_ms} in\n{text}");
            assert_eq!(sum_of(&text, "total"), Some(latency_ms));
        }
    }

    #[test]
    fn a_plan_that_was_not_run_has_predictions_only() {
        let text = times(&sample::report(2, false));
        for word in ["measured", "wait", "queue"] {
            assert!(!text.contains(word), "{word} in\n{text}");
        }
    }
}
