//! A task module as a step: texts that it writes get a fixed length, because links carry tensors of known shapes.

use std::time::Duration;

use thalweg_modules::sandbox::{self, Port, SandboxError};
use thalweg_planner::{DType, Tensor};

/// A module with its settings, ready to run from any thread.
#[derive(Debug)]
pub struct PreparedModule {
    step: String,
    stage: sandbox::Stage,
    outputs: Vec<Port>,
    text_bytes: usize,
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
}

impl PreparedModule {
    pub(super) fn new(step: &str, stage: sandbox::Stage, text_bytes: usize) -> Self {
        let outputs = stage.description().outputs;
        Self { step: step.to_owned(), stage, outputs, text_bytes }
    }

    /// One request. Outputs `u8[bytes]`, which are texts, are filled up with spaces; one that is longer is an error.
    pub fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, ModuleFault> {
        let made = self.stage.run(inputs, Duration::MAX)?;
        made.into_iter().zip(&self.outputs).map(|(tensor, port)| self.filled(tensor, port)).collect()
    }

    fn filled(&self, tensor: Tensor, port: &Port) -> Result<Tensor, ModuleFault> {
        let is_text = port.dtype == DType::U8 && port.shape.as_deref() == Some(&[None]);
        if !is_text {
            return Ok(tensor);
        }
        let mut text = tensor.into_data();
        if text.len() > self.text_bytes {
            let (step, port, bytes) = (self.step.clone(), port.name.clone(), text.len());
            return Err(ModuleFault::LongText { step, port, bytes, most: self.text_bytes });
        }
        text.resize(self.text_bytes, b' ');
        Ok(Tensor::from_bytes(text))
    }
}
