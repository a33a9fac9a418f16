//! `thalweg module key`: keys that sign modules.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use thalweg_modules::signature::SigningKey;

use crate::run::{RunError, read};

#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Make a private key, which nobody else may read, and print its public half.
    New {
        /// The file to write, in PKCS#8. It must not be there.
        file: PathBuf,
    },
    /// Print the public half of a private key: what others trust.
    Show {
        /// The file of the private key.
        file: PathBuf,
    },
}

pub(super) fn key(command: &KeyCommand, out: &mut dyn Write) -> Result<(), RunError> {
    let key = match command {
        KeyCommand::New { file } => made(file)?,
        KeyCommand::Show { file } => kept(file)?,
    };
    writeln!(out, "{}", key.public())?;
    Ok(())
}

/// The key of a file.
pub(super) fn kept(file: &Path) -> Result<SigningKey, RunError> {
    SigningKey::from_pkcs8(&read(file)?).map_err(|cause| RunError::Key { file: file.to_owned(), cause })
}

fn made(file: &Path) -> Result<SigningKey, RunError> {
    let (key, pkcs8) = SigningKey::generate().map_err(|cause| RunError::Key { file: file.to_owned(), cause })?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file).and_then(|mut file| file.write_all(&pkcs8)).map_err(|cause| match cause.kind() {
        ErrorKind::AlreadyExists => RunError::Occupied { path: file.to_owned() },
        _ => RunError::Unwritable { file: file.to_owned(), cause },
    })?;
    Ok(key)
}
