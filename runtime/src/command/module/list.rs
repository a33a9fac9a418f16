//! `thalweg module list`: the modules that come with the program.

use std::io::Write;

use clap::Args;
use serde::Serialize;
use thalweg_modules::own;

use crate::command::write_json;
use crate::run::RunError;
use crate::show::own_table;

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// A module, for programs.
#[derive(Serialize)]
struct OwnRow {
    name: &'static str,
    version: &'static str,
    bytes: usize,
    does: &'static str,
}

pub(super) fn list(args: &ListArgs, out: &mut dyn Write) -> Result<(), RunError> {
    if !args.json {
        return Ok(write!(out, "{}", own_table(&own::ALL))?);
    }
    let row =
        |own: &own::Own| OwnRow { name: own.name, version: own.version, bytes: own.component.len(), does: own.does };
    write_json(out, &own::ALL.iter().map(row).collect::<Vec<_>>())
}
