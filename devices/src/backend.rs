//! What this machine computes on, and which of it is the fastest for a part.

use std::path::Path;
#[cfg(feature = "ort")]
use std::path::PathBuf;
#[cfg(any(feature = "gpu", feature = "ort"))]
use std::sync::Arc;
#[cfg(feature = "ort")]
use std::sync::OnceLock;
#[cfg(feature = "gpu")]
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use thalweg_planner::{Tensor, TensorSpec};

use crate::cut::Partition;
use crate::error::StageError;
#[cfg(feature = "gpu")]
use crate::gpu::{Gpu, GpuError};
#[cfg(feature = "ort")]
use crate::onnxruntime::{Onnxruntime, OnnxruntimeError};
use crate::precision::Precision;
#[cfg(feature = "gpu")]
use crate::profile::Times;
use crate::profile::{Effort, time};
use crate::provider::{NotBuilt, Provider};
use crate::stage::Stage;
#[cfg(any(feature = "gpu", feature = "ort"))]
use crate::stage::{Compiled, RunTime};

/// How long backends are compared; the fastest run of each counts.
pub(crate) const EFFORT: Effort = Effort::QUICK;

/// The backends of this machine: its CPU, one GPU where there is one, and a library of onnxruntime where one is named. Cheap
/// to clone.
///
/// A driver or a library is loaded when something is first prepared, which takes from a tenth of a second to one.
#[derive(Debug, Clone, Default)]
pub struct Backends {
    /// In the name of the adapter; none for the CPU alone.
    #[cfg(feature = "gpu")]
    adapter: Option<Arc<str>>,
    #[cfg(feature = "gpu")]
    precision: Precision,
    #[cfg(feature = "gpu")]
    gpu: Arc<Mutex<Option<Result<Gpu, GpuError>>>>,
    /// Where its library is, and what that computes on; none for no one.
    #[cfg(feature = "ort")]
    wanted: Option<(Arc<PathBuf>, Provider)>,
    #[cfg(feature = "ort")]
    library: Arc<OnceLock<Result<Onnxruntime, OnnxruntimeError>>>,
}

/// What a part takes on one backend.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    /// "cpu", the name of an adapter, or that of a library.
    pub backend: String,
    /// The fastest run, with what crosses between host and device; none where it does not run there.
    pub run_us: Option<f64>,
    /// How much of a run is what runs on the CPU all the same.
    pub cpu_us: f64,
    /// To optimise or compile it.
    pub prepare_us: f64,
    /// The first run, with what a driver does then.
    pub first_us: f64,
    /// Operators, and how many of them run on the CPU all the same.
    pub operators: usize,
    /// See `operators`: their names, what they are and why.
    pub on_cpu: Vec<(String, String, String)>,
    /// Kernels, and submissions, of one run.
    pub kernels: usize,
    /// See `kernels`.
    pub submits: usize,
    /// Bytes on the device: constants, and the pool of what is made on the way.
    pub constants: u64,
    /// See `constants`.
    pub pool: u64,
    /// Why it does not run there.
    pub why_not: Option<String>,
}

impl Backends {
    /// The CPU, and the adapter whose name has `adapter` in it; the fastest of hardware where that is empty, none where it is
    /// "none".
    pub fn with(adapter: &str) -> Self {
        #[cfg(feature = "gpu")]
        return Self { adapter: (adapter != "none").then(|| adapter.into()), ..Self::default() };
        #[cfg(not(feature = "gpu"))]
        {
            let _ = adapter;
            Self::default()
        }
    }

    /// The same, with weights in this precision on the GPU. The CPU rounds none.
    #[must_use]
    pub fn precision(self, precision: Precision) -> Self {
        #[cfg(feature = "gpu")]
        return Self { precision, gpu: Arc::default(), ..self };
        #[cfg(not(feature = "gpu"))]
        {
            let _ = precision;
            self
        }
    }

    /// The name of the GPU's adapter, or why there is none.
    pub fn adapter(&self) -> Result<String, String> {
        #[cfg(feature = "gpu")]
        return match self.gpu() {
            Some(Ok(gpu)) => Ok(gpu.adapter().name.clone()),
            Some(Err(cause)) => Err(cause.to_string()),
            None => Err("none is wanted".to_owned()),
        };
        #[cfg(not(feature = "gpu"))]
        Err("this program was built without the feature `gpu`".to_owned())
    }

