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
        let checks = Run::new(&prepared, seed).run().checks;
        for fault in checks.broken.iter().take(5) {
            eprintln!("seed {seed}: {fault}");
        }
        broken += u32::from(!checks.broken.is_empty());
        answered += checks.answered;
        local += checks.answered_local;
        refused += checks.refused;
        changes += checks.changes;
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
