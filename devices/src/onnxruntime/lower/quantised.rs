//! Between floats and integers of 8 bits.

use tract_onnx::tract_hir::internal::{DatumType, OutletId, TypedNode};
use tract_onnx::tract_hir::tract_core::ops::quant::DequantizeLinearF32;

use super::super::onnx;
use super::{Either, Lowering, Why};

impl Lowering<'_> {
    /// `round(x scale) + zero`, within the ends of the type.
    pub(super) fn quantise(&mut self, node: &TypedNode, scale: f32, zero: f64, ends: [f64; 2]) -> Result<(), Why> {
        let datum = self.datum(node.inputs[0])?;
        let Either { name, lead } = self.either(node.inputs[0])?;
        let value = self.cast_value(name, datum, DatumType::F32)?;
        let number = |lowering: &mut Self, value| lowering.scalar(value, DatumType::F32);
        let (scale, zero) = (number(self, scale.into())?, number(self, zero)?);
        let (least, most) = (number(self, ends[0])?, number(self, ends[1])?);
        let scaled = self.add("Mul", &[value, scale], Vec::new());
        let rounded = self.add("Round", &[scaled], Vec::new());
        let moved = self.add("Add", &[rounded, zero], Vec::new());
        let name = self.add("Clip", &[moved, least, most], Vec::new());
        self.set_computed(node, Either { name, lead }, DatumType::F32)
    }

    /// `(x - zero) scale`.
    pub(super) fn dequantise(&mut self, node: &TypedNode, op: &DequantizeLinearF32) -> Result<(), Why> {
        let (Either { name, lead }, computed) = self.operand(node.inputs[0])?;
        let (zero, scale) =
            (self.scalar(op.zero_point.into(), computed)?, self.scalar(op.scale.into(), DatumType::F32)?);
        let moved = self.add("Sub", &[name, zero], Vec::new());
        let float = self.cast_value(moved, computed, DatumType::F32)?;
        let name = self.add("Mul", &[float, scale], Vec::new());
        self.set(node, Either { name, lead })
    }

    /// To u8, with a scale and a zero point of what comes in.
    pub(super) fn quantise_dynamically(&mut self, node: &TypedNode) -> Result<(), Why> {
        let value = self.plain(node.inputs[0])?;
        let names: Vec<String> = (0..3).map(|_| self.name()).collect();
        self.nodes.push(onnx::node("DynamicQuantizeLinear", &[value], &names, Vec::new()));
        for (slot, name) in names.into_iter().enumerate() {
            self.set_slot(OutletId::new(node.id, slot), Either { name, lead: 0 });
        }
        Ok(())
    }
}
