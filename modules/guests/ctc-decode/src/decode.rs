//! The best class of each step, without repetitions and blanks.

use serde::{Deserialize, Serialize};

use crate::{CtcError, Dictionary};

/// The class that writes nothing, as PaddleOCR has it.
const BLANK: usize = 0;

/// What probabilities may exceed 1 by: f32 softmax on another machine, or a lossy codec behind it.
const TOLERANCE: f32 = 1e-2;

/// What the scores of a model are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scores {
    /// The model ends with a softmax.
    #[default]
    Probabilities,
    /// It does not: a softmax over the classes of each step is taken here.
    Logits,
}

/// A line of text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    /// What was read.
    pub text: String,
    /// The mean of the characters' probabilities, from 0 to 1; 0 where nothing was read, as PaddleOCR has it.
    pub confidence: f32,
    /// The characters, from the first.
    pub characters: Vec<Character>,
}

/// A character of a line.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Character {
    /// Its class.
    pub class: usize,
    /// The probability of its class at its first step, from 0 to 1.
    pub probability: f32,
    /// The first step at which its class is the best.
    pub start: usize,
    /// The step behind the last one of this run.
    pub end: usize,
}

/// Reads `scores`, f32[steps, classes] with the classes of one step beside each other, by best path.
///
/// Of equal scores the class of lower index is the best one. Scores that are not finite are an error, logits of
/// negative infinity are not. What is returned takes memory for at most `steps` characters.
pub fn decode(
    scores: &[f32],
    steps: usize,
    classes: usize,
    dictionary: &Dictionary,
    kind: Scores,
) -> Result<Line, CtcError> {
    if classes != dictionary.classes() {
        return Err(CtcError::Classes { classes, expected: dictionary.classes() });
    }
    if steps.checked_mul(classes) != Some(scores.len()) {
        return Err(CtcError::Shape { found: scores.len(), steps, classes });
    }
    let mut characters: Vec<Character> = Vec::new();
    let mut previous = BLANK;
    for (step, of_step) in scores.chunks_exact(classes).enumerate() {
        let class = best(of_step, step, kind)?;
        match characters.last_mut() {
            Some(last) if class == previous && class != BLANK => last.end = step + 1,
            _ if class != BLANK => {
                let probability = probability(of_step, class, step, kind)?;
                characters.push(Character { class, probability, start: step, end: step + 1 });
            }
            _ => {}
        }
        previous = class;
    }
    let text = characters.iter().map(|character| dictionary.text(character.class)).collect();
    let sum: f64 = characters.iter().map(|character| f64::from(character.probability)).sum();
    let confidence = (sum / characters.len().max(1) as f64) as f32;
    Ok(Line { text, confidence, characters })
}

/// The first class of the highest score.
fn best(scores: &[f32], step: usize, kind: Scores) -> Result<usize, CtcError> {
    let mut best = 0;
    for (class, &score) in scores.iter().enumerate() {
        let lost = kind == Scores::Logits && score == f32::NEG_INFINITY;
        if !score.is_finite() && !lost {
            return Err(CtcError::NotANumber { step, class, score });
        }
        if score > scores[best] {
            best = class;
        }
    }
    if scores[best].is_finite() {
        Ok(best)
    } else {
        Err(CtcError::NotANumber { step, class: best, score: scores[best] })
    }
}

