//! What `run` and `plan` do first: load the model, measure this machine, and price graph and topology.

use std::path::Path;

use thalweg_codec::Codec;
use thalweg_devices::device::DeviceProfile;
use thalweg_devices::profile::{Effort, PrefixTime};
use thalweg_devices::this_machine;
use thalweg_planner::{Graph, Objective, Topology};

use super::Target;
use crate::config;
use crate::run::{
    RunError, Speed, Subject, codecs, measure_prefixes, pin, priced_graph, priced_topology, scale_codings,
};
use crate::show::Progress;

/// A subject and all that the planner has to know of it and its surroundings.
pub(super) struct Prepared {
    pub(super) subject: Subject,
    pub(super) reference: DeviceProfile,
    pub(super) places: config::Topology,
    pub(super) graph: Graph,
    pub(super) topology: Topology,
    pub(super) objective: Objective,
}

/// Loads `target`, with the machine that `profile` describes as the reference, or this one.
pub(super) fn prepare(
    target: &Target,
    topology: Option<&Path>,
    profile: Option<&Path>,
    speed: Speed,
) -> Result<Prepared, RunError> {
    // Before the model is loaded, so that the memory it takes is given back first.
    let here = this_machine()?;
    let reference = profile.map_or(Ok(here.clone()), config::device_file)?;
    let subject = load(target)?;
    if let Some(file) = profile.filter(|_| reference.times_of(&subject.model).is_none()) {
        return Err(RunError::NotTimed { file: file.to_owned(), model: subject.name });
    }
    let own = subject.pipeline.as_ref().map(|pipeline| pipeline.topology.as_path());
    let file = topology.or(own).ok_or(RunError::NoTopology)?;
    let places = config::Topology::read(file)?;
    let codecs =
        subject.pipeline.as_ref().map_or(config::CODECS_DEFAULT.to_vec(), |pipeline| codecs(&subject, pipeline));
    let prefixes = prefixes(&subject, &reference, target.live_max, Effort::QUICK)?;
    let mut graph = priced_graph(&subject, &prefixes, &codecs);
    // Codecs were timed here, whatever machine the profile is of.
    scale_codings(&mut graph, &here.slowdown(&reference));
    subject.pipeline.as_ref().map_or(Ok(()), |pipeline| pin(&mut graph, pipeline))?;
    let topology = priced_topology(&places, &reference, speed);
    let mut objective = Objective {
        codecs: codecs.iter().map(Codec::to_string).collect(),
        live_max: target.live_max,
        ..Objective::default()
    };
    if let Some(pipeline) = &subject.pipeline {
        let config::Pipeline { goal, limits, mode, inputs_stay, .. } = *pipeline;
        objective = Objective { goal, limits, mode, inputs_stay, ..objective };
    }
    Ok(Prepared { subject, reference, places, graph, topology, objective })
}

/// Loads the model and its inputs, with a progress bar.
pub(super) fn load(target: &Target) -> Result<Subject, RunError> {
    let progress = Progress::start("loading the model");
    let subject = Subject::load(&target.target, &target.shapes());
    progress.finish();
    subject
}

/// The model's times from the reference's profile where it has them, else measured, with a progress bar.
pub(super) fn prefixes(
    subject: &Subject,
    reference: &DeviceProfile,
    live_max: usize,
    effort: Effort,
) -> Result<Vec<PrefixTime>, RunError> {
    if let Some(known) = reference.times_of(&subject.model) {
        return Ok(known.to_vec());
    }
    let progress = Progress::start("timing parts of the model");
    let prefixes = measure_prefixes(subject, effort, live_max, |done, total| progress.set(done, total));
    progress.finish();
    Ok(prefixes?)
}
