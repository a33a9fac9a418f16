//! Which classes are right for which sample.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use thalweg_planner::Tensor;

use super::Judge;
use super::judge::highest;
use crate::run::{RunError, read};

/// The classes that are right for measured samples, in their order; empty where nobody knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels(Vec<Vec<usize>>);

/// What a file says of one sample: `{"classes": [3, 5]}`, `[3, 5]` or `3`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    One(usize),
    Several(Vec<usize>),
    Keyed { classes: Vec<usize> },
}

impl Labels {
    /// Of each measured sample, in their order, the classes that are right; empty where nobody knows.
    pub fn new(classes: Vec<Vec<usize>>) -> Self {
        Self(classes)
    }

    /// Reads a JSON object whose keys are the names of samples, for the samples of these names.
    ///
    /// A sample that the file does not name has no label; a file that names none of them is refused.
    pub fn read<'a>(file: &Path, names: impl Iterator<Item = &'a str>) -> Result<Self, RunError> {
        let broken = |cause: String| RunError::Labels { file: file.to_owned(), cause };
        let entries: BTreeMap<String, Entry> =
            serde_json::from_slice(&read(file)?).map_err(|cause| broken(cause.to_string()))?;
        let classes = |name: &str| match entries.get(name) {
            Some(Entry::One(class)) => vec![*class],
            Some(Entry::Several(classes) | Entry::Keyed { classes }) => classes.clone(),
            None => Vec::new(),
        };
        let labels: Vec<Vec<usize>> = names.map(classes).collect();
        if labels.iter().all(Vec::is_empty) {
            return Err(broken("it names none of the measured samples".to_owned()));
        }
        Ok(Self(labels))
    }
}

/// A judge that also knows which class is right.
pub struct Labelled {
    judge: Box<dyn Judge>,
    labels: Labels,
}

impl Labelled {
    /// Compares as `judge` does.
    pub fn new(judge: Box<dyn Judge>, labels: Labels) -> Self {
        Self { judge, labels }
    }
}

impl Judge for Labelled {
    fn name(&self) -> &str {
        self.judge.name()
    }

    fn disagreement(&self, reference: &[Tensor], answer: &[Tensor], variances: &[f64]) -> f64 {
        self.judge.disagreement(reference, answer, variances)
    }

    /// Whether the highest score of the first output is of a right class.
    fn rightness(&self, sample: usize, answer: &[Tensor]) -> Option<f64> {
        let right = self.labels.0.get(sample).filter(|classes| !classes.is_empty())?;
        let best = *answer.first().and_then(highest)?.first()?;
        Some(f64::from(u8::from(right.contains(&best))))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Argmax;
    use super::*;

    fn labels(text: &str) -> Result<Labels, RunError> {
        let folder = tempfile::tempdir().expect("a folder for a test");
        let file = folder.path().join("labels.json");
        std::fs::write(&file, text).expect("a file for a test");
        Labels::read(&file, ["a.jpg", "b.jpg", "c.jpg", "d.jpg"].into_iter())
    }

    #[test]
    fn three_ways_to_write_a_label() {
        let text = r#"{"a.jpg": 1, "b.jpg": [0, 1], "c.jpg": {"classes": [0], "stamp": "x"}, "z.jpg": 4}"#;
        let labelled = Labelled::new(Box::new(Argmax), labels(text).expect("labels"));
        let answer = [Tensor::from_f32([1, 2], &[0.1, 0.9]).expect("two scores")];
        let right: Vec<_> = (0..5).map(|sample| labelled.rightness(sample, &answer)).collect();
        assert_eq!(right, [Some(1.0), Some(1.0), Some(0.0), None, None]);
    }

    #[test]
    fn labels_of_nothing_are_refused() {
        for text in ["", "[]", r#"{"a.jpg": "cat"}"#, r#"{"z.jpg": 1}"#] {
            let error = labels(text).expect_err(text).to_string();
            assert!(error.contains("labels.json"), "{error}");
        }
    }
}
