//! `thalweg profile`: measures this machine with a model and writes a device profile.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use thalweg_devices::device::DeviceProfile;
use thalweg_devices::profile::{Effort, class_rates};
use thalweg_devices::{Backends, this_machine};

use super::prepare::times;
use super::{Beside, Target, check_writable, write_file, write_json};
use crate::run::{RunError, Subject};
use crate::show::{ComparedModel, compared_table};
use crate::steps::{Body, StepTime};

#[derive(Debug, Args)]
pub(super) struct ProfileArgs {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    on: Beside,
    /// Compare the backends of this machine for each model instead: times, memory, and what has no kernel.
    #[arg(long, conflicts_with = "output")]
    compare: bool,
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
    let backends = args.on.backends()?;
    let mut subject = args.target.load()?;
    if args.compare {
        return compare(args, &subject, &backends, out);
    }
    subject.steps.compute_on(backends);
    let times = times(&subject, &profile, args.target.live_max, Effort::THOROUGH)?;
    class_rates(&subject.steps.timed(&times), subject.steps.backends(), &mut profile);
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

/// Each model of the subject, whole, on each backend.
fn compare(args: &ProfileArgs, subject: &Subject, backends: &Backends, out: &mut dyn Write) -> Result<(), RunError> {
    let mut models = Vec::new();
    for step in subject.steps.all() {
        if let Body::Model { model, .. } = &step.body {
            let model_name = if step.name.is_empty() { &subject.name } else { &step.name };
            models.push(ComparedModel { model: model_name.clone(), backends: backends.compare(&model.whole_part()?)? });
        }
    }
    if args.json {
        return write_json(out, &models);
    }
    Ok(write!(out, "{}", compared_table(&models))?)
}

fn print_profile(profile: &DeviceProfile) -> Result<String, RunError> {
    toml::to_string(profile).map_err(|cause| RunError::Profile { cause: cause.to_string() })
}
