//! What `run` and `plan` do first: load the model, measure this machine, and price graph and topology.

use std::path::Path;

use thalweg_codec::Codec;
use thalweg_devices::device::DeviceProfile;
use thalweg_devices::profile::{Effort, class_rates};
use thalweg_devices::{Model, Shapes, this_machine};
use thalweg_modules::signature::Trust;
use thalweg_planner::{Graph, Objective, Topology};

use super::{Beside, Target};
use crate::config;
use crate::run::{RunError, Speed, Subject, codecs, measure_steps, pin, priced_graph, priced_topology, scale};
use crate::show::Progress;
use crate::steps::{Body, Step, StepTime};

/// A subject and all that the planner has to know of it and its surroundings.
pub(super) struct Prepared {
    pub(super) subject: Subject,
    pub(super) reference: DeviceProfile,
    pub(super) places: config::Topology,
    pub(super) graph: Graph,
    pub(super) topology: Topology,
    pub(super) objective: Objective,
}

/// A subject and what its layers and tensors cost, wherever they run.
pub(super) struct Priced {
    pub(super) subject: Subject,
    pub(super) reference: DeviceProfile,
    pub(super) graph: Graph,
    pub(super) objective: Objective,
}

/// Loads `target`, with the machine that `profile` describes as the reference, or this one, with the backends that are asked
/// for.
pub(super) fn prepare(
    (target, on): (&Target, &Beside),
    topology: Option<&Path>,
    profile: Option<&Path>,
    speed: Speed,
) -> Result<Prepared, RunError> {
    let backends = on.backends()?;
    let mut loaded = Loaded::load(target, profile)?;
    loaded.subject.steps.compute_on(backends);
    let own = loaded.subject.pipeline.as_ref().map(|pipeline| pipeline.topology.as_path());
    let file = topology.or(own).ok_or(RunError::NoTopology)?;
    let places = config::Topology::read(file)?;
    let Priced { subject, reference, graph, objective } = loaded.price(target)?;
    let topology = priced_topology(&places, &reference, speed);
    Ok(Prepared { subject, reference, places, graph, topology, objective })
}

/// As [`prepare`] does it with this machine as the reference, for tiers that are known later.
pub(super) fn price(target: &Target) -> Result<Priced, RunError> {
    Loaded::load(target, None)?.price(target)
}

/// A subject, and the machines that it is measured against.
struct Loaded {
    subject: Subject,
    here: DeviceProfile,
    reference: DeviceProfile,
}

impl Loaded {
    fn load(target: &Target, profile: Option<&Path>) -> Result<Self, RunError> {
        // Before the model is loaded, so that the memory it takes is given back first.
        let here = this_machine()?;
        let reference = profile.map_or(Ok(here.clone()), config::device_file)?;
        let subject = target.load()?;
        let untimed =
            |step: &&Step| matches!(&step.body, Body::Model { model, .. } if reference.times_of(model).is_none());
        if let Some((file, step)) = profile.zip(subject.steps.all().iter().find(untimed)) {
            let model = if step.name.is_empty() { subject.name.clone() } else { step.name.clone() };
            return Err(RunError::NotTimed { file: file.to_owned(), model });
        }
        Ok(Self { subject, here, reference })
    }

    fn price(self, target: &Target) -> Result<Priced, RunError> {
        let Self { subject, here, mut reference } = self;
        let given = reference != here;
        let codecs =
            subject.pipeline.as_ref().map_or(config::CODECS_DEFAULT.to_vec(), |pipeline| codecs(&subject, pipeline));
        let times = times(&subject, &reference, target.live_max, Effort::QUICK)?;
        let mut graph = priced_graph(&subject, &times, &codecs);
        // A profile that was given says itself what it is of.
        if !given && subject.steps.backends().beside_cpu().is_some() {
            class_rates(&graph, subject.steps.backends(), &mut reference);
        }
        // Codecs and modules were timed here, whatever machine the profile is of.
        scale(&mut graph, &here.slowdown(&reference));
        subject.pipeline.as_ref().map_or(Ok(()), |pipeline| pin(&mut graph, pipeline))?;
        let mut objective = Objective {
            codecs: codecs.iter().map(Codec::to_string).collect(),
            live_max: target.live_max,
            ..Objective::default()
        };
        if let Some(pipeline) = &subject.pipeline {
            let config::Pipeline { goal, limits, mode, inputs_stay, .. } = *pipeline;
            objective = Objective { goal, limits, mode, inputs_stay, ..objective };
        }
        Ok(Priced { subject, reference, graph, objective })
    }
}

/// Loads models and inputs, with a progress bar.
pub(super) fn load(target: &Path, shapes: &Shapes, trust: Trust) -> Result<Subject, RunError> {
    let progress = Progress::start("loading the model");
    let subject = Subject::load(target, shapes, trust);
    progress.finish();
    subject
}

/// How long the steps take: of models from the reference's profile where it has them, else measured, with a progress bar.
pub(super) fn times(
    subject: &Subject,
    reference: &DeviceProfile,
    live_max: usize,
    effort: Effort,
) -> Result<Vec<StepTime>, RunError> {
    let progress = Progress::start("timing parts of the model");
    let known = |model: &Model| reference.times_of(model).map(<[_]>::to_vec);
    let times = measure_steps(subject, effort, live_max, known, |done, total| progress.set(done, total));
    progress.finish();
    times
}