fn probability(scores: &[f32], class: usize, step: usize, kind: Scores) -> Result<f32, CtcError> {
    let score = scores[class];
    match kind {
        Scores::Logits => {
            let sum: f64 = scores.iter().map(|other| libm::exp(f64::from(*other) - f64::from(score))).sum();
            Ok((1.0 / sum) as f32)
        }
        Scores::Probabilities if (0.0..=1.0 + TOLERANCE).contains(&score) => Ok(score.min(1.0)),
        Scores::Probabilities => Err(CtcError::NotAProbability { step, class, score }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn dictionary() -> Dictionary {
        Dictionary::read("a\nb", false).unwrap()
    }

    /// Scores where the best class of each step has the given probability and the others share the rest.
    fn path(steps: &[(usize, f32)]) -> Vec<f32> {
        let of_step = |(best, high): &(usize, f32)| {
            let (best, high) = (*best, *high);
            (0..3).map(move |class| if class == best { high } else { (1.0 - high) / 2.0 })
        };
        steps.iter().flat_map(of_step).collect()
    }

    fn read(scores: &[f32], kind: Scores) -> Result<Line, CtcError> {
        decode(scores, scores.len() / 3, 3, &dictionary(), kind)
    }

    #[test]
    fn repetitions_are_one_unless_a_blank_is_between() {
        let scores = path(&[(1, 0.9), (1, 0.6), (0, 0.8), (1, 0.7), (2, 0.5), (0, 0.9), (0, 0.9)]);
        let line = read(&scores, Scores::Probabilities).unwrap();
        assert_eq!(line.text, "aab");
        assert!((line.confidence - (0.9 + 0.7 + 0.5) / 3.0).abs() < 1e-6, "{line:?}");
        let ranges: Vec<_> = line.characters.iter().map(|character| (character.start, character.end)).collect();
        assert_eq!(ranges, [(0, 2), (3, 4), (4, 5)]);
    }

    #[test]
    fn nothing_read_has_no_confidence() {
        let blank = read(&path(&[(0, 0.9); 4]), Scores::Probabilities).unwrap();
        assert_eq!((blank.text.as_str(), blank.confidence), ("", 0.0));
        assert_eq!(read(&[], Scores::Logits).unwrap().characters, []);
    }

    #[test]
    fn logits_become_probabilities() {
        let line = read(&[0.0, 3f32.ln(), 0.0, f32::NEG_INFINITY, -1e30, 1e30], Scores::Logits).unwrap();
        assert_eq!(line.text, "ab");
        assert!((line.characters[0].probability - 0.6).abs() < 1e-6, "{line:?}");
        assert_eq!(line.characters[1].probability, 1.0);
        let error = read(&[-1.0, 4.0, 2.0], Scores::Probabilities).unwrap_err();
        assert_eq!(error, CtcError::NotAProbability { step: 0, class: 1, score: 4.0 });
    }

    #[test]
    fn shapes_and_scores_that_lie_are_refused() {
        let refused = |scores: &[f32], steps, classes| {
            decode(scores, steps, classes, &dictionary(), Scores::Logits).unwrap_err().to_string()
        };
        assert!(refused(&[0.0; 6], 2, 4).starts_with("the scores have 4 classes, but the dictionary makes 3"));
        assert!(refused(&[0.0; 6], 3, 3).starts_with("6 scores do not make 3 steps of 3 classes"));
        assert!(refused(&[0.0; 6], usize::MAX, 3).starts_with("6 scores do not make"));
        assert!(refused(&[0.0, 0.0, 0.0, 0.0, f32::NAN, 0.0], 2, 3).starts_with("score 1 of step 1 is NaN"));
        assert!(refused(&[f32::NEG_INFINITY; 3], 1, 3).starts_with("score 0 of step 0 is -inf"));
        assert!(refused(&[0.0, f32::INFINITY, 0.0], 1, 3).starts_with("score 1 of step 0 is inf"));
    }

    proptest! {
        /// The definition: of the best path, equal neighbours are merged, then blanks are taken out.
        #[test]
        fn equals_the_definition(best in proptest::collection::vec((0usize..3, 0.4f32..1.0), 0..40)) {
            let line = read(&path(&best), Scores::Probabilities).unwrap();
            let mut classes: Vec<usize> = best.iter().map(|(class, _)| *class).collect();
            classes.dedup();
            classes.retain(|class| *class != BLANK);
            prop_assert_eq!(line.characters.iter().map(|of| of.class).collect::<Vec<_>>(), classes);
            for of in &line.characters {
                prop_assert!(best[of.start..of.end].iter().all(|(class, _)| *class == of.class));
                prop_assert!(best.get(of.end).is_none_or(|(class, _)| *class != of.class));
                prop_assert_eq!(of.probability, best[of.start].1);
            }
        }

        #[test]
        fn arbitrary_scores_never_panic(
            scores in proptest::collection::vec(any::<f32>(), 0..30),
            steps in 0usize..11,
        ) {
            for kind in [Scores::Probabilities, Scores::Logits] {
                let _ = decode(&scores, steps, 3, &dictionary(), kind);
            }
        }
    }
}
