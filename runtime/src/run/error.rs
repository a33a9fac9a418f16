//! Why a command of Thalweg ends without success, and whose fault it is.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use thalweg_codec::CodecError;
use thalweg_devices::{ModelError, StageError};
use thalweg_modules::ModuleError;
use thalweg_modules::sandbox::SandboxError;
use thalweg_modules::signature::SignatureError;
use thalweg_pack::PackError;
use thalweg_planner::{Bytes, PlanError, SavedPlanError, TensorSpec, print_duration};

use crate::codebook::CodebookError;
use crate::config::ConfigError;
use crate::daemon::DaemonError;
use crate::emulate::TraceError;
use crate::identity::IdentityError;
use crate::link::LinkError;
use crate::node::{NodeError, RequestError};
use crate::run::study::KnobError;
use crate::steps::{ModuleFault, PartError, StepError};
use crate::trial::TrialError;

/// Why a command ends without success.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum RunError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Module(#[from] ModuleError),
    #[error(transparent)]
    Sandbox(Box<SandboxError>),
    #[error("{error}{advice}", error = .0, advice = more_memory(.0))]
    Plan(Box<PlanError>),
    #[error(transparent)]
    Codebook(#[from] CodebookError),
    #[error(transparent)]
    Stage(#[from] StageError),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error(transparent)]
    Node(#[from] NodeError),
    #[error(transparent)]
    Daemon(Box<DaemonError>),
    #[error("step \"{step}\" runs models of its own, which cannot be deployed yet: make them steps of the pipeline")]
    ModelsOfModule { step: String },
    #[error("{name} is not the name of exactly one node: `thalweg status` shows all of them")]
    NoSuchNode { name: String },
    #[error(
        "deliver_to = \"{name}\": answers go to another node than the one where requests are made, of those that `thalweg status` shows"
    )]
    NoSink { name: String },
    #[error("requests can be made at one node: say which with --source; devices are [{known}]")]
    WhichSource { known: String },
    #[error("{given} is for no input: write NAME=FILE, where NAME is one of {known}")]
    ForNoInput { given: String, known: String },
    #[error(transparent)]
    InputMisfit(Box<InputMisfit>),
    #[error("{count} things are wrong: what to do stands beside them")]
    Sick { count: usize },
    #[error("no request was answered: {reason}")]
    AllRefused { reason: String },
    #[error("epoch {epoch} of \"{name}\" was not deployed; what served before goes on")]
    NotDeployed { name: String, epoch: u32 },
    #[error(transparent)]
    Trial(#[from] TrialError),
    #[error("{trace}: {cause}", trace = file.display())]
    Trace { file: PathBuf, cause: TraceError },
    #[error(
        "{candidate} gave no answer within {}, the deadline of {place}; {} were predicted: set a longer `deadline` \
         there, or take faster tiers and links",
        print_duration(*deadline),
        print_duration(*predicted)
    )]
    Late { candidate: String, deadline: Duration, place: String, predicted: Duration },
    #[error("{candidate}: {cause}")]
    Request { candidate: String, cause: RequestError },
    #[error(
        "tier \"{tier}\" cannot listen on {address}: {cause}; free that address, or give the tier another `listen`"
    )]
    Address { tier: String, address: SocketAddr, cause: io::Error },
    #[error("{}: cannot read it: {cause}; check that the path is right and the file may be read", file.display())]
    Unreadable { file: PathBuf, cause: io::Error },
    #[error("{}: cannot write it: {cause}; give a path in a folder that exists and may be written", file.display())]
    Unwritable { file: PathBuf, cause: io::Error },
    #[error("{}: [[input]] \"{name}\" is not an input of the model: name one of {inputs}", file.display())]
    NoSuchInput { file: PathBuf, name: String, inputs: String },
    #[error("{}: the model also takes \"{name}\", {spec}: add an [[input]] with that name", file.display())]
    MissingInput { file: PathBuf, name: String, spec: TensorSpec },
    #[error("{}: [answer] has the output \"{name}\", which is not answered: name one of {outputs}", file.display())]
    NoSuchOutput { file: PathBuf, name: String, outputs: String },
    #[error("{}: [answer] does not say which output it means: add `output`, one of {outputs}", file.display())]
    WhichOutput { file: PathBuf, outputs: String },
    #[error("{cause}; leave --adapter out to compute on the CPU alone")]
    NoAdapter { cause: String },
    #[error("{cause}; leave --onnxruntime out to do without it")]
    NoOnnxruntime { cause: String },
    #[error("{}: {cause}", file.display())]
    Steps { file: PathBuf, cause: Box<StepError> },
    #[error(transparent)]
    Part(Box<PartError>),
    #[error(transparent)]
    OfModule(Box<ModuleFault>),
    #[error(
        "{}: --shape fixes inputs of a model that is alone; here shapes are those of what is linked: write `shape` in an \
         [[input]] instead",
        file.display()
    )]
    ShapesOfSteps { file: PathBuf },
    #[error("step \"{step}\": {cause}")]
    ModelOfStep { step: String, cause: Box<ModelError> },
    #[error("{name} has several steps: name one that is a model with --step, which are {known}")]
    WhichStep { name: String, known: String },
    #[error("the answer {name} is {spec}, which NumPy has no type for: let a module make it another type")]
    NotNumpy { name: String, spec: TensorSpec },
    #[error("{}: two answers would be written there: give their steps names that differ in letters", file.display())]
    SameFile { file: PathBuf },
    #[error("{}: {bytes} are more than {FILE_BYTES_MAX}, which is the most that is read", file.display())]
    TooLarge { file: PathBuf, bytes: Bytes },
    #[error("{name} does not say what is drawn: add [draw] to its pipeline, with a photo and boxes")]
    NothingToDraw { name: String },
    #[error("{wrong} of {cuts} cuts of {model} do not give what the whole gives: see the list above")]
    NotExact { model: String, wrong: usize, cuts: usize },
    #[error("{model} has no place to cut: no cut has at most {live_max} tensors that can travel; try --live-max")]
    NoCut { model: String, live_max: usize },
    #[error("{}: it has no times of {model} with these input shapes: write them with `thalweg profile`", file.display())]
    NotTimed { file: PathBuf, model: String },
    #[error("--path names the tier \"{name}\", which the topology does not have: its tiers are {known}")]
    NoSuchTier { name: String, known: String },
    #[error(
        "the path goes over {} tiers: give one --cut between each two neighbours, in their order; {cuts} were given",
        links + 1
    )]
    CutCount { cuts: usize, links: usize },
    #[error("{}: {cause}; write it with `thalweg plan --save`", file.display())]
    NoPlanFile { file: PathBuf, cause: String },
    #[error("{}: {cause}", file.display())]
    SavedPlan { file: PathBuf, cause: Box<SavedPlanError> },
    #[error(transparent)]
    Sweep(#[from] KnobError),
    #[error(
        "{}: [pins] names the layer \"{name}\", which the model has not: `thalweg plan --explain --json` lists layers",
        file.display()
    )]
    NoSuchLayer { file: PathBuf, name: String },
    #[error(transparent)]
    Codec(#[from] CodecError),
    #[error("{cause}; give --fresh to replace it, or another file with -o")]
    OtherBooks { cause: Box<CodebookError> },
    #[error(
        "{}: its codebooks were made with other samples or settings: give the same ones to go on, --fresh to begin \
         anew, or another file with -o",
        file.display()
    )]
    OtherSamples { file: PathBuf },
    #[error("{}: there are no codebooks yet: give --samples FOLDER to make them", file.display())]
    NothingKept { file: PathBuf },
    #[error(
        "{}: there are no samples in it: put .jpg, .png or .npy files there, or a folder for each sample",
        folder.display()
    )]
    NoSamples { folder: PathBuf },
    #[error(
        "{}: {fitted} samples to fit to and {held} others to measure are too few: give at least one of each, three in \
         one folder; samples of equal contents count once",
        folder.display()
    )]
    TooFewSamples { folder: PathBuf, fitted: usize, held: usize },
    #[error("{}: it has no file for the input \"{input}\": add {input}.npy", sample.display())]
    MissingSample { sample: PathBuf, input: String },
    #[error(
        "{}: the model has several inputs: give a folder for each sample, with a .npy file called after each input",
        file.display()
    )]
    WhichInput { file: PathBuf },
    #[error(
        "{}: {cause}; write {{\"photo.jpg\": [3]}}, with the classes that are right for each measured sample",
        file.display()
    )]
    Labels { file: PathBuf, cause: String },
    #[error("--labels needs a model whose first output is one list of scores, but it is {output}")]
    NoScores { output: String },
    #[error("--at names \"{name}\", which is no layer or tensor of the model; the most similar layer is \"{near}\"")]
    NoSuchPlace { name: String, near: String },
    #[error(
        "--at names \"{name}\", but nothing crosses behind it, or something that cannot travel: name another layer"
    )]
    NoCutThere { name: String },
    #[error(
        "{model} has no cut that is worth a codebook: none of {left_out} is smaller than the inputs; name one with \
         --at, or try --live-max"
    )]
    NoUsefulCut { model: String, left_out: usize },
    #[error("no transform of {tensor} can be inverted on these samples: give more, and more varied ones")]
    NoTransform { tensor: String },
    #[error("no topology: give one with --topology FILE, or a pipeline that names one")]
    NoTopology,
    #[error("no module {name}: give a file, or one that comes with the program, which are {known}")]
    NoSuchModule { name: String, known: String },
    #[error("\"{name}\" is no name of a module: take 1 to {most} of a-z, 0-9 and -")]
    ModuleName { name: String, most: usize },
    #[error("{}: it is there already, and nothing is overwritten: choose another place", path.display())]
    Occupied { path: PathBuf },
    #[error("{given} inputs are given, but module {module} takes {names}")]
    ModuleInputs { module: String, given: usize, names: String },
    #[error("input {input} of module {module} {reason}")]
    ModuleInput { module: String, input: String, reason: String },
    #[error("two models are called {part}: give each --model another name")]
    ModelTwice { part: String },
    #[error("{}: {cause}", file.display())]
    Pack { file: PathBuf, cause: PackError },
    #[error("{}: {cause}; make one with `thalweg module key new`", file.display())]
    Key { file: PathBuf, cause: SignatureError },
    #[error("cannot print the profile: {cause}")]
    Profile { cause: String },
    #[error("cannot write to standard output: {0}")]
    Output(#[from] io::Error),
    #[error("cannot start the asynchronous runtime: {0}")]
    Runtime(io::Error),
}

