//! Steps, scales and probability tables: what samples say of coefficients.

use super::{Options, Restore};
use crate::features::book::{Book, LEVELS, Level, scale_of};
use crate::features::pace::EXPECTED_BITS;
use crate::features::stream::{Scratch, quantise, walk};
use crate::features::symbols::{CLASSES, ESCAPE, OCTAVE, SYMBOLS, Table, fold, raw_bits};
use crate::features::transform::{Planes, Transform};

/// The least step of level 1.
const STEP_MIN: f32 = 1e-30;
/// Classes are fitted to about this many elements at most.
const ELEMENTS_MAX: usize = 1 << 23;
/// How often classes are fitted, each time to what the ones before make of the samples.
const ROUNDS: usize = 3;
/// Coefficients are restored larger or smaller than they were quantised by no more than this, in units of 1/256.
const GAIN_MAX: f64 = 77.0;

/// Of each coefficient of a block the mean magnitude.
pub(super) fn magnitudes(transform: &Transform, samples: &[Vec<f32>]) -> Vec<f64> {
    let (blocks, components) = (transform.grid.blocks(), transform.components);
    let mut sums = vec![0.0; transform.block_coefficients()];
    let mut planes = Planes::default();
    for sample in samples {
        transform.forward(sample, &mut planes);
        let frequencies = planes.coefficients.chunks_exact(blocks * components).zip(sums.chunks_exact_mut(components));
        for (coefficients, sums) in frequencies {
            for block in coefficients.chunks_exact(components) {
                for (sum, coefficient) in sums.iter_mut().zip(block) {
                    *sum += f64::from(coefficient.abs());
                }
            }
        }
    }
    let count = (samples.len() * blocks).max(1) as f64;
    sums.iter().map(|sum| sum / count).collect()
}

/// The step at which all tensors together take `bits_min` bits an element.
pub(super) fn coarsest(transforms: &[Transform], magnitudes: &[Vec<f64>], bits_min: f64) -> f32 {
    let elements: usize = transforms.iter().map(|transform| transform.grid.channels * transform.grid.positions()).sum();
    let bits = |step: f64| {
        let tensor = |(transform, magnitudes): (&Transform, &Vec<f64>)| {
            let block = magnitudes.iter().map(|magnitude| laplace_bits(magnitude / step)).sum::<f64>();
            block * transform.grid.blocks() as f64
        };
        transforms.iter().zip(magnitudes).map(tensor).sum::<f64>() / elements.max(1) as f64
    };
    let largest = magnitudes.iter().flatten().fold(f64::from(f32::MIN_POSITIVE), |largest, next| largest.max(*next));
    let (mut low, mut high) = (largest * 1e-9, largest * 64.0);
    for _ in 0..80 {
        let middle = (low * high).sqrt();
        if bits(middle) > bits_min { low = middle } else { high = middle }
    }
    // The finest level still has a normal step.
    (high as f32).max(STEP_MIN)
}

/// The entropy of a Laplace variable of this mean magnitude, rounded to whole numbers (Sullivan, "Efficient scalar
/// quantization of exponential and Laplacian random variables", 1996).
fn laplace_bits(mean: f64) -> f64 {
    if mean < 1e-3 {
        return 0.0;
    }
    // P(0) = 1 - e^(-1/2m); the magnitudes above follow a geometric law of ratio e^(-1/m), and there are two signs.
    let some = (-0.5 / mean).exp();
    let ratio = (-1.0 / mean).exp();
    let entropy = |share: f64| if share <= 0.0 || share >= 1.0 { 0.0 } else { -share * share.log2() };
    let zero_or_not = entropy(some) + entropy(1.0 - some);
    let magnitude = (entropy(ratio) + entropy(1.0 - ratio)) / (1.0 - ratio);
    zero_or_not + some * (1.0 + magnitude)
}

/// The scale of each coefficient of a block.
pub(super) fn scales(magnitudes: &[f64], step: f32) -> Vec<u8> {
    magnitudes.iter().map(|magnitude| scale_of(magnitude / f64::from(step))).collect()
}

