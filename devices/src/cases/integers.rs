//! Integers and booleans, which are exact.

use tract_onnx::tract_hir::internal::{DatumType, OutletId};
use tract_onnx::tract_hir::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_hir::tract_core::ops::cast::Cast;
use tract_onnx::tract_hir::tract_core::ops::logic::{
    Iff, and, comp_eq, comp_gt, comp_gte, comp_lt, comp_lte, comp_ne, not, or, xor,
};
use tract_onnx::tract_hir::tract_core::ops::math;
use tract_onnx::tract_hir::tract_core::prelude::Tensor as EngineTensor;

use super::Graph;

pub(crate) const SHAPE: [usize; 2] = [5, 7];

pub(crate) fn one_constant(graph: &mut Graph, datum: DatumType, value: i64) -> OutletId {
    let tensor = EngineTensor::from(value).cast_to_dt(datum).expect("it fits").into_owned();
    graph.constant(tensor.into_shape(&[1, 1]).expect("one element"))
}

/// Functions of integers of a type, one after the other, each by two values that are there.
pub(crate) fn functions(datum: DatumType, nodes: &[(usize, usize, usize)], constant: i64) -> (Graph, Vec<OutletId>) {
    let mut graph = Graph::default();
    let mut values = vec![graph.input_of(datum, &SHAPE), graph.input_of(datum, &[1, 7])];
    let number = one_constant(&mut graph, datum, constant);
    let small = one_constant(&mut graph, datum, 5);
    let mut made = graph.add(math::max(), &[values[0], number]);
    let one = made;
    for (op, a, b) in nodes.iter().copied() {
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
    (graph, outputs)
}
