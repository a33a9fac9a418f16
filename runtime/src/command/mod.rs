//! The command line: `thalweg run`, `plan`, `profile`, `calibrate`, `verify` and `module`; for nodes that are processes of
//! their own `node`, `key`, `invite`, `join`, `revoke`, `deploy`, `ask`, `results`, `status` and `doctor`.
//!
//! Results go to standard output, errors and progress to standard error. The exit code is 0 for success, 2 when what
//! the user gave cannot be used, and 1 when something failed.

mod prepare;
mod given;
mod run;
mod plan;
mod profile;
mod calibrate;
mod verify;
mod module;
mod node;
mod deploy;
mod ask;
mod results;
mod status;
mod doctor;
mod try_part;

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};
use thalweg_devices::{Backends, Precision, Provider};
use thalweg_modules::signature::{PublicKey, Trust};

use crate::run::{RunError, Subject};

/// Makes a neural network flow from a sensor to a data centre the fastest way.
#[derive(Debug, Parser)]
#[command(name = "thalweg", version, max_term_width = 100)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Plan a model over the tiers of a topology and run it there, beside what people would do without a plan.
    Run(run::RunArgs),
    /// Print the plan without running it.
    Plan(plan::PlanArgs),
    /// Measure this machine with a model and write a device profile.
    Profile(profile::ProfileArgs),
    /// Fit codebooks to samples of a model's inputs: a crossing then takes as few bits as the answer needs.
    Calibrate(Box<calibrate::CalibrateArgs>),
    /// Cut a model at every place with few live tensors and prove that both parts together equal the whole.
    Verify(verify::VerifyArgs),
    /// Begin, build, look at, time and sign task modules: steps of a pipeline that are not part of a model.
    Module(module::ModuleArgs),
    /// Run a node of a cluster on this host, until the process is told to end.
    Node(node::NodeArgs),
    /// Make, show and change the keys by which nodes know each other.
    Key(node::KeyArgs),
    /// Invite one more node into the cluster, once and for a while.
    Invite(node::InviteArgs),
    /// Accept an invitation: the node of this host becomes a member.
    Join(node::JoinArgs),
    /// Let a node in no more, now and for good.
    Revoke(node::RevokeArgs),
    /// Plan a pipeline over the nodes of the cluster and put it on them.
    Deploy(Box<deploy::DeployArgs>),
    /// Send requests to a deployment.
    Ask(ask::AskArgs),
    /// Show results that were delivered to a node, and take them away.
    Results(results::ResultsArgs),
    /// Show nodes, links, deployments, which plan serves and why, and where each millisecond goes.
    Status(status::StatusArgs),
    /// Look for what is wrong with a node and its surroundings, and say what to do.
    Doctor(doctor::DoctorArgs),
    /// Try out a part that comes on standard input, within limits, and print what it takes: for this program itself.
    #[command(name = "try-part", hide = true)]
    TryPart(try_part::TryPartArgs),
}

/// What all commands need to know of the model.
#[derive(Debug, Args)]
struct Target {
    /// An ONNX file, or a pipeline file or its folder.
    target: PathBuf,
    /// Fix the shape of an input, such as x=1,3,224,224. May be given for each input.
    #[arg(long = "shape", value_name = "NAME=SIZES", value_parser = parse_shape)]
    shapes: Vec<(String, Vec<usize>)>,
    /// Time and verify, and plan under limits, only at cuts where at most this many tensors cross.
    #[arg(long, value_name = "COUNT", default_value_t = thalweg_planner::LIVE_MAX)]
    live_max: usize,
    #[command(flatten)]
    trusted: Trusted,
}

/// What computes models, beside the CPU.
#[derive(Debug, Args)]
struct Beside {
    /// Compute on the GPU with this in its adapter's name too, where it is faster; "" stands for the fastest of hardware.
    #[arg(long, value_name = "NAME", default_value = "none")]
    adapter: String,
    /// Keep weights in f16 on that GPU, in half of the memory: f32 or f16.
    #[arg(long, value_name = "TYPE", default_value = "f32")]
    precision: Precision,
    /// Compute by this library of onnxruntime too, where it is faster: libonnxruntime.so.1.* in the folder onnxruntime/capi of
    /// its Python package.
    #[arg(long, value_name = "PATH")]
    onnxruntime: Option<PathBuf>,
    /// What onnxruntime computes on: cpu, cuda or tensorrt.
    #[arg(long, value_name = "NAME", default_value = "cpu", requires = "onnxruntime")]
    provider: Provider,
}

