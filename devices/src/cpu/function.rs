//! Functions of one number, done to vectors.

use std::f32::consts::LOG2_E;
use std::hint::black_box;

use pulp::Simd;
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_hir::tract_core::ops::nn::{HardSwish, Sigmoid, Silu};

/// What is made of a number x. Tract's kernels make other bits, so these are ours wherever the graph of a part has them.
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
        let sigmoid = op.is::<Sigmoid>().then_some(Self::Sigmoid);
        let silu = || op.is::<Silu>().then_some(Self::Silu);
        sigmoid.or_else(silu).or_else(|| op.is::<HardSwish>().then_some(Self::HardSwish))
    }

    /// Done to `N` vectors. They are taken to memory first, where a loop that is too long to be unrolled has them: it would have those of
    /// the caller there too, and these are to stay in registers.
    #[inline(always)]
    pub(super) fn done<S: Simd, const N: usize>(self, simd: S, row: [S::f32s; N]) -> [S::f32s; N] {
        let mut made = row;
        for vector in black_box(&mut made) {
            // What is below has the limit of all of them, which is zero, and infinity times zero is none.
            let x = at_least(simd, -LARGEST, *vector);
            *vector = match self {
                Self::Sigmoid => sigmoid(simd, x),
                Self::Silu => simd.mul_f32s(x, sigmoid(simd, x)),
                Self::HardSwish => {
                    let part = simd.mul_add_e_f32s(x, simd.splat_f32s(1.0 / 6.0), simd.splat_f32s(0.5));
                    simd.mul_f32s(x, at_most(simd, 1.0, at_least(simd, 0.0, part)))
                }
            };
        }
        made
    }
}

/// The exponential of what is beyond it, to either side, f32 does not hold with all bits.
const LARGEST: f32 = 87.0;
/// ln 2 in two parts, of which the first has so few bits that its products with small integers are exact (Cody and Waite, Software Manual
/// for the Elementary Functions, 1980, chapter 6): not all processors add a product without rounding it.
const LN_2: [f32; 2] = [355.0 / 512.0, -2.121_944_4e-4];
/// What is added to a number leaves the nearest integer in the lowest bits of the sum, with the bias of an exponent.
const ROUNDS: f32 = 12_582_912.0 + 127.0;
/// Bits below an exponent.
const FRACTION: u32 = 23;

/// 1 / (1 + 2^n exp(r)), where n is the nearest integer to -x / ln 2, and exp(r) its series up to r^6 / 6!: with r at most half of ln 2
/// the rest is below 1.3e-7. Of x that is at least minus the largest; of more than that it is that one's. What is no number stays it.
#[inline(always)]
fn sigmoid<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let splat = |number: f32| simd.splat_f32s(number);
    let x = at_most(simd, LARGEST, x);
    let rounded = simd.mul_add_e_f32s(x, splat(-LOG2_E), splat(ROUNDS));
    let n = simd.sub_f32s(rounded, splat(ROUNDS));
    let minus_r = simd.mul_add_e_f32s(n, splat(LN_2[0]), x);
    let minus_r = simd.mul_add_e_f32s(n, splat(LN_2[1]), minus_r);
    let mut series = splat(1.0 / 720.0);
    for factorial in [-120.0, 24.0, -6.0, 2.0, -1.0, 1.0] {
        series = simd.mul_add_e_f32s(series, minus_r, splat(1.0 / factorial));
    }
    let power = simd.wrapping_dyn_shl_u32s(simd.transmute_u32s_f32s(rounded), simd.splat_u32s(FRACTION));
    let one = splat(1.0);
    simd.div_f32s(one, simd.mul_add_e_f32s(series, simd.transmute_f32s_u32s(power), one))
}

/// A number, or the bound that it is below. What is no number stays it.
#[inline(always)]
fn at_least<S: Simd>(simd: S, bound: f32, x: S::f32s) -> S::f32s {
    let bound = simd.splat_f32s(bound);
    simd.select_f32s(simd.less_than_f32s(x, bound), bound, x)
}

/// As [`at_least`], above it.
#[inline(always)]
fn at_most<S: Simd>(simd: S, bound: f32, x: S::f32s) -> S::f32s {
    let bound = simd.splat_f32s(bound);
    simd.select_f32s(simd.less_than_f32s(bound, x), bound, x)
}
