//! The real decisions of a source and of the nodes above it, on virtual time over simulated links and tiers, by seed.
//!
//! Real are the plans, `Estimates`, `Switch`, `Attempts`, `Request`, `Contract` and `Installed`; links, compute
//! threads and clocks are simulated. The checkers look at what no single node can see. A failing run prints its seed;
//! `THALWEG_SEEDS=first..last` chooses others.
#![allow(clippy::unwrap_used)]

mod deployment;
mod fault;
mod pipe;
mod check;
mod node;
mod source;
mod run;

use std::time::Duration;

use fault::{CALM, Fault, Kind};
use run::Run;

/// Runs where nothing else is said: a few seconds, in release and without optimisation.
const SEEDS: u64 = if cfg!(debug_assertions) { 100 } else { 1000 };

#[allow(clippy::disallowed_methods)]
fn seeds() -> std::ops::Range<u64> {
    let Ok(chosen) = std::env::var("THALWEG_SEEDS") else { return 0..SEEDS };
    let ends = chosen.split_once("..").and_then(|(first, last)| Some(first.parse().ok()?..last.parse().ok()?));
    ends.unwrap_or_else(|| panic!("THALWEG_SEEDS is \"{chosen}\": write first..last, such as 0..100"))
}

#[test]
fn whatever_fails_each_request_ends_once_in_time_and_service_recovers() {
    let prepared = deployment::prepared();
    assert!(prepared.len() > 3 && prepared[0].alternative.is_local(), "too few plans to choose from");
    let (mut broken, mut answered, mut local, mut refused, mut changes, mut sure) = (0, 0, 0, 0, 0, 0);
    let mut recoveries = Vec::new();
    for seed in seeds() {
        let checks = Run::new(&prepared, seed, fault::draw).run().checks;
        for fault in checks.broken.iter().take(5) {
            eprintln!("seed {seed}: {fault}");
        }
        broken += u32::from(!checks.broken.is_empty());
        answered += checks.answered;
        local += checks.answered_local;
        refused += checks.refused;
        changes += checks.changed(CALM);
        sure += checks.sure;
        recoveries.push(checks.recovery);
    }
    recoveries.sort_unstable();
    let at = |percent: usize| recoveries.get(recoveries.len() * percent / 100).or(recoveries.last());
    eprintln!("{answered} answered, {local} of them locally, {refused} refused; {changes} changes of the plan");
    eprintln!("{sure} could be answered locally whatever failed elsewhere");
    eprintln!(
        "after the last fault the best plan serves after {:?}, {:?}, {:?} (50 %, 90 %, all)",
        at(50),
        at(90),
        at(100)
    );
    assert_eq!(broken, 0, "runs break rules: try one with THALWEG_SEEDS=seed..seed+1");
}

/// The most changes of the plan after the calm, and the broken rules, of runs with these faults.
fn most_changes(faults: impl Fn(&mut rand_pcg::Pcg64) -> Vec<Fault>) -> usize {
    let prepared = deployment::prepared();
    let changes = (0..SEEDS / 10).map(|seed| {
        let checks = Run::new(&prepared, seed, &faults).run().checks;
        assert!(checks.broken.is_empty(), "seed {seed}: {:?}", checks.broken);
        checks.changed(CALM)
    });
    changes.max().unwrap_or(0)
}

#[test]
fn where_nothing_fails_the_plan_changes_for_new_deployments_only() {
    let most = most_changes(|_| vec![]);
    assert!(most <= 6, "{most} changes for three deployments");
}

#[test]
fn links_that_flap_at_half_a_hertz_change_the_plan_a_few_times() {
    let most = most_changes(|_| {
        let begins = (3..20).step_by(2).map(Duration::from_secs);
        let cut = |begin| {
            let end = begin + Duration::from_secs(1);
            [Kind::Cut(0, 1), Kind::Cut(2, 0)].map(|kind| Fault { kind, begin, end })
        };
        begins.flat_map(cut).collect()
    });
    assert!(most <= 10, "{most} changes in nine flaps and three deployments");
}
