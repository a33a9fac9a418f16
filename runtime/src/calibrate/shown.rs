//! What samples show of the tensors that cross a cut: enough to fit books of all options.

use std::collections::BTreeSet;
use std::sync::Arc;

use thalweg_codec::Book;
use thalweg_codec::features::elements;
use thalweg_codec::features::fit::{self, Basis, Sensitivity};
use thalweg_devices::Split as Parts;
use thalweg_planner::TensorSpec;

use super::parallel::in_parallel;
use super::{Fitting, Options, Phase, Sample, Watch, deviation, probe, spread};
use crate::run::RunError;

/// Of large tensors fewer samples are kept: more numbers than these change no book, and fitting takes as long as they are
/// many.
const NUMBERS_MAX: usize = 1 << 24;
/// A tensor that takes so few values is a mask or an index: `lossless` sends it in fewer bits than a book could.
const VALUES_MIN: usize = 16;

/// What samples have shown of the tensors that cross a cut.
#[derive(Debug)]
pub struct Shown {
    /// For each tensor that crosses: its place among those that can have a book.
    places: Vec<Option<usize>>,
    bases: Vec<Basis>,
    sensitivities: Vec<Option<Sensitivity>>,
    /// By tensor, then by sample.
    samples: Vec<Vec<Vec<f32>>>,
    /// What errors call a tensor by.
    specs: Vec<TensorSpec>,
}

impl Shown {
    /// Runs the part below the cut on samples, and the part above on what was changed a little; `specs` are those of the
    /// tensors that cross.
    pub fn of<S: Sample>(
        parts: &Parts,
        specs: &[TensorSpec],
        fitting: &Fitting<S>,
        options: &Options,
        watch: Watch<'_>,
    ) -> Result<Self, RunError> {
        let mut shown = Self {
            places: vec![None; specs.len()],
            bases: Vec::new(),
            sensitivities: Vec::new(),
            samples: Vec::new(),
            specs: Vec::new(),
        };
        let features = features(parts, specs, fitting, options, watch)?;
        for ((place, spec), samples) in shown.places.iter_mut().zip(specs).zip(features) {
            let Some(samples) = samples.filter(|samples| !takes_few_values(samples)) else { continue };
            let Some(basis) = Basis::fit(spec, &samples) else { continue };
            *place = Some(shown.bases.len());
            shown.bases.push(basis);
            shown.samples.push(samples);
            shown.specs.push(spec.clone());
        }
        let crossing = shown.places.iter().enumerate().filter(|(_, place)| place.is_some());
        let parts_of = crossing.zip(&shown.bases).zip(&shown.samples);
        let probed: Vec<probe::Probed<'_>> = parts_of
            .map(|(((at, _), basis), samples)| {
                let size = probe::SIZE * deviation(samples.iter().flatten());
                probe::Probed { at, basis, size }
            })
            .collect();
        if !probed.is_empty() {
            shown.sensitivities = probe::sensitivities(parts, &probed, fitting, options, watch)?;
        }
        Ok(shown)
    }

    /// A book for each tensor that crosses, where it can have one; all have the same steps in units of the answer's
    /// movement. One without travels exactly: it is not of floats, has numbers that are not finite, or takes few values.
    pub fn books(&self, options: fit::Options) -> Result<Vec<Option<Arc<Book>>>, RunError> {
        let books = fit::fit(&self.bases, &self.sensitivities, &self.samples, options);
        let names = || self.specs.iter().map(TensorSpec::to_string).collect::<Vec<_>>().join(" and ");
        let books = books.ok_or_else(|| RunError::NoTransform { tensor: names() })?;
        let books: Vec<Arc<Book>> = books.into_iter().map(Arc::new).collect();
        Ok(self.places.iter().map(|place| place.map(|place| books[place].clone())).collect())
    }
}

/// Whether the numbers of all samples are at most [`VALUES_MIN`] different ones.
fn takes_few_values(samples: &[Vec<f32>]) -> bool {
    let mut seen = BTreeSet::new();
    samples.iter().flatten().all(|number| {
        seen.insert(number.to_bits());
        seen.len() <= VALUES_MIN
    })
}

/// The features of each tensor, a sample each; `None` for a tensor that is not of floats.
fn features<S: Sample>(
    parts: &Parts,
    specs: &[TensorSpec],
    fitting: &Fitting<S>,
    options: &Options,
    watch: Watch<'_>,
) -> Result<Vec<Option<Vec<Vec<f32>>>>, RunError> {
    let numbers: usize = specs.iter().map(TensorSpec::len).fold(0, usize::saturating_add);
    let chosen = spread(fitting.all().len(), (NUMBERS_MAX / numbers.max(1)).max(1));
    let run = |at: usize| -> Result<Vec<_>, RunError> {
        let below = parts.below(&fitting.all()[chosen[at]].inputs()?)?;
        Ok(below.live.iter().map(elements).collect())
    };
    let made = in_parallel(chosen.len(), options.threads, run, |done| watch(Phase::Features, done, chosen.len()))?;
    let mut features: Vec<Option<Vec<Vec<f32>>>> = vec![Some(Vec::with_capacity(made.len())); specs.len()];
    for sample in made {
        for (all, one) in features.iter_mut().zip(sample) {
            match (all.as_mut(), one) {
                (Some(all), Some(one)) => all.push(one),
                _ => *all = None,
            }
        }
    }
    Ok(features)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_take_few_values() {
        assert!(takes_few_values(&[vec![0.0; 99], vec![-1e9, 0.0]]));
        assert!(!takes_few_values(&[(0..17).map(|number| number as f32).collect()]));
    }
}
