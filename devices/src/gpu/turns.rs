//! A part of which something has no kernel, in turns: the device's, the processor's, and so on. What one of the device's
//! turns makes for another stays on the device; what the processor makes or reads crosses.

use std::collections::HashMap;

use thalweg_planner::{Tensor, TensorId, TensorSpec};

use super::context::Gpu;
use super::error::GpuError;
use super::lower::{Bounds, Why, lower};
use super::recorded::{Handover, Recorded};
use super::words;
use crate::error::StageError;
use crate::model::Model;
use crate::stage::Stage;

/// The device's turns of a run at most: each is a submission, for which the host waits.
const TURNS_MAX: usize = 3;

/// A turn that is ready to run.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) work: Work,
    /// What the host gives it.
    pub(super) takes: Vec<TensorId>,
    /// What it gives the host.
    pub(super) gives: Vec<TensorId>,
    /// Types and shapes of what it gives the host.
    pub(super) specs: Vec<TensorSpec>,
}

/// Whose turn it is.
#[derive(Debug)]
pub(super) enum Work {
    Device(Box<Recorded>),
    Host(Stage),
}

/// The layers of a model, in as few turns as what has kernels and what has none can take.
pub(super) struct Turns<'a> {
    model: &'a Model,
    /// Whether each is the device's, and its layers in ascending order.
    turns: Vec<(bool, Vec<usize>)>,
}

impl<'a> Turns<'a> {
    /// `left` are the nodes that have no kernel. Where the device would have too many turns, the least of them, by multiply-adds
    /// and then by operators, are left to the processor too.
    pub(super) fn new(model: &'a Model, left: &mut HashMap<usize, Why>) -> Self {
        let graph = model.describe();
        let work = |layers: &[usize]| {
            let macs: u64 = layers.iter().map(|layer| graph.layers[*layer].macs.0).sum();
            (macs, layers.len())
        };
        loop {
            let all = Self::around(model, left);
            let of_device = all.turns.iter().filter(|(on_device, _)| *on_device).map(|(_, layers)| layers);
            let least = of_device.clone().min_by_key(|layers| work(layers));
            let Some(least) = least.filter(|_| of_device.count() > TURNS_MAX) else { return all };
            let why = || format!("it would take a submission of its own, beside {TURNS_MAX} others");
            left.extend(least.iter().map(|layer| (model.layers[*layer].node, why())));
        }
    }

    /// Around these nodes.
    fn around(model: &'a Model, left: &HashMap<usize, Why>) -> Self {
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
        let on_device = (0..turns.len()).map(|turn| turn % 2 == 0);
        Self { model, turns: on_device.zip(turns).filter(|(_, layers)| !layers.is_empty()).collect() }
    }

    /// All of them, ready to run, and how many tensors stay on the device between two of them.
    pub(super) fn pieces(&self, gpu: &Gpu) -> Result<(Vec<Piece>, usize), GpuError> {
        let mut kept = HashMap::new();
        let pieces = (0..self.turns.len()).map(|turn| self.piece(gpu, turn, &mut kept)).collect::<Result<_, _>>()?;
        Ok((pieces, kept.len()))
    }

    /// One of them. `kept` are the buffers of what stays on the device.
    fn piece(&self, gpu: &Gpu, turn: usize, kept: &mut HashMap<TensorId, wgpu::Buffer>) -> Result<Piece, GpuError> {
        let engine = |cause: StageError| GpuError::Engine(cause.to_string());
        let (on_device, layers) = &self.turns[turn];
        let (mut takes, mut gives) = self.borders(turn);
        let partition = self.model.partition(layers, &takes, &gives).map_err(engine)?;
        let specs = partition.gives.iter().map(|border| border.spec.clone());
        if !on_device {
            let specs = specs.collect();
            return Ok(Piece { work: Work::Host(partition.prepare().map_err(engine)?), takes, gives, specs });
        }
        let lowered = lower(&partition.graph, Bounds::of(gpu))?;
        if let Some(why) = lowered.left.values().next() {
            return Err(GpuError::Engine(why.clone()));
        }
        let comes = takes.iter().map(|tensor| kept.get(tensor).cloned()).collect();
        let leaves: Vec<bool> = gives.iter().map(|tensor| self.host_reads(*tensor)).collect();
        let specs = specs.zip(&leaves).filter(|(_, leaves)| **leaves).map(|(spec, _)| spec).collect();
        let work = Recorded::new(gpu, &lowered.program, &Handover { comes, leaves })?;
        takes.retain(|tensor| !kept.contains_key(tensor));
        for (tensor, made) in gives.iter().zip(work.made()) {
            if self.is_read(*tensor, |other| other != turn && self.turns[other].0) {
                kept.insert(*tensor, made.clone());
            }
        }
        gives.retain(|tensor| self.host_reads(*tensor));
        Ok(Piece { work: Work::Device(Box::new(work)), takes, gives, specs })
    }

    /// What a turn takes of others and of the caller, and what others and the caller take of it.
    fn borders(&self, turn: usize) -> (Vec<TensorId>, Vec<TensorId>) {
        let layers = || self.turns[turn].1.iter().map(|layer| &self.model.layers[*layer]);
        let mut gives: Vec<TensorId> = layers().flat_map(|layer| &layer.writes).copied().collect();
        let mut takes: Vec<TensorId> = layers().flat_map(|layer| &layer.reads).copied().collect();
        takes.retain(|tensor| !gives.contains(tensor));
        takes.sort_unstable();
        takes.dedup();
        gives.retain(|tensor| self.is_output(*tensor) || self.is_read(*tensor, |other| other != turn));
        (takes, gives)
    }

    /// Whether the processor or the caller needs a tensor.
    fn host_reads(&self, tensor: TensorId) -> bool {
        self.is_output(tensor) || self.is_read(tensor, |turn| !self.turns[turn].0)
    }

    fn is_output(&self, tensor: TensorId) -> bool {
        self.model.outputs().iter().any(|port| port.tensor == tensor)
    }

    /// Whether any of these turns reads a tensor.
    fn is_read(&self, tensor: TensorId, turns: impl Fn(usize) -> bool) -> bool {
        let read = |layer: &usize| self.model.layers[*layer].reads.contains(&tensor);
        (0..self.turns.len()).filter(|turn| turns(*turn)).any(|turn| self.turns[turn].1.iter().any(read))
    }
}

impl Piece {
    pub(super) fn on_device(&self) -> Option<&Recorded> {
        match &self.work {
            Work::Device(work) => Some(work),
            Work::Host(_) => None,
        }
    }

    /// Runs it on what the host gives it.
    pub(super) fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, GpuError> {
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