    /// The GPU, where one is wanted. One that is lost is opened again.
    #[cfg(feature = "gpu")]
    pub(crate) fn gpu(&self) -> Option<Result<Gpu, GpuError>> {
        let adapter = self.adapter.as_ref()?;
        let mut known = self.gpu.lock().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            Some(Ok(gpu)) if gpu.check().is_err() => {
                // Where it cannot be opened yet, the next one to ask tries again.
                let again = Gpu::open(adapter, self.precision);
                if again.is_ok() {
                    *known = Some(again.clone());
                }
                Some(again)
            }
            Some(known) => Some(known.clone()),
            None => Some(known.insert(Gpu::open(adapter, self.precision)).clone()),
        }
    }

    /// The same, with the library of onnxruntime at `path`, which computes on `provider`.
    ///
    /// Fails in a program that was built without it. The library itself is loaded later.
    #[cfg_attr(not(feature = "ort"), expect(unused_mut, reason = "nothing is set"))]
    pub fn onnxruntime(mut self, path: &Path, provider: Provider) -> Result<Self, NotBuilt> {
        #[cfg(feature = "ort")]
        {
            self.wanted = Some((Arc::new(path.to_owned()), provider));
            self.library = Arc::default();
            Ok(self)
        }
        #[cfg(not(feature = "ort"))]
        {
            let _ = (path, provider);
            Err(NotBuilt)
        }
    }

    /// The name of the library of onnxruntime, or why there is none; nothing where none is wanted. Loads it.
    pub fn library(&self) -> Option<Result<String, String>> {
        #[cfg(feature = "ort")]
        return self.loaded().map(|loaded| match loaded {
            Ok(library) => Ok(library.name().to_owned()),
            Err(cause) => Err(cause.to_string()),
        });
        #[cfg(not(feature = "ort"))]
        None
    }

    /// What may compute parts beside the CPU, by name; nothing where nothing else does.
    pub fn beside_cpu(&self) -> Option<String> {
        let found = [self.adapter().ok(), self.library().and_then(Result::ok)];
        let names: Vec<String> = found.into_iter().flatten().collect();
        (!names.is_empty()).then(|| names.join(", "))
    }

    #[cfg(feature = "ort")]
    fn loaded(&self) -> Option<Result<&Onnxruntime, &OnnxruntimeError>> {
        let (path, provider) = self.wanted.as_ref()?;
        Some(self.library.get_or_init(|| Onnxruntime::open(path, *provider)).as_ref())
    }

    /// Prepares a part for the backend on which it is fastest, by trying: on the CPU where no other is faster, or all fail.
    #[cfg(any(feature = "gpu", feature = "ort"))]
    pub fn prepare(&self, part: Partition) -> Result<Stage, StageError> {
        let cpu = part.clone().prepare()?;
        let mut least = None;
        let mut best: Option<(Compiled, RunTime)> = None;
        let mut causes = Vec::new();
        for compiled in self.compiled(&part) {
            let run = compiled.and_then(|compiled| {
                let faster = faster(&compiled, &part, &cpu, &mut least)?;
                Ok(faster.map(|timed| (compiled, timed)))
            });
            match run {
                Ok(faster) => best = faster.or(best),
                Err(cause) => causes.push(cause),
            }
        }
        match best {
            Some((compiled, timed)) => Ok(part.with(compiled, timed)),
            None => Ok(causes.iter().fold(cpu, |cpu, cause| cpu.because(cause))),
        }
    }

    /// The part on each backend beside the CPU, or why it is not.
    #[cfg(any(feature = "gpu", feature = "ort"))]
    fn compiled(&self, part: &Partition) -> Vec<Result<Compiled, String>> {
        let mut all = Vec::new();
        #[cfg(feature = "gpu")]
        match self.gpu() {
            None => {}
            // Nobody has asked for one by name.
            Some(Err(GpuError::NoAdapter { name, .. })) if name.is_empty() => {}
            Some(Err(cause)) => all.push(Err(cause.to_string())),
            Some(Ok(gpu)) => {
                all.push(part.clone().prepare_on(&gpu).map(Compiled::Gpu).map_err(|cause| cause.to_string()));
            }
        }
        #[cfg(feature = "ort")]
        if let Some(library) = self.loaded() {
            let prepared = library
                .map_err(OnnxruntimeError::to_string)
                .and_then(|library| part.clone().prepare_by_onnxruntime(library).map_err(|cause| cause.to_string()));
            all.push(prepared.map(Compiled::Onnxruntime));
        }
        all
    }

    /// Prepares a part for the CPU.
    #[cfg(not(any(feature = "gpu", feature = "ort")))]
    pub fn prepare(&self, part: Partition) -> Result<Stage, StageError> {
        part.prepare()
    }

    /// What a part takes on each backend.
    pub fn compare(&self, part: &Partition) -> Result<Vec<Compared>, StageError> {
        let inputs = zeros(part)?;
        let started = Instant::now();
        let cpu = part.clone().prepare()?;
        let prepare = started.elapsed();
        let started = Instant::now();
        cpu.run(&inputs)?;
        let first = started.elapsed();
        let run = time(EFFORT, || cpu.run(&inputs).map(drop))?.least;
        #[cfg_attr(not(any(feature = "gpu", feature = "ort")), expect(unused_mut, reason = "there is no other"))]
        let mut all = vec![Compared::new("cpu", Some(run), prepare, first)];
        #[cfg(feature = "gpu")]
        if let Some(Ok(gpu)) = self.gpu() {
            all.push(on_gpu(&gpu, part, &inputs));
        }
        #[cfg(feature = "ort")]
        if let Some(library) = self.loaded() {
            all.push(by_library(library, part, &inputs));
        }
        Ok(all)
    }
}

