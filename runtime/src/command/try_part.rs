//! `thalweg try-part`: the child of `trial::run`, and nothing for people.

use std::io::{self, Write};

use clap::Args;

use crate::run::RunError;
use crate::trial;

#[derive(Debug, Args)]
pub(super) struct TryPartArgs {
    /// The most address space that this process may have, in bytes.
    memory: u64,
    /// The most processor time that this process may have, in seconds.
    cpu: u64,
}

pub(super) fn try_part(args: &TryPartArgs, out: &mut dyn Write) -> Result<(), RunError> {
    trial::try_part(args.memory, args.cpu, io::stdin().lock(), out)
}
