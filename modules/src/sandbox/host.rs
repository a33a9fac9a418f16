//! What a running module can ask of its host, each request counted.

pub(super) mod nn;

use std::sync::Arc;
use std::time::{Duration, Instant};

use thalweg_planner::{Bytes, Tensor, TensorSpec};
use wasmtime::ResourceLimiter;
use wasmtime::component::{Resource, ResourceTable};

use super::Models;
use super::bindings::thalweg::module::{descriptions, failures, log, models, tensors};
use super::error::{Exceeded, Failure};
use super::held::Held;
use super::limits::Limits;

/// The longest text that is taken from a module.
const TEXT_CHARS_MAX: usize = 1000;

/// What belongs to one instance of a module.
pub(super) struct Host {
    module: Arc<str>,
    limits: Limits,
    models: Option<Arc<dyn Models>>,
    /// Tensors: none outlives a call.
    tensors: ResourceTable,
    /// What does, because it is no part of a request: graphs of `wasi:nn` and the like.
    kept: ResourceTable,
    memory_bytes: usize,
    table_elements: usize,
    call: Call,
}

/// What an instance has taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Its linear memory, which never shrinks: the most that it has had.
    pub memory: Bytes,
    /// Calls of the host during the last call of the module.
    pub host_calls: u64,
    /// What these copied between module and host, in both directions together, as [`Limits::host_bytes`] counts it.
    pub copied: Bytes,
}

/// What one call has taken so far.
struct Call {
    until: Instant,
    time: Duration,
    host_calls: u64,
    host_bytes: u64,
    exceeded: Option<Exceeded>,
}

impl Call {
    fn new(time: Duration) -> Self {
        Self { until: Instant::now() + time, time, host_calls: 0, host_bytes: 0, exceeded: None }
    }
}

impl Host {
    pub(super) fn new(module: Arc<str>, limits: Limits, models: Option<Arc<dyn Models>>) -> Self {
        let (tensors, kept) = (table(&limits), table(&limits));
        let call = Call::new(limits.time());
        Self { module, limits, models, tensors, kept, memory_bytes: 0, table_elements: 0, call }
    }

    /// A call begins that may take so long, though never longer than the limit.
    pub(super) fn begin(&mut self, time: Duration) {
        self.call = Call::new(time.min(self.limits.time()));
    }

    /// What was taken so far.
    pub(super) fn taken(&self) -> Taken {
        let Call { host_calls, host_bytes, .. } = self.call;
        Taken { memory: Bytes(self.memory_bytes as u64), host_calls, copied: Bytes(host_bytes) }
    }

    /// What the call took too much of, if it did.
    pub(super) fn exceeded(&self) -> Option<Exceeded> {
        self.call.exceeded
    }

    /// Stops the call if its time is over.
    pub(super) fn check_time(&mut self) -> wasmtime::Result<()> {
        if Instant::now() < self.call.until {
            return Ok(());
        }
        Err(self.stop(Exceeded::Time(self.call.time)))
    }

    /// Gives a tensor to the module.
    pub(super) fn give(&mut self, held: Held) -> wasmtime::Result<Resource<Held>> {
        match self.tensors.push(held) {
            Ok(handle) => Ok(handle),
            Err(_) => Err(self.too_many_handles()),
        }
    }

    fn too_many_handles(&mut self) -> wasmtime::Error {
        self.stop(Exceeded::Handles(self.limits.handles.get()))
    }

    /// Takes back what the module gives out.
    pub(super) fn take(&mut self, handles: Vec<Resource<Held>>) -> wasmtime::Result<Vec<Held>> {
        if handles.len() > self.limits.outputs.count() {
            return Err(self.stop(Exceeded::Outputs(self.limits.outputs.get())));
        }
        let mut outputs: Vec<Held> = Vec::with_capacity(handles.len());
        for handle in handles {
            outputs.push(self.tensors.delete(handle)?);
        }
        let bytes: Bytes = outputs.iter().map(|output| output.tensor.spec().bytes()).sum();
        if bytes.0 > self.limits.output_bytes.get() {
            return Err(self.stop(Exceeded::OutputBytes(Bytes(self.limits.output_bytes.get()))));
        }
        Ok(outputs)
    }

