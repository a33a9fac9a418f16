//! Fits a codebook to samples of the tensors of a cut.
//!
//! 1. [`Basis::fit`]: the mean of each channel, and the directions in which the channels vary most (principal components).
//! 2. [`Basis::probe()`] changes a sample a little along one direction, at the frequencies of one band. Whoever runs the
//!    model tells [`Sensitivity::add`] how far its output moves.
//! 3. [`fit()`]: where the output's error is small for the bits that are spent, see below.
//!
//! # The formulas
//! Let z be a coefficient vector of one frequency, J the derivative of the output by it, and G the mean of Jᵀ J over
//! samples, estimated from finite differences. An error e of z moves the output by eᵀ G e (squared). With A = G^½, equal
//! errors of A z weigh the same, so the Karhunen-Loève transform of A z with one step for all components spends bits
//! best (reverse water-filling; Cover and Thomas, "Elements of Information Theory", section 10.3.3). Bands of frequencies
//! have a G and a covariance each.

mod basis;
mod sensitivity;
mod tables;

use nalgebra::{DMatrix, SymmetricEigen};

pub use basis::Basis;
pub use sensitivity::{Sensitivity, sketch};

use half::f16;

use super::book::Book;
use super::matrix::{Core, Matrices};
use super::transform::{Band, Planes, Transform};

/// How channels become components.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// Each channel is a component.
    Identity,
    /// Principal components of each band.
    Principal,
    /// Principal components after weighting by what the output is sensitive to.
    Weighted,
}

/// What a quantised coefficient stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restore {
    /// Its number of steps.
    Plain,
    /// The mean of the coefficients of its class that were quantised so, which has the least squared error.
    Centroid,
    /// So much that restored coefficients move as the originals do: where those are larger by a half, so are these.
    Unbiased,
}

/// What [`fit`] is asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// How channels become components.
    pub rotation: Rotation,
    /// Whether neighbouring positions become frequencies.
    pub spatial: bool,
    /// What a bit may cost, in squared steps: a coefficient is rounded to zero where that saves enough bits.
    pub lambda: f32,
    /// What a quantised coefficient stands for.
    pub restore: Restore,
    /// Bits an element of the coarsest level.
    pub bits_min: f64,
}

impl Options {
    /// What saved most bytes at the same agreement on two cuts of EfficientNet-Lite0 (`docs/codec.md`).
    pub const DEFAULT: Self =
        Self { rotation: Rotation::Weighted, spatial: true, lambda: 0.0, restore: Restore::Plain, bits_min: 0.25 };
}

/// Fits a book for each tensor of a cut; all have the same steps, in units of the output's error.
///
/// `samples` are by tensor, then by sample. A tensor without a sensitivity counts as [`Rotation::Principal`].
pub fn fit(
    bases: &[Basis],
    sensitivities: &[Option<Sensitivity>],
    samples: &[Vec<Vec<f32>>],
    options: Options,
) -> Option<Vec<Book>> {
    let fitted = bases.iter().zip(sensitivities).zip(samples);
    let (matrices, guesses): (Vec<Matrices>, Vec<Vec<Guess>>) =
        fitted.map(|((basis, sensitivity), samples)| matrices(basis, sensitivity.as_ref(), samples, options)).unzip();
    let transforms: Vec<Transform> = bases
        .iter()
        .zip(&matrices)
        .map(|(basis, matrices)| basis.with(matrices, options.spatial))
        .collect::<Option<_>>()?;
    let magnitudes = transforms.iter().zip(samples).zip(&guesses).map(|((transform, samples), guesses)| {
        let seen = tables::magnitudes(transform, samples);
        seen.into_iter().zip(guesses).map(|(seen, guess)| guess.beside(seen)).collect()
    });
    let magnitudes: Vec<Vec<f64>> = magnitudes.collect();
    let step = tables::coarsest(&transforms, &magnitudes, options.bits_min);
    let scales = magnitudes.iter().map(|magnitudes| tables::scales(magnitudes, step));
    let parts = bases.iter().zip(matrices).zip(transforms).zip(scales);
    let books = parts.map(|(((basis, matrices), transform), scales)| {
        Book::new(basis.spec().clone(), matrices, transform, step, scales)
    });
    let mut books: Vec<Book> = books.collect();
    for (book, samples) in books.iter_mut().zip(samples) {
        tables::fit_classes(book, samples, options);
    }
    Some(books)
}

/// How large a coefficient is thought to be where too few samples tell it.
#[derive(Debug, Clone, Copy)]
struct Guess {
    variance: f64,
    /// How much the guess counts beside what samples show, from 0 to 1.
    doubt: f64,
}

