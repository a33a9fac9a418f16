//! The matrices of a book as they are stored, and what both ends make of them: the same bits on every machine.
//!
//! A band takes channels to components by `core · directions`. The directions are the same in all bands and orthonormal;
//! the core is a square matrix. Both are stored as f16, which moves a restored element by less than a thousandth.

use half::f16;

use super::transform::Band;

/// The matrices of one tensor.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Matrices {
    pub(crate) channels: usize,
    pub(crate) components: usize,
    /// Components x channels.
    pub(crate) directions: Vec<f16>,
    pub(crate) cores: Vec<Core>,
}

/// The matrix of a band.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Core {
    /// How many frequencies the band holds.
    pub(crate) frequencies: usize,
    /// What the numbers are multiplied with.
    pub(crate) scale: f32,
    /// Components x components.
    pub(crate) numbers: Vec<f16>,
}

impl Core {
    /// The core nearest to `numbers`, which has the largest of them as its scale.
    pub(crate) fn nearest(frequencies: usize, numbers: impl Iterator<Item = f64> + Clone) -> Self {
        let scale = numbers.clone().fold(0.0_f64, |largest, number| largest.max(number.abs()));
        let scale = if scale > 0.0 { scale as f32 } else { 1.0 };
        let stored = numbers.map(|number| f16::from_f64(number / f64::from(scale)));
        Self { frequencies, scale, numbers: stored.collect() }
    }
}

impl Matrices {
    /// The bands; `None` where a core has no inverse or a number is not finite.
    pub(crate) fn bands(&self) -> Option<Vec<Band>> {
        let (channels, components) = (self.channels, self.components);
        let directions: Vec<f64> = self.directions.iter().map(|number| number.to_f64()).collect();
        let band = |core: &Core| {
            let scale = f64::from(core.scale);
            let core_numbers: Vec<f64> = core.numbers.iter().map(|number| number.to_f64() * scale).collect();
            let back = inverse(&core_numbers, components)?;
            // Channels x components: the transposed product of core and directions.
            let mut forward = vec![0.0_f64; channels * components];
            // Components x channels: the transposed product of the transposed directions and the inverse.
            let mut restore = vec![0.0_f64; components * channels];
            for (component, row) in core_numbers.chunks_exact(components).enumerate() {
                for (direction, factor) in row.iter().enumerate() {
                    for channel in 0..channels {
                        let along = directions[direction * channels + channel];
                        forward[channel * components + component] += factor * along;
                        restore[component * channels + channel] += back[direction * components + component] * along;
                    }
                }
            }
            let single = |numbers: Vec<f64>| {
                let numbers: Vec<f32> = numbers.into_iter().map(|number| number as f32).collect();
                numbers.iter().all(|number| number.is_finite()).then_some(numbers)
            };
            Some(Band { frequencies: core.frequencies, forward: single(forward)?, inverse: single(restore)? })
        };
        self.cores.iter().map(band).collect()
    }
}

/// The inverse of a square matrix by Gauss-Jordan elimination with row pivots; `None` where it has none.
fn inverse(matrix: &[f64], size: usize) -> Option<Vec<f64>> {
    let mut left: Vec<Vec<f64>> = matrix.chunks_exact(size).map(<[f64]>::to_vec).collect();
    let mut right: Vec<Vec<f64>> = (0..size).map(|row| unit(row, size)).collect();
    for column in 0..size {
        let pivot =
            (column..size).max_by(|one, other| left[*one][column].abs().total_cmp(&left[*other][column].abs()))?;
        left.swap(column, pivot);
        right.swap(column, pivot);
        let factor = left[column][column].recip();
        if !factor.is_finite() {
            return None;
        }
        for rows in [&mut left, &mut right] {
            rows[column].iter_mut().for_each(|number| *number *= factor);
        }
        let (pivot_left, pivot_right) = (left[column].clone(), right[column].clone());
        for row in (0..size).filter(|row| *row != column) {
            let factor = left[row][column];
            if factor != 0.0 {
                subtract(&mut left[row], &pivot_left, factor);
                subtract(&mut right[row], &pivot_right, factor);
            }
        }
    }
    Some(right.concat())
}

fn unit(at: usize, size: usize) -> Vec<f64> {
    (0..size).map(|column| if column == at { 1.0 } else { 0.0 }).collect()
}

fn subtract(row: &mut [f64], other: &[f64], factor: f64) {
    for (number, other) in row.iter_mut().zip(other) {
        *number -= factor * other;
    }
}
