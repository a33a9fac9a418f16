//! How far the answer moves when features do.
//!
//! Features are changed along one direction, at the frequencies of one band, by a tenth of their standard deviation.
//! How far the answer moves a unit of the change is a finite difference for a column of the Jacobian. Numbers of an
//! output count in its standard deviations, so that outputs of different units weigh the same.

use std::time::{Duration, Instant};

use thalweg_codec::features::fit::{Basis, Sensitivity, sketch};
use thalweg_codec::features::{elements, tensor};
use thalweg_devices::{Below, Split as Parts};
use thalweg_planner::Tensor;

use super::parallel::in_parallel;
use super::{Fitting, Options, Phase, Sample, Watch, deviation, spread};
use crate::run::RunError;

/// How large a change is, in standard deviations of the features.
pub(super) const SIZE: f32 = 0.1;
/// Directions of a tensor that are probed at most; the others count as the last of these.
const DIRECTIONS_MAX: usize = 64;
/// And at least, however long the part above takes.
const DIRECTIONS_MIN: usize = 8;
/// How many samples are probed: on EfficientNet-Lite0 four show the directions that matter, and after sixteen nothing
/// changes.
const SAMPLES: [usize; 2] = [4, 16];

/// A live tensor that has a basis.
pub(super) struct Probed<'a> {
    /// Its place among the live tensors.
    pub(super) at: usize,
    pub(super) basis: &'a Basis,
    /// How large a change is.
    pub(super) size: f32,
}

/// A sample that is probed.
struct Undisturbed {
    below: Below,
    outputs: Vec<Tensor>,
}

/// How many samples and how many directions fit into `effort`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Extent {
    samples: usize,
    directions: usize,
}

