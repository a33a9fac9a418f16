//! A part on the GPU: all that has kernels there, what has none on the processor, in turns.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use thalweg_planner::{Tensor, TensorId, TensorSpec};

use super::context::Gpu;
use super::error::GpuError;
use super::lower::{Bounds, Why, lower};
use super::recorded::{Footprint, KernelTime, Recorded};
use super::words;
use crate::cut::{Border, Partition};
use crate::guard::guard;
use crate::model::Model;
use crate::stage::Stage;

/// A part that runs on a GPU.
#[derive(Debug)]
pub struct GpuStage {
    name: String,
    adapter: String,
    takes: Vec<Border>,
    pieces: Vec<Piece>,
    /// By place among what the part takes and gives, which tensor of the pieces.
    inputs: Vec<TensorId>,
    outputs: Vec<TensorId>,
    tensors: usize,
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

#[derive(Debug)]
struct Piece {
    work: Work,
    takes: Vec<TensorId>,
    gives: Vec<TensorId>,
    /// Types and shapes of what it gives.
    specs: Vec<TensorSpec>,
}

#[derive(Debug)]
enum Work {
    Device(Box<Recorded>),
    Host(Stage),
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
        let left = lowered.left;
        let mut pieces = Vec::new();
        if left.is_empty() {
            let work = Work::Device(Box::new(Recorded::new(gpu, &lowered.program)?));
            let specs = self.gives.iter().map(|border| border.spec.clone()).collect();
            pieces.push(Piece { work, takes: inputs.clone(), gives: outputs.clone(), specs });
        } else {
            drop(lowered.program);
            for (on_device, layers) in in_turns(&model, &left) {
                pieces.push(piece(&model, gpu, on_device, &layers, &outputs)?);
            }
        }
        let device =
            pieces.iter().filter_map(|piece| if let Work::Device(work) = &piece.work { Some(work) } else { None });
        let coverage = Coverage {
            operators: model.layers.len(),
            left: left_of(&model, &left),
            kernels: device.clone().map(|work| work.kernels()).sum(),
            submits: device.count(),
        };
        let tensors = model.wires.len();
        Ok(GpuStage {
            adapter: gpu.adapter().name.clone(),
            name: self.name,
            takes: self.takes,
            pieces,
            inputs,
            outputs,
            tensors,
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

/// The layers, in as few turns as what has kernels and what has none can take; those of the device are true.
fn in_turns(model: &Model, left: &HashMap<usize, Why>) -> Vec<(bool, Vec<usize>)> {
    let mut made_in: HashMap<TensorId, usize> = HashMap::new();
    let mut turns: Vec<Vec<usize>> = Vec::new();
    for (layer, node) in model.layers.iter().enumerate() {
        // Turns of even number are the device's.
        let parity = usize::from(left.contains_key(&node.node));
        let turn = node.reads.iter().filter_map(|tensor| made_in.get(tensor)).copied().max().unwrap_or(parity);
        let turn = turn + (turn + parity) % 2;
        turns.resize_with(turns.len().max(turn + 1), Vec::new);
        turns[turn].push(layer);
        made_in.extend(node.writes.iter().map(|tensor| (*tensor, turn)));
    }
    let device = (0..turns.len()).map(|turn| turn % 2 == 0);
    device.zip(turns).filter(|(_, layers)| !layers.is_empty()).collect()
}

fn piece(model: &Model, gpu: &Gpu, on_device: bool, layers: &[usize], outputs: &[TensorId]) -> Result<Piece, GpuError> {
    let writes: Vec<TensorId> = layers.iter().flat_map(|layer| &model.layers[*layer].writes).copied().collect();
    let mut takes: Vec<TensorId> = layers.iter().flat_map(|layer| &model.layers[*layer].reads).copied().collect();
    takes.retain(|tensor| !writes.contains(tensor));
    takes.sort_unstable();
    takes.dedup();
    let others = || model.layers.iter().enumerate().filter(|(layer, _)| layers.binary_search(layer).is_err());
    let leaves =
        |tensor: &TensorId| outputs.contains(tensor) || others().any(|(_, other)| other.reads.contains(tensor));
    let gives: Vec<TensorId> = writes.into_iter().filter(leaves).collect();
    let engine = |cause: crate::error::StageError| GpuError::Engine(cause.to_string());
    let partition = model.partition(layers, &takes, &gives).map_err(engine)?;
    let specs = partition.gives.iter().map(|border| border.spec.clone()).collect();
    let work = if on_device {
        let lowered = lower(&partition.graph, Bounds::of(gpu))?;
        if let Some(why) = lowered.left.values().next() {
            return Err(GpuError::Engine(why.clone()));
        }
        Work::Device(Box::new(Recorded::new(gpu, &lowered.program)?))
    } else {
        Work::Host(partition.prepare().map_err(engine)?)
    };
    Ok(Piece { work, takes, gives, specs })
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
        &self.adapter
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
        self.pieces.iter().filter_map(|piece| match &piece.work {
            Work::Device(work) => Some(&**work),
            Work::Host(_) => None,
        })
    }
}

impl Piece {
    fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, GpuError> {
        match &self.work {
            Work::Host(stage) => stage.run(inputs).map_err(|cause| GpuError::Engine(cause.to_string())),
            Work::Device(work) => {
                let mut wrong = None;
                let fill = |place: usize, words: wgpu::WriteOnly<'_, [u8]>| {
                    if let Err(cause) = words::write(&inputs[place], place, words) {
                        wrong = Some(cause);
                    }
                };
                let made = work.run(fill, |place, words| words::read(&self.specs[place], words))?;
                match wrong {
                    Some(cause) => Err(cause),
                    None => made.into_iter().collect(),
                }
            }
        }
    }
}
