//! The highest of some scores, and what share of a softmax each has.

/// A class and its share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Best {
    /// Its index among the scores.
    pub index: usize,
    /// From 0 to 1 after a softmax; the score itself without.
    pub share: f32,
}

/// The `k` highest of `scores`, best first, of two equal ones the one of lower index; all where there are fewer.
///
/// With `softmax` the scores are logits and become `exp(score - highest) / sum`; without it they stay as they are.
/// Negative infinity is a score that never wins; other scores that are not finite are an error, in words.
pub(crate) fn best(scores: &[f32], k: usize, softmax: bool) -> Result<Vec<Best>, String> {
    if let Some(at) = scores.iter().position(|score| score.is_nan() || *score == f32::INFINITY) {
        return Err(format!("score {at} is {}: the model or its input is broken", scores[at]));
    }
    let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if !highest.is_finite() {
        return Err("no score is finite: the model or its input is broken".to_owned());
    }
    let sum: f64 = if softmax { scores.iter().map(|score| f64::from(score - highest).exp()).sum() } else { 1.0 };
    let share = |score: f32| if softmax { (f64::from(score - highest).exp() / sum) as f32 } else { score };

    let mut order: Vec<usize> = (0..scores.len()).collect();
    let better = |a: &usize, b: &usize| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b));
    // Few of thousands are wanted: only those are sorted.
    if k < order.len() {
        order.select_nth_unstable_by(k, better);
        order.truncate(k);
    }
    order.sort_unstable_by(better);
    Ok(order.into_iter().map(|index| Best { index, share: share(scores[index]) }).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn of_equal_scores_the_first_wins() {
        let best = best(&[1.0, 2.0, 2.0, 0.0, 2.0], 2, false).unwrap();
        assert_eq!(best.iter().map(|best| best.index).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn large_logits_do_not_overflow_and_lost_ones_do_not_count() {
        let best = best(&[1e30, f32::NEG_INFINITY, 1e30], 9, true).unwrap();
        assert_eq!(best.iter().map(|best| best.share).collect::<Vec<_>>(), [0.5, 0.5, 0.0]);
    }

    #[test]
    fn scores_that_are_no_numbers_are_errors() {
        assert!(best(&[0.0, f32::NAN], 1, true).unwrap_err().starts_with("score 1 is NaN"));
        assert!(best(&[f32::NEG_INFINITY], 1, true).is_err());
        assert!(best(&[], 1, true).is_err());
    }
}
