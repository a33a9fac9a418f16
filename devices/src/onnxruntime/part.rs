//! A part that onnxruntime has compiled.

use std::fmt;
use std::sync::{Condvar, Mutex, PoisonError};

use ort::session::{Session, SessionInputValue};
use prost::Message as _;
use thalweg_planner::{Tensor, TensorSpec};
use tract_onnx::tract_hir::internal::TypedModel;

use super::error::OnnxruntimeError;
use super::library::Onnxruntime;
use super::lower::{computes, lower, name_of_input, name_of_output};
use super::values;
use crate::cut::Partition;
use crate::guard::guard;

/// Bytes of a model that protobuf can hold.
const MODEL_BYTES_MAX: usize = i32::MAX as usize;

/// A part that a library of onnxruntime computes.
pub struct OnnxruntimeStage {
    name: String,
    library: Onnxruntime,
    /// What is lowered and compiled: kept for more of the same. Its constants are those of the part.
    graph: TypedModel,
    takes: Vec<TensorSpec>,
    gives: Vec<TensorSpec>,
    operators: usize,
    ready: Mutex<Ready>,
    returned: Condvar,
    at_most: usize,
}

/// What is compiled: one of it computes one request at a time.
struct Ready {
    idle: Vec<Session>,
    made: usize,
}

impl fmt::Debug for OnnxruntimeStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnnxruntimeStage").field("name", &self.name).field("library", &self.library).finish()
    }
}

impl Partition {
    /// Compiles the part by a library of onnxruntime: tens of milliseconds, with TensorRT minutes.
    ///
    /// Fails where a node has no counterpart, with its operator and why, and where the library refuses it.
    pub fn prepare_by_onnxruntime(self, library: &Onnxruntime) -> Result<OnnxruntimeStage, OnnxruntimeError> {
        let specs = |borders: &[crate::cut::Border]| borders.iter().map(|border| border.spec.clone()).collect();
        let stage = OnnxruntimeStage {
            name: self.name,
            at_most: library.at_once().max(1),
            library: library.clone(),
            takes: specs(&self.takes),
            gives: specs(&self.gives),
            operators: self.graph.nodes().iter().filter(|node| computes(node)).count(),
            graph: self.graph,
            ready: Mutex::new(Ready { idle: Vec::new(), made: 1 }),
            returned: Condvar::new(),
        };
        let first = stage.compile()?;
        stage.give_back(first);
        Ok(stage)
    }
}

impl OnnxruntimeStage {
    /// What the library is called.
    pub fn library(&self) -> &str {
        self.library.name()
    }

    /// Operators of the part. The library fuses them as it likes.
    pub fn operators(&self) -> usize {
        self.operators
    }

    /// Runs the part: one tensor for each that it takes, one for each that it gives. Never panics.
    ///
    /// Requests on several threads are computed side by side, one a core at most, and on a GPU one by one: what is compiled
    /// computes one at a time, so more of it is compiled when more is asked for at once.
    pub fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, OnnxruntimeError> {
        let failed = |cause: String| OnnxruntimeError::Run { part: self.name.clone(), cause };
        if !inputs.iter().map(Tensor::spec).eq(&self.takes) {
            return Err(failed("other tensors than it takes".to_owned()));
        }
        let mut compiled = self.take()?;
        let made = guard(|| self.run_on(&mut compiled, inputs));
        self.give_back(compiled);
        made.map_err(failed)?.map_err(failed)
    }

    fn run_on(&self, compiled: &mut Session, inputs: &[Tensor]) -> Result<Vec<Tensor>, String> {
        let mut named: Vec<(String, SessionInputValue<'_>)> = Vec::with_capacity(inputs.len());
        for (place, input) in inputs.iter().enumerate() {
            named.push((name_of_input(place), values::taken(input)?.into()));
        }
        let made = compiled.run(named).map_err(|cause| cause.to_string())?;
        let given = self.gives.iter().enumerate().map(|(place, spec)| {
            let value = made.get(name_of_output(place)).ok_or_else(|| format!("output {place} is missing"))?;
            values::given(value, spec)
        });
        given.collect()
    }

    fn compile(&self) -> Result<Session, OnnxruntimeError> {
        let failed = |cause: String| OnnxruntimeError::Prepare { part: self.name.clone(), cause };
        let model = guard(|| lower(&self.graph)).map_err(failed)??.encode_to_vec();
        if model.len() > MODEL_BYTES_MAX {
            return Err(failed(format!("{} bytes are more than the {MODEL_BYTES_MAX} of a model", model.len())));
        }
        let compiled = guard(|| self.library.builder()?.commit_from_memory(&model));
        compiled.map_err(failed)?.map_err(|cause| failed(cause.to_string()))
    }

    /// What is idle, or one more of it, or what comes back next where there are as many as cores.
    fn take(&self) -> Result<Session, OnnxruntimeError> {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(compiled) = ready.idle.pop() {
                return Ok(compiled);
            }
            if ready.made < self.at_most {
                ready.made += 1;
                break;
            }
            ready = self.returned.wait(ready).unwrap_or_else(PoisonError::into_inner);
        }
        drop(ready);
        let compiled = self.compile();
        if compiled.is_err() {
            self.ready.lock().unwrap_or_else(PoisonError::into_inner).made -= 1;
            self.returned.notify_one();
        }
        compiled
    }

    fn give_back(&self, compiled: Session) {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).idle.push(compiled);
        self.returned.notify_one();
    }
}
