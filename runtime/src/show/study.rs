//! Answers beside the plan as text: why this one, what elsewhere in a range, what between two aims.

use thalweg_planner::Bytes;

use super::figures::{NONE, ms, number, short, wrapped};
use super::grid::{INDENT, WIDTH, fitted, grid};
use crate::run::study::{CandidateRow, ExplainedRow, FrontierRow, SweepRow};

/// Cuts that are shown of each pair of tiers; all are in the JSON.
const CUTS_SHOWN: usize = 12;

/// The best cuts of each pair of tiers in the order of the layers, what binds, and what would have to change.
pub(super) fn explanation(row: &ExplainedRow) -> String {
    let blocks = [cuts(&row.candidates), bindings(row), flips(row)];
    let blocks: Vec<String> = blocks.into_iter().filter(|block| !block.is_empty()).collect();
    blocks.join("\n")
}

fn cuts(candidates: &[CandidateRow]) -> String {
    let tables = candidates.chunk_by(|one, other| (&one.path, &one.tiers) == (&other.path, &other.tiers)).map(|cuts| {
        let [below, above] = cuts[0].tiers.each_ref().map(|name| short(name, 20));
        let others = if cuts[0].path.len() > 2 { ", the others as planned" } else { "" };
        cuts_between(&format!("cut between {below} and {above}{others}"), cuts.iter().collect())
    });
    tables.collect::<Vec<_>>().join("\n")
}

fn cuts_between(title: &str, mut cuts: Vec<&CandidateRow>) -> String {
    let all = cuts.len();
    let cost = |cut: &CandidateRow| cut.beside_the_plan.unwrap_or(f64::INFINITY);
    cuts.sort_by(|one, other| cost(one).total_cmp(&cost(other)));
    cuts.truncate(CUTS_SHOWN);
    cuts.sort_by_key(|cut| cut.layers);
    let header = [title, "layers below", "crosses", "codec", "predicted", "beside the plan"];
    let row = |cut: &&CandidateRow, width: usize| {
        let after = cut.after.as_ref().map_or("before the first layer".to_owned(), |after| format!("after {after}"));
        let crosses = cut.bytes.map_or(NONE.to_owned(), |bytes| format!("{} in {}", Bytes(bytes), cut.crosses.len()));
        let mut codecs = cut.codecs.clone();
        codecs.dedup();
        let beside = match cut.beside_the_plan {
            _ if cut.is_the_plan => "the plan".to_owned(),
            Some(ratio) => format!("{} x", number(ratio, 2)),
            None => short(cut.refused.as_deref().unwrap_or(NONE), 24),
        };
        let predicted = cut.predicted_ms.map_or(NONE.to_owned(), ms);
        vec![short(&after, width), cut.layers.to_string(), crosses, short(&codecs.join(" "), 12), predicted, beside]
    };
    let table = fitted(48, 16, |width| grid(&header, &[0, 3], cuts.iter().map(|cut| row(cut, width)).collect()));
    let left = all - cuts.len();
    if left == 0 { table } else { format!("{table}{INDENT}and {left} more, which cost more or cannot be\n") }
}

fn bindings(row: &ExplainedRow) -> String {
    let lines = row.bindings.iter().flat_map(|binding| {
        let text = format!(
            "{} binds: without it, {} would take {}",
            short(&binding.constraint, 60),
            short(&binding.without, 120),
            ms(binding.without_ms)
        );
        wrapped(&text, WIDTH - INDENT.len())
    });
    let lines: Vec<String> = lines.map(|line| format!("{INDENT}{line}\n")).collect();
    if lines.is_empty() {
        format!("{INDENT}nothing binds: no limit and no memory keeps a better plan away\n")
    } else {
        lines.concat()
    }
}

fn flips(row: &ExplainedRow) -> String {
    if row.flips.is_empty() {
        return format!("{INDENT}no change of one thing by a factor of up to 1,024 would change the decision\n");
    }
    let header = ["the decision changes when", "is", "becomes", "then"];
    let cells = |width: usize| {
        row.flips.iter().map(move |flip| {
            let then =
                if flip.then.ends_with(" x") { flip.then.clone() } else { format!("{} ({})", flip.then, flip.times) };
            vec![short(&flip.setting, 40), flip.now.clone(), then, short(&flip.decision, width)]
        })
    };
    fitted(60, 20, |width| grid(&header, &[0, 3], cells(width).collect()))
}

/// The regions of a sweep.
pub fn sweep_table(row: &SweepRow) -> String {
    let best = |region: usize| {
        let within = row.points.iter().filter(|point| point.region == region);
        let times: Vec<f64> = within.filter_map(|point| point.predicted_ms).collect();
        match (times.first(), times.last()) {
            (Some(first), Some(last)) => format!("{} to {}", ms(*first), ms(*last)),
            _ => NONE.to_owned(),
        }
    };
    let header = ["from", "to", "predicted", "decision"];
    let cells = |width: usize| {
        row.regions.iter().enumerate().map(move |(index, region)| {
            vec![region.from.clone(), region.to.clone(), best(index), short(&region.decision, width)]
        })
    };
    let title = format!("{INDENT}what is decided as {} changes\n", short(&row.setting, 60));
    title + &fitted(60, 20, |width| grid(&header, &[3], cells(width).collect()))
}

/// The plans of a frontier.
pub fn frontier_table(row: &FrontierRow) -> String {
    let header = [row.measures[0].name(), row.measures[1].name(), "decision"];
    let cells = |width: usize| {
        row.plans.iter().map(move |plan| {
            let [one, other] = plan.texts.clone();
            vec![one, other, short(&plan.decision, width)]
        })
    };
    fitted(70, 20, |width| grid(&header, &[2], cells(width).collect()))
}
