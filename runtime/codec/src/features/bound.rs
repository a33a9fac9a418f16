//! How far an element can be from its original after it was quantised.

use half::{bf16, f16};
use thalweg_planner::DType;

use super::book::{Book, Level};
use super::stream::{Scratch, quantise};
use super::transform::Planes;
use crate::element::{Element, power_of_half};

/// What f32 arithmetic rounds, as a share of the magnitudes that are summed up: less than a sum of 2000 terms does.
const ARITHMETIC: f64 = power_of_half(12);

/// A bound an element: what the transform does not keep, and what each coefficient's quantisation can do to the element.
/// `None` for elements that travel exactly.
pub(super) fn bound(book: &Book, level: &Level, elements: &[f32], dtype: DType) -> Option<Vec<f64>> {
    let mut scratch = Scratch::default();
    book.transform.forward(elements, &mut scratch.planes);
    if !quantise(level, book.transform.components, &mut scratch) {
        return None;
    }
    let coefficients = scratch.planes.coefficients.clone();
    let mut kept = vec![0.0; elements.len()];
    book.transform.inverse(&mut scratch.planes, &mut kept);

    let spread = book.transform.magnitudes();
    let through = |values: Vec<f32>| {
        let mut planes = Planes::of(values);
        let mut sums = vec![0.0; elements.len()];
        spread.inverse(&mut planes, &mut sums);
        sums
    };
    let (blocks, components) = (book.transform.grid.blocks(), book.transform.components);
    let error = |(at, coefficient): (usize, &f32)| {
        let of_block = at / components / blocks * components + at % components;
        let steps = (coefficient / level.step).abs();
        if steps < level.threshold[of_block] {
            coefficient.abs()
        } else {
            let gain = (level.restored[of_block] / level.step - 1.0).abs();
            level.step * (0.5 + gain * (steps + 0.5))
        }
    };
    let errors = through(coefficients.iter().enumerate().map(error).collect());
    let sums = through(coefficients.iter().map(|coefficient| coefficient.abs()).collect());
    let (rounding, rounding_min) = match dtype {
        DType::F16 => (f16::ROUNDING, f16::ROUNDING_MIN),
        DType::Bf16 => (bf16::ROUNDING, bf16::ROUNDING_MIN),
        _ => (f32::ROUNDING, f32::ROUNDING_MIN),
    };
    let bound = |((element, kept), (error, sum)): ((&f32, &f32), (&f32, &f32))| {
        let [element, kept, error, sum] = [element, kept, error, sum].map(|number| f64::from(*number));
        let inexact = (element - kept).abs() + error + ARITHMETIC * (sum + error + element.abs());
        inexact + (element.abs() + inexact) * rounding + rounding_min
    };
    Some(elements.iter().zip(&kept).zip(errors.iter().zip(&sums)).map(bound).collect())
}
