//! From one type to another, and the types that onnxruntime computes in.

use tract_onnx::tract_hir::internal::{DatumType, OutletId, TypedNode};
use tract_onnx::tract_hir::tract_core::ops::cast::Cast;

use super::super::onnx;
use super::{Either, Lowering, Why};

/// The type in which onnxruntime computes on elements of this one: its operators know few types.
///
/// What wraps in fewer bits does so when it is cast back, and f16 is rounded once an operator, as the engine does.
pub(super) fn computed(datum: DatumType) -> Result<DatumType, Why> {
    Ok(match datum {
        DatumType::F32 | DatumType::F64 | DatumType::I32 | DatumType::I64 => datum,
        DatumType::F16 => DatumType::F32,
        DatumType::I8 | DatumType::U8 | DatumType::I16 | DatumType::U16 | DatumType::Bool => DatumType::I32,
        DatumType::U32 | DatumType::TDim => DatumType::I64,
        other => return Err(format!("{other:?} is not computed on")),
    })
}

impl Lowering<'_> {
    /// A value of one type in another that holds all of its elements.
    pub(super) fn cast_value(&mut self, name: String, from: DatumType, to: DatumType) -> Result<String, Why> {
        let (from, to) = (onnx::elements(from)?, onnx::elements(to)?);
        if from == to {
            return Ok(name);
        }
        Ok(self.add("Cast", &[name], vec![onnx::int("to", i64::from(to as i32))]))
    }

    /// What a node reads, in the type that is computed in.
    pub(super) fn operand(&mut self, outlet: OutletId) -> Result<(Either, DatumType), Why> {
        let datum = self.datum(outlet)?;
        let to = computed(datum)?;
        let Either { name, lead } = self.either(outlet)?;
        Ok((Either { name: self.cast_value(name, datum, to)?, lead }, to))
    }

    /// What a node makes, which was computed in another type.
    pub(super) fn set_computed(&mut self, node: &TypedNode, made: Either, computed: DatumType) -> Result<(), Why> {
        let datum = self.datum(node.id.into())?;
        let name = self.cast_value(made.name, computed, datum)?;
        self.set(node, Either { name, lead: made.lead })
    }

    pub(super) fn cast(&mut self, node: &TypedNode, op: &Cast) -> Result<(), Why> {
        let (from, to) = (self.datum(node.inputs[0])?, op.to);
        if from.is_quantized() || to.is_quantized() {
            return Err(format!("from {from:?} to {to:?}"));
        }
        let Either { name, lead } = self.either(node.inputs[0])?;
        let is_integer = |datum: DatumType| datum.is_integer() || datum == DatumType::TDim;
        let name = if from.is_float() && is_integer(to) {
            self.bounded(name, from, to)?
        } else {
            self.cast_value(name, from, to)?
        };
        self.set(node, Either { name, lead })
    }

    /// An integer of a float: beyond the ends the nearest of them, and zero of what is no number.
    fn bounded(&mut self, name: String, from: DatumType, to: DatumType) -> Result<String, Why> {
        // All integers of 32 bits are numbers of 64.
        let none = self.add("IsNaN", std::slice::from_ref(&name), Vec::new());
        let wide = self.cast_value(name, from, DatumType::F64)?;
        let (least, most) = match to {
            DatumType::U8 => (0.0, f64::from(u8::MAX)),
            DatumType::U16 => (0.0, f64::from(u16::MAX)),
            DatumType::U32 => (0.0, f64::from(u32::MAX)),
            DatumType::I8 => (f64::from(i8::MIN), f64::from(i8::MAX)),
            DatumType::I16 => (f64::from(i16::MIN), f64::from(i16::MAX)),
            DatumType::I32 => (f64::from(i32::MIN), f64::from(i32::MAX)),
            // The largest number of 64 bits below 2^63.
            DatumType::I64 | DatumType::TDim => (i64::MIN as f64, (i64::MAX - 1023) as f64),
            other => return Err(format!("from {from:?} to {other:?}")),
        };
        let (least, highest) = (self.scalar(least, DatumType::F64)?, self.scalar(most, DatumType::F64)?);
        let zero = self.scalar(0.0, DatumType::F64)?;
        let number = self.add("Where", &[none, zero, wide.clone()], Vec::new());
        let bounded = self.add("Clip", &[number, least, highest], Vec::new());
        let cast = self.cast_value(bounded, DatumType::F64, DatumType::I64)?;
        if !matches!(to, DatumType::I64 | DatumType::TDim) {
            return self.cast_value(cast, DatumType::I64, to);
        }
        let end = self.scalar(-(i64::MIN as f64), DatumType::F64)?;
        let beyond = self.add("GreaterOrEqual", &[wide, end], Vec::new());
        let most = self.hold(&i64::MAX.into())?;
        Ok(self.add("Where", &[beyond, most, cast], Vec::new()))
    }
}
