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
use proptest::test_runner::Config;
use thalweg_planner::{DType, Tensor, TensorSpec};
use tract_onnx::prelude::{IntoTensor as _, tract_ndarray::ArrayD};
use tract_onnx::tract_hir::internal::{DatumType, OutletId, SpecialOps as _, TypedFact, TypedModel};
use tract_onnx::tract_hir::tract_core::ops::array::Slice;
use tract_onnx::tract_hir::tract_core::ops::change_axes::AxisOp;
use tract_onnx::tract_hir::tract_core::ops::{TypedOp, math};
use tract_onnx::tract_hir::tract_core::prelude::{Datum as _, Tensor as EngineTensor};

use super::super::ir::{Origin, Program, Value};
use super::super::lower::{Bounds, lower};
use super::super::memory::plan;
use super::super::recorded::Recorded;
use super::super::words;
use super::{Gpu, difference, gpu_with};
use crate::Precision;
use crate::cut::{Border, Partition};

/// One device for all cases: it compiles each kernel once.
static GPU: LazyLock<Option<Gpu>> = LazyLock::new(|| gpu_with(Precision::F32));
/// The same with weights in f16.
static GPU_F16: LazyLock<Option<Gpu>> = LazyLock::new(|| gpu_with(Precision::F16));

fn device(precision: Precision) -> Option<&'static Gpu> {
    match precision {
        Precision::F32 => GPU.as_ref(),
        Precision::F16 => GPU_F16.as_ref(),
    }
}

fn precision() -> impl Strategy<Value = Precision> {
    select(&[Precision::F32, Precision::F16][..])
}

/// Sizes of axes: edges of tiles and of workgroups, odd and prime ones.
const SIZES: [usize; 14] = [1, 2, 3, 4, 5, 7, 8, 13, 16, 17, 31, 33, 64, 67];

fn cases(cases: u32) -> Config {
    Config { cases, max_shrink_iters: 200, failure_persistence: None, ..Config::default() }
}

fn size() -> impl Strategy<Value = usize> {
    select(&SIZES[..])
}

/// So many axes, that have so many elements at most.
fn shape(axes: impl Into<proptest::collection::SizeRange>, most: usize) -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(size(), axes).prop_map(move |sizes| bounded(sizes, most))
}

/// Axes that would make too many elements are short.
fn bounded(mut sizes: Vec<usize>, most: usize) -> Vec<usize> {
    let mut all = 1;
    for size in &mut sizes {
        if all * *size > most {
            *size = if all * 3 <= most { 3 } else { 1 };
        }
        all *= *size;
    }
    sizes
}

/// A number between -1 and 1 that differs from place to place and from tensor to tensor.
fn number(tensor: usize, at: usize) -> f32 {
    ((at * 7919 + tensor * 331 + 13) % 1009) as f32 / 504.5 - 1.0
}

/// The same for constants, of which f16 holds all: in f16 they agree as closely as in f32.
fn weight(tensor: usize, at: usize) -> f32 {
    half::f16::from_f32(number(tensor, at)).to_f32()
}

fn numbers(tensor: usize, shape: &[usize]) -> EngineTensor {
    let data = (0..shape.iter().product()).map(|at| weight(tensor, at)).collect();
    ArrayD::<f32>::from_shape_vec(shape, data).expect("as many as the shape has").into_tensor()
}

/// What a part takes: floats between -1 and 1, integers between -5 and 5, booleans.
fn taken(tensor: usize, spec: &TensorSpec) -> Tensor {
    let ints = || (0..spec.len()).map(|at| (number(tensor, at) * 5.5) as i64);
    let data = match spec.dtype {
        DType::F32 => (0..spec.len()).flat_map(|at| number(tensor, at).to_le_bytes()).collect(),
        DType::F16 => (0..spec.len()).flat_map(|at| half::f16::from_f32(number(tensor, at)).to_le_bytes()).collect(),
        DType::I64 => ints().flat_map(i64::to_le_bytes).collect(),
        DType::I32 => ints().flat_map(|value| (value as i32).to_le_bytes()).collect(),
        DType::U8 => ints().map(|value| (value.unsigned_abs() * 40) as u8).collect(),
        DType::I8 => ints().map(|value| value.to_le_bytes()[0]).collect(),
        DType::I16 => ints().flat_map(|value| (value as i16 * 5000).to_le_bytes()).collect(),
        DType::Bool => ints().map(|value| u8::from(value > 0)).collect(),
        other => panic!("{other:?} is not made here"),
    };
    Tensor::new(spec.clone(), data).expect("as long as its spec says")
}

