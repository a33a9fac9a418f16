//! Which elements of a tensor share a step and an offset.

use thalweg_planner::TensorSpec;

/// A channel has at least this many elements: 8 bytes a channel are then at most an eighth of a byte an element.
const ELEMENTS_MIN: usize = 64;

/// How channels lie in memory: one after the other, each with `inner` elements in a row, and then from the first again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Channels {
    /// How many there are: at least 1, except in a tensor without elements.
    pub(crate) count: usize,
    /// Elements in a row that belong to one of them.
    pub(crate) inner: usize,
}

impl Channels {
    /// By the rule on the crate's front page.
    pub(crate) fn of(spec: &TensorSpec) -> Self {
        let whole = Self { count: 1, inner: spec.len() };
        let axis = match spec.shape.as_slice() {
            [] | [_] => return whole,
            [1, _, _] => 2,
            [_, _, _] => 0,
            _ => 1,
        };
        let count = spec.shape[axis];
        if spec.len() / ELEMENTS_MIN < count {
            return whole;
        }
        let inner = spec.shape[axis + 1..].iter().fold(1, |len: usize, size| len.saturating_mul(*size));
        Self { count, inner }
    }

    /// The channel of an element.
    pub(crate) fn at(self, element: usize) -> usize {
        element / self.inner % self.count
    }
}

#[cfg(test)]
mod tests {
    use thalweg_planner::DType;

    use super::*;

    #[test]
    fn channels_follow_the_rank() {
        let cases: [(&[usize], usize, usize); 10] = [
            (&[], 1, 1),
            (&[500], 1, 500),
            (&[64, 20], 20, 1),
            (&[1, 64, 20], 20, 1),
            (&[20, 8, 8], 20, 64),
            (&[1, 80, 14, 14], 80, 196),
            (&[2, 8, 4, 4, 4], 8, 64),
            (&[63, 20], 1, 1260),
            (&[1, 320, 7, 7], 1, 15680),
            (&[1, 1280, 1, 1], 1, 1280),
        ];
        for (shape, count, inner) in cases {
            assert_eq!(Channels::of(&TensorSpec::new(DType::F32, shape)), Channels { count, inner }, "shape {shape:?}");
        }
    }

    #[test]
    fn sizes_that_do_not_fit_do_not_overflow() {
        for shape in [vec![1 << 40, 2, 1 << 40], vec![2, 2, 1 << 40, 1 << 40], vec![usize::MAX, usize::MAX]] {
            assert!(Channels::of(&TensorSpec::new(DType::F32, shape)).count >= 1);
        }
    }
}
