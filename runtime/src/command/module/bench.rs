//! `thalweg module bench`: what a module takes.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use super::Granted;
use crate::command::{Trusted, write_json};
use crate::module::{Found, GivenInput, time};
use crate::run::RunError;
use crate::show::{Progress, timing_table};

#[derive(Debug, Args)]
pub(super) struct BenchArgs {
    /// A file, or the name of a module that comes with the program.
    module: PathBuf,
    /// Its settings: JSON, or @ and a file of it.
    #[arg(long, value_name = "JSON", default_value = "{}")]
    settings: String,
    /// An input, in the module's order: a type and shape such as `f32[1,1000]` for random numbers, a .npy file, or @
    /// and any file for its bytes. Those that are not given are random, where the module says what shapes it takes.
    #[arg(long = "input", value_name = "INPUT")]
    inputs: Vec<GivenInput>,
    #[command(flatten)]
    trusted: Trusted,
    #[command(flatten)]
    granted: Granted,
    /// Print JSON instead of tables.
    #[arg(long)]
    json: bool,
}

pub(super) fn bench(args: &BenchArgs, out: &mut dyn Write) -> Result<(), RunError> {
    let found = Found::find(&args.module)?;
    let settings = settings(&args.settings)?;
    let grants = args.granted.grants()?;
    let progress = Progress::start(&format!("running {}", found.name));
    let report = |done, total| progress.set(done, total);
    let timing = time(&found, args.trusted.trust(), &grants, &settings, &args.inputs, report)?;
    progress.finish();
    if args.json { write_json(out, &timing) } else { Ok(write!(out, "{}", timing_table(&timing))?) }
}

fn settings(text: &str) -> Result<String, RunError> {
    let Some(file) = text.strip_prefix('@') else { return Ok(text.to_owned()) };
    fs::read_to_string(file).map_err(|cause| RunError::Unreadable { file: Path::new(file).to_owned(), cause })
}
