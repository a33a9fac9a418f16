//! Codebooks of a cut, fitted to samples as `thalweg calibrate` does it, but with the parts laid open: what the probes
//! show is the same for all options.

use std::sync::Arc;

use thalweg_codec::Book;
use thalweg_codec::features::fit::{Basis, Options, Sensitivity, fit};
use thalweg_planner::{DType, Tensor, TensorSpec};

use crate::cut::Cut;
use crate::{Failure, both_cores};

/// Tensors with fewer elements have no book: they travel exactly.
const ELEMENTS_MIN: usize = 2048;
/// Of large tensors fewer samples are taken, so that fitting takes a minute and not ten: more numbers change nothing.
const NUMBERS_MAX: usize = 1 << 24;
/// A probe moves a direction by this share of the tensor's root mean square: far above rounding, and small enough that
/// networks are nearly linear.
const SIZE: f32 = 0.1;

/// Whether such a tensor has a book where it crosses.
pub(crate) fn has_book(spec: &TensorSpec) -> bool {
    spec.dtype == DType::F32 && spec.len() >= ELEMENTS_MIN
}

/// How much is probed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Probes {
    /// Samples.
    pub(crate) samples: usize,
    /// Directions of each tensor, from the one with the largest variance.
    pub(crate) directions: usize,
}

/// What samples have shown of the tensors of a cut.
pub(crate) struct Shown {
    /// For each tensor that crosses: its place among those with a book.
    places: Vec<Option<usize>>,
    bases: Vec<Basis>,
    sensitivities: Vec<Option<Sensitivity>>,
    /// By tensor, then by sample.
    samples: Vec<Vec<Vec<f32>>>,
}

impl Shown {
    /// Looks at what crosses for fitting samples.
    pub(crate) fn of(cut: &Cut, live: &[Vec<Tensor>], probes: Probes) -> Result<Self, Failure> {
        let every = (live.len() * cut.elements()).div_ceil(NUMBERS_MAX).max(1);
        let live: Vec<&Vec<Tensor>> = live.iter().step_by(every).collect();
        let (mut places, mut bases, mut all) = (Vec::new(), Vec::new(), Vec::new());
        for (at, spec) in cut.specs.iter().enumerate() {
            let coded = has_book(spec);
            places.push(coded.then_some(bases.len()));
            if coded {
                let samples: Option<Vec<Vec<f32>>> = live.iter().map(|tensors| tensors[at].to_f32()).collect();
                let samples = samples.ok_or("a tensor of f32 that is none")?;
                let basis = Basis::fit(spec, &samples).ok_or("a sample holds numbers that are not finite")?;
                eprintln!("{spec}: {} directions, {} bands", basis.components(), basis.bands());
                bases.push(basis);
                all.push(samples);
            }
        }
        let mut shown = Self { sensitivities: Vec::new(), places, bases, samples: all };
        let probed: Vec<&Vec<Tensor>> =
            (0..probes.samples).filter_map(|at| live.get(at * live.len() / probes.samples).copied()).collect();
        for at in 0..cut.specs.len() {
            if let Some(place) = shown.places[at] {
                let sensitivity = shown.probe(cut, &probed, at, place, probes.directions)?;
                shown.sensitivities.push(Some(sensitivity));
            }
        }
        Ok(shown)
    }

    fn probe(
        &self,
        cut: &Cut,
        probed: &[&Vec<Tensor>],
        at: usize,
        place: usize,
        directions: usize,
    ) -> Result<Sensitivity, Failure> {
        let basis = &self.bases[place];
        let directions: Vec<usize> = (0..basis.components().min(directions)).collect();
        let mut sensitivity = Sensitivity::new(basis.bands(), directions.len());
        let size = SIZE * root_mean_square(&self.samples[place]);
        for (nth, tensors) in (0..).zip(probed) {
            let still = numbers(&cut.finish(tensors)?)?;
            let sample = tensors[at].to_f32().ok_or("a tensor of f32 that is none")?;
            for band in 0..basis.bands() {
                // The golden ratio's digits spread neighbouring seeds.
                let seed = (7 * nth + band as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let movements = both_cores(&directions, |_, direction| {
                    let mut moved: Vec<Tensor> = tensors.to_vec();
                    let probe = basis.probe(&sample, band, *direction, size, seed);
                    moved[at] = Tensor::from_f32(basis.spec().shape.clone(), &probe)?;
                    let moved = numbers(&cut.finish(&moved)?)?;
                    Ok(moved.iter().zip(&still).map(|(moved, still)| (moved - still) / size).collect::<Vec<f32>>())
                })?;
                sensitivity.add(band, &movements);
            }
        }
        Ok(sensitivity)
    }

    /// A book for each tensor that crosses; none for those that travel exactly.
    pub(crate) fn books(&self, options: Options) -> Result<Vec<Option<Arc<Book>>>, Failure> {
        let books = fit(&self.bases, &self.sensitivities, &self.samples, options);
        let books: Vec<Arc<Book>> = books.ok_or("a matrix that has no inverse")?.into_iter().map(Arc::new).collect();
        Ok(self.places.iter().map(|place| place.map(|place| books[place].clone())).collect())
    }
}

fn root_mean_square(samples: &[Vec<f32>]) -> f32 {
    let count = samples.iter().map(Vec::len).sum::<usize>().max(1) as f64;
    let squares = samples.iter().flatten().map(|number| f64::from(*number).powi(2)).sum::<f64>();
    (squares / count).sqrt() as f32
}

/// All numbers of all outputs.
fn numbers(outputs: &[Tensor]) -> Result<Vec<f32>, Failure> {
    let numbers: Option<Vec<Vec<f32>>> = outputs.iter().map(Tensor::to_f32).collect();
    Ok(numbers.ok_or("an output that is not f32")?.concat())
}
