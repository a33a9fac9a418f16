//! Codebooks of a cut, fitted to samples as `thalweg calibrate` does it when nothing is asked for.

use std::time::Duration;

use thalweg::calibrate::{Options, Phase, Shown, Split};
use thalweg_codec::features::fit;
use thalweg_devices::{Model, Split as Parts};
use thalweg_planner::Tensor;

use crate::cut::Cut;
use crate::{Failure, THREADS};

/// How long a cut is probed: what `--effort` is when nobody says so.
const EFFORT: Duration = Duration::from_secs(60);

/// What samples that are fitted to show of a cut; none of them equals one that is measured.
pub(crate) fn shown(
    model: &Model,
    cut: &Cut,
    fitting: &[Vec<Tensor>],
    measured: &[Vec<Tensor>],
) -> Result<Shown, Failure> {
    let parts = Parts::new(model, &model.describe(), cut.separator.clone())?;
    let split = Split::apart(fitting.to_vec(), measured.to_vec());
    let options = Options { effort: EFFORT, measured_max: 0, threads: THREADS, fit: fit::Options::DEFAULT };
    let watch = |step: Phase, done: usize, of: usize| {
        if done == of {
            eprintln!("{}: {step:?}, {of}", cut.after);
        }
    };
    Ok(Shown::of(&parts, &cut.specs, &split.fitting, &options, &watch)?)
}
