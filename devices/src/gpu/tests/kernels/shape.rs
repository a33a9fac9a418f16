//! Chains of nodes that only say where elements lie, with element-wise ones between them.

use proptest::prelude::*;
use tract_onnx::tract_hir::tract_core::ops::array::Slice;
use tract_onnx::tract_hir::tract_core::ops::change_axes::AxisOp;
use tract_onnx::tract_hir::tract_core::ops::math;

use super::super::super::lower::Bounds;
use super::{GPU, Graph, cases, shape};
use crate::cases::views::{chain, dims, nodes};

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn chains_of_views_agree(
        shape in shape(1..4, 1500),
        nodes in nodes(),
        given in proptest::collection::vec(0_usize..9, 0..3),
    ) {
        let (graph, outputs) = chain(&shape, &nodes, &given);
        graph.agrees(&outputs);
    }

    #[test]
    fn chains_of_views_agree_where_kernels_may_have_few_buffers_and_few_groups_in_a_row(
        shape in shape(1..4, 1500),
        nodes in nodes(),
        given in proptest::collection::vec(0_usize..9, 0..6),
    ) {
        let (graph, outputs) = chain(&shape, &nodes, &given);
        if let Some(gpu) = GPU.as_ref() {
            graph.agrees_within(&outputs, Bounds { buffers: 8, groups: 37, ..Bounds::of(gpu) });
        }
    }
}

/// The beginning of what a kernel makes lies in one piece, and is shorter than it.
#[test]
fn the_beginning_of_a_value_is_given() {
    let mut graph = Graph::default();
    let value = graph.input(&[4, 3]);
    let value = graph.add(math::sin(), &[value]);
    let first = graph.add(Slice::new(0, 0, 2), &[value]);
    graph.agrees(&[first]);
}

#[test]
fn an_input_a_constant_and_one_value_twice_are_given() {
    let mut graph = Graph::default();
    let (input, constant) = (graph.input(&[4, 3]), graph.weights(&[2, 5]));
    let value = graph.add(math::sin(), &[input]);
    let flat = graph.add(AxisOp::Reshape(0, dims(&[4, 3]), dims(&[12])), &[value]);
    let turned = graph.add(AxisOp::Move(0, 1), &[value]);
    graph.agrees(&[input, constant, value, flat, turned, value]);
}
