//! Element-wise nodes.

use tract_onnx::tract_hir::internal::{DatumType, TypedNode};
use tract_onnx::tract_hir::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_hir::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_hir::tract_core::ops::logic::Not;
use tract_onnx::tract_hir::tract_core::ops::math;
use tract_onnx::tract_hir::tract_core::ops::nn::{GeluApproximate, GeluExact, HardSwish, LeakyRelu, Sigmoid, Silu};
use tract_onnx::tract_hir::tract_core::ops::quant::{QuantizeLinearI8, QuantizeLinearU8};

use super::super::onnx;
use super::{Either, Lowering, Why};

impl Lowering<'_> {
    pub(super) fn binary(&mut self, node: &TypedNode, op: &TypedBinOp) -> Result<(), Why> {
        let name = op.0.name();
        if let "And" | "Or" | "Xor" = name {
            return self.logical(node, name);
        }
        let (a, computed) = self.operand(node.inputs[0])?;
        let (b, _) = self.operand(node.inputs[1])?;
        let lead = a.lead.max(b.lead);
        let (a, b) = (a.name, b.name);
        let is_float = computed.is_float();
        let made = match name {
            "Add" | "Sub" | "Mul" | "Min" | "Max" => self.add(name, &[a, b], Vec::new()),
            "SubF" => self.add("Sub", &[b, a], Vec::new()),
            "Div" if is_float || self.divides(node) => self.add("Div", &[a, b], Vec::new()),
            "Rem" if is_float || self.divides(node) => self.add("Mod", &[a, b], vec![onnx::int("fmod", 1)]),
            "Pow" if is_float => self.add("Pow", &[a, b], Vec::new()),
            "Div" | "Rem" => return Err("integers are divided by what may be 0 or -1".to_owned()),
            _ => {
                let made = self.compared(name, a, b, computed)?;
                return self.set(node, Either { name: made, lead });
            }
        };
        self.set_computed(node, Either { name: made, lead }, computed)
    }

    /// Whether integers can be divided by it: by 0 onnxruntime ends the process.
    fn divides(&self, node: &TypedNode) -> bool {
        let Some(by) = self.constant(node.inputs[1]) else { return false };
        let Ok(by) = by.cast_to::<i64>() else { return false };
        by.to_plain_array_view::<i64>().is_ok_and(|by| by.iter().all(|by| !matches!(by, 0 | -1)))
    }

    fn logical(&mut self, node: &TypedNode, name: &str) -> Result<(), Why> {
        let mut inputs = Vec::new();
        let mut lead = 0;
        for outlet in &node.inputs {
            let (datum, value) = (self.datum(*outlet)?, self.either(*outlet)?);
            lead = lead.max(value.lead);
            inputs.push(self.cast_value(value.name, datum, DatumType::Bool)?);
        }
        let made = self.add(name, &inputs, Vec::new());
        self.set_computed(node, Either { name: made, lead }, DatumType::Bool)
    }

    fn compared(&mut self, name: &str, a: String, b: String, computed: DatumType) -> Result<String, Why> {
        let op = match name {
            "==" | "Eq" | "EQ" => "Equal",
            "!=" | "Ne" | "NE" => {
                let equal = self.add("Equal", &[a, b], Vec::new());
                return Ok(self.add("Not", &[equal], Vec::new()));
            }
            "<" | "LT" => "Less",
            "<=" | "LTE" => "LessOrEqual",
            ">" | "GT" => "Greater",
            ">=" | "GTE" => "GreaterOrEqual",
            other => return Err(format!("the function {other} of {computed:?}")),
        };
        Ok(self.add(op, &[a, b], Vec::new()))
    }

    /// The second where the first is true, else the third.
    pub(super) fn choose(&mut self, node: &TypedNode) -> Result<(), Why> {
        let test = self.either(node.inputs[0])?;
        let (then, computed) = self.operand(node.inputs[1])?;
        let (otherwise, _) = self.operand(node.inputs[2])?;
        let lead = test.lead.max(then.lead).max(otherwise.lead);
        let name = self.add("Where", &[test.name, then.name, otherwise.name], Vec::new());
        self.set_computed(node, Either { name, lead }, computed)
    }

    pub(super) fn element_wise(&mut self, node: &TypedNode, op: &ElementWiseOp) -> Result<(), Why> {
        if op.0.is::<Not>() {
            let Either { name, lead } = self.either(node.inputs[0])?;
            let name = self.add("Not", &[name], Vec::new());
            return self.set(node, Either { name, lead });
        }
        if let Some(quantised) = op.0.downcast_ref::<QuantizeLinearU8>() {
            return self.quantise(node, quantised.scale, quantised.zero_point.into(), [0.0, 255.0]);
        }
        if let Some(quantised) = op.0.downcast_ref::<QuantizeLinearI8>() {
            return self.quantise(node, quantised.scale, quantised.zero_point.into(), [-128.0, 127.0]);
        }
        let (Either { name: value, lead }, computed) = self.operand(node.inputs[0])?;
        if op.0.name() == "IsNan" {
            let name = self.add("IsNaN", &[value], Vec::new());
            return self.set(node, Either { name, lead });
        }
        if let Some(infinite) = op.0.downcast_ref::<math::IsInf>() {
            let signs = [("detect_positive", infinite.detect_positive), ("detect_negative", infinite.detect_negative)];
            let signs = signs.map(|(name, detected)| onnx::int(name, detected.into()));
            let name = self.add("IsInf", &[value], signs.to_vec());
            return self.set(node, Either { name, lead });
        }
        let name = if computed.is_float() { self.function(op, value, computed)? } else { self.of_integers(op, value)? };
        self.set_computed(node, Either { name, lead }, computed)
    }

    fn of_integers(&mut self, op: &ElementWiseOp, value: String) -> Result<String, Why> {
        let op = &op.0;
        match () {
            () if op.is::<math::Abs>() => Ok(self.add("Abs", &[value], Vec::new())),
            () if op.is::<math::Neg>() => Ok(self.add("Neg", &[value], Vec::new())),
            () if op.is::<math::Sign>() => Ok(self.add("Sign", &[value], Vec::new())),
            () if op.is::<math::Floor>() || op.is::<math::Ceil>() || op.is::<math::Round>() => Ok(value),
            () => Err(format!("the function {} of integers", op.name())),
        }
    }

    /// A function of floats, of one operator or of a few.
    fn function(&mut self, op: &ElementWiseOp, x: String, datum: DatumType) -> Result<String, Why> {
        if let Some(name) = one_operator(op) {
            return Ok(self.add(name, &[x], Vec::new()));
        }
        let op = &op.0;
        let none = Vec::new;
        if let Some(leaky) = op.downcast_ref::<LeakyRelu>() {
            return Ok(self.add("LeakyRelu", &[x], vec![onnx::float("alpha", leaky.alpha)]));
        }
        if let Some(power) = op.downcast_ref::<math::PowConst>() {
            let exponent = self.scalar(power.exponent.into(), datum)?;
            return Ok(self.add("Pow", &[x, exponent], none()));
        }
        if let Some(gelu) = op.downcast_ref::<GeluApproximate>() {
            return self.gelu_approximate(x, datum, gelu.fast_impl);
        }
        Ok(match () {
            () if op.is::<math::Square>() => self.add("Mul", &[x.clone(), x], none()),
            () if op.is::<Silu>() => {
                let gate = self.add("Sigmoid", std::slice::from_ref(&x), none());
                self.add("Mul", &[x, gate], none())
            }
            () if op.is::<math::Rsqrt>() => {
                let root = self.add("Sqrt", &[x], none());
                self.add("Reciprocal", &[root], none())
            }
            // In this order the library knows it and makes it one operator.
            () if op.is::<GeluExact>() => {
                let root = self.scalar(std::f64::consts::SQRT_2, datum)?;
                let (one, half) = (self.scalar(1.0, datum)?, self.scalar(0.5, datum)?);
                let inner = self.add("Div", &[x.clone(), root], none());
                let inner = self.add("Erf", &[inner], none());
                let inner = self.add("Add", &[inner, one], none());
                let product = self.add("Mul", &[x, inner], none());
                self.add("Mul", &[product, half], none())
            }
            // Halves go away from zero, other than those of ONNX.
            () if op.is::<math::Round>() => {
                let (sign, half) = (self.add("Sign", std::slice::from_ref(&x), none()), self.scalar(0.5, datum)?);
                let size = self.add("Abs", &[x], none());
                let whole = self.add("Floor", std::slice::from_ref(&size), none());
                let rest = self.add("Sub", &[size, whole.clone()], none());
                let up = self.add("GreaterOrEqual", &[rest, half], none());
                let [one, zero] = [self.scalar(1.0, datum)?, self.scalar(0.0, datum)?];
                let more = self.add("Where", &[up, one, zero], none());
                let size = self.add("Add", &[whole, more], none());
                self.add("Mul", &[sign, size], none())
            }
            () => return Err(format!("the function {}", op.name())),
        })
    }

    /// `x / 2 (1 + tanh(√(2/π) (x + 0.044715 x³)))`, or with the square of x in the place of its cube.
    fn gelu_approximate(&mut self, x: String, datum: DatumType, squared: bool) -> Result<String, Why> {
        let none = Vec::new;
        let root = self.scalar(std::f64::consts::FRAC_2_PI.sqrt(), datum)?;
        let (cubic, half, one) = (self.scalar(0.044715, datum)?, self.scalar(0.5, datum)?, self.scalar(1.0, datum)?);
        let mut power = self.add("Mul", &[x.clone(), x.clone()], none());
        if !squared {
            power = self.add("Mul", &[power, x.clone()], none());
        }
        let inner = self.add("Mul", &[power, cubic], none());
        let inner = self.add("Add", &[x.clone(), inner], none());
        let inner = self.add("Mul", &[inner, root], none());
        let inner = self.add("Tanh", &[inner], none());
        let inner = self.add("Add", &[inner, one], none());
        let inner = self.add("Mul", &[inner, half], none());
        Ok(self.add("Mul", &[x, inner], none()))
    }
}

