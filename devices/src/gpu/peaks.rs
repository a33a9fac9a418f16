//! What a device reaches at most, for rooflines: measured, because drivers do not tell.

use thalweg_planner::{DType, TensorSpec};
use tract_onnx::tract_hir::internal::{DatumExt as _, SpecialOps as _, TypedModel};
use tract_onnx::tract_hir::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_hir::tract_core::prelude::{Datum as _, TractResult};

use super::context::Gpu;
use super::error::GpuError;
use super::ir::{Call, Kind, Operand, Origin, Program, Step, Store, Template, Value};
use super::recorded::{Handover, Recorded};
use super::view::{Index, View};
use crate::cut::{Border, Partition};

const PEAK: Template = Template { name: "peak", text: include_str!("kernels/peak.wgsl") };
const PEAK_READ: Template = Template { name: "peak_read", text: include_str!("kernels/peak_read.wgsl") };
const THREADS: usize = 1 << 18;
const TURNS: usize = 256;
/// Threads that read, of 16 fours each: all together more than caches hold.
const READERS: usize = 1 << 19;
const READ: usize = READERS * 64;
const RUNS: usize = 10;

/// The most that a device does in a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Peaks {
    /// Multiply-adds in f32.
    pub macs: f64,
    /// Bytes that are read.
    pub bytes: f64,
}

impl Gpu {
    /// Measures what the device reaches. None where it does not tell how long a kernel takes.
    pub fn peaks(&self) -> Result<Option<Peaks>, GpuError> {
        let peak = one_kernel(PEAK, THREADS, 1, vec![("TURNS", TURNS)]);
        let read = one_kernel(PEAK_READ, READERS, READ, Vec::new());
        let seconds = |program: &Program| -> Result<Option<f64>, GpuError> {
            let times = Recorded::new(self, program, &Handover::default())?.times(RUNS)?;
            Ok(times.and_then(|times| times.first().map(|kernel| kernel.time.as_secs_f64())))
        };
        let (Some(peak), Some(read)) = (seconds(&peak)?, seconds(&read)?) else { return Ok(None) };
        Ok(Some(Peaks { macs: (THREADS * TURNS * 32) as f64 / peak, bytes: (READ * 4) as f64 / read }))
    }
}

/// A program of one kernel, which reads so many elements and makes `len`.
fn one_kernel(template: Template, len: usize, read: usize, consts: Vec<(&'static str, usize)>) -> Program {
    let groups = len / 64;
    let x = groups.min(1 << 14);
    let value = |len, origin| Value { len, kind: Kind::Float, origin };
    Program {
        values: vec![value(read, Origin::Input(0)), value(len, Origin::Made { call: 0, step: Some(0) })],
        calls: vec![Call {
            node: template.name.to_owned(),
            template,
            consts,
            params: vec![("len", len), ("pitch", x * 64)],
            inserts: Vec::new(),
            reads: vec![Operand { value: 0, wide: read.is_multiple_of(4) }],
            len,
            row: 0,
            steps: vec![Step { text: "made".to_owned(), args: Vec::new(), kind: Kind::Float, value: 1 }],
            stores: vec![Store { step: 0, value: 1, index: Index::linear(0) }],
            grid: [x, groups.div_ceil(x), 1],
            macs: 0,
            sizes: format!("{len}"),
        }],
        inputs: vec![0],
        outputs: vec![View::whole(1, &[len])],
    }
}

/// A product of two square matrices as a part, which takes both.
pub fn square_product(size: usize) -> Result<Partition, GpuError> {
    let graph = || -> TractResult<TypedModel> {
        let mut graph = TypedModel::default();
        let left = graph.add_source("left", f32::fact([size, size]))?;
        let right = graph.add_source("right", f32::fact([size, size]))?;
        let product = EinSum::new("mk,kn->mn".parse()?, f32::datum_type());
        let product = graph.wire_node("product", product, &[left, right])?;
        graph.select_output_outlets(&product)?;
        Ok(graph)
    };
    let border = || Border { spec: TensorSpec::new(DType::F32, [size, size]), datum: f32::datum_type() };
    let graph = graph().map_err(|cause| GpuError::Engine(cause.to_string()))?;
    Ok(Partition { name: format!("{size} by {size}"), graph, takes: vec![border(), border()], gives: vec![border()] })
}
