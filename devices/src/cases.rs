//! Random graphs of a few nodes, for the tests of every backend: the same cases on each.

pub(crate) mod chains;
pub(crate) mod convolution;
pub(crate) mod integers;
pub(crate) mod models;
pub(crate) mod resize;
pub(crate) mod rows;
pub(crate) mod sums;
pub(crate) mod views;

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

use crate::Precision;
use crate::cut::{Border, Partition};

/// Sizes of axes: edges of tiles and of workgroups, odd and prime ones.
pub(crate) const SIZES: [usize; 14] = [1, 2, 3, 4, 5, 7, 8, 13, 16, 17, 31, 33, 64, 67];

/// So many, or fewer where `PROPTEST_CASES` says so, as for a processor that is emulated.
pub(crate) fn cases(cases: u32) -> Config {
    let told = std::env::var_os("PROPTEST_CASES").map(|_| Config::default().cases);
    let cases = cases.min(told.unwrap_or(cases));
    Config { cases, max_shrink_iters: 200, failure_persistence: None, ..Config::default() }
}

pub(crate) fn size() -> impl Strategy<Value = usize> {
    select(&SIZES[..])
}

/// So many axes, that have so many elements at most.
pub(crate) fn shape(
    axes: impl Into<proptest::collection::SizeRange>,
    most: usize,
) -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(size(), axes).prop_map(move |sizes| bounded(sizes, most))
}

/// Axes that would make too many elements are short.
pub(crate) fn bounded(mut sizes: Vec<usize>, most: usize) -> Vec<usize> {
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
pub(crate) fn number(tensor: usize, at: usize) -> f32 {
    ((at * 7919 + tensor * 331 + 13) % 1009) as f32 / 504.5 - 1.0
}

/// The same for constants, of which f16 holds all: in f16 they agree as closely as in f32.
pub(crate) fn weight(tensor: usize, at: usize) -> f32 {
    half::f16::from_f32(number(tensor, at)).to_f32()
}

pub(crate) fn numbers(tensor: usize, shape: &[usize]) -> EngineTensor {
    let data = (0..shape.iter().product()).map(|at| weight(tensor, at)).collect();
    ArrayD::<f32>::from_shape_vec(shape, data).expect("as many as the shape has").into_tensor()
}

/// What a part takes: floats between -1 and 1, integers between -5 and 5, booleans.
pub(crate) fn taken(tensor: usize, spec: &TensorSpec) -> Tensor {
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
pub(crate) enum Lies {
    Whole,
    Turned(usize),
    Cut(usize),
    Made,
}

pub(crate) fn lies() -> impl Strategy<Value = Lies> {
    prop_oneof![
        3 => Just(Lies::Whole),
        2 => (0_usize..8).prop_map(Lies::Turned),
        2 => (0_usize..4).prop_map(Lies::Cut),
        1 => Just(Lies::Made),
    ]
}

/// A graph that is made node by node.
#[derive(Default)]
pub(crate) struct Graph {
    pub(crate) model: TypedModel,
    /// How the device keeps weights.
    pub(crate) precision: Precision,
}

impl Graph {
    pub(crate) fn name(&self) -> String {
        format!("n{}", self.model.nodes.len())
    }

    pub(crate) fn input(&mut self, shape: &[usize]) -> OutletId {
        self.input_of(f32::datum_type(), shape)
    }

    pub(crate) fn input_of(&mut self, datum: DatumType, shape: &[usize]) -> OutletId {
        self.model.add_source(self.name(), TypedFact::dt_shape(datum, shape)).expect("a source")
    }

    pub(crate) fn constant(&mut self, tensor: EngineTensor) -> OutletId {
        self.model.add_const(self.name(), tensor).expect("a constant")
    }

    pub(crate) fn weights(&mut self, shape: &[usize]) -> OutletId {
        let tensor = numbers(self.model.nodes.len(), shape);
        self.constant(tensor)
    }

    pub(crate) fn add(&mut self, op: impl Into<Box<dyn TypedOp>>, inputs: &[OutletId]) -> OutletId {
        self.model.wire_node(self.name(), op, inputs).expect("the engine takes it")[0]
    }

    /// What a kernel reads: an input as it lies or with axes elsewhere, a part of one, or what another kernel makes.
    pub(crate) fn operand(&mut self, shape: &[usize], lies: Lies) -> OutletId {
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

    pub(crate) fn shape(&self, outlet: OutletId) -> Vec<usize> {
        self.model.outlet_fact(outlet).expect("an outlet").shape.as_concrete().expect("fixed").to_vec()
    }

    pub(crate) fn part(mut self, outputs: &[OutletId]) -> Partition {
        self.model.select_output_outlets(outputs).expect("outputs");
        let border = |outlet: &OutletId| {
            let fact = self.model.outlet_fact(*outlet).expect("an outlet");
            Border { spec: crate::tensor::spec(fact).expect("it travels"), datum: fact.datum_type }
        };
        let takes = self.model.inputs.iter().map(border).collect();
        let gives = self.model.outputs.iter().map(border).collect();
        Partition { name: "a case".to_owned(), graph: self.model, takes, gives }
    }
}

pub(crate) fn inputs(part: &Partition) -> Vec<Tensor> {
    part.takes.iter().enumerate().map(|(place, border)| taken(place, &border.spec)).collect()
}
