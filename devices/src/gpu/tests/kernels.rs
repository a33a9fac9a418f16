//! Kernels beside the CPU, on random graphs of a few nodes.

mod convolution;
mod einsum;
mod empty;
mod halves;
mod integers;
mod pointwise;
mod pool;
mod resize;
mod rows;
mod shape;
mod tiles;

use std::collections::HashMap;
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::select;
use thalweg_planner::Tensor;
use tract_onnx::tract_hir::internal::OutletId;

use super::super::ir::{Origin, Program, Value};
use super::super::lower::{Bounds, lower};
use super::super::memory::plan;
use super::super::recorded::{Handover, Recorded};
use super::super::words;
use super::{Gpu, gpu_with};
use crate::Precision;
use crate::agreement::difference_beside;
use crate::cases::sums::scale;
use crate::cases::{Graph, Lies, cases, inputs, lies, number, numbers, shape, size};
use crate::cut::Partition;

/// One device for all cases: it compiles each kernel once.
static GPU: LazyLock<Option<Gpu>> = LazyLock::new(|| gpu_with(Precision::F32));
/// The same with weights in f16.
static GPU_F16: LazyLock<Option<Gpu>> = LazyLock::new(|| gpu_with(Precision::F16));

pub(super) fn device(precision: Precision) -> Option<&'static Gpu> {
    match precision {
        Precision::F32 => GPU.as_ref(),
        Precision::F16 => GPU_F16.as_ref(),
    }
}

fn precision() -> impl Strategy<Value = Precision> {
    select(&[Precision::F32, Precision::F16][..])
}

impl Graph {
    /// All of it has kernels, which agree with the CPU.
    fn agrees(self, outputs: &[OutletId]) {
        let precision = self.precision;
        Case::beside_cpu(self.part(outputs)).agrees(precision);
    }

    /// All of it has kernels, which make these numbers.
    fn makes(self, output: OutletId, expected: &[f32]) {
        let precision = self.precision;
        let part = self.part(&[output]);
        let data = expected.iter().flat_map(|value| value.to_le_bytes()).collect();
        let expected = Tensor::new(part.gives[0].spec.clone(), data).expect("as long as its spec says");
        Case { inputs: inputs(&part), part, expected: vec![expected] }.agrees(precision);
    }

    /// The same on a device that has less.
    fn agrees_within(self, outputs: &[OutletId], bounds: Bounds) {
        let Some(gpu) = device(bounds.precision) else { return };
        let case = Case::beside_cpu(self.part(outputs));
        let recorded = Recorded::new(gpu, &check(&case.part, bounds), &Handover::default()).expect("kernels");
        let fill = |place: usize, to: wgpu::WriteOnly<'_, [u8]>| {
            words::write(&case.inputs[place], place, to).expect("it fits");
        };
        let read = |place: usize, from: &[u8]| words::read(&case.part.gives[place].spec, from).expect("its words");
        case.compare(&recorded.run(fill, read).expect("a run"));
    }

    /// The same comes out whatever has no kernel; returns what that is, and why.
    fn agrees_or_says_why(self, outputs: &[OutletId]) -> Vec<(String, String, String)> {
        let Some(gpu) = GPU.as_ref() else { return Vec::new() };
        let case = Case::beside_cpu(self.part(outputs));
        let stage = case.part.clone().prepare_on(gpu).expect("a part");
        case.compare(&stage.run(&case.inputs).expect("a run"));
        stage.coverage().left.clone()
    }
}

struct Case {
    part: Partition,
    inputs: Vec<Tensor>,
    expected: Vec<Tensor>,
}

impl Case {
    fn beside_cpu(part: Partition) -> Self {
        let inputs = inputs(&part);
        let expected = part.clone().prepare_plain().expect("the CPU").run(&inputs).expect("the CPU");
        Self { part, inputs, expected }
    }

    fn agrees(&self, precision: Precision) {
        let Some(gpu) = device(precision) else { return };
        let stage = self.part.clone().prepare_on(gpu).expect("kernels");
        assert_eq!(stage.coverage().left, Vec::new(), "what is left to the CPU");
        self.compare(&stage.run(&self.inputs).expect("a run"));
        check(&self.part, Bounds::of(gpu));
    }

    fn compare(&self, made: &[Tensor]) {
        let off = difference_beside(scale(&self.part.graph), made, &self.expected);
        let begins = |tensor: &Tensor| tensor.to_f32().map(|all| all[..all.len().min(24)].to_vec());
        let shown = |tensors: &[Tensor]| tensors.iter().map(begins).collect::<Vec<_>>();
        let (made, expected) = (shown(made), shown(&self.expected));
        assert!(off <= Precision::F32.tolerance(), "off by {off:e}: {made:?} for {expected:?} of\n{}", self.part.graph);
    }
}

/// The part's program, which is within bounds, and whose values stay in their buffers as long as they are read.
fn check(part: &Partition, bounds: Bounds) -> Program {
    let lowered = lower(&part.graph, bounds).expect("a program");
    assert_eq!(lowered.left, HashMap::new(), "what is left to the CPU");
    let program = lowered.program;
    let halves = program.values.iter().any(Value::is_halves);
    assert!(!halves || bounds.precision == Precision::F16, "nobody has asked for f16");
    let planned = plan(&program);
    let made = |value: &usize| matches!(program.values[*value].origin, Origin::Made { .. });
    let buffer = |value: usize| planned.of[value].expect("it is in memory");
    let mut holds = vec![None; planned.buffers.len()];
    for call in &program.calls {
        let bound = call.reads.len() + call.read_by_steps().len() + call.writes().len();
        assert!(bound <= bounds.buffers, "{bound} buffers of {}: {call:?}", bounds.buffers);
        assert!(call.grid.iter().all(|groups| (1..=bounds.groups).contains(groups)), "{:?}", call.grid);
        let reads: Vec<usize> = call.all_reads().filter(made).collect();
        for value in &reads {
            assert_eq!(holds[buffer(*value)], Some(*value), "{} reads what is there", call.node);
        }
        for value in call.writes() {
            assert!(planned.buffers[buffer(value)] >= program.values[value].len * 4, "it is large enough");
            assert!(reads.iter().all(|read| buffer(*read) != buffer(value)), "{} writes to what it reads", call.node);
            holds[buffer(value)] = Some(value);
        }
    }
    for output in program.outputs.iter().filter(|output| made(&output.value)) {
        assert_eq!(holds[buffer(output.value)], Some(output.value), "an output is there at the end");
    }
    program
}
