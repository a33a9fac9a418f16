//! Decides: the plan, and beside it what people would do without one.

use thalweg_planner::{Baseline, Graph, Objective, Plan, Topology, baselines, plan};

use super::error::RunError;

/// The plan and what it is held against.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// The plan that was given, else the best one.
    pub plan: Plan,
    /// The best plan, where another one was given.
    pub best: Option<Plan>,
    /// The whole model in one place, for each place, and what published planners would do.
    pub baselines: Vec<Baseline>,
}

/// The best plan, or the one that is given; fails when there is neither. A plan can be given where none keeps to all
/// limits.
pub fn choose(
    graph: &Graph,
    topology: &Topology,
    objective: &Objective,
    given: Option<Plan>,
) -> Result<Choice, RunError> {
    let best = plan(graph, topology, objective);
    let (plan, best) = match given {
        Some(given) => (given, best.ok()),
        None => (best?, None),
    };
    Ok(Choice { plan, best, baselines: baselines(graph, topology, objective) })
}

impl Choice {
    /// The plan, then the baselines that can be.
    pub fn placements(&self) -> Vec<&Plan> {
        let possible = self.baselines.iter().filter_map(|baseline| baseline.plan.as_ref().ok());
        std::iter::once(&self.plan).chain(possible).collect()
    }
}
