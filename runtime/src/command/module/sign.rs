//! `thalweg module sign`: vouches for a module.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use thalweg_modules::sandbox::Surface;
use thalweg_modules::signature;

use super::{key, replace};
use crate::run::{RunError, read};

#[derive(Debug, Args)]
pub(super) struct SignArgs {
    /// The module.
    file: PathBuf,
    /// The private key, which `thalweg module key new` has made.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The file to write. Without it, the module's own.
    #[arg(short, long, value_name = "FILE.wasm")]
    output: Option<PathBuf>,
}

pub(super) fn sign(args: &SignArgs, out: &mut dyn Write) -> Result<(), RunError> {
    let key = key::kept(&args.key)?;
    let component = read(&args.file)?;
    // Nobody means to vouch for something that is no module.
    Surface::read(&args.file.display().to_string(), &component)?;
    let output = args.output.as_ref().unwrap_or(&args.file);
    replace(output, &signature::sign(&component, &key))?;
    writeln!(out, "{}: signed by {}", output.display(), key.public())?;
    Ok(())
}
