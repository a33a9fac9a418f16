//! A task module as a step: texts that it writes get a fixed length, because links carry tensors of known shapes.

use std::borrow::Cow;
use std::sync::OnceLock;
use std::time::Duration;

use thalweg_modules::sandbox::{self, Limits, Port, SandboxError};
use thalweg_planner::{DType, Tensor, TensorSpec};

/// What a module was made of: with it another node makes the same.
#[derive(Debug, Clone)]
pub struct ModuleOrigin {
    /// What tables and errors call it.
    pub name: String,
    /// Its component, signature included.
    pub component: Cow<'static, [u8]>,
    /// Its settings, as JSON.
    pub settings: String,
    /// What an instance of it may take.
    pub limits: Limits,
    /// Bytes of each text that it writes.
    pub text_bytes: usize,
    /// Whether it may run models of its own.
    pub runs_models: bool,
}

/// A module with its settings, ready to run from any thread.
#[derive(Debug)]
pub struct PreparedModule {
    step: String,
    stage: sandbox::Stage,
    outputs: Vec<Port>,
    origin: ModuleOrigin,
    /// What it gave the first time: links carry tensors of known shapes, so it has to stay so.
    specs: OnceLock<Vec<TensorSpec>>,
}

/// A module did not do what it should.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum ModuleFault {
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    #[error(
        "step \"{step}\" has written {bytes} bytes as \"{port}\", but its texts have {most}: give the step a larger \
         `text_max`"
    )]
    LongText { step: String, port: String, bytes: usize, most: usize },
    #[error(
        "step \"{step}\" has given {is} as \"{port}\", and {was} when the pipeline was loaded: what it gives has to stay \
         of one shape, so let its settings fix the size"
    )]
    OtherShape { step: String, port: String, was: TensorSpec, is: TensorSpec },
}

impl PreparedModule {
    /// The module of a step; `stage` was made of `origin`.
    pub fn new(step: &str, stage: sandbox::Stage, origin: ModuleOrigin) -> Self {
        let outputs = stage.description().outputs;
        Self { step: step.to_owned(), stage, outputs, origin, specs: OnceLock::new() }
    }

    /// What it was made of.
    pub fn origin(&self) -> &ModuleOrigin {
        &self.origin
    }

    /// One request. Outputs `u8[bytes]`, which are texts, are filled up with spaces; one that is longer is an error.
    pub fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, ModuleFault> {
        let made = self.stage.run(inputs, Duration::MAX)?;
        let made = made.into_iter().zip(&self.outputs).map(|(tensor, port)| self.filled(tensor, port));
        let made: Vec<Tensor> = made.collect::<Result<_, _>>()?;
        let specs = self.specs.get_or_init(|| made.iter().map(|tensor| tensor.spec().clone()).collect());
        let other = self.outputs.iter().zip(&made).zip(specs).find(|((_, tensor), spec)| tensor.spec() != *spec);
        match other {
            Some(((port, tensor), spec)) => Err(ModuleFault::OtherShape {
                step: self.step.clone(),
                port: port.name.clone(),
                was: spec.clone(),
                is: tensor.spec().clone(),
            }),
            None => Ok(made),
        }
    }

    /// Of each output, whether it is a text.
    pub(super) fn texts(&self) -> Vec<bool> {
        self.outputs.iter().map(is_text).collect()
    }

    fn filled(&self, tensor: Tensor, port: &Port) -> Result<Tensor, ModuleFault> {
        if !is_text(port) {
            return Ok(tensor);
        }
        let mut text = tensor.into_data();
        if text.len() > self.origin.text_bytes {
            let (step, port, bytes) = (self.step.clone(), port.name.clone(), text.len());
            return Err(ModuleFault::LongText { step, port, bytes, most: self.origin.text_bytes });
        }
        text.resize(self.origin.text_bytes, b' ');
        Ok(Tensor::from_bytes(text))
    }
}

/// Modules write texts into outputs `u8[?]`.
fn is_text(port: &Port) -> bool {
    port.dtype == DType::U8 && port.shape.as_deref() == Some(&[None])
}