impl From<PartError> for RunError {
    fn from(error: PartError) -> Self {
        match error {
            PartError::Stage(error) => error.into(),
            PartError::Module(fault) => fault.into(),
            missing @ PartError::Missing { .. } => Self::Part(Box::new(missing)),
        }
    }
}

impl From<ModuleFault> for RunError {
    fn from(fault: ModuleFault) -> Self {
        match fault {
            ModuleFault::Sandbox(error) => error.into(),
            fault => Self::OfModule(Box::new(fault)),
        }
    }
}

/// A file that is not what an input of a deployment takes.
#[derive(Debug, thiserror::Error)]
#[error("{}: it is {got}, but the deployment takes {wants}", file.display())]
#[allow(missing_docs)]
pub struct InputMisfit {
    pub file: PathBuf,
    pub wants: TensorSpec,
    pub got: TensorSpec,
}

impl From<DaemonError> for RunError {
    fn from(error: DaemonError) -> Self {
        Self::Daemon(Box::new(error))
    }
}

impl From<PlanError> for RunError {
    fn from(error: PlanError) -> Self {
        Self::Plan(Box::new(error))
    }
}

impl From<SandboxError> for RunError {
    fn from(error: SandboxError) -> Self {
        Self::Sandbox(Box::new(error))
    }
}

