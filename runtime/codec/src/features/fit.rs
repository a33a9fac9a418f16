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
    let matrices: Vec<Matrices> = bases
        .iter()
        .zip(sensitivities)
        .zip(samples)
        .map(|((basis, sensitivity), samples)| matrices(basis, sensitivity.as_ref(), samples, options))
        .collect();
    let transforms: Vec<Transform> = bases
        .iter()
        .zip(&matrices)
        .map(|(basis, matrices)| basis.with(matrices, options.spatial))
        .collect::<Option<_>>()?;
    let magnitudes: Vec<Vec<f64>> =
        transforms.iter().zip(samples).map(|(transform, samples)| tables::magnitudes(transform, samples)).collect();
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

/// The matrices of a tensor: one a band.
fn matrices(basis: &Basis, sensitivity: Option<&Sensitivity>, samples: &[Vec<f32>], options: Options) -> Matrices {
    let principal = basis.transform(options.spatial);
    let components = principal.components;
    let directions = basis.directions();
    let core = |(at, (band, covariance)): (usize, (&Band, DMatrix<f64>))| {
        let weight = match (options.rotation, sensitivity) {
            (Rotation::Weighted, Some(sensitivity)) => sensitivity.weight(at.min(sensitivity.bands() - 1), components),
            _ => DMatrix::identity(components, components),
        };
        let core = match options.rotation {
            // Directions back to channels, where all directions were kept.
            Rotation::Identity if components == basis.channels() => directions.transpose(),
            _ => rotation(&weight, &covariance).transpose() * &weight,
        };
        // Column by column of the transposed matrix, which is row by row.
        Core::nearest(band.frequencies, core.transpose().iter().copied().collect::<Vec<_>>().into_iter())
    };
    let cores = principal.bands.iter().zip(covariances(&principal, samples)).enumerate().map(core).collect();
    let along = directions.transpose();
    let directions = along.iter().map(|number| f16::from_f64(*number)).collect();
    Matrices { channels: basis.channels(), components, directions, cores }
}

/// The eigenvectors of weight · covariance · weight in columns, from the largest to the smallest eigenvalue.
fn rotation(weight: &DMatrix<f64>, covariance: &DMatrix<f64>) -> DMatrix<f64> {
    let eigen = SymmetricEigen::new(weight * covariance * weight);
    let mut order: Vec<usize> = (0..eigen.eigenvalues.len()).collect();
    order.sort_by(|one, other| eigen.eigenvalues[*other].total_cmp(&eigen.eigenvalues[*one]));
    eigen.eigenvectors.select_columns(&order)
}

/// Of each band, the mean product of any two components of `principal`.
fn covariances(principal: &Transform, samples: &[Vec<f32>]) -> Vec<DMatrix<f64>> {
    let components = principal.components;
    let mut sums = vec![DMatrix::<f64>::zeros(components, components); principal.bands.len()];
    let mut planes = Planes::default();
    for sample in samples {
        principal.forward(sample, &mut planes);
        let mut from = planes.coefficients.as_slice();
        for (sum, band) in sums.iter_mut().zip(&principal.bands) {
            let rows = band.frequencies * principal.grid.blocks();
            let (these, rest) = from.split_at(rows * components);
            from = rest;
            let these = DMatrix::from_column_slice(components, rows, these).map(f64::from);
            sum.gemm(1.0 / rows as f64, &these, &these.transpose(), 1.0);
        }
    }
    // A share of the largest variance everywhere: directions without any would have no place in the order.
    let floor = |sum: &DMatrix<f64>| 1e-9 * sum.trace().max(f64::MIN_POSITIVE) / components as f64;
    sums.iter()
        .map(|sum| sum / samples.len().max(1) as f64 + DMatrix::identity(components, components) * floor(sum))
        .collect()
}
