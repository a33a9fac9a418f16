//! Integers and booleans, which are exact.

use proptest::prelude::*;
use proptest::sample::select;
use tract_onnx::tract_hir::internal::DatumType;
use tract_onnx::tract_hir::tract_core::ops::cast::Cast;
use tract_onnx::tract_hir::tract_core::ops::change_axes::AxisOp;
use tract_onnx::tract_hir::tract_core::ops::logic::{and, or};
use tract_onnx::tract_hir::tract_core::ops::math;
use tract_onnx::tract_hir::tract_core::prelude::Datum as _;

use super::{Graph, cases};
use crate::cases::integers::{SHAPE, functions, one_constant};

proptest! {
    #![proptest_config(cases(100))]

    #[test]
    fn functions_of_integers_agree(
        datum in select(vec![DatumType::I64, DatumType::I32]),
        nodes in proptest::collection::vec((0_usize..12, 0_usize..9, 0_usize..9), 1..6),
        constant in select(&[0_i64, 1, -3, 16_777_217][..]),
    ) {
        let (graph, outputs) = functions(datum, &nodes, constant);
        // What needs more than 32 bits is left to the CPU.
        if datum == DatumType::I64 {
            graph.agrees_or_says_why(&outputs);
        } else {
            graph.agrees(&outputs);
        }
    }
}

/// More than a device computes in.
#[test]
fn integers_of_64_bits_do_not_wrap_in_32() {
    let mut graph = Graph::default();
    let value = graph.input_of(i64::datum_type(), &SHAPE);
    let large = one_constant(&mut graph, DatumType::I64, 2_000_000_000);
    let large = graph.add(math::max(), &[value, large]);
    let sum = graph.add(math::add(), &[large, large]);
    graph.agrees_or_says_why(&[sum]);
}

/// 8 bits wrap on the CPU.
#[test]
fn what_wraps_in_few_bits_does_so_everywhere() {
    let mut graph = Graph::default();
    let value = graph.input_of(u8::datum_type(), &SHAPE);
    let sum = graph.add(math::add(), &[value, value]);
    let float = graph.add(Cast { to: DatumType::F32 }, &[sum]);
    graph.agrees_or_says_why(&[sum, float]);
}

/// Beyond the ends of a type of few bits the CPU keeps to them.
#[test]
fn a_float_that_becomes_an_integer_of_few_bits_stays_within_its_ends() {
    for datum in [DatumType::U8, DatumType::I8, DatumType::I16, DatumType::I32, DatumType::I64] {
        let mut graph = Graph::default();
        let value = graph.input(&SHAPE);
        let by = graph.constant(tract_onnx::prelude::tensor2(&[[100_000_f32]]));
        let value = graph.add(math::mul(), &[value, by]);
        let cast = graph.add(Cast { to: datum }, &[value]);
        let float = graph.add(Cast { to: DatumType::F32 }, &[cast]);
        if datum == DatumType::I64 {
            graph.agrees_or_says_why(&[cast, float]);
        } else {
            graph.agrees(&[cast, float]);
        }
    }
}

#[test]
fn any_number_but_zero_is_true() {
    for op in [and(), or()] {
        let mut graph = Graph::default();
        let (one, other) = (graph.input_of(i32::datum_type(), &SHAPE), graph.input_of(i32::datum_type(), &[1, 7]));
        let made = graph.add(op, &[one, other]);
        graph.agrees_or_says_why(&[made]);
    }
}

#[test]
fn what_is_read_from_few_bits_agrees() {
    for datum in [DatumType::F16, DatumType::U8, DatumType::I8, DatumType::I16, DatumType::Bool] {
        let mut graph = Graph::default();
        let value = graph.input_of(datum, &SHAPE);
        let turned = graph.add(AxisOp::Move(0, 1), &[value]);
        let float = graph.add(Cast { to: DatumType::F32 }, &[value]);
        let float = graph.add(math::neg(), &[float]);
        graph.agrees(&[turned, float]);
    }
}
