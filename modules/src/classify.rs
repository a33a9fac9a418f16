//! Scores of classes become the few best labels.

use serde::Serialize;
use thalweg_planner::{DType, Tensor, TensorSpec};

use crate::ModuleError;

/// The names of a model's classes, in the order of its scores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    file: String,
    names: Vec<String>,
}

impl Labels {
    /// Reads a JSON list of strings, or a text with one label a line; `file` is what errors call it.
    ///
    /// A text that starts with `[` is JSON. Space around a line and empty lines at the end do not count.
    pub fn read(bytes: &[u8], file: &str) -> Result<Self, ModuleError> {
        let broken = |reason: String| ModuleError::Labels { file: file.to_owned(), reason };
        let text = str::from_utf8(bytes).map_err(|error| broken(format!("it is not text, {error}")))?;
        let text = text.trim_start_matches('\u{feff}').trim();
        let names: Vec<String> = match text {
            "" => return Err(broken("it is empty".to_owned())),
            list if list.starts_with('[') => serde_json::from_str(list).map_err(|error| broken(error.to_string()))?,
            lines => lines.lines().map(|line| line.trim().to_owned()).collect(),
        };
        Ok(Self { file: file.to_owned(), names })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.names.len()
    }

    /// Whether scores of this type and shape can be classified: f32, in one axis, a class for each label.
    pub fn check(&self, scores: &TensorSpec) -> Result<(), ModuleError> {
        let classes = scores.shape.last().copied().filter(|last| *last > 0 && scores.len() == *last);
        let Some(classes) = classes.filter(|_| scores.dtype == DType::F32) else {
            return Err(ModuleError::NotScores { spec: scores.clone() });
        };
        if classes == self.count() {
            return Ok(());
        }
        let (file, labels) = (self.file.clone(), self.count());
        Err(ModuleError::LabelCount { file, labels, classes, spec: scores.clone() })
    }
}

/// A class and how sure the model is of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Class {
    /// Its index among the scores.
    pub index: usize,
    /// Its label.
    pub label: String,
    /// From 0 to 1 after a softmax; the score itself without.
    pub probability: f32,
}

/// The `top` classes of highest score, best first, of two equal ones the one of lower index; all where there are fewer.
///
/// `scores` is f32 with one axis of classes, the last; all other axes are of size 1. With `softmax` the scores are
/// logits and become probabilities `exp(score - highest) / sum`; without it they are given as they are.
/// Negative infinity is a score that never wins; other scores that are not finite are an error.
pub fn classify(scores: &Tensor, labels: &Labels, top: usize, softmax: bool) -> Result<Vec<Class>, ModuleError> {
    labels.check(scores.spec())?;
    let values = scores.to_f32().unwrap_or_default();
    let highest = highest(&values)?;
    let sum: f64 = if softmax { values.iter().map(|score| f64::from(score - highest).exp()).sum() } else { 1.0 };
    let probability = |score: f32| if softmax { (f64::from(score - highest).exp() / sum) as f32 } else { score };

    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*b].total_cmp(&values[*a]));
    let named =
        |index: usize| Class { index, label: labels.names[index].clone(), probability: probability(values[index]) };
    Ok(order.into_iter().take(top).map(named).collect())
}

/// The highest score, which is finite; an error names the first score that is not a number or positive infinity.
fn highest(scores: &[f32]) -> Result<f32, ModuleError> {
    let broken = |class: usize| ModuleError::NotANumber { class, score: scores[class] };
    if let Some(class) = scores.iter().position(|score| score.is_nan() || *score == f32::INFINITY) {
        return Err(broken(class));
    }
    let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if highest.is_finite() { Ok(highest) } else { Err(broken(0)) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn labels() -> Labels {
        Labels::read(b"cat\ndog\r\n  cup \n\n", "labels.txt").unwrap()
    }

    fn best(scores: &[f32], top: usize, softmax: bool) -> Result<Vec<Class>, ModuleError> {
        classify(&Tensor::from_f32([1, scores.len()], scores).unwrap(), &labels(), top, softmax)
    }

    #[test]
    fn the_best_come_first_with_their_probabilities() {
        let classes = best(&[0.0, 3f32.ln(), 0.0], 2, true).unwrap();
        let named: Vec<_> = classes.iter().map(|class| (class.index, class.label.as_str())).collect();
        assert_eq!(named, [(1, "dog"), (0, "cat")]);
        assert!((classes[0].probability - 0.6).abs() < 1e-6, "{classes:?}");
        assert!((classes[1].probability - 0.2).abs() < 1e-6, "{classes:?}");
    }

    #[test]
    fn large_logits_do_not_overflow_and_lost_ones_do_not_count() {
        let classes = best(&[1e30, f32::NEG_INFINITY, 1e30], 9, true).unwrap();
        assert_eq!(classes.iter().map(|class| class.probability).collect::<Vec<_>>(), [0.5, 0.5, 0.0]);
        assert_eq!(best(&[0.1, 0.7, 0.2], 1, false).unwrap()[0].probability, 0.7);
    }

    #[test]
    fn both_formats_of_labels_are_read() {
        let json = Labels::read(b" [\"cat\", \"dog\", \"cup\"]\n", "labels.json").unwrap();
        assert_eq!(json.names, labels().names);
        let message = |bytes: &[u8]| Labels::read(bytes, "l.json").unwrap_err().to_string();
        assert!(message(b" \n").starts_with("l.json holds no labels: it is empty;"));
        assert!(message(b"[1, 2]").contains("line 1 column 2"), "{}", message(b"[1, 2]"));
        assert!(message(b"\xFF\xFE").contains("not text"));
    }

    #[test]
    fn answers_that_are_no_scores_are_refused() {
        assert_eq!(
            best(&[0.0; 4], 5, true).unwrap_err().to_string(),
            "labels.txt has 3 labels, but the answer f32[1,4] has 4 classes: take the labels that belong to the model"
        );
        assert!(
            best(&[0.0, f32::NAN, 0.0], 5, true).unwrap_err().to_string().starts_with("score 1 of the answer is NaN")
        );
        assert!(best(&[f32::NEG_INFINITY; 3], 5, true).is_err());
        let map = Tensor::from_f32([1, 3, 1], &[0.0; 3]).unwrap();
        let error = classify(&map, &labels(), 5, true).unwrap_err();
        assert!(error.to_string().starts_with("an answer f32[1,3,1] cannot be classified"));
    }

    proptest! {
        #[test]
        fn probabilities_sum_to_one(scores in proptest::collection::vec(-80f32..80.0, 3)) {
            let classes = best(&scores, 3, true).unwrap();
            let sum: f32 = classes.iter().map(|class| class.probability).sum();
            prop_assert!((sum - 1.0).abs() < 1e-5);
            prop_assert!(classes.is_sorted_by(|a, b| a.probability >= b.probability));
        }

        #[test]
        fn arbitrary_labels_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = Labels::read(&bytes, "labels");
        }
    }
}
