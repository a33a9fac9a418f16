//! Names that follow from a node's place in its graph: the same in each run, safe in text, and each once.

use tract_onnx::tract_hir::internal::TypedModel;
use tract_onnx::tract_hir::tract_core::ops::scan::Scan;

use crate::model::numberless;

/// Characters of the old name that are kept, so that messages of the engine can be understood.
const KEPT_MAX: usize = 64;

/// Gives each node a new name, also inside loops.
pub(super) fn by_place(graph: &mut TypedModel) {
    below(graph, "n");
}

/// The names of what is inside a node begin with its number, so they are nowhere else.
fn below(graph: &mut TypedModel, prefix: &str) {
    graph.outlet_labels.clear();
    for (place, node) in graph.nodes.iter_mut().enumerate() {
        let prefix = format!("{prefix}{place}");
        let old = numberless(&node.name).chars().take(KEPT_MAX);
        let old: String = old.map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' }).collect();
        node.name = format!("{prefix}_{old}");
        if let Some(scan) = node.op_as_mut::<Scan>() {
            below(&mut scan.body, &format!("{prefix}n"));
        }
    }
}