/// The operator of ONNX that is this function of floats.
fn one_operator(op: &ElementWiseOp) -> Option<&'static str> {
    let op = &op.0;
    Some(match () {
        () if op.is::<Sigmoid>() => "Sigmoid",
        () if op.is::<HardSwish>() => "HardSwish",
        () if op.is::<math::Abs>() => "Abs",
        () if op.is::<math::Exp>() => "Exp",
        () if op.is::<math::Ln>() => "Log",
        () if op.is::<math::Sqrt>() => "Sqrt",
        () if op.is::<math::Recip>() => "Reciprocal",
        () if op.is::<math::Neg>() => "Neg",
        () if op.is::<math::Sign>() => "Sign",
        () if op.is::<math::Floor>() => "Floor",
        () if op.is::<math::Ceil>() => "Ceil",
        () if op.is::<math::RoundHalfToEven>() => "Round",
        () if op.is::<math::Erf>() => "Erf",
        () if op.is::<math::Tanh>() => "Tanh",
        () if op.is::<math::Cos>() => "Cos",
        () if op.is::<math::Sin>() => "Sin",
        () if op.is::<math::Tan>() => "Tan",
        () if op.is::<math::Acos>() => "Acos",
        () if op.is::<math::Asin>() => "Asin",
        () if op.is::<math::Atan>() => "Atan",
        () if op.is::<math::Cosh>() => "Cosh",
        () if op.is::<math::Sinh>() => "Sinh",
        () if op.is::<math::Acosh>() => "Acosh",
        () if op.is::<math::Asinh>() => "Asinh",
        () if op.is::<math::Atanh>() => "Atanh",
        () => return None,
    })
}