    /// Frees the tensors that the module kept, and says how many there were.
    pub(super) fn clear(&mut self) -> u64 {
        let kept = self.tensors.iter_mut().count() as u64;
        if kept > 0 {
            self.tensors = table(&self.limits);
        }
        kept
    }

    fn stop(&mut self, exceeded: Exceeded) -> wasmtime::Error {
        self.call.exceeded = Some(exceeded);
        wasmtime::Error::msg("a limit was exceeded")
    }

    /// Counts a call of the host that copies so many bytes.
    fn count(&mut self, bytes: u64) -> wasmtime::Result<()> {
        self.call.host_calls += 1;
        if self.call.host_calls > self.limits.host_calls.get() {
            return Err(self.stop(Exceeded::HostCalls(self.limits.host_calls.get())));
        }
        self.call.host_bytes = self.call.host_bytes.saturating_add(bytes);
        if self.call.host_bytes > self.limits.host_bytes.get() {
            return Err(self.stop(Exceeded::HostBytes(Bytes(self.limits.host_bytes.get()))));
        }
        self.check_time()
    }
}

/// Room for as many handles as may be held at a time.
fn table(limits: &Limits) -> ResourceTable {
    let mut table = ResourceTable::new();
    table.set_max_capacity(limits.handles.count());
    table
}

impl ResourceLimiter for Host {
    fn memory_growing(&mut self, now: usize, wanted: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.memory_bytes.saturating_add(wanted.saturating_sub(now));
        if total > self.limits.memory_bytes.count() {
            self.stop(Exceeded::Memory(Bytes(self.limits.memory_bytes.get())));
            return Ok(false);
        }
        self.memory_bytes = total;
        Ok(true)
    }

    fn table_growing(&mut self, now: usize, wanted: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.table_elements.saturating_add(wanted.saturating_sub(now));
        if total > self.limits.table_elements.count() {
            self.stop(Exceeded::Tables(self.limits.table_elements.get()));
            return Ok(false);
        }
        self.table_elements = total;
        Ok(true)
    }

    fn instances(&self) -> usize {
        self.limits.instances.count()
    }

    fn tables(&self) -> usize {
        self.limits.instances.count()
    }

    fn memories(&self) -> usize {
        self.limits.instances.count()
    }
}

impl failures::Host for Host {}
impl descriptions::Host for Host {}
impl tensors::Host for Host {}

/// Answers to a module: the outer error stops it, the inner one is for it.
type Answer<T> = wasmtime::Result<Result<T, failures::Failure>>;

impl tensors::HostTensor for Host {
    fn make(&mut self, spec: tensors::Spec, data: Vec<u8>) -> Answer<Resource<Held>> {
        self.count(data.len() as u64)?;
        let Some(shape) = sizes(&spec.shape) else { return Ok(Err(too_large())) };
        match Tensor::new(TensorSpec::new(spec.dtype.into(), shape), data) {
            Ok(tensor) => self.give(Held::made(tensor)).map(Ok),
            Err(error) => Ok(Err(failures::Failure::Tensor(error.to_string()))),
        }
    }

    fn spec(&mut self, tensor: Resource<Held>) -> wasmtime::Result<tensors::Spec> {
        self.count(0)?;
        let spec = self.tensors.get(&tensor)?.tensor.spec();
        let shape = spec.shape.iter().map(|size| *size as u64).collect();
        Ok(tensors::Spec { dtype: spec.dtype.into(), shape })
    }

