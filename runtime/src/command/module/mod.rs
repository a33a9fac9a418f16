//! `thalweg module`: begin, build, look at, time and sign task modules.

mod new;
mod pack;
mod check;
mod bench;
mod key;
mod sign;
mod list;

use std::fs;
use std::io::Write;
use std::path::Path;

use clap::{Args, Subcommand};
use thalweg_modules::sandbox::Grants;

use crate::module::{GivenModel, grants};
use crate::run::RunError;

#[derive(Debug, Args)]
pub(super) struct ModuleArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Begin a module: a crate that builds and has a test.
    New(new::NewArgs),
    /// Make a module of what cargo built for wasm32-unknown-unknown.
    Pack(pack::PackArgs),
    /// Show what a module is, what it asks for and who has signed it, and whether it would be run.
    Check(check::CheckArgs),
    /// Run a module on inputs and measure what it takes.
    Bench(bench::BenchArgs),
    /// Make and show keys that sign modules.
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Sign a module.
    Sign(sign::SignArgs),
    /// List the modules that come with the program.
    List(list::ListArgs),
}

/// What a module gets that it asks for.
#[derive(Debug, Args)]
struct Granted {
    /// Let the module run this ONNX model under this name, as `models.infer` asks for it. May be given several times.
    #[arg(long = "model", value_name = "NAME=FILE.onnx")]
    models: Vec<GivenModel>,
}

impl Granted {
    fn grants(&self) -> Result<Grants, RunError> {
        grants(&self.models)
    }
}

pub(super) fn module(args: &ModuleArgs, out: &mut dyn Write) -> Result<(), RunError> {
    match &args.command {
        Command::New(args) => new::new(args, out),
        Command::Pack(args) => pack::pack(args, out),
        Command::Check(args) => check::check(args, out),
        Command::Bench(args) => bench::bench(args, out),
        Command::Key(command) => key::key(command, out),
        Command::Sign(args) => sign::sign(args, out),
        Command::List(args) => list::list(args, out),
    }
}

/// Writes a file as a whole: whoever reads it sees what was there before, or all of this.
fn replace(file: &Path, bytes: &[u8]) -> Result<(), RunError> {
    let beside = file.with_added_extension("new");
    let replaced = fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, file));
    replaced.map_err(|cause| {
        // What is left of it is of no use, and the error that counts is the first one.
        let _ = fs::remove_file(&beside);
        RunError::Unwritable { file: file.to_owned(), cause }
    })
}
