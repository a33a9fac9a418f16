//! Integers and booleans, which are exact.

use proptest::prelude::*;
use proptest::sample::select;
use tract_onnx::tract_hir::internal::DatumType;
use tract_onnx::tract_hir::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_hir::tract_core::ops::cast::Cast;
use tract_onnx::tract_hir::tract_core::ops::change_axes::AxisOp;
use tract_onnx::tract_hir::tract_core::ops::logic::{
    Iff, and, comp_eq, comp_gt, comp_gte, comp_lt, comp_lte, comp_ne, not, or, xor,
};
use tract_onnx::tract_hir::tract_core::ops::math;
use tract_onnx::tract_hir::tract_core::prelude::{Datum as _, Tensor as EngineTensor};

use super::{Graph, cases};

const SHAPE: [usize; 2] = [5, 7];

fn one_constant(graph: &mut Graph, datum: DatumType, value: i64) -> tract_onnx::tract_hir::internal::OutletId {
    let tensor = EngineTensor::from(value).cast_to_dt(datum).expect("it fits").into_owned();
    graph.constant(tensor.into_shape(&[1, 1]).expect("one element"))
}

proptest! {
    #![proptest_config(cases(100))]

    #[test]
    fn functions_of_integers_agree(
        datum in select(vec![DatumType::I64, DatumType::I32]),
        nodes in proptest::collection::vec((0_usize..12, 0_usize..9, 0_usize..9), 1..6),
        constant in select(&[0_i64, 1, -3, 16_777_217][..]),
    ) {
        let mut graph = Graph::default();
        let mut values = vec![graph.input_of(datum, &SHAPE), graph.input_of(datum, &[1, 7])];
        let number = one_constant(&mut graph, datum, constant);
        let small = one_constant(&mut graph, datum, 5);
        let mut made = graph.add(math::max(), &[values[0], number]);
        let one = made;
        for (op, a, b) in nodes {
            let (a, b) = (values[a % values.len()], values[b % values.len()]);
            made = match op {
                0 => graph.add(math::add(), &[a, b]),
                1 => graph.add(math::sub(), &[a, b]),
                2 => graph.add(math::min(), &[a, b]),
                3 => graph.add(math::max(), &[a, b]),
                4 => graph.add(math::neg(), &[a]),
                5 => graph.add(math::abs(), &[a]),
                6 => graph.add(math::sub(), &[small, a]),
                7 => {
                    let cast = graph.add(Cast { to: DatumType::F32 }, &[a]);
                    let half = graph.constant(tract_onnx::prelude::tensor2(&[[0.5_f32]]));
                    let half = graph.add(math::mul(), &[cast, half]);
                    graph.add(Cast { to: datum }, &[half])
                }
                8 => {
                    let cast = graph.add(Cast { to: DatumType::Bool }, &[a]);
                    graph.add(Cast { to: datum }, &[cast])
                }
                _ => {
                    let compare = [comp_eq, comp_ne, comp_lt, comp_gt, comp_lte, comp_gte];
                    let first = graph.add(TypedBinOp(compare[graph.model.nodes.len() % 6](), None), &[a, b]);
                    let other = graph.add(TypedBinOp(compare[graph.model.nodes.len() % 5](), None), &[b, number]);
                    let both = [and(), or(), xor()][op - 9].clone();
                    let test = graph.add(both, &[first, other]);
                    let test = graph.add(not(), &[test]);
                    graph.add(Iff, &[test, a, b])
                }
            };
            values.push(made);
        }
        let outputs = if made == one { vec![made] } else { vec![made, one] };
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