    fn read(&mut self, tensor: Resource<Held>, start: u64, len: u64) -> Answer<Vec<u8>> {
        // Counted before it is known whether there are so many: asking for too many is no way round the limit.
        self.count(len)?;
        let data = self.tensors.get(&tensor)?.tensor.data();
        let end = start.checked_add(len).and_then(|end| usize::try_from(end).ok());
        let bytes = end.and_then(|end| data.get(usize::try_from(start).ok()?..end));
        Ok(bytes.map(<[u8]>::to_vec).ok_or_else(|| {
            let text = format!("{len} bytes from byte {start} on do not lie within its {} bytes", data.len());
            failures::Failure::Tensor(text)
        }))
    }

    fn reshape(&mut self, tensor: Resource<Held>, shape: Vec<u64>) -> Answer<Resource<Held>> {
        self.count(8 * shape.len() as u64)?;
        let Some(shape) = sizes(&shape) else { return Ok(Err(too_large())) };
        let held = self.tensors.get(&tensor)?;
        // The elements stay where they are.
        let nan = held.nan;
        match held.tensor.reshape(shape) {
            Ok(tensor) => self.give(Held { tensor, nan }).map(Ok),
            Err(error) => Ok(Err(failures::Failure::Tensor(error.to_string()))),
        }
    }

    fn drop(&mut self, tensor: Resource<Held>) -> wasmtime::Result<()> {
        self.count(0)?;
        self.tensors.delete(tensor)?;
        Ok(())
    }
}

/// The shape in the sizes of this machine, with as many axes as tensors may have here.
fn sizes(shape: &[u64]) -> Option<Vec<usize>> {
    shape.iter().map(|size| usize::try_from(*size).ok()).collect()
}

fn too_large() -> failures::Failure {
    failures::Failure::Tensor("no memory holds a tensor of this shape".to_owned())
}

impl log::Host for Host {
    fn write(&mut self, level: log::Level, text: String) -> wasmtime::Result<()> {
        self.count(text.len() as u64)?;
        let (module, text) = (&*self.module, printable(&text));
        match level {
            log::Level::Debug => tracing::debug!(module, "{text}"),
            log::Level::Info => tracing::info!(module, "{text}"),
            log::Level::Warn => tracing::warn!(module, "{text}"),
            log::Level::Error => tracing::error!(module, "{text}"),
        }
        Ok(())
    }
}

impl models::Host for Host {
    fn infer(&mut self, part: String, inputs: Vec<Resource<Held>>) -> Answer<Vec<Resource<Held>>> {
        self.count(part.len() as u64)?;
        let tensor = |input: &Resource<Held>| self.tensors.get(input).map(|held| held.tensor.clone());
        let inputs = inputs.iter().map(tensor).collect::<Result<Vec<Tensor>, _>>()?;
        let Some(models) = self.models.clone() else { return Err(wasmtime::Error::msg("no models were granted")) };
        let time = self.call.until.saturating_duration_since(Instant::now());
        let outputs = models.infer(&part, &inputs, time);
        self.check_time()?;
        match outputs {
            Ok(outputs) => {
                outputs.into_iter().map(|output| self.give(Held::given(output))).collect::<Result<_, _>>().map(Ok)
            }
            Err(text) => Ok(Err(failures::Failure::Model(printable(&text)))),
        }
    }
}

/// What a module wrote, as it may stand in a log or an error: cut, and without characters that move a cursor.
pub(super) fn printable(text: &str) -> String {
    let plain = |character: char| if character.is_control() && character != '\n' { '\u{fffd}' } else { character };
    text.chars().take(TEXT_CHARS_MAX).map(plain).collect()
}

impl From<failures::Failure> for Failure {
    fn from(failure: failures::Failure) -> Self {
        match failure {
            failures::Failure::Settings(text) => Self::Settings(printable(&text)),
            failures::Failure::Input(text) => Self::Input(printable(&text)),
            failures::Failure::Tensor(text) => Self::Tensor(printable(&text)),
            failures::Failure::Model(text) => Self::Model(printable(&text)),
            failures::Failure::Inner(text) => Self::Inner(printable(&text)),
        }
    }
}