impl Compared {
    /// It does not run there.
    #[cfg(any(feature = "gpu", feature = "ort"))]
    fn refused(backend: &str, cause: String) -> Self {
        Self { why_not: Some(cause), ..Self::new(backend, None, Duration::ZERO, Duration::ZERO) }
    }

    fn new(backend: &str, run: Option<Duration>, prepare: Duration, first: Duration) -> Self {
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        Self {
            backend: backend.to_owned(),
            run_us: run.map(micros),
            cpu_us: 0.0,
            prepare_us: micros(prepare),
            first_us: micros(first),
            operators: 0,
            on_cpu: Vec::new(),
            kernels: 0,
            submits: 0,
            constants: 0,
            pool: 0,
            why_not: None,
        }
    }
}

/// What a run of what is compiled takes, where it is faster than the CPU and than `least`, the shortest run so far. What does
/// not run on zeros is not compared, and is not faster.
#[cfg(any(feature = "gpu", feature = "ort"))]
fn faster(
    compiled: &Compiled,
    part: &Partition,
    cpu: &Stage,
    least: &mut Option<Duration>,
) -> Result<Option<RunTime>, String> {
    let Ok(inputs) = zeros(part) else { return Ok(None) };
    let before = match *least {
        Some(least) => least,
        None => match time(EFFORT, || cpu.run(&inputs).map(drop)) {
            Ok(times) => times.least,
            Err(_) => return Ok(None),
        },
    };
    let timed = compiled.time(&inputs)?;
    *least = Some(timed.all.min(before));
    Ok((timed.all < before).then_some(timed))
}

/// The part by a library.
#[cfg(feature = "ort")]
fn by_library(library: Result<&Onnxruntime, &OnnxruntimeError>, part: &Partition, inputs: &[Tensor]) -> Compared {
    let library = match library {
        Ok(library) => library,
        Err(cause) => return Compared::refused("onnxruntime", cause.to_string()),
    };
    let started = Instant::now();
    let stage = match part.clone().prepare_by_onnxruntime(library) {
        Ok(stage) => stage,
        Err(cause) => return Compared::refused(library.name(), cause.to_string()),
    };
    let prepare = started.elapsed();
    let started = Instant::now();
    if let Err(cause) = stage.run(inputs) {
        return Compared::refused(library.name(), cause.to_string());
    }
    let first = started.elapsed();
    match time(EFFORT, || stage.run(inputs).map(drop)) {
        Ok(times) => Compared {
            operators: stage.operators(),
            ..Compared::new(library.name(), Some(times.least), prepare, first)
        },
        Err(cause) => Compared::refused(library.name(), cause.to_string()),
    }
}

#[cfg(feature = "gpu")]
fn on_gpu(gpu: &Gpu, part: &Partition, inputs: &[Tensor]) -> Compared {
    let (name, started) = (gpu.adapter().name.as_str(), Instant::now());
    let failed = |cause: GpuError| Compared::refused(name, cause.to_string());
    let stage = match part.clone().prepare_on(gpu) {
        Ok(stage) => stage,
        Err(cause) => return failed(cause),
    };
    let prepare = started.elapsed();
    let started = Instant::now();
    if let Err(cause) = stage.run(inputs) {
        return failed(cause);
    }
    let first = started.elapsed();
    let mut on_cpu = Duration::MAX;
    let timed = time(EFFORT, || stage.run_timed(inputs).map(|(_, cpu)| on_cpu = on_cpu.min(cpu)));
    match timed {
        Ok(Times { least: run, .. }) => {
            let (coverage, memory) = (stage.coverage().clone(), stage.memory());
            Compared {
                cpu_us: on_cpu.as_secs_f64() * 1e6,
                operators: coverage.operators,
                on_cpu: coverage.left,
                kernels: coverage.kernels,
                submits: coverage.submits,
                constants: memory.constants,
                pool: memory.pool,
                ..Compared::new(name, Some(run), prepare, first)
            }
        }
        Err(cause) => failed(cause),
    }
}

pub(crate) fn zeros(part: &Partition) -> Result<Vec<Tensor>, StageError> {
    let zeros = |spec: &TensorSpec| Tensor::new(spec.clone(), vec![0; spec.bytes().0 as usize]);
    let made = part.takes.iter().map(|border| zeros(&border.spec));
    let failed =
        |cause: thalweg_planner::WrongLength| StageError::Prepare { part: part.name.clone(), cause: cause.to_string() };
    made.map(|tensor| tensor.map_err(failed)).collect()
}
