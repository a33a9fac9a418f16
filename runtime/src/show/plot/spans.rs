//! What the timeline shows: stretches of time, each in the lane of a tier or of the link above it.

use crate::run::report::{Report, TierRow};

/// A stretch of time of one request.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bar {
    /// Twice the tier's index, and one more for the link above it.
    pub(super) lane: usize,
    pub(super) kind: &'static str,
    pub(super) start_ms: f64,
    /// Not before the start.
    pub(super) end_ms: f64,
    /// What crosses, on links.
    pub(super) bytes: u64,
}

impl Bar {
    pub(super) fn length_ms(&self) -> f64 {
        self.end_ms - self.start_ms
    }
}

/// The measured spans, or the predicted times end to end when nothing was run; all begin at 0 or later and are finite.
pub(super) fn bars(report: &Report) -> Vec<Bar> {
    let bars = if report.plan.spans.is_empty() { predicted(&report.plan.tiers) } else { measured(report) };
    let drawable = |bar: &Bar| bar.start_ms >= 0.0 && bar.end_ms >= bar.start_ms && bar.end_ms.is_finite();
    bars.into_iter().filter(drawable).collect()
}

/// The lane of what a tier does, or sends and gets back.
fn lane(tier: usize, kind: &str, tiers: usize) -> usize {
    let crosses = matches!(kind, "queue" | "wire" | "answer");
    // The last tier has no link above it.
    (2 * tier + usize::from(crosses)).min(2 * tiers.saturating_sub(1))
}

fn measured(report: &Report) -> Vec<Bar> {
    let tiers = &report.plan.tiers;
    let bars = report.plan.spans.iter().filter_map(|span| {
        let tier = tiers.iter().position(|tier| tier.tier == span.tier)?;
        Some(Bar {
            lane: lane(tier, span.kind, tiers.len()),
            kind: span.kind,
            start_ms: span.start_ms,
            end_ms: span.start_ms + span.length_ms,
            bytes: span.bytes,
        })
    });
    bars.collect()
}

fn predicted(tiers: &[TierRow]) -> Vec<Bar> {
    let mut bars = Vec::new();
    let mut now_ms = 0.0;
    let mut put = |tier, kind, length_ms: f64, bytes| {
        if length_ms > 0.0 {
            let end_ms = now_ms + length_ms;
            bars.push(Bar { lane: lane(tier, kind, tiers.len()), kind, start_ms: now_ms, end_ms, bytes });
            now_ms = end_ms;
        }
    };
    for (index, tier) in tiers.iter().enumerate() {
        let times = &tier.predicted;
        put(index, "wait", times.wait_ms, 0);
        put(index, "decode", times.decode_ms, 0);
        put(index, "compute", times.compute_ms, 0);
        put(index, "encode", times.encode_ms, 0);
        put(index, "queue", times.queue_ms, 0);
        put(index, "wire", times.wire_ms, tier.sends.as_ref().map_or(0, |sends| sends.predicted_bytes));
    }
    for (index, tier) in tiers.iter().enumerate().rev() {
        let answers = tiers.iter().skip(index + 1).map(|above| above.answers_bytes);
        put(index, "answer", tier.predicted.answer_ms, answers.fold(0, u64::saturating_add));
    }
    bars
}

/// The bars of one lane in rows, so that none covers another of its row.
pub(super) fn stacked(bars: &[Bar], lane: usize, rows_max: usize) -> Vec<Vec<&Bar>> {
    let mut own: Vec<&Bar> = bars.iter().filter(|bar| bar.lane == lane).collect();
    own.sort_by(|one, other| one.start_ms.total_cmp(&other.start_ms));
    let mut rows: Vec<Vec<&Bar>> = vec![Vec::new()];
    for bar in own {
        let slack_ms = 1e-6;
        let is_free = |row: &Vec<&Bar>| row.last().is_none_or(|last| last.end_ms <= bar.start_ms + slack_ms);
        match rows.iter().position(is_free) {
            Some(row) => rows[row].push(bar),
            None if rows.len() < rows_max => rows.push(vec![bar]),
            None => rows[rows_max - 1].push(bar),
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::sample;

    #[test]
    fn predicted_times_lie_end_to_end_up_and_back() {
        let bars = bars(&sample::report(3, false));
        let ends: Vec<f64> = bars.iter().map(|bar| bar.end_ms).collect();
        let starts: Vec<f64> = bars.iter().skip(1).map(|bar| bar.start_ms).collect();
        assert_eq!(starts, ends[..ends.len() - 1]);
        let lanes: Vec<usize> = bars.iter().map(|bar| bar.lane).collect();
        assert_eq!(lanes, [0, 0, 1, 2, 2, 2, 3, 4, 4, 3, 1]);
    }

    #[test]
    fn bars_at_the_same_time_lie_in_rows() {
        let bar = |start_ms, end_ms| Bar { lane: 1, kind: "wire", start_ms, end_ms, bytes: 0 };
        let bars = [bar(0.0, 4.0), bar(2.0, 5.0), bar(4.0, 6.0), bar(4.5, 7.0)];
        let lengths = |rows_max| stacked(&bars, 1, rows_max).iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(lengths(3), [2, 1, 1]);
        assert_eq!(lengths(2), [2, 2]);
        assert_eq!(stacked(&bars, 0, 3), [Vec::<&Bar>::new()]);
    }
}
