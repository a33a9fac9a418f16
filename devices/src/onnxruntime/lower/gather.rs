//! Nodes that look elements up by numbers.

use tract_onnx::tract_hir::internal::{OutletId, TypedNode};
use tract_onnx::tract_hir::tract_core::ops::array::{Gather, GatherElements, GatherNd, Topk, Trilu};

use super::super::onnx;
use super::{Either, Lowering, Why};

impl Lowering<'_> {
    pub(super) fn gather(&mut self, node: &TypedNode, op: &Gather) -> Result<(), Why> {
        let inputs = [self.plain(node.inputs[0])?, self.plain(node.inputs[1])?];
        let name = self.add("Gather", &inputs, vec![onnx::int("axis", op.axis as i64)]);
        let datum = self.datum(node.inputs[0])?;
        self.set_computed(node, Either { name, lead: 0 }, datum)
    }

    /// The rare ones.
    pub(super) fn chosen(&mut self, node: &TypedNode) -> Result<(), Why> {
        if let Some(op) = node.op_as::<GatherElements>() {
            return self.looked_up(node, "GatherElements", vec![onnx::int("axis", op.axis as i64)]);
        }
        if let Some(op) = node.op_as::<GatherNd>() {
            return self.looked_up(node, "GatherND", vec![onnx::int("batch_dims", op.batch_dims as i64)]);
        }
        if let Some(op) = node.op_as::<Topk>() {
            return self.top(node, op);
        }
        if let Some(op) = node.op_as::<Trilu>() {
            return self.looked_up(node, "Trilu", vec![onnx::int("upper", i64::from(op.upper))]);
        }
        Err("this operator has none yet".to_owned())
    }

    fn looked_up(
        &mut self,
        node: &TypedNode,
        op: &str,
        attributes: Vec<tract_onnx::pb::AttributeProto>,
    ) -> Result<(), Why> {
        let inputs = node.inputs.iter().map(|outlet| self.plain(*outlet)).collect::<Result<Vec<_>, _>>()?;
        let name = self.add(op, &inputs, attributes);
        self.set_plain(node, name)
    }

    fn top(&mut self, node: &TypedNode, op: &Topk) -> Result<(), Why> {
        let count = self.shape(node.id.into())?[op.axis];
        let inputs = [self.plain(node.inputs[0])?, self.numbers([count])?];
        let names = [self.name(), self.name()];
        let attributes = vec![
            onnx::int("axis", op.axis as i64),
            onnx::int("largest", i64::from(op.largest)),
            onnx::int("sorted", 1),
        ];
        self.nodes.push(onnx::node("TopK", &inputs, &names, attributes));
        for (slot, name) in names.into_iter().enumerate() {
            self.set_slot(OutletId::new(node.id, slot), Either { name, lead: 0 });
        }
        Ok(())
    }
}
