//! Why a module was refused, stopped, or failed by itself.

use std::fmt;
use std::time::Duration;

use thalweg_planner::{Bytes, TensorSpec};

use super::description::Port;
use crate::signature::SignatureError;

/// What a module took too much of, with what it was allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exceeded {
    /// Wall-clock time of the call.
    Time(Duration),
    /// Linear memory.
    Memory(Bytes),
    /// Elements of tables.
    Tables(u64),
    /// Core instances.
    Instances(u64),
    /// Depth of calls: bytes of stack.
    Stack(Bytes),
    /// Handles of tensors.
    Handles(u64),
    /// Calls of the host.
    HostCalls(u64),
    /// Bytes copied between module and host.
    HostBytes(Bytes),
    /// Tensors that came out.
    Outputs(u64),
    /// Bytes of the tensors that came out.
    OutputBytes(Bytes),
}

impl fmt::Display for Exceeded {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(time) => write!(out, "ran longer than {} ms (time_ms)", time.as_millis()),
            Self::Memory(bytes) => write!(out, "asked for more than {bytes} of memory (memory_bytes)"),
            Self::Tables(count) => write!(out, "asked for more than {count} elements of tables (table_elements)"),
            Self::Instances(count) => write!(out, "has more than {count} core instances (instances)"),
            Self::Stack(bytes) => write!(out, "nested its calls deeper than {bytes} of stack, which no limit changes"),
            Self::Handles(count) => write!(out, "held more than {count} tensors at a time (handles)"),
            Self::HostCalls(count) => write!(out, "called the host more than {count} times (host_calls)"),
            Self::HostBytes(bytes) => write!(out, "read and made more than {bytes} of tensors (host_bytes)"),
            Self::Outputs(count) => write!(out, "gave out more than {count} tensors (outputs)"),
            Self::OutputBytes(bytes) => write!(out, "gave out more than {bytes} (output_bytes)"),
        }
    }
}

/// Whose fault a module says it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The settings do not fit.
    #[error("its settings do not fit: {0}")]
    Settings(String),
    /// The inputs cannot be worked on.
    #[error("its input cannot be worked on: {0}")]
    Input(String),
    /// The host refused a tensor.
    #[error("it asked for a tensor that cannot be: {0}")]
    Tensor(String),
    /// A part of a model failed.
    #[error("a part of a model failed: {0}")]
    Model(String),
    /// The module's own.
    #[error("something in it is broken: {0}")]
    Inner(String),
}

