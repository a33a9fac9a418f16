//! `thalweg module new`: begins a module.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use crate::module::begin;
use crate::run::RunError;

#[derive(Debug, Args)]
pub(super) struct NewArgs {
    /// The name of the module: lower-case letters, digits and -.
    name: String,
    /// The folder of its crate. Without it: one of its name, here.
    #[arg(long, value_name = "FOLDER")]
    at: Option<PathBuf>,
}

pub(super) fn new(args: &NewArgs, out: &mut dyn Write) -> Result<(), RunError> {
    let folder = args.at.clone().unwrap_or_else(|| PathBuf::from(&args.name));
    let files = begin(&args.name, &folder)?;
    writeln!(out, "{}: {} files written; README.md there says how to go on", folder.display(), files.len())?;
    Ok(())
}
