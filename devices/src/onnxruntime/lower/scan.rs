//! Loops over an axis.

use tract_onnx::tract_hir::internal::TypedNode;
use tract_onnx::tract_hir::tract_core::ops::scan::Scan;

use super::{Lowering, Why};

impl Lowering<'_> {
    pub(super) fn scan(&mut self, _node: &TypedNode, _op: &Scan) -> Result<(), Why> {
        Err("this operator has none yet".to_owned())
    }
}
