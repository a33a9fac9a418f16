//! Decides: the plan, and beside it what people would do without one.

use thalweg_planner::{Graph, Objective, Plan, PlanError, Topology, baselines, plan};

use super::error::RunError;

/// A placement by name. The first candidate is the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// `the plan`, or the baseline's name.
    pub name: String,
    /// The placement, or why it cannot be.
    pub plan: Result<Plan, PlanError>,
}

/// The best plan, then the baselines. Fails when there is no plan.
pub fn choose(graph: &Graph, topology: &Topology, objective: &Objective) -> Result<Vec<Candidate>, RunError> {
    let best = plan(graph, topology, objective)?;
    let mut candidates = vec![Candidate { name: "the plan".to_owned(), plan: Ok(best) }];
    let baselines = baselines(graph, topology).into_iter();
    candidates.extend(baselines.map(|baseline| Candidate { name: baseline.name, plan: baseline.plan }));
    Ok(candidates)
}
