//! A part that is ready to run, on whichever backend it was prepared for.

use std::sync::Arc;
#[cfg(feature = "gpu")]
use std::sync::OnceLock;

use thalweg_planner::{Tensor, TensorSpec};
use tract_onnx::tract_hir::internal::TypedModel;

use crate::cpu::{Cpu, OperatorTime};
use crate::cut::{Border, Partition};
use crate::error::StageError;
#[cfg(feature = "gpu")]
use crate::gpu::{GpuError, GpuStage};
#[cfg(feature = "gpu")]
use crate::guard::guard;
use crate::model::Model;

/// A part that is optimised for this machine and ready to run, from any thread. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Stage {
    name: Arc<str>,
    takes: Arc<[Border]>,
    gives: Arc<[Border]>,
    on: On,
    /// Why no GPU computes it, where one was to.
    without_gpu: Option<Arc<str>>,
}

#[derive(Debug, Clone)]
enum On {
    Cpu(Cpu),
    #[cfg(feature = "gpu")]
    Gpu(Arc<OnGpu>),
}

/// A part on the GPU, and what takes over where that fails.
#[cfg(feature = "gpu")]
#[derive(Debug)]
struct OnGpu {
    stage: GpuStage,
    part: Partition,
    /// Prepared when it is first needed.
    cpu: OnceLock<Result<Cpu, StageError>>,
    /// Why the GPU computes nothing of it any more.
    left: OnceLock<GpuError>,
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
        Ok(Stage { name: self.name.into(), takes: self.takes.into(), gives: self.gives.into(), on, without_gpu: None })
    }

    /// The part on a GPU for which it was compiled.
    #[cfg(feature = "gpu")]
    pub(crate) fn with(self, stage: GpuStage) -> Stage {
        let (name, takes, gives) = (self.name.as_str().into(), self.takes.clone().into(), self.gives.clone().into());
        let on_gpu = OnGpu { stage, part: self, cpu: OnceLock::new(), left: OnceLock::new() };
        Stage { name, takes, gives, on: On::Gpu(Arc::new(on_gpu)), without_gpu: None }
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
    /// Refuses tensors of another type or shape, and never panics. What a GPU does not compute the CPU does.
    pub fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, StageError> {
        self.check(inputs)?;
        let outputs = match &self.on {
            On::Cpu(cpu) => cpu.run(&self.name, &self.takes, inputs)?,
            #[cfg(feature = "gpu")]
            On::Gpu(gpu) => gpu.run(&self.name, &self.takes, inputs)?,
        };
        for (index, (border, output)) in self.gives.iter().zip(&outputs).enumerate() {
            if border.spec != *output.spec() {
                let (wants, got) = (border.spec.clone(), output.spec().to_string());
                return Err(StageError::WrongOutput { part: self.name.to_string(), index, wants, got });
            }
        }
        Ok(outputs)
    }

    /// How long each of its operators takes: the shortest of so many runs on the CPU. Empty where a GPU computes it.
    pub fn operator_times(&self, inputs: &[Tensor], runs: usize) -> Result<Vec<OperatorTime>, StageError> {
        self.check(inputs)?;
        match &self.on {
            On::Cpu(cpu) => cpu.times(&self.name, (&self.takes, inputs), runs),
            #[cfg(feature = "gpu")]
            On::Gpu(_) => Ok(Vec::new()),
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

    /// What computes it: "cpu", or the name of an adapter.
    pub fn backend(&self) -> &str {
        match &self.on {
            #[cfg(feature = "gpu")]
            On::Gpu(gpu) if gpu.left.get().is_none() => gpu.stage.adapter(),
            _ => "cpu",
        }
    }

    /// Whether the CPU computes all of it.
    pub fn is_on_cpu(&self) -> bool {
        match &self.on {
            On::Cpu(_) => true,
            #[cfg(feature = "gpu")]
            On::Gpu(gpu) => gpu.left.get().is_some(),
        }
    }

    /// What computes it, for people: also how much of it the CPU computes because the GPU has no kernel for it.
    pub fn computed_on(&self) -> String {
        match &self.on {
            #[cfg(feature = "gpu")]
            On::Gpu(gpu) if gpu.left.get().is_none() && !gpu.stage.coverage().left.is_empty() => {
                let coverage = gpu.stage.coverage();
                let (left, all) = (coverage.left.len(), coverage.operators);
                format!("{} but for {left} of {all} operators", gpu.stage.adapter())
            }
            _ => self.backend().to_owned(),
        }
    }

    /// The same, which was to be on a GPU.
    #[cfg(feature = "gpu")]
    pub(crate) fn without_gpu(self, cause: &GpuError) -> Self {
        Self { without_gpu: Some(cause.to_string().into()), ..self }
    }

    /// Why no GPU computes it, where one was to, or did.
    pub fn left_gpu(&self) -> Option<String> {
        match &self.on {
            On::Cpu(_) => self.without_gpu.as_deref().map(str::to_owned),
            #[cfg(feature = "gpu")]
            On::Gpu(gpu) => gpu.left.get().map(GpuError::to_string),
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

#[cfg(feature = "gpu")]
impl OnGpu {
    fn run(&self, name: &str, takes: &[Border], inputs: &[Tensor]) -> Result<Vec<Tensor>, StageError> {
        if self.left.get().is_none() {
            match guard(|| self.stage.run(inputs)) {
                Ok(Ok(outputs)) => return Ok(outputs),
                Ok(Err(cause)) if cause.is_of_the_device() => drop(self.left.set(cause)),
                // That is of these inputs: the next ones may do.
                Ok(Err(_)) => {}
                Err(panic) => drop(self.left.set(GpuError::Engine(panic))),
            }
        }
        let prepare = || Cpu::prepare(name, self.part.graph.clone());
        let cpu = self.cpu.get_or_init(prepare).as_ref().map_err(StageError::clone)?;
        cpu.run(name, takes, inputs)
    }
}
