//! What a run comes to, in a few sentences: how fast the plan is, what it misses, and whether splitting was worth it.

use super::figures::{Pace, count, ms, number, per_cent, short, wrapped};
use super::grid::{INDENT, WIDTH};
use crate::run::report::{LATENCY, MeasuredRow, PlanRow, Report};

/// A sentence on the plan, one on each thing that is special about it and, where there is something to compare it with,
/// one on what it gains; each begins a line and goes on in the next one where a terminal is too narrow for it.
pub(super) fn headline(report: &Report) -> Vec<String> {
    let plan = &report.plan;
    let (id, epoch) = (short(&plan.id, 12), plan.epoch);
    let speed = match &plan.measured {
        Some(measured) => format!("{}, {} predicted", timed(measured), ms(plan.predicted_ms)),
        None => format!("{} predicted, nothing was run", ms(plan.predicted_ms)),
    };
    let gap = plan.gap.filter(|gap| *gap > 0.0);
    let gap = gap.map(|gap| format!(", within {} of the best possible", per_cent(gap))).unwrap_or_default();
    let first = format!("plan {id}, epoch {epoch}: {speed}{gap}");
    let replanned = report.replanned.as_ref().filter(|next| !next.same && report.best.is_none()).map(|next| {
        let (decision, time) = (short(&next.decision, 100), ms(next.predicted_ms));
        format!("with the times that were measured the planner would choose {decision}, {time}")
    });
    let missed = plan.missed.iter().map(|missed| short(missed, 100));
    let coarse = plan.coarse.iter().map(|row| {
        let (tier, tensor, share) = (short(&row.tier, 20), short(&row.tensor, 40), per_cent(row.share));
        format!("to be in time {tier} went on with {share} of {tensor}: its answer is coarser than the plan's")
    });
    let gain = if plan.goal == LATENCY { gain(report) } else { saving(report) };
    let given = report.best.as_ref().map(|best| {
        let (ratio, decision) = (number(best.ratio, 2), short(&best.decision, 100));
        format!(
            "given, not searched for: it costs {ratio} x what the best plan does ({decision}, {})",
            ms(best.predicted_ms)
        )
    });
    let sentences: Vec<String> =
        std::iter::once(first).chain(given).chain(replanned).chain(missed).chain(coarse).chain(gain).collect();
    sentences.iter().flat_map(|sentence| wrapped(sentence, WIDTH - INDENT.len())).collect()
}

/// `123 ms measured (median of 7, 119 to 140)`.
fn timed(measured: &MeasuredRow) -> String {
    let range = match measured.runs {
        0 | 1 => String::new(),
        runs => {
            let least = ms(measured.least_ms);
            let least = least.trim_end_matches(" ms");
            format!(" (median of {runs}, {least} to {})", ms(measured.most_ms))
        }
    };
    format!("{} measured{range}", ms(measured.median_ms))
}

/// What the plan gains over the best single place; none when there is nothing to compare.
fn gain(report: &Report) -> Option<String> {
    let (best, best_ms) = report.best_single_place()?;
    let pace = Pace::of(report.latency_ms(), best_ms)?;
    let place = single_place(&report.plan);
    let others = if place.is_some() { "the best of the others" } else { "the best single place" };
    let kept = report.baselines.iter().any(|row| row.sends_inputs_that_stay);
    let kept = if kept { " that keeps the input" } else { "" };
    let best = format!("{others}{kept} ({}, {})", short(&best.name, 50), ms(best_ms));
    Some(match (place, pace) {
        (Some(place), Pace::Same) => format!("no split wins: all layers run on {place}, as fast as {best}"),
        (Some(place), Pace::Slower(ratio)) => {
            format!("no split wins: all layers run on {place}, {ratio:.1} x slower than {best}")
        }
        (Some(place), Pace::Faster(ratio)) => {
            format!("no split wins: all layers run on {place}, {ratio:.1} x as fast as {best}")
        }
        (None, Pace::Same) => format!("no split wins: this one is only as fast as {best}"),
        (None, Pace::Slower(ratio)) => {
            format!("no split wins: this one is {ratio:.1} x slower than {best}")
        }
        (None, Pace::Faster(ratio)) => {
            let tiers = report.plan.tiers.iter().filter(|tier| tier.layers > 0).count();
            format!("split over {}, {ratio:.1} x as fast as {best}", count(tiers, "tier"))
        }
    })
}

