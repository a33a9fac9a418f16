//! Why a node cannot be started, and why it does not answer.

use std::io;

use thalweg_flow::Refusal;
use thalweg_planner::TensorSpec;

use crate::link::LinkError;

/// Why a node cannot be started.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum NodeError {
    /// Its socket or keys do not do.
    #[error("node {name} cannot start: {source}")]
    Link { name: String, source: LinkError },
    /// The system gives it no thread.
    #[error("node {name} gets no thread to compute on: {source}")]
    Thread { name: String, source: io::Error },
}

/// Why a request was not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum RequestError {
    /// The tensors are not those that the plan begins with.
    #[error("the plan takes [{}], but [{}] were given", print(takes), print(given))]
    WrongInputs { takes: Vec<TensorSpec>, given: Vec<TensorSpec> },
    /// A node on the path refused, this one included.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

fn print(specs: &[TensorSpec]) -> String {
    specs.iter().map(TensorSpec::to_string).collect::<Vec<_>>().join(", ")
}
