//! The plans between two aims, of which none is better than another in both.

use serde::Serialize;
use thalweg_planner::{Graph, Measure, Objective, Planner, Topology};

use super::decision;
use crate::run::RunError;

/// The frontier of two measures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FrontierRow {
    /// Which.
    pub measures: [Measure; 2],
    /// The units of `values`.
    pub units: [&'static str; 2],
    /// From the least of the first to the least of the second.
    pub plans: Vec<FrontierPlanRow>,
}

/// One plan of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FrontierPlanRow {
    /// What it takes of both, in their base units.
    pub values: [f64; 2],
    /// The same as people read it: `87.3 ms`.
    pub texts: [String; 2],
    /// What it decides.
    pub decision: String,
}

/// The frontier under the objective's limits.
pub fn frontier(
    graph: &Graph,
    topology: &Topology,
    objective: &Objective,
    measures: [Measure; 2],
) -> Result<FrontierRow, RunError> {
    let plans = Planner::new(graph, topology.clone(), objective)?.pareto(measures[0], measures[1])?;
    let row = |plan: &thalweg_planner::Plan| FrontierPlanRow {
        values: measures.map(|measure| plan.totals.of(measure)),
        texts: measures.map(|measure| measure.print(plan.totals.of(measure))),
        decision: decision(topology, plan),
    };
    Ok(FrontierRow { measures, units: measures.map(Measure::unit), plans: plans.iter().map(row).collect() })
}
