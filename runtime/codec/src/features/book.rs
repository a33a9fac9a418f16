//! What both ends of a link know of one tensor: how it is transformed, and how large its coefficients are.

use thalweg_planner::TensorSpec;

use super::matrix::Matrices;
use super::pace::OFFSET_MAX;
use super::symbols::{CLASSES, OCTAVE, ONE_STEP, SYMBOLS, Table, raw_bits};
use super::transform::Transform;

/// How many levels a book has, from 1, the coarsest, to the finest.
pub const LEVELS: u8 = 24;
/// The scale of a coefficient that belongs to class 0 at level 1.
pub(crate) const SCALE_ZERO: usize = 128;

/// What is known of a class of coefficients.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Class {
    pub(crate) table: Table,
    /// The mean magnitude of its values, in steps with [`super::pace::EXPECTED_BITS`] digits behind the point.
    pub(crate) expected: u16,
    /// How much more than half a step a value has to have left to be rounded from zero to one, in units of 1/256.
    pub(crate) reluctance: u8,
    /// How much larger than its quantised value a coefficient is restored, in units of 1/256.
    pub(crate) gain: i8,
}

/// All that is known of one tensor of a cut.
///
/// Steps of consecutive levels differ by the fourth root of two, as the magnitudes of consecutive classes do.
#[derive(Debug, Clone, PartialEq)]
pub struct Book {
    pub(crate) spec: TensorSpec,
    pub(crate) matrices: Matrices,
    /// What the matrices make.
    pub(crate) transform: Transform,
    /// The step of level 1.
    pub(crate) step: f32,
    /// Of each coefficient of a block, frequencies x components: its class at level 1, and [`SCALE_ZERO`].
    pub(crate) scales: Vec<u8>,
    /// As many as there are tables.
    pub(crate) classes: Vec<Class>,
}

/// What a level makes of a book, worked out once.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Level {
    pub(crate) step: f32,
    /// The coefficients of a block that are sent, from the largest to the smallest, and their classes.
    pub(crate) scan: Vec<(u32, u8)>,
    /// For each coefficient of a block: the least number of steps that is not rounded to zero.
    pub(crate) threshold: Vec<f32>,
    /// For each coefficient of a block: what one step is restored to.
    pub(crate) restored: Vec<f32>,
}

impl Book {
    /// A book that knows nothing of its classes yet.
    pub(crate) fn new(spec: TensorSpec, matrices: Matrices, transform: Transform, step: f32, scales: Vec<u8>) -> Self {
        let class = Class { table: Table::fitted(&[1; SYMBOLS]), expected: 1, reluctance: 0, gain: 0 };
        Self { spec, matrices, transform, step, scales, classes: vec![class; CLASSES] }
    }

    /// The type and shape of the tensors that it is of.
    pub fn spec(&self) -> &TensorSpec {
        &self.spec
    }

    /// What a level, from 1 to [`LEVELS`], makes of the book.
    pub(crate) fn level(&self, level: u8) -> Level {
        let finer = usize::from(level) - 1;
        let class = |scale: &u8| (usize::from(*scale) + finer).checked_sub(SCALE_ZERO).map(|class| class as u8);
        let classes: Vec<Option<u8>> = self.scales.iter().map(class).collect();
        let mut scan: Vec<(u32, u8)> = (0..).zip(&classes).filter_map(|(at, class)| Some((at, (*class)?))).collect();
        scan.sort_by_key(|(at, class)| (u8::MAX - class, *at));
        // A square root is rounded correctly, so all machines have the same steps.
        let step = (1..level).fold(self.step, |step, _| step * 0.5_f32.sqrt().sqrt());
        Level { step, threshold: self.thresholds(&classes), restored: self.restored(&classes, step), scan }
    }

    fn thresholds(&self, classes: &[Option<u8>]) -> Vec<f32> {
        let threshold = |class: &Option<u8>| match class {
            None => f32::INFINITY,
            Some(class) => 0.5 + self.of(*class).map_or(0.0, |class| f32::from(class.reluctance) / 256.0),
        };
        classes.iter().map(threshold).collect()
    }

    fn restored(&self, classes: &[Option<u8>], step: f32) -> Vec<f32> {
        let gain =
            |class: &Option<u8>| class.and_then(|class| self.of(class)).map_or(0.0, |class| f32::from(class.gain));
        classes.iter().map(|class| step * (1.0 + gain(class) / 256.0)).collect()
    }

    /// What is known of a class that has a table of its own.
    fn of(&self, class: u8) -> Option<&Class> {
        self.classes.get(usize::from(class))
    }

    /// The mean magnitude of a class's values, in the unit of [`Class::expected`].
    #[inline]
    pub(crate) fn expected(&self, class: u8) -> u32 {
        let raw = raw_bits(usize::from(class));
        u32::from(self.classes[usize::from(class) - raw * OCTAVE].expected) << raw.min(16)
    }

    /// The table of a class that the pace has moved by `offset`, and how many low bits of its values go out raw.
    #[inline]
    pub(crate) fn table(&self, class: u8, offset: i32) -> (&Table, u32) {
        let class = (i32::from(class) + offset).max(0) as usize;
        let raw = raw_bits(class);
        (&self.classes[class - raw * OCTAVE].table, raw as u32)
    }
}

/// The scale of a coefficient whose magnitude is `mean` of level 1's steps on average.
pub(crate) fn scale_of(mean: f64) -> u8 {
    let class = OCTAVE as f64 * mean.max(1e-12).log2() + (SCALE_ZERO + ONE_STEP) as f64;
    class.round().clamp(0.0, SCALE_MAX as f64) as u8
}

/// The mean magnitude, in level 1's steps, of a coefficient of this scale.
pub(crate) fn magnitude_of(scale: u8) -> f64 {
    ((f64::from(scale) - (SCALE_ZERO + ONE_STEP) as f64) / OCTAVE as f64).exp2()
}

/// The largest scale: the pace cannot move its class beyond what a byte holds, nor to more raw bits than a value has.
pub(crate) const SCALE_MAX: usize = 255 - LEVELS as usize - OFFSET_MAX as usize;
const _: () = assert!(SCALE_MAX > SCALE_ZERO + CLASSES);
const _: () = assert!(raw_bits(SCALE_MAX - SCALE_ZERO + LEVELS as usize + OFFSET_MAX as usize) < u32::BITS as usize);
