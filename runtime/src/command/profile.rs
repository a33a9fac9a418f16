//! `thalweg profile`: measures this machine with a model and writes a device profile.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use thalweg_devices::device::DeviceProfile;
use thalweg_devices::profile::{Effort, apply, class_rates};
use thalweg_devices::this_machine;

use super::prepare::{load, prefixes};
use super::{Target, check_writable, write_file, write_json};
use crate::run::RunError;

#[derive(Debug, Args)]
pub(super) struct ProfileArgs {
    #[command(flatten)]
    target: Target,
    /// The profile to write. Without it, it is printed.
    #[arg(short, long, value_name = "FILE.toml")]
    output: Option<PathBuf>,
    /// Print JSON instead of TOML.
    #[arg(long)]
    json: bool,
}

pub(super) fn profile(args: &ProfileArgs, out: &mut dyn Write) -> Result<(), RunError> {
    args.output.as_deref().map_or(Ok(()), check_writable)?;
    let mut profile = this_machine()?;
    let subject = load(&args.target)?;
    let times = prefixes(&subject, &profile, args.target.live_max, Effort::THOROUGH)?;
    let mut graph = subject.graph.clone();
    apply(&mut graph, &times);
    class_rates(&graph, &mut profile);
    profile.keep_times(&subject.model, times);
    if let Some(file) = &args.output {
        write_file(file, &print_profile(&profile)?)?;
    }
    match (args.json, &args.output) {
        (true, _) => write_json(out, &profile),
        (false, None) => Ok(write!(out, "{}", print_profile(&profile)?)?),
        (false, Some(file)) => Ok(writeln!(out, "{}: {} written", file.display(), profile.title)?),
    }
}

fn print_profile(profile: &DeviceProfile) -> Result<String, RunError> {
    toml::to_string(profile).map_err(|cause| RunError::Profile { cause: cause.to_string() })
}
