//! Why a plan is what it is, in rows for people and programs.

use serde::Serialize;
use thalweg_planner::{
    Binding, Candidate, Constraint, Flip, Graph, Objective, Plan, Setting, Topology, bindings, candidates, flips, times,
};

use super::{decision, ms};
use crate::run::RunError;

/// All that `thalweg plan --explain` tells beside the plan.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExplainedRow {
    /// What the plan decides, in one line.
    pub decision: String,
    /// Everywhere the model could be cut between two tiers instead.
    pub candidates: Vec<CandidateRow>,
    /// What keeps a better plan away.
    pub bindings: Vec<BindingRow>,
    /// What would have to change for another decision.
    pub flips: Vec<FlipRow>,
}

/// One place to cut.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CandidateRow {
    /// The tiers of the path that may compute.
    pub path: Vec<String>,
    /// The tiers below and above the cut.
    pub tiers: [String; 2],
    /// How many layers of the graph's order run below it.
    pub layers: usize,
    /// The last of them.
    pub after: Option<String>,
    /// Names of the tensors that cross.
    pub crosses: Vec<String>,
    /// Their codecs, in the same order, each the best for the goal.
    pub codecs: Vec<String>,
    /// Their bytes in these codecs.
    pub bytes: Option<u64>,
    /// Predicted latency; none when it cannot be.
    pub predicted_ms: Option<f64>,
    /// By the objective's goal: 1 is as good as the plan, 2 costs twice as much.
    pub beside_the_plan: Option<f64>,
    /// Whether it is what the plan decides.
    pub is_the_plan: bool,
    /// Why it cannot be.
    pub refused: Option<String>,
}

/// A constraint without which another plan would be better.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BindingRow {
    /// In words: `the memory of device`.
    pub constraint: String,
    /// What would be decided without it.
    pub without: String,
    /// What that would take.
    pub without_ms: f64,
}

/// A change after which another decision is the best.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FlipRow {
    /// In words: `the bandwidth between device and edge`.
    pub setting: String,
    /// What it is now: `45 Mbit/s`.
    pub now: String,
    /// What it would have to be.
    pub then: String,
    /// By which factor.
    pub factor: f64,
    /// The same as people read it: `0.25 x`.
    pub times: String,
    /// What would be decided from there on, or that nothing could be.
    pub decision: String,
}

/// Explains `plan`; `progress` hears how many questions are answered, of how many.
pub fn explained(
    graph: &Graph,
    topology: &Topology,
    objective: &Objective,
    plan: &Plan,
    mut progress: impl FnMut(usize, usize),
) -> Result<ExplainedRow, RunError> {
    let settings = Setting::all(graph, topology, &objective.codecs);
    let total = settings.len() + 2;
    progress(0, total);
    let candidates = candidates(graph, topology, objective, plan)?;
    progress(1, total);
    let bindings = bindings(graph, topology, objective, plan);
    let mut flipped = Vec::new();
    for (done, setting) in settings.iter().enumerate() {
        progress(done + 2, total);
        flipped.extend(flips(graph, topology, objective, plan, setting));
    }
    progress(total, total);
    Ok(ExplainedRow {
        decision: decision(topology, plan),
        candidates: candidates
            .iter()
            .map(|candidate| candidate_row(graph, topology, objective, plan, candidate))
            .collect(),
        bindings: bindings.iter().map(|binding| binding_row(topology, binding)).collect(),
        flips: flipped.iter().map(|flip| flip_row(topology, flip)).collect(),
    })
}

fn candidate_row(
    graph: &Graph,
    topology: &Topology,
    objective: &Objective,
    plan: &Plan,
    candidate: &Candidate,
) -> CandidateRow {
    let Candidate { path, tiers, separator, plan: found } = candidate;
    let cost = |plan: &Plan| objective.goal.cost(&plan.totals);
    let other = found.as_ref().ok();
    let crossing = other.and_then(|other| {
        let below = other.hops.iter().position(|hop| hop.tier == tiers[0])?;
        other.crossings.get(below)
    });
    let name = |tensor: &usize| graph.tensors[*tensor].name.clone();
    CandidateRow {
        path: path.iter().map(|tier| topology.tiers[*tier].name.clone()).collect(),
        tiers: tiers.map(|tier| topology.tiers[tier].name.clone()),
        layers: separator.at,
        after: separator.at.checked_sub(1).map(|layer| graph.layers[layer].name.clone()),
        crosses: separator.live.iter().map(name).collect(),
        codecs: crossing
            .map_or_else(Vec::new, |crossing| crossing.sends.iter().map(|sent| sent.codec.clone()).collect()),
        bytes: crossing.map(|crossing| crossing.bytes().0),
        predicted_ms: other.map(|other| ms(other.latency)),
        beside_the_plan: other.map(|other| cost(other) / cost(plan)),
        is_the_plan: other.is_some_and(|other| other.decides_like(plan)),
        refused: found.as_ref().err().map(ToString::to_string),
    }
}

fn binding_row(topology: &Topology, binding: &Binding) -> BindingRow {
    let constraint = match binding.constraint {
        Constraint::Limit(measure) => format!("the limit of the {}", measure.name()),
        Constraint::Loss => "the limit of the loss of accuracy".to_owned(),
        Constraint::Memory(tier) => format!("the memory of {}", topology.tiers[tier].name),
        Constraint::InputsStay => "that the inputs must stay".to_owned(),
    };
    BindingRow { constraint, without: decision(topology, &binding.without), without_ms: ms(binding.without.latency) }
}

fn flip_row(topology: &Topology, flip: &Flip) -> FlipRow {
    FlipRow {
        setting: flip.setting.name(topology),
        now: flip.setting.print(topology, 1.0),
        then: flip.setting.print(topology, flip.factor),
        factor: flip.factor,
        times: times(flip.factor),
        decision: match &flip.plan {
            Ok(plan) => decision(topology, plan),
            Err(error) => format!("nothing: {error}"),
        },
    }
}
