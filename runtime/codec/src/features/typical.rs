//! A tensor that looks to the codec like those that a book was fitted to, where there is none at hand.

use thalweg_planner::Tensor;

use super::book::{Book, magnitude_of};
use super::tensor;
use super::transform::Planes;

impl Book {
    /// A reproducible tensor whose coefficients are as large as the book expects them: good for timing, no real features.
    ///
    /// Never `None`: a book is of floats.
    pub fn typical(&self) -> Option<Tensor> {
        let (blocks, components) = (self.transform.grid.blocks(), self.transform.components);
        let mut state = 1;
        let coefficient = |at: usize| {
            let scale = self.scales[at / components / blocks * components + at % components];
            (f64::from(self.step) * magnitude_of(scale) * laplace(&mut state)) as f32
        };
        let mut planes = Planes::of((0..blocks * self.scales.len()).map(coefficient).collect());
        let mut elements = vec![0.0; self.spec.len()];
        self.transform.inverse(&mut planes, &mut elements);
        tensor(&self.spec, &elements)
    }
}

/// The next number of a Laplace distribution with the mean magnitude 1.
fn laplace(state: &mut u64) -> f64 {
    // SplitMix64 (Steele, Lea and Flood, 2014).
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let mixed = mixed ^ (mixed >> 31);
    let share = ((mixed >> 12) as f64 + 0.5) / (1_u64 << 52) as f64;
    if mixed & 1 == 0 { -share.ln() } else { share.ln() }
}
