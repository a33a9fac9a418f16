//! How much a model's output moves when features do.

use nalgebra::{DMatrix, SymmetricEigen};

/// Outputs longer than this are summed up in as many buckets with random signs, which keeps their products on average
/// (the count sketch of Charikar, Chen and Farach-Colton, 2002).
const BUCKETS: usize = 4096;
/// This share of the mean sensitivity is added to all directions: what was not seen to matter may.
const FLOOR: f64 = 0.05;

/// Of each band, the mean product of the output's movements along any two directions.
#[derive(Debug, Clone)]
pub struct Sensitivity {
    bands: Vec<DMatrix<f64>>,
    seen: Vec<usize>,
}

impl Sensitivity {
    /// Of so many bands and probed directions.
    pub fn new(bands: usize, directions: usize) -> Self {
        Self { bands: vec![DMatrix::zeros(directions, directions); bands], seen: vec![0; bands] }
    }

    /// Adds what one sample showed in one band: for each probed direction, how far each number of the output moved a
    /// unit of the direction.
    ///
    /// Movements that are not as many as the directions, or not finite, are left out.
    pub fn add(&mut self, band: usize, movements: &[Vec<f32>]) {
        let gram = &mut self.bands[band];
        let len = movements.first().map_or(0, Vec::len);
        let usable = |movement: &Vec<f32>| movement.len() == len && movement.iter().all(|number| number.is_finite());
        if len == 0 || movements.len() != gram.nrows() || !movements.iter().all(usable) {
            return;
        }
        let short: Vec<Vec<f32>> = movements.iter().map(|movement| sketch(movement)).collect();
        let rows = DMatrix::from_fn(short.len(), short[0].len(), |row, at| f64::from(short[row][at]));
        gram.gemm(1.0, &rows, &rows.transpose(), 1.0);
        self.seen[band] += 1;
    }

    /// How many bands there are: at least 1.
    pub(crate) fn bands(&self) -> usize {
        self.bands.len()
    }

    /// The symmetric root of the band's mean product, for `components` directions: those that were not probed count as
    /// the last quarter of those that were.
    pub(crate) fn weight(&self, band: usize, components: usize) -> DMatrix<f64> {
        let probed = &self.bands[band];
        let size = probed.nrows().min(components);
        if self.seen[band] == 0 || probed.trace() <= 0.0 || size == 0 {
            return DMatrix::identity(components, components);
        }
        let scale = 1.0 / self.seen[band] as f64;
        let last = probed.nrows() - probed.nrows().div_ceil(4)..probed.nrows();
        let rest = last.clone().map(|at| probed[(at, at)]).sum::<f64>() / last.len() as f64;
        let product = DMatrix::from_fn(components, components, |row, column| {
            let seen = row < size && column < size;
            let unseen = if row == column { rest } else { 0.0 };
            scale * if seen { probed[(row, column)] } else { unseen }
        });
        let floor = FLOOR * product.trace() / components as f64;
        let eigen = SymmetricEigen::new(product);
        let roots = eigen.eigenvalues.map(|value| (value.max(0.0) + floor).sqrt());
        &eigen.eigenvectors * DMatrix::from_diagonal(&roots) * eigen.eigenvectors.transpose()
    }
}

/// What [`Sensitivity::add`] keeps of a movement: all of it where it is short, so that a sketch is its own sketch.
pub fn sketch(movement: &[f32]) -> Vec<f32> {
    if movement.len() <= BUCKETS {
        return movement.to_vec();
    }
    let mut buckets = vec![0.0; BUCKETS];
    for (at, number) in movement.iter().enumerate() {
        // SplitMix64's finaliser as a hash (Steele, Lea and Flood, 2014).
        let mut hash = (at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        buckets[hash as usize % BUCKETS] += if hash >> 63 == 0 { *number } else { -number };
    }
    buckets
}