/// The sensitivity of the outputs to each tensor.
pub(super) fn sensitivities<S: Sample>(
    parts: &Parts,
    probed: &[Probed<'_>],
    fitting: &Fitting<S>,
    options: &Options,
    watch: Watch<'_>,
) -> Result<Vec<Option<Sensitivity>>, RunError> {
    let samples = fitting.all();
    let Some(first) = samples.first() else { return Ok(probed.iter().map(|_| None).collect()) };
    let tail = time_above(parts, &parts.below(&first.inputs()?)?)?;
    let bands: Vec<(usize, usize)> = probed.iter().map(|it| (it.basis.bands(), it.basis.components())).collect();
    let extent = Extent::within(options.effort * options.threads as u32, tail, &bands);
    let chosen = spread(samples.len(), extent.samples);
    let undisturbed = |at: usize| -> Result<Undisturbed, RunError> {
        let below = parts.below(&samples[chosen[at]].inputs()?)?;
        let outputs = parts.above(&below, &below.live)?;
        Ok(Undisturbed { below, outputs })
    };
    let undisturbed = in_parallel(chosen.len(), options.threads, undisturbed, |_| {})?;
    let deviations = deviations(&undisturbed);
    let mut turns = Vec::new();
    for sample in 0..undisturbed.len() {
        for (which, (bands, _)) in bands.iter().enumerate() {
            turns.extend((0..*bands).map(|band| (sample, which, band)));
        }
    }
    let turn = |at: usize| {
        let (sample, which, band) = turns[at];
        movements(parts, &probed[which], &undisturbed[sample], &deviations, extent, (sample, band))
    };
    let moved = in_parallel(turns.len(), options.threads, turn, |done| watch(Phase::Probing, done, turns.len()))?;
    let directions = |components: &usize| extent.directions.min(*components);
    let mut found: Vec<Sensitivity> =
        bands.iter().map(|(bands, components)| Sensitivity::new(*bands, directions(components))).collect();
    for ((_, which, band), movements) in turns.into_iter().zip(moved) {
        found[which].add(band, &movements);
    }
    Ok(found.into_iter().map(Some).collect())
}

impl Extent {
    /// As many samples as there is time for, and where even the fewest take longer, fewer directions; `bands` are how
    /// many bands and directions each tensor has.
    fn within(time: Duration, run: Duration, bands: &[(usize, usize)]) -> Self {
        let affordable = time.as_secs_f64() / run.as_secs_f64().max(1e-6);
        let runs = |directions: usize| {
            bands.iter().map(|(bands, components)| bands * directions.min(*components)).sum::<usize>().max(1) as f64
        };
        let [fewest, most] = SAMPLES;
        let samples = ((affordable / runs(DIRECTIONS_MAX)) as usize).clamp(fewest, most);
        let fits = |directions: &usize| fewest as f64 * runs(*directions) <= affordable;
        let directions = (DIRECTIONS_MIN..=DIRECTIONS_MAX).rev().find(fits).unwrap_or(DIRECTIONS_MIN);
        Self { samples, directions }
    }
}

/// How long the part above takes, the shorter time of two.
fn time_above(parts: &Parts, below: &Below) -> Result<Duration, RunError> {
    let mut times = [Duration::ZERO; 2];
    for time in &mut times {
        let start = Instant::now();
        parts.above(below, &below.live)?;
        *time = start.elapsed();
    }
    Ok(times[0].min(times[1]))
}

/// The standard deviation of each output over samples; 0 for one that is not of floats.
fn deviations(undisturbed: &[Undisturbed]) -> Vec<f32> {
    let outputs = undisturbed.first().map_or(0, |sample| sample.outputs.len());
    let one = |at: usize| {
        let values: Vec<Vec<f32>> = undisturbed.iter().filter_map(|sample| elements(sample.outputs.get(at)?)).collect();
        deviation(values.iter().flatten())
    };
    (0..outputs).map(one).collect()
}

/// How far the outputs move a unit of each direction, as a sketch.
fn movements(
    parts: &Parts,
    probed: &Probed<'_>,
    sample: &Undisturbed,
    deviations: &[f32],
    extent: Extent,
    (index, band): (usize, usize),
) -> Result<Vec<Vec<f32>>, RunError> {
    let original = &sample.below.live[probed.at];
    let (Some(features), true) = (elements(original), probed.size > 0.0) else { return Ok(Vec::new()) };
    let seed = (index * 7 + band) as u64 * 0x9e37_79b9_7f4a_7c15 + 1;
    let mut carried = sample.below.live.clone();
    let mut movements = Vec::new();
    for direction in 0..extent.directions.min(probed.basis.components()) {
        let changed = probed.basis.probe(&features, band, direction, probed.size, seed);
        let Some(changed) = tensor(original.spec(), &changed) else { return Ok(Vec::new()) };
        carried[probed.at] = changed;
        let outputs = parts.above(&sample.below, &carried)?;
        let mut movement = Vec::new();
        for ((output, undisturbed), deviation) in outputs.iter().zip(&sample.outputs).zip(deviations) {
            if let (Some(output), Some(undisturbed), true) = (elements(output), elements(undisturbed), *deviation > 0.0)
            {
                let unit = deviation * probed.size;
                movement.extend(output.iter().zip(undisturbed).map(|(to, from)| (to - from) / unit));
            }
        }
        movements.push(sketch(&movement));
    }
    Ok(movements)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_buys_samples_first_and_then_directions() {
        let within = |seconds: u64, ms: u64, bands: &[(usize, usize)]| {
            let Extent { samples, directions } =
                Extent::within(Duration::from_secs(seconds), Duration::from_millis(ms), bands);
            (samples, directions)
        };
        assert_eq!(within(3600, 1, &[(4, 200)]), (16, 64));
        assert_eq!(within(120, 60, &[(4, 200)]), (7, 64));
        assert_eq!(within(120, 300, &[(4, 200)]), (4, 25));
        assert_eq!(within(1, 9000, &[(4, 200)]), (4, 8));
        assert_eq!(within(120, 60, &[(1, 10)]), (16, 64));
    }
}
