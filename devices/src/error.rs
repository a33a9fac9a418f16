//! What can go wrong with a model, a cut or a run, and what to do about it.

use std::path::PathBuf;

use thalweg_planner::TensorSpec;

/// A model that cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The file cannot be read.
    #[error("{}: cannot read the model: {cause}; check that the path is right and the file may be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// The bytes are not an ONNX model.
    #[error("{}: its {bytes} bytes are no ONNX model: {cause}; export, copy or download it again", path.display())]
    NotOnnx {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// What is wrong with them.
        cause: String,
    },
    /// An operator that the engine lacks.
    #[error("{}: the engine has no operator \"{op}\" (node \"{node}\"): export the model without it, for example with another opset", path.display())]
    UnknownOperator {
        /// The file.
        path: PathBuf,
        /// The operator's ONNX name.
        op: String,
        /// The node that uses it.
        node: String,
    },
    /// A dimension that the model leaves open and nobody has fixed.
    #[error("{}: input \"{input}\" has the shape [{shape}] with an unknown dimension: fix it with --shape {input}={suggestion}", path.display())]
    UnknownDimension {
        /// The file.
        path: PathBuf,
        /// The input.
        input: String,
        /// Its shape as the model states it.
        shape: String,
        /// A shape to fill in.
        suggestion: String,
    },
    /// A shape for an input that does not exist or has another rank.
    #[error("{}: the shape {shape} for input \"{input}\" does not fit: {why}", path.display())]
    WrongShape {
        /// The file.
        path: PathBuf,
        /// The input that was named.
        input: String,
        /// The shape that was given.
        shape: String,
        /// What the model has instead.
        why: String,
    },
    /// The engine refuses the model.
    #[error("{}: the engine cannot {step} this model: {cause}; {advice}", path.display())]
    Engine {
        /// The file.
        path: PathBuf,
        /// What it was doing: `read`, `type`, `simplify`, …
        step: &'static str,
        /// What it says.
        cause: String,
        /// What to do.
        advice: &'static str,
    },
    /// An input or output whose type cannot travel between machines.
    #[error("{}: {port} has the type {dtype}, which cannot be sent: only numbers and booleans of a fixed shape can", path.display())]
    NotPortable {
        /// The file.
        path: PathBuf,
        /// Which input or output.
        port: String,
        /// Its type in the engine.
        dtype: String,
    },
}

/// A part that cannot be prepared or run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StageError {
    /// The engine cannot prepare the part.
    #[error("the engine cannot prepare {part}: {cause}")]
    Prepare {
        /// Which part.
        part: String,
        /// What it says.
        cause: String,
    },
    /// Not the tensors that the part takes.
    #[error("{part} takes {wants} as input {index}, but got {got}")]
    WrongInput {
        /// Which part.
        part: String,
        /// Which of its inputs, from 0.
        index: usize,
        /// What it takes: a spec, or `nothing`.
        wants: String,
        /// What it got: a spec, or `nothing`.
        got: String,
    },
    /// The engine failed on this input.
    #[error("{part} failed on this input: {cause}")]
    Run {
        /// Which part.
        part: String,
        /// What the engine says.
        cause: String,
    },
    /// A result that is not what the model declares.
    #[error("{part} declared {wants} as output {index}, but made {got}")]
    WrongOutput {
        /// Which part.
        part: String,
        /// Which of its outputs, from 0.
        index: usize,
        /// What it declared.
        wants: TensorSpec,
        /// What it made.
        got: String,
    },
    /// The part cannot be written as files.
    #[error("{part} cannot be written as files: {cause}; the model must run whole where it is, or be cut elsewhere")]
    Unwritable {
        /// Which part.
        part: String,
        /// What stands in the way, with the operator.
        cause: String,
    },
    /// The files are no part.
    #[error("{file} {cause}: write the part as files again, and send all of them")]
    Unreadable {
        /// The file.
        file: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The part was written by another version of the engine.
    #[error("the part was written by {written}, but here is {here}: run the same version of thalweg on all nodes")]
    OtherEngine {
        /// Who wrote it.
        written: String,
        /// Who would read it.
        here: String,
    },
}
