//! Decides: the plan, and beside it what people would do without one.

use thalweg_planner::{Baseline, Graph, Objective, Plan, Topology, baselines, plan};

use super::error::RunError;

/// The plan and what it is held against.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// The best plan.
    pub plan: Plan,
    /// The whole model in one place, for each place, and what published planners would do.
    pub baselines: Vec<Baseline>,
}

/// Fails when there is no plan.
pub fn choose(graph: &Graph, topology: &Topology, objective: &Objective) -> Result<Choice, RunError> {
    Ok(Choice { plan: plan(graph, topology, objective)?, baselines: baselines(graph, topology, objective) })
}

impl Choice {
    /// The plan, then the baselines that can be.
    pub fn placements(&self) -> Vec<&Plan> {
        let possible = self.baselines.iter().filter_map(|baseline| baseline.plan.as_ref().ok());
        std::iter::once(&self.plan).chain(possible).collect()
    }
}