/// Why a module does not run, or did not. Each message says what to do.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SandboxError {
    /// Nobody who is trusted has signed the module.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// The machine cannot run modules.
    #[error("this machine cannot run modules: {reason}; free memory or addresses (ulimit -v)")]
    Machine {
        /// What failed.
        reason: String,
    },
    /// A limit above what the machine gives.
    #[error(
        "module {module} may take {asked} of memory, but this machine gives an instance {most}: lower memory_bytes"
    )]
    MemoryOfMachine {
        /// The module.
        module: String,
        /// The limit.
        asked: Bytes,
        /// What is there.
        most: Bytes,
    },
    /// More instances at a time than the machine has room for.
    #[error("module {module} cannot start: {most} instances run, and no more fit; drop one, or wait until one ends")]
    Full {
        /// The module.
        module: String,
        /// The room there is.
        most: u32,
    },
    /// A component that would take too long to compile.
    #[error("module {module} has {got} {what}, more than the {most} that are compiled: split it or make it smaller")]
    TooLarge {
        /// The module.
        module: String,
        /// What there is too much of.
        what: &'static str,
        /// How much.
        got: u64,
        /// What is allowed.
        most: u64,
    },
    /// Bytes that are no valid component, or one that uses what is switched off.
    #[error(
        "module {module} is no component that runs here: {reason}; build it anew and pack it with `thalweg module pack`"
    )]
    Invalid {
        /// The module.
        module: String,
        /// What is wrong.
        reason: String,
    },
    /// A core module, of which no component was made.
    #[error(
        "module {module} is a core module, as a compiler writes it: make a component of it with `thalweg module pack`"
    )]
    CoreModule {
        /// The module.
        module: String,
    },
    /// An import that was not granted.
    #[error(
        "module {module} imports {import}, which was not granted: grant it in the pipeline file, or models with --model \
         NAME=FILE.onnx, if you trust it"
    )]
    NotGranted {
        /// The module.
        module: String,
        /// The import as the component names it.
        import: String,
    },
    /// A component that does not export what a module has, or with other types.
    #[error("module {module} is not a module of {}: {reason}; build it against that", super::WORLD)]
    World {
        /// The module.
        module: String,
        /// What is missing.
        reason: String,
    },
    /// A description that cannot be.
    #[error("module {module} describes itself wrongly: {reason}; correct `describe` in it")]
    Description {
        /// The module.
        module: String,
        /// What is wrong.
        reason: String,
    },
    /// Settings that are not JSON.
    #[error("the settings of module {module} are not JSON: {reason}; correct them")]
    SettingsText {
        /// The module.
        module: String,
        /// Where and what.
        reason: String,
    },
    /// A module that took too much. It was stopped.
    #[error("module {module} was stopped: it {exceeded}; raise that limit if the module is right")]
    Exceeded {
        /// The module.
        module: String,
        /// What it took too much of.
        exceeded: Exceeded,
    },
    /// An instruction that cannot go on. The instance is spent.
    #[error("module {module} trapped: {reason}; its log may say why, report it to who made it")]
    Trapped {
        /// The module.
        module: String,
        /// Which kind.
        reason: String,
    },
    /// Handles or memory that break the rules of components. The instance is spent.
    #[error("module {module} broke the rules of its interface: {reason}; report it to who made it")]
    Interface {
        /// The module.
        module: String,
        /// Which one.
        reason: String,
    },
    /// Tensors that a module kept after a call. The instance is spent.
    #[error("module {module} kept {count} tensors after its call: they must be dropped or given out")]
    Kept {
        /// The module.
        module: String,
        /// How many.
        count: u64,
    },
    /// A call of an instance that was stopped before, or that was not configured.
    #[error("this instance of module {module} cannot run: it {reason}; start another one")]
    Spent {
        /// The module.
        module: String,
        /// Why.
        reason: &'static str,
    },
    /// What the module itself answered.
    #[error("module {module} failed: {failure}")]
    Failed {
        /// The module.
        module: String,
        /// Its answer.
        failure: Failure,
    },
    /// A version with other inputs or outputs than the one that runs.
    #[error(
        "version {to} of module {module} takes or gives something else than version {from}, which runs: deploy the \
         pipeline anew to change both"
    )]
    OtherPorts {
        /// The module.
        module: String,
        /// The version that runs.
        from: String,
        /// The one that cannot replace it.
        to: String,
    },
    /// Inputs that are not as many as the module has.
    #[error("module {module} takes {expected} inputs, but {got} were given: correct the pipeline file")]
    InputCount {
        /// The module.
        module: String,
        /// Its inputs.
        expected: usize,
        /// Those that were given.
        got: usize,
    },
    /// An input of another type or shape.
    #[error("input {} of module {module} takes {port}, not {got}: correct the pipeline file", port.name)]
    Input {
        /// The module.
        module: String,
        /// The input.
        port: Port,
        /// What was given.
        got: TensorSpec,
    },
    /// Outputs that are not as many as were declared.
    #[error("module {module} declares {expected} outputs, but gave {got}: report it to who made it")]
    OutputCount {
        /// The module.
        module: String,
        /// Its outputs.
        expected: usize,
        /// Those that came.
        got: usize,
    },
    /// An output of another type or shape than was declared.
    #[error("output {} of module {module} is declared as {port}, but is {got}: report it to who made it", port.name)]
    Output {
        /// The module.
        module: String,
        /// The output.
        port: Port,
        /// What came.
        got: TensorSpec,
    },
    /// An output that the module made, of which an element is not a number.
    #[error(
        "output {} of module {module} is not a number at element {element}: the module has to refuse what it cannot \
         compute, report it to who made it",
        port.name
    )]
    NotANumber {
        /// The module.
        module: String,
        /// The output.
        port: Port,
        /// The first such element, in row-major order from zero.
        element: usize,
    },
}
