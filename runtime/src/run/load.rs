//! Brings together what is run: the models and modules, and the tensors that go into them.

use std::path::Path;
use std::time::Duration;

use thalweg_codec::Pixels;
use thalweg_devices::{Model, Shapes};
use thalweg_modules::signature::Trust;
use thalweg_planner::{Graph, Tensor, TensorId};

use super::answer::Scores;
use super::error::RunError;
use crate::config::{DEADLINE_DEFAULT, Pipeline};
use crate::steps::{self, Body, Drawn, Loaded, Steps};

/// A pipeline and its inputs, ready to be planned and run.
#[derive(Debug)]
pub struct Subject {
    /// What people call it.
    pub name: String,
    /// The pipeline; none when a model file was given by itself.
    pub pipeline: Option<Pipeline>,
    /// Its models and task modules.
    pub steps: Steps,
    /// What the answer means; none where no pipeline says it.
    pub(super) scores: Option<Scores>,
    /// One tensor for each input.
    pub inputs: Vec<Tensor>,
    /// Inputs that are photos, with how their pixels became numbers.
    pub photos: Vec<(TensorId, Pixels)>,
    /// How long it took to make the inputs, on this machine: reading, decoding, resizing.
    pub input_time: Duration,
    /// What can be drawn of the answer; none where no pipeline says it.
    pub drawn: Option<Drawn>,
}

impl Subject {
    /// Loads `target`: an ONNX file, whose inputs are then reproducible random numbers, or a pipeline file or its folder.
    ///
    /// `shapes` fix input shapes of a model that is alone, by name, and win over the pipeline's. Only modules that `trust`
    /// vouches for are run.
    pub fn load(target: &Path, shapes: &Shapes, trust: Trust) -> Result<Self, RunError> {
        if target.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("onnx")) {
            let name = target.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
            return Self::of(name, None, steps::load_model(target, shapes)?);
        }
        let pipeline = Pipeline::read(target)?;
        let loaded = steps::load(&pipeline, shapes, trust)?;
        Self::of(pipeline.name.clone(), Some(pipeline), loaded)
    }

    fn of(name: String, pipeline: Option<Pipeline>, loaded: Loaded) -> Result<Self, RunError> {
        let Loaded { steps, inputs, photos, input_time, drawn } = loaded;
        let scores = pipeline.as_ref().map(|pipeline| Scores::of(pipeline, steps.outputs())).transpose()?.flatten();
        Ok(Self { name, pipeline, steps, scores, inputs, photos, input_time, drawn })
    }

    /// The model of a step and its description; without a name, of a model that is alone.
    pub fn model(&self, step: Option<&str>) -> Result<(&Model, &Graph), RunError> {
        let found = step.map_or_else(|| self.steps.only_model(), |step| self.steps.model_of(step));
        found.ok_or_else(|| {
            let models = self.steps.all().iter().filter(|step| matches!(step.body, Body::Model { .. }));
            let known = models.map(|step| step.name.as_str()).collect::<Vec<_>>().join(", ");
            RunError::WhichStep { name: self.name.clone(), known }
        })
    }

    /// How long a request may take.
    pub fn deadline(&self) -> Duration {
        self.pipeline.as_ref().map_or(DEADLINE_DEFAULT, |pipeline| pipeline.deadline)
    }
}
