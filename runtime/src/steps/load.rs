//! Reads the models and modules of a pipeline and links them.
//!
//! Each step but a model that is the last one is run once on the pipeline's own inputs: what it makes tells the shapes of the tensors
//! behind it, and the next steps are measured on it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use thalweg_codec::Pixels;
use thalweg_devices::{Model, Port, Shapes};
use thalweg_modules::random;
use thalweg_modules::sandbox::{self, Machine, Sandbox};
use thalweg_modules::signature::Trust;
use thalweg_planner::{Bytes, DType, Tensor, TensorId, TensorSpec};

use super::error::StepError;
use super::{Body, ModuleOrigin, PreparedModule, Steps, inputs, settings};
use crate::codebook::Codebooks;
use crate::config::{self, Input, Links, Pipeline, Runs, Step};
use crate::module::{Found, GivenModel, grants};
use crate::run::{RunError, read};

/// The seed of inputs that nobody has given.
const SEED: u64 = 1;

/// A pipeline's steps, and what goes into them.
#[derive(Debug)]
pub struct Loaded {
    /// The steps.
    pub steps: Steps,
    /// A tensor for each of their inputs.
    pub inputs: Vec<Tensor>,
    /// Inputs that are photos, with how their pixels became numbers.
    pub photos: Vec<(TensorId, Pixels)>,
    /// How long it took to make the inputs, on this machine: reading, decoding, resizing.
    pub input_time: Duration,
    /// What can be drawn; none where the pipeline does not say it.
    pub drawn: Option<Drawn>,
}

/// A photo on which boxes of the answer can be drawn.
#[derive(Debug, Clone)]
pub struct Drawn {
    /// `u8[height, width, 3]`.
    pub photo: Tensor,
    /// Which of the answers they are.
    pub boxes: usize,
}

/// A model by itself, with random numbers going in.
pub fn load_model(file: &Path, shapes: &Shapes) -> Result<Loaded, RunError> {
    let model = Model::load(file, shapes)?;
    let mut steps = Steps::new();
    let started = Instant::now();
    let made = model.inputs().iter().map(|port| random::random(&port.spec, SEED, None));
    let made = made.collect::<Result<Vec<Tensor>, _>>()?;
    let input_time = started.elapsed();
    let links: Vec<TensorId> =
        model.inputs().iter().map(|port| steps.add_input(&port.name, port.spec.clone())).collect();
    steps.add_model("", model, None, &links, made.clone());
    steps.answer_all();
    steps.settle();
    Ok(Loaded { steps, inputs: made, photos: Vec::new(), input_time, drawn: None })
}

/// The steps of a pipeline. `shapes` fix the inputs of its only model by name and win over the file's; only modules that
/// `trust` vouches for are run.
pub fn load(pipeline: &Pipeline, shapes: &Shapes, trust: Trust) -> Result<Loaded, RunError> {
    let mut loader = Loader {
        pipeline,
        shapes,
        trust,
        sandbox: None,
        steps: Steps::new(),
        sources: BTreeMap::new(),
        values: BTreeMap::new(),
        photos: Vec::new(),
        input_time: Duration::ZERO,
    };
    if !shapes.is_empty() && !matches!(&pipeline.steps[..], [Step { links: Links::SameNames, .. }]) {
        return Err(RunError::ShapesOfSteps { file: pipeline.file.clone() });
    }
    for (at, step) in pipeline.steps.iter().enumerate() {
        match &step.runs {
            Runs::Model { file, codebooks } => {
                let is_last = at + 1 == pipeline.steps.len();
                loader.add_model(step, file, codebooks.as_deref(), is_last)?;
            }
            Runs::Module(module) => loader.add_module(step, module)?,
        }
    }
    loader.finish()
}

struct Loader<'a> {
    pipeline: &'a Pipeline,
    shapes: &'a Shapes,
    trust: Trust,
    /// Opened for the first module.
    sandbox: Option<Sandbox>,
    steps: Steps,
    /// What links can name.
    sources: BTreeMap<String, TensorId>,
    /// What the tensors of the graph were, as far as steps have run.
    values: BTreeMap<TensorId, Tensor>,
    photos: Vec<(TensorId, Pixels)>,
    input_time: Duration,
}

