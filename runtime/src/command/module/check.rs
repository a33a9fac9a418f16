//! `thalweg module check`: what a module is, and whether it would be run.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::Granted;
use crate::command::{Trusted, write_json};
use crate::module::{Found, Sheet};
use crate::run::RunError;
use crate::show::{Progress, sheet_table};

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// A file, or the name of a module that comes with the program.
    module: PathBuf,
    #[command(flatten)]
    trusted: Trusted,
    #[command(flatten)]
    granted: Granted,
    /// Print JSON instead of tables.
    #[arg(long)]
    json: bool,
}

pub(super) fn check(args: &CheckArgs, out: &mut dyn Write) -> Result<(), RunError> {
    let found = Found::find(&args.module)?;
    let grants = args.granted.grants()?;
    let progress = Progress::start("compiling the module");
    let (sheet, refused) = Sheet::of(&found, args.trusted.trust(), &grants);
    progress.finish();
    if args.json {
        write_json(out, &sheet)?;
    } else {
        write!(out, "{}", sheet_table(&sheet))?;
    }
    Ok(refused?)
}
