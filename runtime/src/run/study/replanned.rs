//! What is decided with the times that were measured in place of those that were predicted.

use std::time::Duration;

use serde::Serialize;
use thalweg_planner::{Graph, Objective, Observed, Plan, Topology, calibrate, plan};

use super::{decision, ms};
use crate::run::report::{TierRow, TimesRow};

/// The plan that the measured times lead to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReplannedRow {
    /// What it decides, in one line.
    pub decision: String,
    /// Whether that is what the plan that ran had decided.
    pub same: bool,
    /// Its latency, predicted from the measured times.
    pub predicted_ms: f64,
}

/// Plans again after a run of `ran`, whose measured times stand in `tiers`; none where that is not possible.
pub fn replanned(
    graph: &Graph,
    topology: &Topology,
    objective: &Objective,
    ran: &Plan,
    tiers: &[TierRow],
) -> Option<ReplannedRow> {
    let measured = |of: fn(&TimesRow) -> f64| {
        let time = move |tier: &TierRow| {
            tier.measured.as_ref().and_then(|times| Duration::try_from_secs_f64(of(times) / 1e3).ok())
        };
        tiers.iter().map(time).collect()
    };
    let observed = Observed { compute: measured(|times| times.compute_ms), wire: measured(|times| times.wire_ms) };
    let next = plan(graph, &calibrate(topology, ran, &observed, 1.0), objective).ok()?;
    Some(ReplannedRow {
        decision: decision(topology, &next),
        same: next.decides_like(ran),
        predicted_ms: ms(next.latency),
    })
}
