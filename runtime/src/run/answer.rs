//! What the pipeline says of the answer, checked against its outputs before anything runs.

use thalweg_devices::Port;
use thalweg_modules::classify::{Class, Labels, classify};
use thalweg_planner::Tensor;

use super::error::{RunError, read};
use crate::config::Pipeline;

/// How scores become the best classes.
#[derive(Debug)]
pub(super) struct Scores {
    /// Which of the outputs they are.
    output: usize,
    labels: Labels,
    top: usize,
    softmax: bool,
}

impl Scores {
    /// What `[answer]` says, where the pipeline has one: the output must be there, and have one class a label.
    pub(super) fn of(pipeline: &Pipeline, ports: &[Port]) -> Result<Option<Self>, RunError> {
        let Some(answer) = &pipeline.answer else { return Ok(None) };
        let names = || ports.iter().map(|port| port.name.as_str()).collect::<Vec<_>>().join(", ");
        let output =
            match &answer.output {
                None if ports.len() == 1 => 0,
                None => return Err(RunError::WhichOutput { file: pipeline.file.clone(), outputs: names() }),
                Some(name) => ports.iter().position(|port| port.name == *name).ok_or_else(|| {
                    RunError::NoSuchOutput { file: pipeline.file.clone(), name: name.clone(), outputs: names() }
                })?,
            };
        let labels = Labels::read(&read(&answer.labels)?, &answer.labels.display().to_string())?;
        labels.check(&ports[output].spec)?;
        Ok(Some(Self { output, labels, top: answer.top, softmax: answer.softmax }))
    }

    /// The best classes of the outputs, best first.
    pub(super) fn best(&self, outputs: &[Tensor]) -> Result<Vec<Class>, RunError> {
        let Some(scores) = outputs.get(self.output) else { return Ok(Vec::new()) };
        Ok(classify(scores, &self.labels, self.top, self.softmax)?)
    }
}
