//! How much an answer differs from another.

use thalweg_codec::features::elements;
use thalweg_planner::{DType, Tensor, TensorSpec};

use super::{Labelled, Labels};
use crate::run::RunError;

/// Compares answers. A benchmark with answers of its own kind, such as boxes or text, brings its own.
pub trait Judge: Sync {
    /// What people call it.
    fn name(&self) -> &str;

    /// How much of `answer` differs from `reference`, from 0 to 1: both are the outputs of the model for one sample.
    /// `variances` are those of each output over all references; 0 for one that is not of floats.
    fn disagreement(&self, reference: &[Tensor], answer: &[Tensor], variances: &[f64]) -> f64;

    /// How right the answer to the measured sample of this index is, from 0 to 1; `None` where nobody knows.
    fn rightness(&self, _sample: usize, _answer: &[Tensor]) -> Option<f64> {
        None
    }
}

/// The judges that `thalweg calibrate` has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Judged {
    /// Whether the highest score is another one.
    Argmax,
    /// The squared error beside the variance of the answer.
    Error,
    /// The cosine of the angle between the answers.
    Cosine,
}

/// The judge that was asked for, or the one that suits the first output: [`Argmax`] for one list of scores, else
/// [`SquaredError`]. With `labels` it knows what is right.
pub fn judge_for(
    asked: Option<Judged>,
    outputs: &[TensorSpec],
    labels: Option<Labels>,
) -> Result<Box<dyn Judge>, RunError> {
    let is_list = |spec: &TensorSpec| {
        spec.shape.iter().filter(|size| **size > 1).count() == 1 && matches!(spec.dtype, DType::F32 | DType::F16)
    };
    let scores = outputs.first().filter(|spec| is_list(spec));
    let judge: Box<dyn Judge> = match asked.unwrap_or(if scores.is_some() { Judged::Argmax } else { Judged::Error }) {
        Judged::Argmax => Box::new(Argmax),
        Judged::Error => Box::new(SquaredError),
        Judged::Cosine => Box::new(Cosine),
    };
    let Some(labels) = labels else { return Ok(judge) };
    if scores.is_none() {
        let output = outputs.first().map_or("nothing".to_owned(), TensorSpec::to_string);
        return Err(RunError::NoScores { output });
    }
    Ok(Box::new(Labelled::new(judge, labels)))
}

/// Of the first output, the share of rows whose highest score is another one. A row runs along the last axis that is
/// longer than 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Argmax;

impl Judge for Argmax {
    fn name(&self) -> &str {
        "argmax"
    }

    fn disagreement(&self, reference: &[Tensor], answer: &[Tensor], _variances: &[f64]) -> f64 {
        let best = |tensors: &[Tensor]| tensors.first().and_then(highest);
        match (best(reference), best(answer)) {
            (Some(reference), Some(answer)) if reference.len() == answer.len() && !answer.is_empty() => {
                let differ = reference.iter().zip(&answer).filter(|(one, other)| one != other).count();
                differ as f64 / answer.len() as f64
            }
            _ => f64::from(u8::from(reference != answer)),
        }
    }
}

/// The index of the highest number of each row; `None` for a tensor that is not of floats.
pub(super) fn highest(scores: &Tensor) -> Option<Vec<usize>> {
    let values = elements(scores)?;
    let row = scores.spec().shape.iter().rev().find(|size| **size > 1).copied().unwrap_or(1);
    let best = |row: &[f32]| (0..row.len()).rev().max_by(|one, other| row[*one].total_cmp(&row[*other])).unwrap_or(0);
    Some(values.chunks_exact(row).map(best).collect())
}

/// The mean squared error beside the variance of the output, at most 1, as a mean over the outputs. Of integers, the
/// share that differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SquaredError;

impl Judge for SquaredError {
    fn name(&self) -> &str {
        "error"
    }

    fn disagreement(&self, reference: &[Tensor], answer: &[Tensor], variances: &[f64]) -> f64 {
        mean(reference, answer, |at, reference, answer| {
            let error: f64 = reference.iter().zip(answer).map(|(one, other)| (one - other).powi(2)).sum();
            let variance = variances.get(at).copied().unwrap_or(0.0);
            if error == 0.0 { 0.0 } else { error / reference.len() as f64 / variance }
        })
    }
}

/// 1 less the cosine of the angle between reference and answer, at most 1, as a mean over the outputs. Of integers, the
/// share that differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cosine;

impl Judge for Cosine {
    fn name(&self) -> &str {
        "cosine"
    }

    fn disagreement(&self, reference: &[Tensor], answer: &[Tensor], _variances: &[f64]) -> f64 {
        mean(reference, answer, |_, reference, answer| {
            let product =
                |one: &[f64], other: &[f64]| one.iter().zip(other).map(|(one, other)| one * other).sum::<f64>();
            if reference == answer {
                return 0.0;
            }
            1.0 - product(reference, answer) / (product(reference, reference) * product(answer, answer)).sqrt()
        })
    }
}