/// Makes the classes of a book suit the samples at all levels.
pub(super) fn fit_classes(book: &mut Book, samples: &[Vec<f32>], options: Options) {
    // What is expected of a class moves the pace, that moves the tables, and they decide what is rounded to zero.
    // Many coefficients share a class, so a part of the samples says as much as all of them.
    let elements: usize = samples.iter().map(Vec::len).sum();
    let every = elements.div_ceil(ELEMENTS_MAX).max(1);
    let samples: Vec<&[f32]> = samples.iter().step_by(every).map(Vec::as_slice).collect();
    for _ in 0..ROUNDS {
        let seen = Seen::of(book, &samples);
        for (class, seen) in book.classes.iter_mut().zip(&seen) {
            class.table = Table::fitted(&seen.counts);
            class.expected = seen.expected();
            class.reluctance = reluctance(&class.table, options.lambda);
            class.gain = seen.gain(options.restore);
        }
    }
}

/// How much more than half a step a value has to have left to be rounded from zero to one, in units of 1/256 step: (s -
/// 1)² - s² = λ · (bits of zero - bits of one) at the threshold s.
fn reluctance(table: &Table, lambda: f32) -> u8 {
    let one = (table.bits(1) + table.bits(2)) / 2.0;
    (256.0 * lambda * (one - table.bits(0)) / 2.0).clamp(0.0, 127.0) as u8
}

/// What all levels of a book make of samples in one class.
#[derive(Debug, Clone, Default)]
struct Seen {
    /// By symbol, where the pace has moved the value to this class.
    counts: [u64; SYMBOLS],
    /// What follows is of values that are of this class before the pace moves them: how many, and sums of magnitudes,
    /// of squared values, of squared coefficients in steps, and of products of both.
    count: u64,
    magnitude: u64,
    values: f64,
    coefficients: f64,
    products: f64,
}

impl Seen {
    fn of(book: &Book, samples: &[&[f32]]) -> Vec<Self> {
        let mut seen = vec![Self::default(); CLASSES];
        let levels: Vec<Level> = (1..=LEVELS).map(|level| book.level(level)).collect();
        let mut scratch = Scratch::default();
        for sample in samples {
            book.transform.forward(sample, &mut scratch.planes);
            for level in &levels {
                if !quantise(level, book.transform.components, &mut scratch) {
                    continue;
                }
                let (values, coefficients) = (&scratch.values, &scratch.planes.coefficients);
                walk(book, level, values, |place, class, offset| {
                    let moved = (i32::from(class) + offset).max(0) as usize;
                    let raw = raw_bits(moved);
                    let symbol = (fold(values[place]) >> raw).min(ESCAPE);
                    seen[moved - raw * OCTAVE].counts[symbol as usize] += 1;
                    if let Some(seen) = seen.get_mut(usize::from(class)) {
                        seen.add(values[place], f64::from(coefficients[place] / level.step));
                    }
                });
            }
        }
        seen
    }

    fn add(&mut self, value: i32, coefficient: f64) {
        self.count += 1;
        self.magnitude += u64::from(value.unsigned_abs());
        self.values += f64::from(value) * f64::from(value);
        self.coefficients += coefficient * coefficient;
        self.products += coefficient * f64::from(value);
    }

    fn expected(&self) -> u16 {
        ((self.magnitude << EXPECTED_BITS) / self.count.max(1)).clamp(1, u64::from(u16::MAX)) as u16
    }

    fn gain(&self, restore: Restore) -> i8 {
        let (above, below) = match restore {
            Restore::Plain => return 0,
            Restore::Centroid => (self.products, self.values),
            Restore::Unbiased => (self.coefficients, self.products),
        };
        let gain = if below > 0.0 { above / below } else { 1.0 };
        (256.0 * (gain - 1.0)).clamp(-GAIN_MAX, GAIN_MAX) as i8
    }
}