impl Loader<'_> {
    fn add_model(&mut self, step: &Step, file: &Path, codebooks: Option<&Path>, is_last: bool) -> Result<(), RunError> {
        let model = Model::load(file, &self.shapes_of(step)).map_err(|cause| match step.name.as_str() {
            "" => cause.into(),
            step => RunError::ModelOfStep { step: step.to_owned(), cause: Box::new(cause) },
        })?;
        let codebooks = codebooks.filter(|file| file.exists());
        let codebooks = codebooks.map(|file| Codebooks::read(file, &model).map(Box::new)).transpose()?;
        let names: Vec<String> = model.inputs().iter().map(|port| port.name.clone()).collect();
        self.check_ports(step, &names)?;
        let mut links = Vec::with_capacity(names.len());
        for port in model.inputs() {
            links.push(self.link_model(step, &names, port)?);
        }
        let taken = links.iter().filter_map(|link| self.values.get(link).cloned()).collect::<Vec<Tensor>>();
        // Nothing stands behind the last step: its outputs have the shapes that the model says.
        let made = if is_last { Vec::new() } else { model.whole()?.run(&taken)? };
        let outputs: Vec<Port> = model.outputs().to_vec();
        self.steps.add_model(&step.name, model, codebooks, &links, taken);
        let numbers = self.steps.last_tensors();
        let tensors: Vec<(String, TensorId)> =
            outputs.iter().filter_map(|port| Some((port.name.clone(), numbers[port.tensor]?))).collect();
        self.note_outputs(&step.name, tensors, made);
        Ok(())
    }

    /// The shapes that a model's inputs are known to have before it is read.
    fn shapes_of(&self, step: &Step) -> Shapes {
        let shape = |source: &String| match self.sources.get(source) {
            Some(tensor) => self.values.get(tensor).map(|value| value.spec().shape.clone()),
            None => {
                let input = self.pipeline.inputs.iter().find(|input| input.name.as_ref() == Some(source));
                input.and_then(|input| input.shape.clone())
            }
        };
        match &step.links {
            Links::One(source) => shape(source).map(|shape| (String::new(), shape)).into_iter().collect(),
            Links::Named(named) => {
                named.iter().filter_map(|(port, source)| Some((port.clone(), shape(source)?))).collect()
            }
            Links::SameNames => {
                // An input without a name is the only one, which an empty name stands for.
                let own = self.pipeline.inputs.iter();
                let own = own.filter_map(|of| Some((of.name.clone().unwrap_or_default(), of.shape.clone()?)));
                own.chain(self.shapes.clone()).collect()
            }
        }
    }

    fn link_model(&mut self, step: &Step, names: &[String], port: &Port) -> Result<TensorId, RunError> {
        let source = match &step.links {
            Links::SameNames => {
                let input = inputs::find(&self.pipeline.file, &self.pipeline.inputs, names, port)?;
                return self.add_input(&port.name, input, Some(&port.spec), step);
            }
            Links::One(source) if names.len() == 1 => source,
            Links::Named(named) if named.contains_key(&port.name) => &named[&port.name],
            _ => return Err(self.unlinked(step, &port.name, port.spec.to_string())),
        };
        let tensor = self.source(step, source, Some(&port.spec))?;
        let got = self.spec(tensor);
        if got != port.spec {
            return Err(self.misfit(step, (&port.name, port.spec.to_string()), source, got));
        }
        Ok(tensor)
    }

    fn add_module(&mut self, step: &Step, given: &config::Module) -> Result<(), RunError> {
        let found = Found::find(&given.module)?;
        let sandbox = match &self.sandbox {
            Some(sandbox) => sandbox.clone(),
            None => self.sandbox.insert(Sandbox::open(Machine::probe(), self.trust.clone())?).clone(),
        };
        let models = given.models.iter().map(|(part, file)| GivenModel { part: part.clone(), file: file.clone() });
        let grants = grants(&models.collect::<Vec<_>>())?;
        let name = format!("{} of step \"{}\"", found.name, step.name);
        let loaded = sandbox.load(&name, &found.component, &grants, &given.limits)?;
        let description = loaded.description().clone();
        let settings = settings::text(&step.name, given, &description, |cause| self.error(cause))?;
        let names: Vec<String> = description.inputs.iter().map(|port| port.name.clone()).collect();
        self.check_ports(step, &names)?;
        let (mut links, mut taken) = (Vec::new(), Vec::new());
        for port in &description.inputs {
            let (link, value) = self.link_module(step, &names, port)?;
            links.push(link);
            taken.push(value);
        }
        let stage = sandbox::Stage::new(loaded, &settings, given.limits)?;
        let hash = hash(&found, given, &settings)?;
        let bytes = Bytes(found.component.len() as u64);
        let origin = ModuleOrigin {
            name,
            component: found.component,
            settings,
            limits: given.limits,
            text_bytes: given.text_max,
            runs_models: !given.models.is_empty(),
        };
        let module = PreparedModule::new(&step.name, stage, origin);
        let made = module.run(&taken)?;
        let named = description.outputs.iter().map(|port| port.name.clone());
        let outputs = named.clone().zip(made.iter().map(|tensor| tensor.spec().clone())).collect();
        let body = Body::Module { module: Arc::new(module), hash };
        self.steps.add_module(&step.name, body, bytes, &links, taken, outputs);
        let numbers = self.steps.last_tensors()[links.len()..].to_vec();
        let tensors: Vec<(String, TensorId)> =
            named.zip(numbers).filter_map(|(name, tensor)| Some((name, tensor?))).collect();
        self.note_outputs(&step.name, tensors, made);
        Ok(())
    }

    fn link_module(
        &mut self,
        step: &Step,
        names: &[String],
        port: &sandbox::Port,
    ) -> Result<(Option<TensorId>, Tensor), RunError> {
        let source = match &step.links {
            Links::One(source) if names.first() == Some(&port.name) => Some(source),
            Links::Named(named) => named.get(&port.name),
            Links::One(_) | Links::SameNames => None,
        };
        let Some(source) = source else {
            let nothing = nothing(port).ok_or_else(|| self.unlinked(step, &port.name, port.to_string()))?;
            return Ok((None, nothing));
        };
        let tensor = self.source(step, source, None)?;
        let got = self.spec(tensor);
        match self.values.get(&tensor) {
            Some(value) if port.admits(&got) => Ok((Some(tensor), value.clone())),
            _ => Err(self.misfit(step, (&port.name, port.to_string()), source, got)),
        }
    }

    /// The tensor that a link names; an input is made for the first step that takes it.
    fn source(&mut self, step: &Step, name: &str, spec: Option<&TensorSpec>) -> Result<TensorId, RunError> {
        if let Some(tensor) = self.sources.get(name) {
            return Ok(*tensor);
        }
        let input = self.pipeline.inputs.iter().find(|input| input.name.as_deref() == Some(name));
        match input {
            Some(input) => self.add_input(name, input, spec, step),
            None => Err(self.error(self.no_such_source(format!("step \"{}\"", step.name), name))),
        }
    }

    fn add_input(
        &mut self,
        name: &str,
        input: &Input,
        spec: Option<&TensorSpec>,
        step: &Step,
    ) -> Result<TensorId, RunError> {
        let started = Instant::now();
        let value = inputs::tensor(input, spec)?;
        self.input_time += started.elapsed();
        let untyped = || self.error(StepError::Untyped { input: name.to_owned(), step: step.name.clone() });
        let value = value.ok_or_else(untyped)?;
        if let Some(wants) = spec.filter(|wants| *wants != value.spec()) {
            return Err(self.misfit(step, (name, wants.to_string()), name, value.spec().clone()));
        }
        let tensor = self.steps.add_input(name, value.spec().clone());
        self.photos.extend(inputs::pixels(input).map(|pixels| (tensor, pixels)));
        self.values.insert(tensor, value);
        self.sources.insert(name.to_owned(), tensor);
        Ok(tensor)
    }

    /// What a step has made; nothing of one that was not run. Links can name its outputs, and where it has one, the step.
    fn note_outputs(&mut self, step: &str, outputs: Vec<(String, TensorId)>, made: Vec<Tensor>) {
        self.values.extend(outputs.iter().map(|(_, tensor)| *tensor).zip(made));
        if let [(_, only)] = outputs[..] {
            self.sources.insert(step.to_owned(), only);
        }
        self.sources.extend(outputs.into_iter().map(|(port, tensor)| (format!("{step}.{port}"), tensor)));
    }

    fn finish(mut self) -> Result<Loaded, RunError> {
        let names = self.pipeline.inputs.iter().filter_map(|input| input.name.as_ref());
        if let Some(unused) = names.into_iter().find(|name| !self.sources.contains_key(*name)) {
            return Err(self.error(StepError::Unused { input: unused.clone() }));
        }
        for name in &self.pipeline.answers {
            let tensor = self.answer(name, "`answers`")?;
            self.steps.add_output(name, tensor);
        }
        if self.pipeline.answers.is_empty() {
            self.steps.answer_all();
        }
        if let Some(step) = self.steps.settle().filter(|step| !step.is_empty()) {
            return Err(self.error(StepError::UnusedStep { step }));
        }
        let drawn = self.drawn()?;
        let values = self.steps.inputs().iter().filter_map(|port| self.values.get(&port.tensor).cloned());
        Ok(Loaded {
            inputs: values.collect(),
            steps: self.steps,
            photos: self.photos,
            input_time: self.input_time,
            drawn,
        })
    }

    fn answer(&self, name: &str, user: &str) -> Result<TensorId, RunError> {
        let tensor = self.sources.get(name).copied();
        tensor.ok_or_else(|| self.error(self.no_such_source(user.to_owned(), name)))
    }

    fn drawn(&self) -> Result<Option<Drawn>, RunError> {
        let Some(draw) = &self.pipeline.draw else { return Ok(None) };
        let undrawable = |key, name: &str, got: &TensorSpec, wants| {
            Err(self.error(StepError::Undrawable { key, name: name.to_owned(), got: got.clone(), wants }))
        };
        let photo = self.answer(&draw.photo, "[draw]")?;
        let photo = self.values.get(&photo).filter(|value| is_photo(value.spec()));
        let Some(photo) = photo else {
            let got = self.spec(self.answer(&draw.photo, "[draw]")?);
            return undrawable("photo", &draw.photo, &got, "u8[height,width,3]");
        };
        let boxes = self.answer(&draw.boxes, "[draw]")?;
        let spec = self.spec(boxes);
        if spec.dtype != DType::F32 || !matches!(spec.shape[..], [_, 6 | 9]) {
            return undrawable("boxes", &draw.boxes, &spec, "f32[boxes,6] or f32[boxes,9]");
        }
        let answered = self.steps.outputs().iter().position(|port| port.tensor == boxes);
        let not_answered = || self.error(StepError::NotAnswered { name: draw.boxes.clone() });
        Ok(Some(Drawn { photo: photo.clone(), boxes: answered.ok_or_else(not_answered)? }))
    }

    /// Refuses links of inputs that a step has not.
    fn check_ports(&self, step: &Step, names: &[String]) -> Result<(), RunError> {
        let Links::Named(named) = &step.links else { return Ok(()) };
        match named.keys().find(|port| !names.contains(port)) {
            Some(port) => Err(self.error(StepError::NoSuchPort {
                step: step.name.clone(),
                port: port.clone(),
                known: names.join(", "),
            })),
            None => Ok(()),
        }
    }

    fn spec(&self, tensor: TensorId) -> TensorSpec {
        self.steps.graph().tensors[tensor].spec.clone()
    }

    fn no_such_source(&self, user: String, name: &str) -> StepError {
        let inputs = self.pipeline.inputs.iter().filter_map(|input| input.name.as_deref());
        let known: BTreeSet<&str> = self.sources.keys().map(String::as_str).chain(inputs).collect();
        let known = known.into_iter().collect::<Vec<_>>().join(", ");
        StepError::NoSuchSource { user, source_name: name.to_owned(), known }
    }

    fn unlinked(&self, step: &Step, port: &str, wants: String) -> RunError {
        self.error(StepError::Unlinked { step: step.name.clone(), port: port.to_owned(), wants })
    }

    fn misfit(&self, step: &Step, (port, wants): (&str, String), source: &str, got: TensorSpec) -> RunError {
        let (step, port, source_name) = (step.name.clone(), port.to_owned(), source.to_owned());
        self.error(StepError::Misfit { step, port, wants, source_name, got })
    }

    fn error(&self, cause: StepError) -> RunError {
        RunError::Steps { file: self.pipeline.file.clone(), cause: Box::new(cause) }
    }
}

/// Names all that decides what a module does.
fn hash(found: &Found, given: &config::Module, settings: &str) -> Result<[u8; 32], RunError> {
    let mut hash = blake3::Hasher::new();
    hash.update(&found.component).update(settings.as_bytes()).update(&given.text_max.to_le_bytes());
    for (part, file) in &given.models {
        hash.update(part.as_bytes()).update(&read(file)?);
    }
    Ok(*hash.finalize().as_bytes())
}

fn is_photo(spec: &TensorSpec) -> bool {
    spec.dtype == DType::U8 && matches!(spec.shape[..], [height, width, 3] if height.min(width) > 0)
}

/// The tensor without elements that stands for an input that nothing is linked to; none where all its axes are fixed,
/// so that there is no such tensor.
fn nothing(port: &sandbox::Port) -> Option<Tensor> {
    let axes = port.shape.clone().unwrap_or(vec![None]);
    let shape: Vec<usize> = axes.into_iter().map(Option::unwrap_or_default).collect();
    Tensor::new(TensorSpec::new(port.dtype, shape), Vec::new()).ok()
}
