//! `thalweg module pack`: a core module becomes a component.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use thalweg_modules::sandbox::Surface;
use thalweg_pack::PackError;
use thalweg_planner::Bytes;

use super::replace;
use crate::run::{RunError, read};

#[derive(Debug, Args)]
pub(super) struct PackArgs {
    /// The core module: a .wasm file of cargo.
    core: PathBuf,
    /// The module to write.
    #[arg(short, long, value_name = "FILE.wasm")]
    output: PathBuf,
}

/// What every module gives.
const EXPORTS: [&str; 3] = ["describe", "configure", "run"];

pub(super) fn pack(args: &PackArgs, out: &mut dyn Write) -> Result<(), RunError> {
    let refused = |cause| RunError::Pack { file: args.core.clone(), cause };
    let component = thalweg_pack::component(&read(&args.core)?).map_err(refused)?;
    let surface = Surface::read(&args.core.display().to_string(), &component)?;
    // A crate that exports no module becomes a component too: one that is good for nothing.
    if !EXPORTS.iter().all(|export| surface.exports.iter().any(|given| given == export)) {
        let reason = format!("it does not export {}", EXPORTS.join(", "));
        return Err(refused(PackError::Encode { reason }));
    }
    replace(&args.output, &component)?;
    writeln!(out, "{}: {}", args.output.display(), Bytes(component.len() as u64))?;
    Ok(())
}
