//! The library, which is loaded once a process.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread::available_parallelism;

use ort::environment::Environment;
use ort::ep::{CUDA, ExecutionProvider, ExecutionProviderDispatch, TensorRT};
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};

use super::error::OnnxruntimeError;
use crate::guard::guard;
use crate::provider::Provider;

/// Threads that compute one operator. Requests run side by side instead, as on the CPU.
const THREADS: usize = 1;

/// The library of this process, and where it is from. It stays loaded as long as the process runs.
static LOADED: Mutex<Option<(PathBuf, Environment)>> = Mutex::new(None);

/// A library of onnxruntime, and what it is to compute on. Cheap to clone.
#[derive(Clone)]
pub struct Onnxruntime {
    path: PathBuf,
    environment: Environment,
    provider: Provider,
    /// "onnxruntime 1.32.0", with the provider behind it where that is not the processor.
    name: String,
}

impl fmt::Debug for Onnxruntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Onnxruntime").field(&self.path).field(&self.provider).finish()
    }
}

impl Onnxruntime {
    /// Loads the library at `path`: a tenth of a second the first time.
    ///
    /// Fails where there is none, where it is older than 1.17, where it lacks the provider, and where another one is loaded.
    pub fn open(path: &Path, provider: Provider) -> Result<Self, OnnxruntimeError> {
        let not_loaded = |cause: String| OnnxruntimeError::NotLoaded { path: path.to_owned(), cause };
        let opened = guard(|| load(path)).map_err(not_loaded)?;
        let (environment, has) = opened.and_then(|environment| {
            let has = guard(|| has(provider)).map_err(not_loaded)?.map_err(|cause| not_loaded(cause.to_string()))?;
            Ok((environment, has))
        })?;
        if !has {
            return Err(OnnxruntimeError::NoProvider { path: path.to_owned(), provider: provider.name() });
        }
        let name = match provider {
            Provider::Cpu => format!("onnxruntime{}", version(path)),
            _ => format!("onnxruntime{} on {}", version(path), provider.name()),
        };
        Ok(Self { path: path.to_owned(), environment, provider, name })
    }

    /// What it is called in tables.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many requests are computed side by side: one a core, and one on a GPU, which is one device.
    pub(super) fn at_once(&self) -> usize {
        match self.provider {
            Provider::Cpu => available_parallelism().map_or(1, usize::from) / THREADS,
            Provider::Cuda | Provider::Tensorrt => 1,
        }
    }

    /// How parts are prepared.
    pub(super) fn builder(&self) -> ort::Result<SessionBuilder> {
        let builder = Session::builder(&self.environment)?
            .with_intra_threads(THREADS)?
            .with_inter_threads(1)?
            // A thread that waits leaves its core to the other requests.
            .with_intra_op_spinning(false)?
            .with_inter_op_spinning(false)?
            .with_optimization_level(GraphOptimizationLevel::All)?;
        Ok(builder.with_execution_providers(self.providers())?)
    }

    /// What computes a node: the first of these that has it, and the processor else.
    fn providers(&self) -> Vec<ExecutionProviderDispatch> {
        let cuda = || CUDA::default().build().error_on_failure();
        match self.provider {
            Provider::Cpu => Vec::new(),
            Provider::Cuda => vec![cuda()],
            Provider::Tensorrt => vec![TensorRT::default().build().error_on_failure(), cuda()],
        }
    }
}

fn load(path: &Path) -> Result<Environment, OnnxruntimeError> {
    let not_loaded = |cause: String| OnnxruntimeError::NotLoaded { path: path.to_owned(), cause };
    let file = path.canonicalize().map_err(|cause| not_loaded(cause.to_string()))?;
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    match &*loaded {
        Some((is, environment)) if *is == file => return Ok(environment.clone()),
        Some((is, _)) => return Err(OnnxruntimeError::Another { wanted: path.to_owned(), loaded: is.clone() }),
        None => {}
    }
    let builder = ort::init_from(&file).map_err(|cause| not_loaded(cause.to_string()))?;
    let environment = builder.with_name("thalweg").with_telemetry(false).build();
    let environment = environment.map_err(|cause| not_loaded(cause.to_string()))?;
    // What it has to say comes back as an error too.
    environment.set_log_level(ort::logging::LogLevel::Fatal);
    *loaded = Some((file, environment.clone()));
    Ok(environment)
}

fn has(provider: Provider) -> ort::Result<bool> {
    match provider {
        Provider::Cpu => Ok(true),
        Provider::Cuda => CUDA::is_available(),
        Provider::Tensorrt => TensorRT::is_available(),
    }
}

/// " 1.32.0" of `libonnxruntime.so.1.32.0`; nothing where the name does not tell.
fn version(path: &Path) -> String {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let version = name.split_once(".so.").map(|(_, version)| version).filter(|version| version.contains('.'));
    version.map(|version| format!(" {version}")).unwrap_or_default()
}
