//! Chains of element-wise nodes, which become steps of one kernel or of several.

use proptest::prelude::*;
use tract_onnx::tract_hir::tract_core::ops::array::TypedConcat;
use tract_onnx::tract_hir::tract_core::ops::math;

use super::super::super::lower::Bounds;
use super::{GPU, Graph, cases};
use crate::cases::chains::{SHAPE, chain, nodes};

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn chains_agree(nodes in nodes(), given in proptest::collection::vec(0_usize..12, 0..4)) {
        let (graph, outputs) = chain(&nodes, &given);
        graph.agrees(&outputs);
    }

    /// WebGPU promises 8 buffers a kernel.
    #[test]
    fn chains_agree_where_kernels_may_have_few_buffers(
        nodes in nodes(),
        given in proptest::collection::vec(0_usize..12, 0..8),
    ) {
        let (graph, outputs) = chain(&nodes, &given);
        if let Some(gpu) = GPU.as_ref() {
            graph.agrees_within(&outputs, Bounds { buffers: 8, ..Bounds::of(gpu) });
        }
    }
}

/// Each step of a chain is given, and joined too: more buffers than one kernel may have.
#[test]
fn a_chain_of_which_all_is_given_takes_as_many_kernels_as_buffers_ask_for() {
    let Some(gpu) = GPU.as_ref() else { return };
    let mut graph = Graph::default();
    let mut value = graph.input(&SHAPE);
    let mut outputs = Vec::new();
    for step in 0..20 {
        value = if step % 2 == 0 { graph.add(math::sin(), &[value]) } else { graph.add(math::neg(), &[value]) };
        outputs.push(value);
    }
    let parts = outputs.clone();
    outputs.push(graph.add(TypedConcat::new(1), &parts));
    graph.agrees_within(&outputs, Bounds { buffers: 8, ..Bounds::of(gpu) });
}
