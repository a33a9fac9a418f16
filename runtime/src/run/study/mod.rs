//! Questions to the planner beside "which plan": why this one, what elsewhere in a range, what between two aims, what
//! after a run.

mod explained;
mod sweep;
mod frontier;
mod replanned;

pub use explained::{CandidateRow, ExplainedRow, explained};
pub use frontier::{FrontierPlanRow, FrontierRow, frontier};
pub use replanned::{ReplannedRow, replanned};
pub use sweep::{Knob, KnobError, SweepRow, sweep};

use thalweg_planner::{Crossing, Plan, Topology};

use super::fill::ms;

/// How many layers each tier runs, and the codecs between them, in one line: `device 7 | int8 | cloud 153`.
pub(crate) fn decision(topology: &Topology, plan: &Plan) -> String {
    let mut words = Vec::new();
    for (place, hop) in plan.hops.iter().enumerate() {
        if !hop.layers.is_empty() {
            words.push(format!("{} {}", topology.tiers[hop.tier].name, hop.layers.len()));
        }
        let crossing = plan.crossings.get(place).filter(|_| !plan.passes_on(place));
        let codecs = crossing.map_or_else(Vec::new, Crossing::codecs);
        words.extend((!codecs.is_empty()).then(|| codecs.join(" and ")));
    }
    words.join(" | ")
}
