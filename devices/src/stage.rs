//! A part that is ready to run, on whichever backend it was prepared for.

use std::sync::Arc;
#[cfg(any(feature = "gpu", feature = "ort"))]
use std::sync::OnceLock;
#[cfg(any(feature = "gpu", feature = "ort"))]
use std::time::Duration;

use thalweg_planner::{Tensor, TensorSpec};
use tract_onnx::tract_hir::internal::TypedModel;

#[cfg(any(feature = "gpu", feature = "ort"))]
use crate::backend::EFFORT;
use crate::cpu::{Cpu, OperatorTime};
use crate::cut::{Border, Partition};
use crate::error::StageError;
#[cfg(feature = "gpu")]
use crate::gpu::GpuStage;
#[cfg(any(feature = "gpu", feature = "ort"))]
use crate::guard::guard;
use crate::model::Model;
#[cfg(feature = "ort")]
use crate::onnxruntime::{OnnxruntimeError, OnnxruntimeStage};
#[cfg(any(feature = "gpu", feature = "ort"))]
use crate::profile::time;

/// A part that is optimised for this machine and ready to run, from any thread. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Stage {
    name: Arc<str>,
    takes: Arc<[Border]>,
    gives: Arc<[Border]>,
    on: On,
    /// Why nothing but the CPU computes it, where something else was to.
    why_cpu: Option<Arc<str>>,
}

#[derive(Debug, Clone)]
enum On {
    Cpu(Cpu),
    #[cfg(any(feature = "gpu", feature = "ort"))]
    Other(Arc<Elsewhere>),
}

/// A part on another backend than the CPU, and what takes over where that fails.
#[cfg(any(feature = "gpu", feature = "ort"))]
#[derive(Debug)]
struct Elsewhere {
    compiled: Compiled,
    timed: RunTime,
    part: Partition,
    /// Prepared when it is first needed.
    cpu: OnceLock<Result<Cpu, StageError>>,
    /// Why that backend computes nothing of it any more.
    left: OnceLock<String>,
}

/// A part that a backend other than the CPU has compiled.
#[cfg(any(feature = "gpu", feature = "ort"))]
#[derive(Debug)]
pub(crate) enum Compiled {
    #[cfg(feature = "gpu")]
    Gpu(GpuStage),
    #[cfg(feature = "ort")]
    Onnxruntime(OnnxruntimeStage),
}

/// How a part hands tensors over to the next one, by their places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seam {
    /// For each tensor that the next one takes, which of those that the first gives it is; none where it comes from elsewhere.
    pub takes: Vec<Option<usize>>,
    /// Which of those that the first gives others need too.
    pub keeps: Vec<usize>,
}

/// How long the fastest run of a part takes.
#[cfg(any(feature = "gpu", feature = "ort"))]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RunTime {
    pub(crate) all: Duration,
    /// How much of it is what the CPU computes all the same.
    pub(crate) on_cpu: Duration,
}

/// Why a backend did not compute something.
#[cfg(any(feature = "gpu", feature = "ort"))]
pub(crate) struct Failure {
    pub(crate) cause: String,
    /// Nothing else will be computed there either.
    for_good: bool,
}

impl Partition {
    /// Optimises the part for this machine's CPU. Tens of milliseconds for a small network.
    pub fn prepare(self) -> Result<Stage, StageError> {
        self.prepare_by(Cpu::prepare)
    }

    /// The same with none but tract's kernels: what ours are tested and measured against.
    pub fn prepare_plain(self) -> Result<Stage, StageError> {
        self.prepare_by(Cpu::plain)
    }

    fn prepare_by(self, prepare: fn(&str, TypedModel) -> Result<Cpu, StageError>) -> Result<Stage, StageError> {
        let on = On::Cpu(prepare(&self.name, self.graph)?);
        Ok(Stage { name: self.name.into(), takes: self.takes.into(), gives: self.gives.into(), on, why_cpu: None })
    }

    /// The part on a backend that has compiled it, and takes so long there.
    #[cfg(any(feature = "gpu", feature = "ort"))]
    pub(crate) fn with(self, compiled: Compiled, timed: RunTime) -> Stage {
        let (name, takes, gives) = (self.name.as_str().into(), self.takes.clone().into(), self.gives.clone().into());
        let elsewhere = Elsewhere { compiled, timed, part: self, cpu: OnceLock::new(), left: OnceLock::new() };
        Stage { name, takes, gives, on: On::Other(Arc::new(elsewhere)), why_cpu: None }
    }
}

