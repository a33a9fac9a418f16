//! One box for each object.

use crate::decode::Candidate;

/// Of candidates from the most confident, each that overlaps with none of its class that was kept by more than
/// `overlap_max`; at most `most`.
pub(crate) fn suppressed(candidates: &[Candidate], overlap_max: f32, most: usize) -> Vec<Candidate> {
    let mut kept: Vec<Candidate> = Vec::new();
    for next in candidates {
        if kept.len() == most {
            break;
        }
        if kept.iter().all(|kept| kept.class != next.class || overlap(kept, next) <= overlap_max) {
            kept.push(*next);
        }
    }
    kept
}

/// Intersection over union; 0 where both have no area.
fn overlap(one: &Candidate, other: &Candidate) -> f32 {
    let width = (one.right.min(other.right) - one.left.max(other.left)).max(0.0);
    let height = (one.bottom.min(other.bottom) - one.top.max(other.top)).max(0.0);
    let area = |of: &Candidate| (of.right - of.left) * (of.bottom - of.top);
    let both = width * height;
    both / (area(one) + area(other) - both).max(f32::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn candidate((class, confidence, left, top, width, height): (usize, f32, u8, u8, u8, u8)) -> Candidate {
        let [left, top] = [left, top].map(f32::from);
        let (right, bottom) = (left + f32::from(width), top + f32::from(height));
        Candidate { class, confidence, left, top, right, bottom, number: 0 }
    }

    #[test]
    fn overlap_is_a_share_of_the_union() {
        let one = candidate((0, 1.0, 0, 0, 4, 2));
        assert_eq!(overlap(&one, &one), 1.0);
        assert_eq!(overlap(&one, &candidate((0, 1.0, 2, 0, 4, 2))), 4.0 / 12.0);
        assert_eq!(overlap(&one, &candidate((0, 1.0, 4, 0, 4, 2))), 0.0);
        let point = candidate((0, 1.0, 1, 1, 0, 0));
        assert_eq!(overlap(&point, &point), 0.0);
    }

    proptest! {
        /// What defines the greedy choice: kept boxes of a class do not overlap, dropped ones do with a better one.
        #[test]
        fn each_object_keeps_its_best_box(
            boxes in proptest::collection::vec((0usize..2, 0f32..1.0, 0u8..20, 0u8..20, 0u8..20, 0u8..20), 0..30),
        ) {
            let mut all: Vec<Candidate> = boxes.into_iter().map(candidate).collect();
            for (number, of) in all.iter_mut().enumerate() {
                of.number = number;
            }
            all.sort_unstable_by(Candidate::order);
            let kept = suppressed(&all, 0.45, usize::MAX);
            let hidden = |of: &Candidate| kept.iter().any(|better| {
                better.number != of.number
                    && better.class == of.class
                    && better.order(of).is_lt()
                    && overlap(better, of) > 0.45
            });
            for of in &all {
                let is_kept = kept.iter().any(|kept| kept.number == of.number);
                prop_assert_eq!(is_kept, !hidden(of));
            }
            prop_assert_eq!(&suppressed(&all, 0.45, 3)[..], &kept[..kept.len().min(3)]);
        }
    }
}
