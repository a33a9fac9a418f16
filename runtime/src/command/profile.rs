//! `thalweg profile`: measures this machine with a model and writes a device profile.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use thalweg_devices::device::DeviceProfile;
use thalweg_devices::profile::{Effort, class_rates};
use thalweg_devices::this_machine;

use super::prepare::times;
use super::{Target, check_writable, write_file, write_json};
use crate::run::RunError;
use crate::steps::{Body, StepTime};

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
    let subject = args.target.load()?;
    let times = times(&subject, &profile, args.target.live_max, Effort::THOROUGH)?;
    class_rates(&subject.steps.timed(&times), &mut profile);
    for (step, time) in subject.steps.all().iter().zip(times) {
        // Modules are timed each time that they are planned: a few calls take little.
        if let (Body::Model { model, .. }, StepTime::Model(times)) = (&step.body, time) {
            profile.keep_times(model, times);
        }
    }
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