impl Guess {
    /// The mean magnitude of a coefficient, of which samples show `seen`. Of a Laplace variable the square of the mean
    /// magnitude is half the variance.
    fn beside(&self, seen: f64) -> f64 {
        ((1.0 - self.doubt) * seen * seen + self.doubt * self.variance / 2.0).sqrt()
    }
}

/// The matrices of a tensor, one a band, and a guess for each coefficient of a block.
fn matrices(
    basis: &Basis,
    sensitivity: Option<&Sensitivity>,
    samples: &[Vec<f32>],
    options: Options,
) -> (Matrices, Vec<Guess>) {
    let principal = basis.transform(options.spatial);
    let components = principal.components;
    let directions = basis.directions();
    let (mut cores, mut guesses) = (Vec::new(), Vec::new());
    for (at, (band, Estimate { covariance, doubt })) in
        principal.bands.iter().zip(estimates(&principal, samples)).enumerate()
    {
        let weight = match (options.rotation, sensitivity) {
            (Rotation::Weighted, Some(sensitivity)) => sensitivity.weight(at.min(sensitivity.bands() - 1), components),
            _ => DMatrix::identity(components, components),
        };
        let core = match options.rotation {
            // Directions back to channels, where all directions were kept.
            Rotation::Identity if components == basis.channels() => directions.transpose(),
            _ => rotation(&weight, &covariance).transpose() * &weight,
        };
        let variances = (&core * &covariance).component_mul(&core).column_sum();
        let of_frequency = variances.iter().map(|variance| Guess { variance: *variance, doubt });
        guesses.extend((0..band.frequencies).flat_map(|_| of_frequency.clone()));
        // Column by column of the transposed matrix, which is row by row.
        let rows: Vec<f64> = core.transpose().iter().copied().collect();
        cores.push(Core::nearest(band.frequencies, rows.into_iter()));
    }
    let along = directions.transpose();
    let directions = along.iter().map(|number| f16::from_f64(*number)).collect();
    (Matrices { channels: basis.channels(), components, directions, cores }, guesses)
}

/// The eigenvectors of weight · covariance · weight in columns, from the largest to the smallest eigenvalue.
fn rotation(weight: &DMatrix<f64>, covariance: &DMatrix<f64>) -> DMatrix<f64> {
    let eigen = SymmetricEigen::new(weight * covariance * weight);
    let mut order: Vec<usize> = (0..eigen.eigenvalues.len()).collect();
    order.sort_by(|one, other| eigen.eigenvalues[*other].total_cmp(&eigen.eigenvalues[*one]));
    eigen.eigenvectors.select_columns(&order)
}

/// What is thought of a band: the mean product of any two components.
struct Estimate {
    covariance: DMatrix<f64>,
    /// Which share of it is that of all bands together, because samples of this one are few.
    doubt: f64,
}

/// Of each band what samples show, shrunk towards what they show of all bands together, at the same trace (Friedman,
/// "Regularized Discriminant Analysis", 1989): a band of few frequencies has fewer samples than components, and whatever
/// none of them shows would never be sent.
fn estimates(principal: &Transform, samples: &[Vec<f32>]) -> Vec<Estimate> {
    let components = principal.components;
    let zeros = DMatrix::<f64>::zeros(components, components);
    let mut sums = vec![zeros.clone(); principal.bands.len()];
    let mut planes = Planes::default();
    for sample in samples {
        principal.forward(sample, &mut planes);
        let mut from = planes.coefficients.as_slice();
        for (sum, band) in sums.iter_mut().zip(&principal.bands) {
            let (these, rest) = from.split_at(band.frequencies * principal.grid.blocks() * components);
            from = rest;
            let these = DMatrix::from_column_slice(components, these.len() / components, these).map(f64::from);
            sum.gemm(1.0, &these, &these.transpose(), 1.0);
        }
    }
    let all = sums.iter().fold(zeros, |all, sum| all + sum);
    // A share of the largest variance everywhere: directions without any would have no place in the order.
    let floor = |sum: &DMatrix<f64>| 1e-9 * sum.trace().max(f64::MIN_POSITIVE) / components as f64;
    let estimate = |(sum, band): (DMatrix<f64>, &Band)| {
        let count = (samples.len() * band.frequencies * principal.grid.blocks()).max(1) as f64;
        let doubt = components as f64 / (components as f64 + count);
        let share = doubt * sum.trace() / all.trace().max(f64::MIN_POSITIVE);
        let shrunk =
            (&sum * (1.0 - doubt) + &all * share + DMatrix::identity(components, components) * floor(&sum)) / count;
        Estimate { covariance: shrunk, doubt }
    };
    sums.into_iter().zip(&principal.bands).map(estimate).collect()
}