impl RunError {
    /// The exit code of the process: 2 when what the user gave cannot be used, 1 when something failed.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Sandbox(error) => match error.as_ref() {
                SandboxError::Machine { .. } | SandboxError::Full { .. } => 1,
                _ => 2,
            },
            Self::Stage(_)
            | Self::Part(_)
            | Self::Identity(_)
            | Self::Link(_)
            | Self::Node(_)
            | Self::Daemon(_)
            | Self::NotDeployed { .. }
            | Self::AllRefused { .. }
            | Self::Sick { .. }
            | Self::Trial(_)
            | Self::Late { .. }
            | Self::Request { .. }
            | Self::NotExact { .. }
            | Self::Codec(_)
            | Self::Profile { .. }
            | Self::Output(_)
            | Self::Runtime(_) => 1,
            // All others can be mended by giving something else.
            _ => 2,
        }
    }
}

/// What to do when memory is short; nothing for other reasons.
fn more_memory(error: &PlanError) -> &'static str {
    match error {
        PlanError::NoTierFits(_) | PlanError::TiersTooSmall(_) | PlanError::NoCut { .. } => {
            "; give a tier more `memory`, or take a smaller model"
        }
        _ => "",
    }
}

/// Larger files are a mistake: they would take all memory.
const FILE_BYTES_MAX: Bytes = Bytes(1 << 30);

/// The bytes of a file of at most 1 GiB, or which file it was that could not be read.
pub fn read(file: &Path) -> Result<Vec<u8>, RunError> {
    let unreadable = |cause| RunError::Unreadable { file: file.to_owned(), cause };
    let bytes = Bytes(fs::metadata(file).map_err(unreadable)?.len());
    if bytes > FILE_BYTES_MAX {
        return Err(RunError::TooLarge { file: file.to_owned(), bytes });
    }
    fs::read(file).map_err(unreadable)
}