impl Beside {
    /// The backends, with the adapter and the library that are asked for, or an error that says what is wrong with them.
    fn backends(&self) -> Result<Backends, RunError> {
        let mut backends = Backends::with(&self.adapter).precision(self.precision);
        if let Some(path) = &self.onnxruntime {
            let failed = |cause: String| RunError::NoOnnxruntime { cause };
            backends = backends.onnxruntime(path, self.provider).map_err(|cause| failed(cause.to_string()))?;
            backends.library().transpose().map_err(failed)?;
        }
        match backends.adapter() {
            Err(cause) if self.adapter != "none" => Err(RunError::NoAdapter { cause }),
            _ => Ok(backends),
        }
    }
}

/// Whose modules are run, beside those that come with the program.
#[derive(Debug, Args)]
struct Trusted {
    /// Trust modules that the holder of this public key has signed. May be given several times.
    #[arg(long = "trust", value_name = "KEY")]
    keys: Vec<PublicKey>,
    /// Trust every module, signed or not: to develop one.
    #[arg(long, conflicts_with = "keys")]
    allow_unsigned: bool,
}

impl Trusted {
    /// Whose modules are run. That all are is said on every start.
    fn trust(&self) -> Trust {
        if self.allow_unsigned {
            tracing::warn!(
                "every module is run, signed or not: leave --allow-unsigned out where others may bring some"
            );
            return Trust::Everyone;
        }
        Trust::Keys(self.keys.iter().copied().collect())
    }
}

impl Target {
    /// Loads what is to be run, with a progress bar.
    fn load(&self) -> Result<Subject, RunError> {
        prepare::load(&self.target, &self.shapes.iter().cloned().collect(), self.trusted.trust())
    }
}

fn parse_shape(text: &str) -> Result<(String, Vec<usize>), String> {
    let help = || format!("\"{text}\" is not a shape: write the input's name and its sizes, such as x=1,3,224,224");
    let (name, sizes) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(help)?;
    let sizes = sizes.split(',').map(|size| size.trim().parse().ok().filter(|size| *size > 0));
    Ok((name.to_owned(), sizes.collect::<Option<_>>().ok_or_else(help)?))
}

/// Runs one command line, program name first, and returns the exit code.
pub fn command(arguments: impl IntoIterator<Item = OsString>, out: &mut dyn Write, errors: &mut dyn Write) -> u8 {
    let parsed = match CommandLine::try_parse_from(arguments) {
        Ok(parsed) => parsed,
        Err(usage) => {
            let asked = matches!(usage.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            let (stream, code): (&mut dyn Write, u8) = if asked { (out, 0) } else { (errors, 2) };
            return write!(stream, "{usage}").map_or(1, |()| code);
        }
    };
    let result = match &parsed.command {
        Command::Run(args) => run::run(args, out),
        Command::Plan(args) => plan::plan(args, out),
        Command::Profile(args) => profile::profile(args, out),
        Command::Calibrate(args) => calibrate::calibrate(args, out),
        Command::Verify(args) => verify::verify(args, out),
        Command::Module(args) => module::module(args, out),
        Command::Node(args) => node::node(args, out),
        Command::Key(args) => node::key(args, out),
        Command::Invite(args) => node::invite(args, out),
        Command::Join(args) => node::join_cluster(args, out),
        Command::Revoke(args) => node::revoke(args, out),
        Command::Deploy(args) => deploy::deploy(args, out),
        Command::Ask(args) => ask::ask(args, out),
        Command::Results(args) => results::results(args, out),
        Command::Status(args) => status::status(args, out),
        Command::Doctor(args) => doctor::doctor(args, out),
        Command::TryPart(args) => try_part::try_part(args, out),
    };
    match result {
        Ok(()) => 0,
        // Whoever reads the output has seen enough.
        Err(RunError::Output(cause)) if cause.kind() == io::ErrorKind::BrokenPipe => 0,
        Err(error) => {
            let _ = writeln!(errors, "error: {error}");
            error.exit_code()
        }
    }
}

/// Opens the file that results will go to, so that nobody waits for results that have no place.
fn check_writable(file: &Path) -> Result<(), RunError> {
    let existed = file.exists();
    let opened = fs::OpenOptions::new().append(true).create(true).open(file);
    opened.map_err(|cause| RunError::Unwritable { file: file.to_owned(), cause })?;
    if !existed {
        // Nothing is left behind when the command fails later; a file that cannot go is no reason to fail now.
        let _ = fs::remove_file(file);
    }
    Ok(())
}

fn write_file(file: &Path, bytes: impl AsRef<[u8]>) -> Result<(), RunError> {
    fs::write(file, bytes).map_err(|cause| RunError::Unwritable { file: file.to_owned(), cause })
}

/// The report, or anything else, as JSON for programs.
fn write_json(out: &mut dyn Write, value: &impl serde::Serialize) -> Result<(), RunError> {
    serde_json::to_writer_pretty(&mut *out, value).map_err(|error| RunError::Output(error.into()))?;
    Ok(writeln!(out)?)
}