/// How an operand lies in memory.
#[derive(Debug, Clone, Copy)]
enum Lies {
    Whole,
    Turned(usize),
    Cut(usize),
    Made,
}

fn lies() -> impl Strategy<Value = Lies> {
    prop_oneof![
        3 => Just(Lies::Whole),
        2 => (0_usize..8).prop_map(Lies::Turned),
        2 => (0_usize..4).prop_map(Lies::Cut),
        1 => Just(Lies::Made),
    ]
}

/// A graph that is made node by node.
#[derive(Default)]
struct Graph {
    model: TypedModel,
    /// How the device keeps weights.
    precision: Precision,
}

impl Graph {
    fn name(&self) -> String {
        format!("n{}", self.model.nodes.len())
    }

    fn input(&mut self, shape: &[usize]) -> OutletId {
        self.input_of(f32::datum_type(), shape)
    }

    fn input_of(&mut self, datum: DatumType, shape: &[usize]) -> OutletId {
        self.model.add_source(self.name(), TypedFact::dt_shape(datum, shape)).expect("a source")
    }

    fn constant(&mut self, tensor: EngineTensor) -> OutletId {
        self.model.add_const(self.name(), tensor).expect("a constant")
    }

    fn weights(&mut self, shape: &[usize]) -> OutletId {
        let tensor = numbers(self.model.nodes.len(), shape);
        self.constant(tensor)
    }

    fn add(&mut self, op: impl Into<Box<dyn TypedOp>>, inputs: &[OutletId]) -> OutletId {
        self.model.wire_node(self.name(), op, inputs).expect("the engine takes it")[0]
    }

    /// What a kernel reads: an input as it lies or with axes elsewhere, a part of one, or what another kernel makes.
    fn operand(&mut self, shape: &[usize], lies: Lies) -> OutletId {
        let last = shape.len().saturating_sub(1);
        match lies {
            Lies::Turned(axis) if last > 0 => {
                let mut turned = shape.to_vec();
                let (from, to) = (axis % shape.len(), (axis / 2) % shape.len());
                let size = turned.remove(to);
                turned.insert(from, size);
                let input = self.input(&turned);
                self.add(AxisOp::Move(from, to), &[input])
            }
            Lies::Cut(axis) if !shape.is_empty() => {
                let (mut longer, axis) = (shape.to_vec(), axis % shape.len());
                longer[axis] += 3;
                let input = self.input(&longer);
                self.add(Slice::new(axis, 1 + axis % 2, 1 + axis % 2 + shape[axis]), &[input])
            }
            Lies::Made => {
                let input = self.input(shape);
                self.add(math::sin(), &[input])
            }
            _ => self.input(shape),
        }
    }

    fn shape(&self, outlet: OutletId) -> Vec<usize> {
        self.model.outlet_fact(outlet).expect("an outlet").shape.as_concrete().expect("fixed").to_vec()
    }

    fn part(mut self, outputs: &[OutletId]) -> Partition {
        self.model.select_output_outlets(outputs).expect("outputs");
        let border = |outlet: &OutletId| {
            let fact = self.model.outlet_fact(*outlet).expect("an outlet");
            Border { spec: crate::tensor::spec(fact).expect("it travels"), datum: fact.datum_type }
        };
        let takes = self.model.inputs.iter().map(border).collect();
        let gives = self.model.outputs.iter().map(border).collect();
        Partition { name: "a case".to_owned(), graph: self.model, takes, gives }
    }

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
        let recorded = Recorded::new(gpu, &check(&case.part, bounds)).expect("kernels");
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

fn inputs(part: &Partition) -> Vec<Tensor> {
    part.takes.iter().enumerate().map(|(place, border)| taken(place, &border.spec)).collect()
}

struct Case {
    part: Partition,
    inputs: Vec<Tensor>,
    expected: Vec<Tensor>,
}

impl Case {
    fn beside_cpu(part: Partition) -> Self {
        let inputs = inputs(&part);
        let expected = part.clone().prepare().expect("the CPU").run(&inputs).expect("the CPU");
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
        let off = difference(made, &self.expected);
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