/// What the plan takes of what it is to be least in, by prediction, and the best single place beside it.
fn saving(report: &Report) -> Option<String> {
    let plan = &report.plan;
    let costs = report.single_places().filter_map(|row| Some((row, row.cost.as_ref()?)));
    let (best, cost) = costs.min_by(|one, other| one.1.value.total_cmp(&other.1.value))?;
    let verdict = match single_place(plan) {
        Some(place) => format!("no split wins: all layers run on {place}, for the least {}", plan.goal),
        None => format!("split for the least {}", plan.goal),
    };
    let best = format!("{} for {}", short(&cost.text, 20), short(&best.name, 50));
    Some(format!("{verdict}: {} predicted, {best}", short(&plan.cost.text, 20)))
}

/// The only tier that computes; none when several do.
fn single_place(plan: &PlanRow) -> Option<String> {
    let mut computing = plan.tiers.iter().filter(|tier| tier.layers > 0);
    match (computing.next(), computing.next()) {
        (Some(tier), None) => Some(short(&tier.tier, 20)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::report::CoarseRow;
    use crate::show::sample;

    /// The second line of a report whose plan takes `plan_ms`.
    fn gain_at(tiers: usize, plan_ms: f64) -> Option<String> {
        let mut report = sample::report(tiers, true);
        report.plan.measured = report.plan.measured.map(|measured| MeasuredRow { median_ms: plan_ms, ..measured });
        let lines = headline(&report);
        (lines.len() > 1).then(|| lines[1..].join(" "))
    }

    #[test]
    fn a_gain_is_told_only_where_there_is_one() {
        let best = "the best single place (all on edge, 221 ms)";
        assert_eq!(gain_at(3, 110.5), Some(format!("split over 3 tiers, 2.0 x as fast as {best}")));
        let no = "no split wins";
        assert_eq!(gain_at(3, 220.0), Some(format!("{no}: this one is only as fast as {best}")));
        assert_eq!(gain_at(3, 331.5), Some(format!("{no}: this one is 1.5 x slower than {best}")));
        let best = "the best of the others (all on edge, 221 ms)";
        assert_eq!(gain_at(1, 221.0), Some(format!("{no}: all layers run on device, as fast as {best}")));
        assert_eq!(gain_at(3, f64::NAN), None);
    }

    #[test]
    fn what_is_not_proven_or_not_kept_to_is_told() {
        let mut report = sample::report(3, true);
        report.plan.gap = Some(0.0123);
        report.plan.missed = vec!["the deadline of 50 ms is missed: 117 ms".to_owned()];
        let text = headline(&report).join(" ");
        assert!(text.contains("117 ms predicted, within 1.2 % of the best possible the deadline of 50 ms"), "{text}");
    }

    #[test]
    fn what_was_not_awaited_is_told() {
        let mut report = sample::report(3, true);
        let (tier, tensor) = ("edge".to_owned(), "blocks.3".to_owned());
        report.plan.coarse = vec![CoarseRow { tier, tensor, share: 0.37 }];
        let text = headline(&report).join(" ");
        assert!(text.contains("to be in time edge went on with 37.0 % of blocks.3:"), "{text}");
    }

    #[test]
    fn a_goal_other_than_latency_is_told_in_its_unit() {
        let energy = |tiers| {
            let mut report = sample::report(tiers, true);
            report.plan.goal = "energy";
            let rows = report.baselines.iter_mut().filter_map(|row| row.cost.as_mut()).chain([&mut report.plan.cost]);
            rows.for_each(|cost| cost.text = format!("{} mJ", (cost.value / 1e7).round()));
            headline(&report)[1..].join(" ")
        };
        assert_eq!(energy(3), "split for the least energy: 12 mJ predicted, 21 mJ for all on edge");
        let alone =
            "no split wins: all layers run on device, for the least energy: 5 mJ predicted, 21 mJ for all on edge";
        assert_eq!(energy(1), alone);
    }

    #[test]
    fn a_plan_that_was_not_run_says_so() {
        let lines = headline(&sample::report(3, false));
        assert_eq!(lines.first().map(String::as_str), Some("plan 3f9c, epoch 1: 117 ms predicted, nothing was run"));
    }
}
