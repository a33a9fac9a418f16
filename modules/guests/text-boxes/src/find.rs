//! From a map to boxes in a photo.

use serde::{Deserialize, Serialize};

use crate::areas::areas;
use crate::order::reading_order;
use crate::rectangle::Rectangle;
use crate::score::mean_within;
use crate::{Settings, TextBoxError};

/// Grown boxes are dropped if their short side is not longer than the least by this, in cells, as PaddleOCR has it.
const GROWN_BY_MIN: f64 = 2.0;

/// A line of text in a photo.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TextBox {
    /// Upper left, upper right, lower right and lower left, as x and y in pixels from the photo's upper left corner. A
    /// rectangle, unless it reached out of the photo, whose edge cuts it.
    pub corners: [[f32; 2]; 4],
    /// The mean of the map within the box before it grew.
    pub score: f32,
}

/// The boxes of `map`, f32[height, width], in the pixels of the photo, in reading order.
///
/// The map shows the whole photo, stretched to its own size. All values are finite. Takes memory for less than 40
/// bytes a cell, and at most [`Settings::boxes_max`] boxes are returned.
pub fn find(map: &[f32], height: usize, width: usize, settings: &Settings) -> Result<Vec<TextBox>, TextBoxError> {
    settings.check()?;
    if map.is_empty() || height.checked_mul(width) != Some(map.len()) {
        return Err(TextBoxError::Shape { found: map.len(), height, width });
    }
    if let Some(at) = map.iter().position(|value| !value.is_finite()) {
        return Err(TextBoxError::NotANumber { row: at / width, column: at % width, value: map[at] });
    }
    let sizes = settings.photo.map_or([width as f64, height as f64], |[rows, columns]| [columns, rows].map(f64::from));
    let scale = [sizes[0] / width as f64, sizes[1] / height as f64];
    let side_min = f64::from(settings.side_min);
    let mut boxes = Vec::new();
    for area in areas(map, width, settings.threshold, settings.candidates) {
        let Some(plain) = Rectangle::around(&area).filter(|found| found.short_side() >= side_min) else { continue };
        let score = mean_within(map, width, &plain.corners());
        let grown = plain.grown(f64::from(settings.unclip));
        if score < f64::from(settings.score_min) || grown.short_side() < side_min + GROWN_BY_MIN {
            continue;
        }
        let in_photo =
            |corner: [f64; 2]| [0, 1].map(|axis| (corner[axis] * scale[axis]).clamp(0.0, sizes[axis]) as f32);
        boxes.push(TextBox { corners: grown.corners().map(in_photo), score: score as f32 });
    }
    // Of equal scores the box that was met first stays.
    boxes.sort_by(|a, b| b.score.total_cmp(&a.score));
    boxes.truncate(settings.boxes_max);
    reading_order(&mut boxes, settings.line_tolerance);
    Ok(boxes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn filled(width: usize, height: usize, inside: impl Fn(usize, usize) -> f32) -> Vec<f32> {
        (0..width * height).map(|at| inside(at % width, at / width)).collect()
    }

    #[test]
    fn a_line_of_text_is_found_and_scaled() {
        // Middles from (4.5, 3.5) to (14.5, 7.5): 10 x 4, grown by 40 * 1.5 / 28 on each side.
        let map = filled(20, 12, |x, y| if (4..15).contains(&x) && (3..8).contains(&y) { 0.9 } else { 0.1 });
        let boxes = find(&map, 12, 20, &Settings { photo: Some([36, 40]), ..Settings::default() }).unwrap();
        let [found] = boxes[..] else { panic!("{boxes:?}") };
        let by = 40.0 * 1.5 / 28.0;
        let expected = [[4.5 - by, 3.5 - by], [14.5 + by, 3.5 - by], [14.5 + by, 7.5 + by], [4.5 - by, 7.5 + by]];
        for (corner, expected) in found.corners.iter().zip(expected) {
            assert!((corner[0] - 2.0 * expected[0]).abs() < 1e-4, "{found:?}");
            assert!((corner[1] - 3.0 * expected[1]).abs() < 1e-4, "{found:?}");
        }
        assert!((found.score - 0.9).abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn what_is_faint_or_thin_is_no_text() {
        let faint = filled(20, 12, |x, y| if (4..15).contains(&x) && (3..8).contains(&y) { 0.5 } else { 0.1 });
        assert_eq!(find(&faint, 12, 20, &Settings::default()).unwrap(), []);
        let all = Settings { score_min: 0.5, ..Settings::default() };
        assert_eq!(find(&faint, 12, 20, &all).unwrap().len(), 1);
        let thin = filled(20, 12, |_, y| if (3..6).contains(&y) { 0.9 } else { 0.1 });
        assert_eq!(find(&thin, 12, 20, &Settings::default()).unwrap(), []);
    }

    #[test]
    fn a_box_does_not_leave_the_photo() {
        let boxes = find(&[1.0; 240], 12, 20, &Settings::default()).unwrap();
        assert_eq!(boxes[0].corners, [[0.0, 0.0], [20.0, 0.0], [20.0, 12.0], [0.0, 12.0]]);
    }

    #[test]
    fn maps_that_lie_are_refused() {
        let refused = |map: &[f32], height, width, settings: Settings| {
            find(map, height, width, &settings).unwrap_err().to_string()
        };
        let plain = Settings::default();
        assert!(refused(&[0.5; 6], 2, 4, plain).starts_with("6 probabilities do not make a map of 2 rows"));
        assert!(refused(&[], 0, usize::MAX, plain).starts_with("0 probabilities do not make a map of 0 rows"));
        assert!(refused(&[0.5; 6], usize::MAX, 6, plain).starts_with("6 probabilities"));
        assert!(refused(&[0.5, 0.5, 0.5, f32::NAN], 2, 2, plain).starts_with("the map has NaN in row 1, column 1"));
        assert!(
            refused(&[0.5], 1, 1, Settings { photo: Some([5, 0]), ..plain }).starts_with("a photo of 0 x 5 pixels")
        );
        let settings = Settings { unclip: f32::NAN, ..plain };
        assert_eq!(refused(&[0.5], 1, 1, settings), "setting `unclip` is NaN: it takes 0 to 100");
        let settings = Settings { candidates: 0, ..plain };
        assert_eq!(refused(&[0.5], 1, 1, settings), "setting `candidates` is 0: it takes 1 to 10000");
        assert!(serde_json::from_str::<Settings>(r#"{"treshold": 0.2}"#).is_err());
        assert_eq!(serde_json::from_str::<Settings>("{}").unwrap(), plain);
    }

    proptest! {
        #[test]
        fn arbitrary_maps_never_panic(
            width in 1usize..12,
            map in proptest::collection::vec(prop_oneof![any::<f32>(), 0f32..1.0, Just(f32::MAX)], 0..140),
        ) {
            let height = map.len() / width;
            let photo = Some([7, u32::MAX]);
            let settings = Settings { photo, score_min: 0.0, side_min: 0.0, ..Settings::default() };
            if let Ok(boxes) = find(&map[..height * width], height, width, &settings) {
                prop_assert!(boxes.iter().all(|found| found.corners.as_flattened().iter().all(|at| at.is_finite())));
            }
        }
    }
}
