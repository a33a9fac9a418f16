//! Element-wise nodes: steps of the kernel that makes what they read, or of one of their own.

use tract_onnx::tract_hir::internal::{DatumType, OutletId, TypedNode};
use tract_onnx::tract_hir::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_hir::tract_core::ops::cast::Cast;
use tract_onnx::tract_hir::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_hir::tract_core::ops::logic::Not;
use tract_onnx::tract_hir::tract_core::ops::math;
use tract_onnx::tract_hir::tract_core::ops::nn::{GeluApproximate, GeluExact, HardSwish, LeakyRelu, Sigmoid, Silu};

use super::super::ir::{Arg, Kind};
use super::super::view::{Index, View, volume};
use super::{Lowering, Why, kind};

impl Lowering<'_> {
    pub(super) fn element_wise(&mut self, node: &TypedNode, op: &ElementWiseOp) -> Result<View, Why> {
        let text = unary(op, kind(self.datum(node.inputs[0])?)?)?;
        self.wraps_nowhere(node)?;
        self.pointwise(node, &node.inputs, &text)
    }

    pub(super) fn binary(&mut self, node: &TypedNode, op: &TypedBinOp) -> Result<View, Why> {
        let kind = kind(self.datum(node.inputs[0])?)?;
        let text = binary(op.0.name(), kind)?;
        if !matches!(op.0.name(), "Min" | "Max") {
            self.wraps_nowhere(node)?;
        }
        self.pointwise(node, &node.inputs, text)
    }

    /// The device computes in 32 bits: what the engine computes in more or fewer wraps elsewhere.
    fn wraps_nowhere(&self, node: &TypedNode) -> Result<(), Why> {
        match self.datum(node.id.into())? {
            datum @ (DatumType::I8 | DatumType::U8 | DatumType::I16 | DatumType::I64) => {
                Err(format!("it wraps in {datum:?}"))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn cast(&mut self, node: &TypedNode, op: &Cast) -> Result<View, Why> {
        let from = self.datum(node.inputs[0])?;
        let text = match (kind(from)?, kind(op.to)?) {
            (Kind::Float, Kind::Float) | (Kind::Int, Kind::Int) if op.to != DatumType::Bool => {
                let narrows = matches!(op.to, DatumType::F16 | DatumType::I8 | DatumType::U8 | DatumType::I16);
                return if narrows { Err(format!("it rounds to {:?}", op.to)) } else { self.view(node.inputs[0]) };
            }
            (Kind::Int, Kind::Float) => "f32($0)",
            // Beyond its ends a number becomes the nearest of them.
            (Kind::Float, Kind::Int) if op.to == DatumType::U8 => "i32(clamp($0, 0.0, 255.0))",
            (Kind::Float, Kind::Int) if op.to == DatumType::I8 => "i32(clamp($0, -128.0, 127.0))",
            (Kind::Float, Kind::Int) if op.to == DatumType::I16 => "i32(clamp($0, -32768.0, 32767.0))",
            (Kind::Float, Kind::Int) if op.to == DatumType::I64 => {
                return Err("it may be more than i32 holds".to_owned());
            }
            (Kind::Float, Kind::Int) if op.to != DatumType::Bool => {
                "select(i32($0), 2147483647, $0 >= 2147483648.0) * i32((bitcast<u32>($0) & 0x7fffffffu) <= 0x7f800000u)"
            }
            (Kind::Float, _) => "i32($0 != 0.0)",
            (Kind::Int, _) => "i32($0 != 0)",
        };
        self.pointwise(node, &node.inputs, text)
    }

    pub(super) fn choose(&mut self, node: &TypedNode) -> Result<View, Why> {
        self.pointwise(node, &node.inputs, "select($2, $1, $0 != 0)")
    }

    /// One step on these, repeated to the node's shape.
    pub(super) fn pointwise(&mut self, node: &TypedNode, inputs: &[OutletId], text: &str) -> Result<View, Why> {
        let (shape, kind) = (self.shape(node.id.into())?, kind(self.datum(node.id.into())?)?);
        let mut given = Vec::new();
        for outlet in inputs {
            given.push(match self.uniform(*outlet)? {
                Some(number) => Given::Number(number),
                None => {
                    let view = self.view(*outlet)?;
                    let repeated = view.clone().repeated(&shape);
                    Given::View(repeated.ok_or_else(|| format!("{:?} does not repeat to {shape:?}", view.shape))?)
                }
            });
        }
        let call = match self.fusible(&given, volume(&shape)) {
            Some(call) => call,
            None => self.map(volume(&shape))?,
        };
        let args = given.into_iter().map(|given| self.arg(call, given)).collect();
        let value = self.step(call, text.to_owned(), args, kind);
        Ok(View::whole(value, &shape))
    }

    /// The one number that a constant holds, as WGSL.
    fn uniform(&self, outlet: OutletId) -> Result<Option<String>, Why> {
        let Some(tensor) = self.constant(outlet) else { return Ok(None) };
        if tensor.len() != 1 {
            return Ok(None);
        }
        let kind = kind(tensor.datum_type())?;
        let value = tensor.cast_to_scalar::<f64>();
        let value = value.map_err(|cause| cause.to_string())?;
        let fits = match kind {
            Kind::Int => f64::from(value as i32) == value,
            Kind::Float => value == 0.0 || (value.abs() >= 1e-30 && value.is_finite()),
        };
        Ok(fits.then(|| number(value, kind)))
    }

    /// The latest kernel that makes one of these, element by element, if all others are there before it.
    fn fusible(&self, given: &[Given], len: usize) -> Option<usize> {
        let views = || given.iter().filter_map(|given| if let Given::View(view) = given { Some(view) } else { None });
        let call = views().filter_map(|view| self.maker(view.value)).max()?;
        let makes = |view: &View| self.made_by(view).is_some_and(|(maker, _)| maker == call);
        let before = |view: &View| self.maker(view.value).is_none_or(|maker| maker < call);
        let fits = self.program.calls[call].len == len && views().all(|view| makes(view) || before(view));
        let more = views().filter(|view| !makes(view)).count();
        (fits && views().any(makes) && self.has_room(call, more)).then_some(call)
    }

    fn arg(&self, call: usize, given: Given) -> Arg {
        match given {
            Given::Number(number) => Arg::Number(number),
            Given::View(view) => match self.made_by(&view) {
                Some((maker, step)) if maker == call => Arg::Step(step),
                _ => Arg::Read(view.value, Index::of_view(&view)),
            },
        }
    }
}

/// What a step gets.
enum Given {
    View(View),
    Number(String),
}

/// A number as WGSL writes it.
pub(super) fn number(value: f64, kind: Kind) -> String {
    match kind {
        Kind::Float => format!("f32({:?})", value as f32),
        Kind::Int => format!("{}", value as i32),
    }
}

/// The operators of the engine that this has, on f32.
fn unary(op: &ElementWiseOp, kind: Kind) -> Result<String, Why> {
    let op = &op.0;
    if kind == Kind::Int && !(op.is::<math::Abs>() || op.is::<math::Neg>() || op.is::<Not>()) {
        return Err(format!("the function {} of integers", op.name()));
    }
    if let Some(leaky) = op.downcast_ref::<LeakyRelu>() {
        if !leaky.alpha.is_finite() {
            return Err(format!("a slope of {}", leaky.alpha));
        }
        return Ok(format!("select($0 * {}, $0, $0 > 0.0)", number(leaky.alpha.into(), Kind::Float)));
    }
    if let Some(power) = op.downcast_ref::<math::PowConst>() {
        return match power.exponent {
            2.0 => Ok("$0 * $0".to_owned()),
            0.5 => Ok("sqrt($0)".to_owned()),
            exponent => Err(format!("the exponent {exponent}")),
        };
    }
    let text = match () {
        () if op.is::<Sigmoid>() => "1.0 / (1.0 + exp(clamp(-$0, -80.0, 80.0)))",
        () if op.is::<Silu>() => "$0 / (1.0 + exp(clamp(-$0, -80.0, 80.0)))",
        () if op.is::<HardSwish>() => "$0 * clamp($0 / 6.0 + 0.5, 0.0, 1.0)",
        () if op.is::<GeluExact>() => "$0 * 0.5 * (1.0 + error_function($0 * 0.70710678))",
        () if op.is::<GeluApproximate>() => {
            let cubic = op.downcast_ref::<GeluApproximate>().is_some_and(|gelu| !gelu.fast_impl);
            if !cubic {
                return Err("its fast variant".to_owned());
            }
            "$0 * 0.5 * (1.0 + hyperbolic_tangent(0.7978845608 * ($0 + 0.044715 * $0 * $0 * $0)))"
        }
        () if op.is::<math::Erf>() => "error_function($0)",
        () if op.is::<math::Tanh>() => "hyperbolic_tangent($0)",
        () if op.is::<math::Exp>() => "exp($0)",
        () if op.is::<math::Ln>() => "log($0)",
        () if op.is::<math::Square>() => "$0 * $0",
        () if op.is::<math::Sqrt>() => "sqrt($0)",
        () if op.is::<math::Rsqrt>() => "1.0 / sqrt($0)",
        () if op.is::<math::Recip>() => "1.0 / $0",
        () if op.is::<math::Abs>() => "abs($0)",
        () if op.is::<math::Neg>() => "-$0",
        () if op.is::<math::Floor>() => "floor($0)",
        () if op.is::<math::Ceil>() => "ceil($0)",
        () if op.is::<math::RoundHalfToEven>() => "round($0)",
        () if op.is::<math::Sin>() => "sin($0)",
        () if op.is::<math::Cos>() => "cos($0)",
        () if op.is::<math::IsNan>() => "i32((bitcast<u32>($0) & 0x7fffffffu) > 0x7f800000u)",
        () if op.is::<Not>() => "1 - $0",
        () => return Err(format!("the function {}", op.name())),
    };
    Ok(text.to_owned())
}

/// The operators on two, by the engine's names.
fn binary(name: &str, kind: Kind) -> Result<&'static str, Why> {
    Ok(match (name, kind) {
        ("Add", _) => "$0 + $1",
        ("Sub", _) => "$0 - $1",
        ("SubF", _) => "$1 - $0",
        ("Mul", _) => "$0 * $1",
        ("Div", Kind::Float) => "$0 / $1",
        ("Min", _) => "min($0, $1)",
        ("Max", _) => "max($0, $1)",
        ("And", Kind::Int) => "i32($0 != 0 && $1 != 0)",
        ("Or", Kind::Int) => "i32($0 != 0 || $1 != 0)",
        ("Xor", Kind::Int) => "$0 ^ $1",
        ("==" | "Eq", _) => "i32($0 == $1)",
        ("!=" | "NE", _) => "i32($0 != $1)",
        ("<" | "LT", _) => "i32($0 < $1)",
        ("<=" | "LTE", _) => "i32($0 <= $1)",
        (">" | "GT", _) => "i32($0 > $1)",
        (">=" | "GTE", _) => "i32($0 >= $1)",
        (other, kind) => return Err(format!("the function {other} of {}", kind.wgsl())),
    })
}

/// Functions that steps use and WGSL does not have.
///
/// The error function is Abramowitz and Stegun's 7.1.26, off by 1.5e-7 at most; the tangent is bounded because some drivers
/// overflow.
pub(in super::super) const FUNCTIONS: &str = "fn error_function(x: f32) -> f32 {
  let t = 1.0 / (1.0 + 0.3275911 * abs(x));
  let y = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
  return sign(x) * (1.0 - y * exp(-x * x));
}
fn hyperbolic_tangent(x: f32) -> f32 {
  return tanh(clamp(x, -15.0, 15.0));
}
";