impl Model {
    /// The whole model, ready to run on the CPU: takes its inputs and gives its outputs.
    pub fn whole(&self) -> Result<Stage, StageError> {
        self.whole_part()?.prepare()
    }
}

impl Stage {
    /// Runs the part: one tensor for each that it takes, one for each that it gives.
    ///
    /// Refuses tensors of another type or shape, and never panics. What another backend does not compute the CPU does.
    pub fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, StageError> {
        self.check(inputs)?;
        let outputs = match &self.on {
            On::Cpu(cpu) => cpu.run(&self.name, &self.takes, inputs)?,
            #[cfg(any(feature = "gpu", feature = "ort"))]
            On::Other(elsewhere) => elsewhere.run(&self.name, &self.takes, inputs)?,
        };
        for (index, (border, output)) in self.gives.iter().zip(&outputs).enumerate() {
            if border.spec != *output.spec() {
                let (wants, got) = (border.spec.clone(), output.spec().to_string());
                return Err(StageError::WrongOutput { part: self.name.to_string(), index, wants, got });
            }
        }
        Ok(outputs)
    }

    /// How long each of its operators takes: the shortest of so many runs on the CPU. Empty where another backend computes it.
    pub fn operator_times(&self, inputs: &[Tensor], runs: usize) -> Result<Vec<OperatorTime>, StageError> {
        self.check(inputs)?;
        match &self.on {
            On::Cpu(cpu) => cpu.times(&self.name, (&self.takes, inputs), runs),
            #[cfg(any(feature = "gpu", feature = "ort"))]
            On::Other(_) => Ok(Vec::new()),
        }
    }

    /// The tensors that it takes.
    pub fn takes(&self) -> impl Iterator<Item = &TensorSpec> {
        self.takes.iter().map(|border| &border.spec)
    }

    /// The tensors that it gives.
    pub fn gives(&self) -> impl Iterator<Item = &TensorSpec> {
        self.gives.iter().map(|border| &border.spec)
    }

    /// What computes it: "cpu", the name of an adapter, or that of a library.
    pub fn backend(&self) -> &str {
        match &self.on {
            #[cfg(any(feature = "gpu", feature = "ort"))]
            On::Other(elsewhere) if elsewhere.left.get().is_none() => elsewhere.compiled.name(),
            _ => "cpu",
        }
    }

    /// Whether the CPU computes all of it.
    pub fn is_on_cpu(&self) -> bool {
        match &self.on {
            On::Cpu(_) => true,
            #[cfg(any(feature = "gpu", feature = "ort"))]
            On::Other(elsewhere) => elsewhere.left.get().is_some(),
        }
    }

    /// What computes it, for people: also how much of it the CPU computes because a GPU has no kernel for it, of its
    /// operators and of its time.
    pub fn computed_on(&self) -> String {
        match &self.on {
            #[cfg(any(feature = "gpu", feature = "ort"))]
            On::Other(elsewhere) if elsewhere.left.get().is_none() => elsewhere.compiled.computed_on(elsewhere.timed),
            _ => self.backend().to_owned(),
        }
    }

    /// The same, which was to be on another backend.
    #[cfg(any(feature = "gpu", feature = "ort"))]
    pub(crate) fn because(self, cause: &str) -> Self {
        let all = self.why_cpu.as_deref().map_or_else(|| cause.to_owned(), |before| format!("{before}; {cause}"));
        Self { why_cpu: Some(all.into()), ..self }
    }

    /// Why the CPU computes it, where another backend was to, or did.
    pub fn why_cpu(&self) -> Option<String> {
        match &self.on {
            On::Cpu(_) => self.why_cpu.as_deref().map(str::to_owned),
            #[cfg(any(feature = "gpu", feature = "ort"))]
            On::Other(elsewhere) => elsewhere.left.get().cloned(),
        }
    }

    /// This part and then `next` as one, where a GPU computes both: what passes between them stays there. It takes what this one
    /// takes, then what `next` takes from elsewhere; it gives what is kept of this one, then what `next` gives.
    pub fn then(&self, next: &Self, seam: &Seam) -> Option<Self> {
        #[cfg(feature = "gpu")]
        return crate::join::on_one_gpu(self, next, seam);
        #[cfg(not(feature = "gpu"))]
        {
            let _ = (next, seam);
            None
        }
    }

