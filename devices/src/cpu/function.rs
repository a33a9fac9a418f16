//! Functions of one number, done to vectors.

use std::f32::consts::{LN_2, LOG2_E};
use std::hint::black_box;

use pulp::Simd;
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_hir::tract_core::ops::nn::{HardSwish, Sigmoid, Silu};

/// What is made of a number x. Tract's kernels make other bits, so these are ours wherever they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Function {
    /// 1 / (1 + exp(-x)).
    Sigmoid,
    /// x / (1 + exp(-x)), which is also called swish.
    Silu,
    /// x times x / 6 + 1 / 2, which is kept between 0 and 1.
    HardSwish,
}

impl Function {
    /// That of a node, if it is one of these, of f32.
    pub(super) fn of(node: &TypedNode) -> Option<Self> {
        let op = &node.op_as::<ElementWiseOp>().filter(|_| node.outputs[0].fact.datum_type == f32::datum_type())?.0;
        let one = (op.is::<Sigmoid>(), Self::Sigmoid);
        let others = [(op.is::<Silu>(), Self::Silu), (op.is::<HardSwish>(), Self::HardSwish)];
        [one].into_iter().chain(others).find_map(|(is, function)| is.then_some(function))
    }

    /// Done to `N` vectors. They are taken to memory first, where a loop that is too long to be unrolled has them: it would have those of
    /// the caller there too, and these are to stay in registers.
    #[inline(always)]
    pub(super) fn done<S: Simd, const N: usize>(self, simd: S, row: [S::f32s; N]) -> [S::f32s; N] {
        let mut made = row;
        for vector in black_box(&mut made) {
            let x = *vector;
            *vector = match self {
                Self::Sigmoid => sigmoid(simd, x),
                Self::Silu => simd.mul_f32s(x, sigmoid(simd, x)),
                Self::HardSwish => {
                    let part = simd.mul_add_f32s(x, simd.splat_f32s(1.0 / 6.0), simd.splat_f32s(0.5));
                    simd.mul_f32s(x, between(simd, 0.0, part, 1.0))
                }
            };
        }
        made
    }
}

/// The exponential of what is beyond it f32 does not hold with all bits.
const LARGEST: f32 = 87.0;
/// What is added to a number leaves the nearest integer in the lowest bits of the sum, with the bias of an exponent.
const ROUNDS: f32 = 12_582_912.0 + 127.0;
/// Bits below an exponent.
const FRACTION: u32 = 23;

/// 1 / (1 + 2^n exp(r)), where n is the nearest integer to -x / ln 2, and exp(r) its series up to r^6 / 6!: with r at most half of ln 2
/// the rest is below 1.3e-7. Of x beyond the largest it is that one's. What is no number stays it.
#[inline(always)]
fn sigmoid<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let splat = |number: f32| simd.splat_f32s(number);
    let x = between(simd, -LARGEST, x, LARGEST);
    let rounded = simd.mul_add_f32s(x, splat(-LOG2_E), splat(ROUNDS));
    let n = simd.sub_f32s(rounded, splat(ROUNDS));
    let minus_r = simd.mul_add_f32s(n, splat(LN_2), x);
    let mut series = splat(1.0 / 720.0);
    for factorial in [-120.0, 24.0, -6.0, 2.0, -1.0, 1.0] {
        series = simd.mul_add_f32s(series, minus_r, splat(1.0 / factorial));
    }
    let power = simd.wrapping_dyn_shl_u32s(simd.transmute_u32s_f32s(rounded), simd.splat_u32s(FRACTION));
    let one = splat(1.0);
    simd.div_f32s(one, simd.mul_add_f32s(series, simd.transmute_f32s_u32s(power), one))
}

/// A number, or the bound that it is beyond. What is no number stays it.
#[inline(always)]
fn between<S: Simd>(simd: S, low: f32, x: S::f32s, high: f32) -> S::f32s {
    let [low, high] = [low, high].map(|bound| simd.splat_f32s(bound));
    let x = simd.select_f32s(simd.less_than_f32s(x, low), low, x);
    simd.select_f32s(simd.less_than_f32s(high, x), high, x)
}
