//! One instance of a module: configured once, then run for one request after the other.

use std::sync::Arc;
use std::time::Duration;

use thalweg_planner::{Tensor, TensorSpec};
use wasmtime::component::Resource;

use super::description::{Description, Port};
use super::error::SandboxError;
use super::held::Held;
use super::host::Taken;
use super::running::Running;

/// An instance of a module. It shares nothing with others, serves one call at a time and stays warm between calls. A call
/// that is stopped spends it: its memory is then in no known state. What a module refuses by itself does not.
pub struct Instance {
    running: Running,
    description: Arc<Description>,
}

impl Instance {
    /// Configures what was started.
    pub(super) fn configure(
        mut running: Running,
        description: Arc<Description>,
        settings: &str,
    ) -> Result<Self, SandboxError> {
        let answer = running.call(Duration::MAX, |exports, store| exports.call_configure(store, settings))?;
        let failed = |failure| SandboxError::Failed { module: running.name(), failure };
        answer.map_err(|failure| failed(super::Failure::from(failure)))?;
        Ok(Self { running, description })
    }

    /// Runs one request, for at most `time` and never longer than the limit. Inputs and outputs are as many as the
    /// module declares, in that order and of those types and shapes. What the module does not read is not copied. In
    /// what it makes and gives out, every element is a number or an infinity.
    pub fn run(&mut self, inputs: &[Tensor], time: Duration) -> Result<Vec<Tensor>, SandboxError> {
        self.check_inputs(inputs)?;
        let answer = self.running.call(time, |exports, store| {
            let host = store.data_mut();
            let handles: Result<Vec<Resource<Held>>, _> =
                inputs.iter().map(|input| host.give(Held::given(input.clone()))).collect();
            match exports.call_run(&mut *store, &handles?)? {
                Ok(handles) => store.data_mut().take(handles).map(Ok),
                Err(failure) => Ok(Err(failure)),
            }
        })?;
        let failed = |failure| SandboxError::Failed { module: self.running.name(), failure };
        let outputs = answer.map_err(|failure| failed(super::Failure::from(failure)))?;
        self.check_outputs(&outputs)?;
        Ok(outputs.into_iter().map(|output| output.tensor).collect())
    }

    /// Whether an error has ended this instance.
    pub fn is_spent(&self) -> bool {
        self.running.is_spent()
    }

    /// What it has taken so far, and in its last call.
    pub fn taken(&self) -> Taken {
        self.running.taken()
    }

    fn check_inputs(&self, inputs: &[Tensor]) -> Result<(), SandboxError> {
        let (expected, got) = (self.description.inputs.len(), inputs.len());
        if expected != got {
            return Err(SandboxError::InputCount { module: self.running.name(), expected, got });
        }
        match misfit(&self.description.inputs, inputs.iter()) {
            Some((port, got)) => Err(SandboxError::Input { module: self.running.name(), port, got }),
            None => Ok(()),
        }
    }

    fn check_outputs(&self, outputs: &[Held]) -> Result<(), SandboxError> {
        let (expected, got) = (self.description.outputs.len(), outputs.len());
        if expected != got {
            return Err(SandboxError::OutputCount { module: self.running.name(), expected, got });
        }
        let ports = &self.description.outputs;
        if let Some((port, got)) = misfit(ports, outputs.iter().map(|output| &output.tensor)) {
            return Err(SandboxError::Output { module: self.running.name(), port, got });
        }
        match ports.iter().zip(outputs).find_map(|(port, output)| Some((port.clone(), output.nan?))) {
            Some((port, element)) => Err(SandboxError::NotANumber { module: self.running.name(), port, element }),
            None => Ok(()),
        }
    }
}

/// The first tensor that its port does not admit.
fn misfit<'a>(ports: &[Port], tensors: impl Iterator<Item = &'a Tensor>) -> Option<(Port, TensorSpec)> {
    let misfit = ports.iter().zip(tensors).find(|(port, tensor)| !port.admits(tensor.spec()));
    misfit.map(|(port, tensor)| (port.clone(), tensor.spec().clone()))
}