/// The mean of `compare` over outputs; what it cannot say counts as 1, and so does an output that is missing.
fn mean(reference: &[Tensor], answer: &[Tensor], compare: impl Fn(usize, &[f64], &[f64]) -> f64) -> f64 {
    let wide = |tensor: &Tensor| Some(elements(tensor)?.into_iter().map(f64::from).collect::<Vec<f64>>());
    let one = |(at, (reference, answer)): (usize, (&Tensor, &Tensor))| match (wide(reference), wide(answer)) {
        _ if reference == answer => 0.0,
        (Some(reference), Some(answer)) if reference.len() == answer.len() => compare(at, &reference, &answer),
        _ if reference.spec() == answer.spec() => {
            let size = reference.spec().dtype.size();
            let pairs = reference.data().chunks_exact(size).zip(answer.data().chunks_exact(size));
            pairs.filter(|(one, other)| one != other).count() as f64 / reference.spec().len().max(1) as f64
        }
        _ => 1.0,
    };
    let bounded = |share: f64| if share.is_nan() { 1.0 } else { share.clamp(0.0, 1.0) };
    let missing = reference.len().abs_diff(answer.len()) as f64;
    let sum: f64 = reference.iter().zip(answer).enumerate().map(one).map(bounded).sum();
    (sum + missing) / reference.len().max(answer.len()).max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(shape: &[usize], values: &[f32]) -> Vec<Tensor> {
        vec![Tensor::from_f32(shape, values).expect("as many values as the shape has")]
    }

    #[test]
    fn the_highest_score_of_each_row_counts() {
        let one = scores(&[1, 3], &[0.1, 0.7, 0.2]);
        assert_eq!(Argmax.disagreement(&one, &scores(&[1, 3], &[0.4, 0.5, 0.1]), &[]), 0.0);
        assert_eq!(Argmax.disagreement(&one, &scores(&[1, 3], &[0.6, 0.5, 0.1]), &[]), 1.0);
        let rows = scores(&[1, 2, 2, 1], &[0.0, 1.0, 1.0, 0.0]);
        assert_eq!(Argmax.disagreement(&rows, &scores(&[1, 2, 2, 1], &[0.0, 1.0, 0.0, 1.0]), &[]), 0.5);
        assert_eq!(highest(&one[0]), Some(vec![1]));
        assert_eq!(highest(&scores(&[1, 3, 1, 1], &[5.0, 5.0, 1.0])[0]), Some(vec![0]), "of two equal ones the first");
    }

    #[test]
    fn errors_are_measured_beside_the_answer() {
        let one = scores(&[4], &[1.0, -1.0, 1.0, -1.0]);
        let close = SquaredError.disagreement(&one, &scores(&[4], &[1.1, -1.0, 1.0, -1.0]), &[2.0]);
        assert!((close - 0.00125).abs() < 1e-6, "{close}");
        assert_eq!(SquaredError.disagreement(&one, &scores(&[4], &[9.0; 4]), &[2.0]), 1.0);
        assert_eq!(SquaredError.disagreement(&one, &scores(&[4], &[0.0; 4]), &[0.0]), 1.0, "what never moves did");
        assert_eq!(SquaredError.disagreement(&one, &one, &[0.0]), 0.0);
        assert_eq!(SquaredError.disagreement(&one, &scores(&[4], &[f32::NAN; 4]), &[2.0]), 1.0);
        let turned = Cosine.disagreement(&scores(&[2], &[1.0, 0.0]), &scores(&[2], &[1.0, 1.0]), &[]);
        assert!((turned - (1.0 - 0.5_f64.sqrt())).abs() < 1e-9, "{turned}");
        assert_eq!(Cosine.disagreement(&one, &scores(&[4], &[2.0, -2.0, 2.0, -2.0]), &[]), 0.0);
        assert_eq!(Cosine.disagreement(&one, &scores(&[4], &[0.0; 4]), &[]), 1.0);
    }

    #[test]
    fn integers_agree_or_do_not_and_nothing_is_missing() {
        let tensor = |bytes: [u8; 4]| Tensor::new(TensorSpec::new(DType::U8, [4]), bytes.to_vec()).expect("four bytes");
        let both = [tensor([1, 2, 3, 4]), tensor([0; 4])];
        assert_eq!(SquaredError.disagreement(&both, &[tensor([1, 2, 3, 9]), tensor([0; 4])], &[]), 0.125);
        assert_eq!(Cosine.disagreement(&both, &both[..1], &[]), 0.5);
    }

    #[test]
    fn a_judge_suits_the_answer() {
        let name = |shape: &[usize]| {
            let judge = judge_for(None, &[TensorSpec::new(DType::F32, shape)], None);
            judge.map(|judge| judge.name().to_owned()).unwrap_or_default()
        };
        assert_eq!([name(&[1, 1000]), name(&[1, 1000, 1, 1]), name(&[1, 1, 64, 64])], ["argmax", "argmax", "error"]);
    }
}
