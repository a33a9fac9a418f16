//! Brings together what is run: the model and the tensors that go into it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use thalweg_codec::Pixels;
use thalweg_devices::{Model, Port, Shapes};
use thalweg_modules::{Layout, Photo, numpy, random};
use thalweg_planner::{Graph, Tensor, TensorId};

use super::answer::Scores;
use super::error::RunError;
use crate::codebook::Codebooks;
use crate::config::{DEADLINE_DEFAULT, Input, Origin, Pipeline};

/// The seed of inputs that nobody has given.
const SEED: u64 = 1;

/// A model and its inputs, ready to be planned and run.
#[derive(Debug)]
pub struct Subject {
    /// What people call it.
    pub name: String,
    /// The pipeline that names the model; none when the model file was given by itself.
    pub pipeline: Option<Pipeline>,
    /// The model.
    pub model: Model,
    /// Its description, without times and codings.
    pub graph: Graph,
    /// The model's codebooks; none where the pipeline names no file, or one that is not there.
    pub codebooks: Option<Codebooks>,
    /// What the answer means; none where no pipeline says it.
    pub(super) scores: Option<Scores>,
    /// One tensor for each input of the model.
    pub inputs: Vec<Tensor>,
    /// Inputs that are photos, with how their pixels became numbers.
    pub photos: Vec<(TensorId, Pixels)>,
    /// How long it took to make the inputs, on this machine: reading, decoding, resizing.
    pub input_time: Duration,
}

impl Subject {
    /// Loads `target`: an ONNX file, whose inputs are then reproducible random numbers, or a pipeline file or its folder.
    ///
    /// `shapes` fix input shapes by name and win over the pipeline's.
    pub fn load(target: &Path, shapes: &Shapes) -> Result<Self, RunError> {
        if target.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("onnx")) {
            let name = target.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
            return Self::of_model(name, None, target, shapes.clone(), |_, port| {
                Ok(random::random(&port.spec, SEED, None)?)
            });
        }
        let pipeline = Pipeline::read(target)?;
        // An input without a name is the only one, which an empty name stands for.
        let own = pipeline
            .inputs
            .iter()
            .filter_map(|input| Some((input.name.clone().unwrap_or_default(), input.shape.clone()?)));
        let mut all: Shapes = own.collect();
        all.extend(shapes.clone());
        let (name, model) = (pipeline.name.clone(), pipeline.model.clone());
        let inputs = pipeline.inputs.clone();
        let file = pipeline.file.clone();
        Self::of_model(name, Some(pipeline), &model, all, |names, port| {
            tensor(find_input(&file, &inputs, names, port)?, port)
        })
    }

    /// How long a request may take.
    pub fn deadline(&self) -> Duration {
        self.pipeline.as_ref().map_or(DEADLINE_DEFAULT, |pipeline| pipeline.deadline)
    }

    fn of_model(
        name: String,
        pipeline: Option<Pipeline>,
        path: &Path,
        shapes: Shapes,
        mut make: impl FnMut(&[String], &Port) -> Result<Tensor, RunError>,
    ) -> Result<Self, RunError> {
        let model = Model::load(path, &shapes)?;
        let scores = pipeline.as_ref().map(|pipeline| Scores::of(pipeline, &model)).transpose()?.flatten();
        let file = pipeline.as_ref().and_then(|pipeline| pipeline.codebooks.as_ref()).filter(|file| file.exists());
        let codebooks = file.map(|file| Codebooks::read(file, &model)).transpose()?;
        let names: Vec<String> = model.inputs().iter().map(|port| port.name.clone()).collect();
        let started = Instant::now();
        let inputs = model.inputs().iter().map(|port| make(&names, port)).collect::<Result<_, _>>()?;
        let input_time = started.elapsed();
        let photos = pipeline.as_ref().map_or_else(Vec::new, |pipeline| photos(pipeline, &model));
        let graph = model.describe();
        Ok(Self { name, pipeline, model, graph, codebooks, scores, inputs, photos, input_time })
    }
}

/// The `[[input]]` of the pipeline that fills `port`.
fn find_input<'a>(file: &Path, inputs: &'a [Input], names: &[String], port: &Port) -> Result<&'a Input, RunError> {
    let stray = inputs.iter().filter_map(|input| input.name.as_ref()).find(|name| !names.contains(name));
    if let Some(name) = stray {
        let (file, name) = (file.to_owned(), name.clone());
        return Err(RunError::NoSuchInput { file, name, inputs: names.join(", ") });
    }
    let only = names.len() == 1 && inputs.len() == 1;
    let fills = |input: &&Input| input.name.as_ref().map_or(only, |name| *name == port.name);
    inputs.iter().find(fills).ok_or_else(|| RunError::MissingInput {
        file: file.to_owned(),
        name: port.name.clone(),
        spec: port.spec.clone(),
    })
}

fn tensor(input: &Input, port: &Port) -> Result<Tensor, RunError> {
    Ok(match &input.origin {
        Origin::Photo { file, normalise } => {
            let photo = Photo::decode(&read(file)?, &file.display().to_string())?;
            normalise.tensor(&photo, &port.spec)?
        }
        Origin::Npy { file } => numpy::read(&read(file)?, &file.display().to_string(), Some(&port.spec))?,
        Origin::Random { seed, range } => random::random(&port.spec, *seed, *range)?,
        Origin::Zeros => random::zeros(&port.spec)?,
    })
}

/// The inputs that a picture codec can carry: colour photos, channel by channel.
fn photos(pipeline: &Pipeline, model: &Model) -> Vec<(TensorId, Pixels)> {
    let named = |input: &Input| {
        let only = (model.inputs().len() == 1).then(|| &model.inputs()[0]);
        let port = model.inputs().iter().find(|port| Some(&port.name) == input.name.as_ref()).or(only)?;
        match &input.origin {
            Origin::Photo { normalise, .. } if normalise.layout == Layout::Nchw => {
                Some((port.tensor, Pixels { mean: normalise.mean, scale: normalise.scale }))
            }
            _ => None,
        }
    };
    pipeline.inputs.iter().filter_map(named).collect()
}

/// The bytes of a file, or which file it was that could not be read.
pub fn read(file: &Path) -> Result<Vec<u8>, RunError> {
    fs::read(file).map_err(|cause| RunError::Unreadable { file: PathBuf::from(file), cause })
}
