//! What this machine computes on, and which of it is the fastest for a part.

#[cfg(feature = "gpu")]
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use thalweg_planner::{Tensor, TensorSpec};

use crate::cut::Partition;
use crate::error::StageError;
#[cfg(feature = "gpu")]
use crate::gpu::{Gpu, GpuError, GpuStage};
use crate::precision::Precision;
#[cfg(feature = "gpu")]
use crate::profile::Times;
use crate::profile::{Effort, time};
use crate::stage::Stage;

/// How long backends are compared; the fastest run of each counts.
const EFFORT: Effort = Effort::QUICK;

/// The backends of this machine: its CPU, and one GPU where there is one. Cheap to clone.
///
/// A driver is loaded when something is first prepared, which takes from a tenth of a second to one.
#[derive(Debug, Clone, Default)]
pub struct Backends {
    /// In the name of the adapter; none for the CPU alone.
    #[cfg(feature = "gpu")]
    adapter: Option<Arc<str>>,
    #[cfg(feature = "gpu")]
    precision: Precision,
    #[cfg(feature = "gpu")]
    gpu: Arc<OnceLock<Result<Gpu, GpuError>>>,
}

/// What a part takes on one backend.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    /// "cpu", or the name of an adapter.
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
    /// The CPU, and the adapter whose name has `adapter` in it; the first of hardware where that is empty, none where it is
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

    #[cfg(feature = "gpu")]
    fn gpu(&self) -> Option<Result<&Gpu, &GpuError>> {
        let adapter = self.adapter.as_ref()?;
        Some(self.gpu.get_or_init(|| Gpu::open(adapter, self.precision)).as_ref())
    }

    /// Prepares a part for the backend on which it is fastest, by trying: on the CPU where a GPU is no faster or fails.
    #[cfg(feature = "gpu")]
    pub fn prepare(&self, part: Partition) -> Result<Stage, StageError> {
        let gpu = match self.gpu() {
            None => return part.prepare(),
            // Nobody has asked for one by name.
            Some(Err(GpuError::NoAdapter { name, .. })) if name.is_empty() => return part.prepare(),
            Some(Err(cause)) => return Ok(part.prepare()?.without_gpu(cause)),
            Some(Ok(gpu)) => gpu,
        };
        let cpu = part.clone().prepare()?;
        match faster_on(gpu, &part, &cpu) {
            Ok(Some(compiled)) => Ok(part.with(compiled)),
            Ok(None) => Ok(cpu),
            Err(cause) => Ok(cpu.without_gpu(&cause)),
        }
    }

    /// Prepares a part for the CPU.
    #[cfg(not(feature = "gpu"))]
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
        let on_cpu = Compared::new("cpu", Some(run), prepare, first);
        #[cfg(feature = "gpu")]
        if let Some(Ok(gpu)) = self.gpu() {
            return Ok(vec![on_cpu, on_gpu(gpu, part, &inputs)]);
        }
        Ok(vec![on_cpu])
    }
}

impl Compared {
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

/// The part on the GPU, if it is faster there than on the CPU. What does not run on zeros is not compared.
#[cfg(feature = "gpu")]
fn faster_on(gpu: &Gpu, part: &Partition, cpu: &Stage) -> Result<Option<GpuStage>, GpuError> {
    let compiled = part.clone().prepare_on(gpu)?;
    let on_cpu = zeros(part).and_then(|inputs| Ok((time(EFFORT, || cpu.run(&inputs).map(drop))?.least, inputs)));
    let Ok((on_cpu, inputs)) = on_cpu else { return Ok(None) };
    let on_gpu = time(EFFORT, || compiled.run(&inputs).map(drop))?.least;
    Ok((on_gpu < on_cpu).then_some(compiled))
}

#[cfg(feature = "gpu")]
fn on_gpu(gpu: &Gpu, part: &Partition, inputs: &[Tensor]) -> Compared {
    let (name, started) = (gpu.adapter().name.as_str(), Instant::now());
    let failed = |cause: GpuError| Compared {
        why_not: Some(cause.to_string()),
        ..Compared::new(name, None, Duration::ZERO, Duration::ZERO)
    };
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

fn zeros(part: &Partition) -> Result<Vec<Tensor>, StageError> {
    let zeros = |spec: &TensorSpec| Tensor::new(spec.clone(), vec![0; spec.bytes().0 as usize]);
    let made = part.takes.iter().map(|border| zeros(&border.spec));
    let failed =
        |cause: thalweg_planner::WrongLength| StageError::Prepare { part: part.name.clone(), cause: cause.to_string() };
    made.map(|tensor| tensor.map_err(failed)).collect()
}
