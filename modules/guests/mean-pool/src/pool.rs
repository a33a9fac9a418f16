//! The mean of the tokens that count.

use crate::PoolError;

/// The embedding of a sentence, `width` numbers of length 1 as a vector.
///
/// `embeddings` is f32[tokens, width], and `mask` has a 1 for each token that counts and a 0 for each that does not. Of
/// the latter nothing is read. Sums are f64, in the order of the tokens.
pub fn mean(embeddings: &[f32], width: usize, mask: &[i64]) -> Result<Vec<f32>, PoolError> {
    let tokens = mask.len();
    if width == 0 || tokens.checked_mul(width) != Some(embeddings.len()) {
        return Err(PoolError::Shape { found: embeddings.len(), tokens, width });
    }
    let mut sums = vec![0.0_f64; width];
    for (token, (embedding, mask)) in embeddings.chunks_exact(width).zip(mask).enumerate() {
        match mask {
            0 => continue,
            1 => {}
            value => return Err(PoolError::Mask { token, value: *value }),
        }
        if let Some(at) = embedding.iter().position(|value| !value.is_finite()) {
            return Err(PoolError::NotANumber { token, at, value: embedding[at] });
        }
        sums.iter_mut().zip(embedding).for_each(|(sum, value)| *sum += f64::from(*value));
    }
    if !mask.contains(&1) {
        return Err(PoolError::Empty { tokens });
    }
    // The length of the sum is that of the mean times the number of tokens, which cancels out.
    let length = sums.iter().map(|sum| sum * sum).sum::<f64>().sqrt();
    if length == 0.0 {
        return Err(PoolError::Zero);
    }
    Ok(sums.into_iter().map(|sum| (sum / length) as f32).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn padding_does_not_count() {
        let embeddings = [1.0, 0.0, 5.0, 8.0, f32::NAN, 9.0];
        assert_eq!(mean(&embeddings, 2, &[1, 1, 0]).unwrap(), [0.6, 0.8]);
        assert_eq!(mean(&embeddings, 2, &[1, 0, 0]).unwrap(), [1.0, 0.0]);
        let refused = |mask: &[i64]| mean(&embeddings, 2, mask).unwrap_err().to_string();
        assert!(refused(&[1, 0, 1]).starts_with("number 0 of token 2 is NaN"));
        assert!(refused(&[0, 0, 0]).starts_with("all 3 tokens are padding"));
        assert!(refused(&[1, -1, 0]).starts_with("the mask of token 1 is -1"));
        assert!(refused(&[1, 1]).starts_with("6 numbers do not make 2 embeddings of 2 numbers"));
    }

    #[test]
    fn shapes_that_lie_are_refused() {
        assert!(mean(&[], 0, &[1]).is_err());
        assert!(mean(&[], usize::MAX, &[1, 1]).is_err());
        assert_eq!(mean(&[], 3, &[]), Err(PoolError::Empty { tokens: 0 }));
        assert_eq!(mean(&[1.0, -1.0], 1, &[1, 1]), Err(PoolError::Zero));
        assert_eq!(mean(&[f32::MAX, f32::MAX], 1, &[1, 1]), Ok(vec![1.0]));
    }

    proptest! {
        #[test]
        fn length_is_one_and_direction_that_of_the_mean(
            tokens in proptest::collection::vec((proptest::array::uniform4(-9f32..9.0), any::<bool>()), 1..12),
        ) {
            let embeddings: Vec<f32> = tokens.iter().flat_map(|(embedding, _)| *embedding).collect();
            let mask: Vec<i64> = tokens.iter().map(|(_, counts)| i64::from(*counts)).collect();
            prop_assume!(mask.contains(&1));
            let found = mean(&embeddings, 4, &mask).unwrap();
            let length: f32 = found.iter().map(|value| value * value).sum();
            prop_assert!((length - 1.0).abs() < 1e-5);
            let counted = mask.iter().sum::<i64>() as f32;
            let of_column = |at: usize| {
                tokens.iter().filter(|token| token.1).map(|token| token.0[at]).sum::<f32>() / counted
            };
            let plain: Vec<f32> = (0..4).map(of_column).collect();
            let norm = plain.iter().map(|value| value * value).sum::<f32>().sqrt();
            prop_assert!(found.iter().zip(&plain).all(|(a, b)| (a * norm - b).abs() < 1e-4));
        }
    }
}
