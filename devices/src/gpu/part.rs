//! A part on the GPU: all that has kernels there, what has none on the processor, in turns.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use thalweg_planner::{Tensor, TensorId};

use super::context::Gpu;
use super::error::GpuError;
use super::lower::{Bounds, Why, lower};
use super::recorded::{Footprint, Handover, KernelTime, Recorded};
use super::turns::{Piece, Turns, Work};
use crate::cut::{Border, Partition};
use crate::guard::guard;
use crate::model::Model;

/// A part that runs on a GPU.
#[derive(Debug)]
pub struct GpuStage {
    name: String,
    gpu: Gpu,
    takes: Vec<Border>,
    pieces: Vec<Piece>,
    /// By place among what the part takes and gives, which tensor of the pieces.
    inputs: Vec<TensorId>,
    outputs: Vec<TensorId>,
    tensors: usize,
    /// Held by a run where something stays on the device between two of its turns: another run would write over it.
    alone: Option<Mutex<()>>,
    coverage: Coverage,
}

/// How much of a part has kernels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Operators of the part.
    pub operators: usize,
    /// Those that run on the processor: their names, what they are and why.
    pub left: Vec<(String, String, String)>,
    /// Kernels of one run.
    pub kernels: usize,
    /// Submissions of one run.
    pub submits: usize,
}

impl Partition {
    /// Compiles the part for a GPU.
    pub fn prepare_on(self, gpu: &Gpu) -> Result<GpuStage, GpuError> {
        gpu.check()?;
        guard(|| self.compile(gpu)).map_err(GpuError::Engine)?
    }

    fn compile(self, gpu: &Gpu) -> Result<GpuStage, GpuError> {
        let engine = |cause: String| GpuError::Engine(format!("{}: {cause}", self.name));
        let model = Model::new(self.graph.clone(), [0; 32]);
        let model = model.map_err(|cause| engine(format!("{cause:#}")))?;
        let model = model.map_err(|refused| engine(format!("{} cannot travel", refused.port)))?;
        let bounds = Bounds::of(gpu);
        let lowered = lower(&model.typed, bounds)?;
        let ids = |ports: &[crate::model::Port]| ports.iter().map(|port| port.tensor).collect::<Vec<_>>();
        let (inputs, outputs) = (ids(model.inputs()), ids(model.outputs()));
        let mut left = lowered.left;
        let (pieces, kept) = if left.is_empty() {
            let specs = self.gives.iter().map(|border| border.spec.clone()).collect();
            let work = Recorded::new(gpu, &lowered.program, &Handover::default())?;
            (
                vec![Piece {
                    work: Work::Device(Box::new(work)),
                    takes: inputs.clone(),
                    gives: outputs.clone(),
                    specs,
                }],
                0,
            )
        } else {
            drop(lowered.program);
            Turns::new(&model, &mut left).pieces(gpu)?
        };
        let device = pieces.iter().filter_map(Piece::on_device);
        let coverage = Coverage {
            operators: model.layers.len(),
            left: left_of(&model, &left),
            kernels: device.clone().map(Recorded::kernels).sum(),
            submits: device.count(),
        };
        let tensors = model.wires.len();
        Ok(GpuStage {
            gpu: gpu.clone(),
            name: self.name,
            takes: self.takes,
            pieces,
            inputs,
            outputs,
            tensors,
            alone: (kept > 0).then(Mutex::default),
            coverage,
        })
    }
}

fn left_of(model: &Model, left: &HashMap<usize, Why>) -> Vec<(String, String, String)> {
    let layers = (0..model.layers.len()).map(|layer| model.node(layer));
    let said =
        layers.filter_map(|node| Some((node.name.clone(), node.op.name().into_owned(), left.get(&node.id)?.clone())));
    said.collect()
}

impl GpuStage {
    /// Runs the part: one tensor for each that it takes, one for each that it gives. They fit, or it is an error.
    pub fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, GpuError> {
        Ok(self.run_timed(inputs)?.0)
    }

    /// The same, and how long what has no kernel took on the CPU.
    pub(crate) fn run_timed(&self, inputs: &[Tensor]) -> Result<(Vec<Tensor>, Duration), GpuError> {
        let fits = inputs.len() == self.takes.len()
            && inputs.iter().zip(&self.takes).all(|(input, border)| *input.spec() == border.spec);
        if !fits {
            return Err(GpuError::Engine(format!("{}: other tensors than it takes", self.name)));
        }
        let _alone = self.alone.as_ref().map(|alone| alone.lock().unwrap_or_else(PoisonError::into_inner));
        let mut tensors: Vec<Option<Tensor>> = vec![None; self.tensors];
        for (id, input) in self.inputs.iter().zip(inputs) {
            tensors[*id] = Some(input.clone());
        }
        let mut on_cpu = Duration::ZERO;
        for piece in &self.pieces {
            let started = Instant::now();
            let taken: Option<Vec<Tensor>> = piece.takes.iter().map(|id| tensors[*id].clone()).collect();
            let taken = taken.ok_or_else(|| GpuError::Engine(format!("{}: a tensor is missing", self.name)))?;
            for (id, made) in piece.gives.iter().zip(piece.run(&taken)?) {
                tensors[*id] = Some(made);
            }
            if let Work::Host(_) = piece.work {
                on_cpu += started.elapsed();
            }
        }
        let given: Option<Vec<Tensor>> = self.outputs.iter().map(|id| tensors[*id].clone()).collect();
        let given = given.ok_or_else(|| GpuError::Engine(format!("{}: an output is missing", self.name)))?;
        Ok((given, on_cpu))
    }

    /// The name of the adapter.
    pub fn adapter(&self) -> &str {
        &self.gpu.adapter().name
    }

    /// What it runs on.
    pub(crate) fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// How much of it has kernels.
    pub fn coverage(&self) -> &Coverage {
        &self.coverage
    }

    /// Bytes that it takes on the device.
    pub fn memory(&self) -> Footprint {
        let mut all = Footprint::default();
        for work in self.on_device() {
            all.constants += work.memory.constants;
            all.pool += work.memory.pool;
            all.ports += work.memory.ports;
        }
        all
    }

    /// How long each kernel takes: the least of several runs. None where the device does not tell.
    pub fn times(&self, runs: usize) -> Result<Option<Vec<KernelTime>>, GpuError> {
        let times: Option<Vec<Vec<KernelTime>>> =
            self.on_device().map(|work| work.times(runs)).collect::<Result<_, _>>()?;
        Ok(times.map(|times| times.concat()))
    }

    fn on_device(&self) -> impl Iterator<Item = &Recorded> {
        self.pieces.iter().filter_map(Piece::on_device)
    }
}
