//! What people are told of a deployment that has ended: it serves, or it has failed.

use serde::Serialize;

/// How a deployment has ended, and what it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct DeployReport {
    pub name: String,
    pub epoch: u32,
    /// `serving` or `failed`.
    pub state: &'static str,
    /// Why it failed; what else has to be said where it serves.
    pub remarks: Vec<String>,
    pub source: String,
    pub plans: Vec<PlanRow>,
    pub nodes: Vec<NodeRow>,
    pub took_s: f64,
}

/// One of its plans.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct PlanRow {
    pub decision: String,
    pub predicted_ms: f64,
}

/// One of its nodes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct NodeRow {
    pub name: String,
    /// How much longer than this machine it takes for the models.
    pub slowdown: f64,
    pub bytes: u64,
    pub fetched_bytes: u64,
    pub took_ms: u64,
}
