//! What samples say of a tensor before anyone knows what matters: means, and the directions of largest variance.

use nalgebra::{DMatrix, SymmetricEigen};
use thalweg_planner::TensorSpec;

use crate::features::grid::Grid;
use crate::features::matrix::Matrices;
use crate::features::transform::{Band, Planes, Transform, frequencies, height};

/// At most this many components are kept.
const COMPONENTS_MAX: usize = 512;
/// Directions with less than this share of the largest variance are dropped.
const SHARE_MIN: f64 = 1e-6;
/// Where bands of frequencies end, as sums of both axes' shares of their highest frequency.
const BAND_ENDS: [f64; 4] = [0.0, 0.22, 0.58, 2.0];

/// Means and principal components of a tensor's channels.
#[derive(Debug, Clone)]
pub struct Basis {
    spec: TensorSpec,
    grid: Grid,
    mean: Vec<f32>,
    /// Directions x channels, orthonormal.
    directions: DMatrix<f64>,
}

impl Basis {
    /// Of a tensor of this type and shape; `None` for one without elements, of integers, or of more than 5 axes, and
    /// where a sample has a number that is not finite.
    pub fn fit(spec: &TensorSpec, samples: &[Vec<f32>]) -> Option<Self> {
        let flat = Grid::of(spec)?;
        let grid = flat.with_blocks(Grid::side(flat.height), Grid::side(flat.width));
        if samples.iter().flatten().any(|number| !number.is_finite()) {
            return None;
        }
        let channels = flat.channels;
        let places = flat.places();
        let mut mean = vec![0.0_f64; channels];
        let mut products = DMatrix::<f64>::zeros(channels, channels);
        let count = (samples.len() * places.len()).max(1) as f64;
        let element = |sample: &[f32], place: u32, channel: usize| {
            f64::from(sample[place as usize + channel * flat.channel_stride()])
        };
        for sample in samples {
            let rows = DMatrix::from_fn(channels, places.len(), |channel, at| element(sample, places[at], channel));
            for (mean, row) in mean.iter_mut().zip(rows.row_iter()) {
                *mean += row.sum() / count;
            }
            products.gemm(1.0 / count, &rows, &rows.transpose(), 1.0);
        }
        let covariance =
            DMatrix::from_fn(channels, channels, |one, other| products[(one, other)] - mean[one] * mean[other]);
        let directions = principal(covariance);
        Some(Self { spec: spec.clone(), grid, mean: mean.iter().map(|mean| *mean as f32).collect(), directions })
    }

    /// Type and shape of the tensor.
    pub fn spec(&self) -> &TensorSpec {
        &self.spec
    }

    /// How many channels there are.
    pub fn channels(&self) -> usize {
        self.mean.len()
    }

    /// How many directions there are.
    pub fn components(&self) -> usize {
        self.directions.nrows()
    }

    /// How many bands of spatial frequencies there are.
    pub fn bands(&self) -> usize {
        band_lengths(&self.grid).len()
    }

    pub(crate) fn directions(&self) -> DMatrix<f64> {
        self.directions.clone()
    }

    /// The transform to directions, the same in all bands.
    pub(crate) fn transform(&self, spatial: bool) -> Transform {
        let grid = if spatial { self.grid } else { self.grid.with_blocks(1, 1) };
        let numbers = |matrix: &DMatrix<f64>| matrix.iter().map(|number| *number as f32).collect::<Vec<_>>();
        let band = |frequencies| Band {
            frequencies,
            forward: numbers(&self.directions),
            inverse: numbers(&self.directions.transpose()),
        };
        let bands = band_lengths(&grid).into_iter().map(band).collect();
        Transform::new(grid, self.mean.clone(), self.components(), bands)
    }

    /// The transform of these matrices; `None` where one has no inverse.
    pub(crate) fn with(&self, matrices: &Matrices, spatial: bool) -> Option<Transform> {
        let grid = self.transform(spatial).grid;
        Some(Transform::new(grid, self.mean.clone(), matrices.components, matrices.bands()?))
    }

    /// `sample` with one direction changed at the frequencies of one band, by random signs that follow from `seed`. The
    /// change has a mean square of `size`² a position.
    pub fn probe(&self, sample: &[f32], band: usize, direction: usize, size: f32, seed: u64) -> Vec<f32> {
        let mut transform = self.transform(true);
        transform.mean.fill(0.0);
        let (blocks, components) = (self.grid.blocks(), self.components());
        let lengths = band_lengths(&self.grid);
        let first: usize = lengths[..band].iter().sum();
        let many = lengths[band] * blocks;
        let value = size * (self.grid.block() as f32 / lengths[band] as f32).sqrt();
        let mut state = seed | 1;
        let mut planes = Planes::of(vec![0.0; blocks * transform.block_coefficients()]);
        for row in first * blocks..first * blocks + many {
            // Xorshift (Marsaglia, 2003).
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            planes.coefficients[row * components + direction] = if state >> 63 == 0 { value } else { -value };
        }
        let mut change = vec![0.0; sample.len()];
        transform.inverse(&mut planes, &mut change);
        sample.iter().zip(change).map(|(element, change)| element + change).collect()
    }
}

/// How many frequencies of a block belong to each band; bands without any are left out.
fn band_lengths(grid: &Grid) -> Vec<usize> {
    let share = |frequency: &usize| height(grid, *frequency) as f64 / grid.block() as f64;
    let heights: Vec<f64> = frequencies(grid).iter().map(share).collect();
    let mut from = 0;
    let lengths = BAND_ENDS.map(|end| {
        let len = heights[from..].iter().take_while(|height| **height <= end).count();
        from += len;
        len
    });
    lengths.into_iter().filter(|len| *len > 0).collect()
}

/// The eigenvectors of a covariance in rows, from the largest variance.
fn principal(covariance: DMatrix<f64>) -> DMatrix<f64> {
    let eigen = SymmetricEigen::new(covariance);
    let mut order: Vec<usize> = (0..eigen.eigenvalues.len()).collect();
    order.sort_by(|one, other| eigen.eigenvalues[*other].total_cmp(&eigen.eigenvalues[*one]));
    let least = eigen.eigenvalues[order[0]] * SHARE_MIN;
    let kept = order.iter().take(COMPONENTS_MAX).take_while(|at| eigen.eigenvalues[**at] > least).count().max(1);
    eigen.eigenvectors.select_columns(&order[..kept]).transpose()
}