    /// The part, and what a GPU has compiled of it, where that computes it.
    #[cfg(feature = "gpu")]
    pub(crate) fn on_gpu(&self) -> Option<(&Partition, &GpuStage)> {
        match &self.on {
            On::Other(elsewhere) if elsewhere.left.get().is_none() => match &elsewhere.compiled {
                Compiled::Gpu(stage) => Some((&elsewhere.part, stage)),
                #[cfg(feature = "ort")]
                Compiled::Onnxruntime(_) => None,
            },
            _ => None,
        }
    }

    fn check(&self, inputs: &[Tensor]) -> Result<(), StageError> {
        for index in 0..inputs.len().max(self.takes.len()) {
            let wants = self.takes.get(index).map(|border| &border.spec);
            let got = inputs.get(index).map(Tensor::spec);
            if wants != got {
                let print = |spec: Option<&TensorSpec>| spec.map_or("nothing".to_owned(), TensorSpec::to_string);
                let (part, wants, got) = (self.name.to_string(), print(wants), print(got));
                return Err(StageError::WrongInput { part, index, wants, got });
            }
        }
        Ok(())
    }
}

#[cfg(any(feature = "gpu", feature = "ort"))]
impl Elsewhere {
    fn run(&self, name: &str, takes: &[Border], inputs: &[Tensor]) -> Result<Vec<Tensor>, StageError> {
        if self.left.get().is_none() {
            match guard(|| self.compiled.run(inputs)) {
                Ok(Ok((outputs, _))) => return Ok(outputs),
                Ok(Err(Failure { cause, for_good: true })) | Err(cause) => drop(self.left.set(cause)),
                // That is of these inputs: the next ones may do.
                Ok(Err(Failure { for_good: false, .. })) => {}
            }
        }
        let prepare = || Cpu::prepare(name, self.part.graph.clone());
        let cpu = self.cpu.get_or_init(prepare).as_ref().map_err(StageError::clone)?;
        cpu.run(name, takes, inputs)
    }
}

#[cfg(any(feature = "gpu", feature = "ort"))]
impl Compiled {
    /// Runs it, and tells how much of that was what the CPU computes all the same.
    pub(crate) fn run(&self, inputs: &[Tensor]) -> Result<(Vec<Tensor>, Duration), Failure> {
        match self {
            #[cfg(feature = "gpu")]
            Self::Gpu(stage) => stage
                .run_timed(inputs)
                .map_err(|cause| Failure { for_good: cause.is_of_the_device(), cause: cause.to_string() }),
            #[cfg(feature = "ort")]
            Self::Onnxruntime(stage) => stage.run(inputs).map(|outputs| (outputs, Duration::ZERO)).map_err(|cause| {
                let for_good = matches!(cause, OnnxruntimeError::Prepare { .. });
                Failure { cause: cause.to_string(), for_good }
            }),
        }
    }

    /// Runs it some times: how long the fastest took, or why it did not run. Never panics.
    pub(crate) fn time(&self, inputs: &[Tensor]) -> Result<RunTime, String> {
        let mut on_cpu = Duration::MAX;
        let times = guard(|| time(EFFORT, || self.run(inputs).map(|(_, cpu)| on_cpu = on_cpu.min(cpu))))?;
        times.map(|times| RunTime { all: times.least, on_cpu }).map_err(|failure| failure.cause)
    }

    fn name(&self) -> &str {
        match self {
            #[cfg(feature = "gpu")]
            Self::Gpu(stage) => stage.adapter(),
            #[cfg(feature = "ort")]
            Self::Onnxruntime(stage) => stage.library(),
        }
    }

    #[cfg_attr(not(feature = "gpu"), expect(unused_variables, reason = "a library tells nothing of it"))]
    fn computed_on(&self, timed: RunTime) -> String {
        match self {
            #[cfg(feature = "gpu")]
            Self::Gpu(stage) if !stage.coverage().left.is_empty() => {
                let (left, all) = (stage.coverage().left.len(), stage.coverage().operators);
                let share = 100.0 * timed.on_cpu.as_secs_f64() / timed.all.as_secs_f64().max(f64::MIN_POSITIVE);
                format!("{} but for {left} of {all} operators, {share:.0} % of the time", stage.adapter())
            }
            _ => self.name().to_owned(),
        }
    }
}
