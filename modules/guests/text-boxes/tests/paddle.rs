//! Boxes are those of PaddleOCR's `DBPostProcess`.
//!
//! `fixtures/map_120x160.bin` holds a map with turned, faint and small areas, noise and a hole, one byte a cell from 0
//! to 255. `fixtures/paddle.json` has what PaddleOCR's steps make of it with OpenCV 5.0, pyclipper 1.4 and shapely
//! 2.2, before corners are rounded to pixels.

use thalweg_module_text_boxes::{Settings, TextBox, find};

const MAP: &[u8] = include_bytes!("fixtures/map_120x160.bin");
const EXPECTED: &str = include_str!("fixtures/paddle.json");
/// PaddleOCR cuts corners to whole cells before it grows a box.
const APART_MAX: f32 = 1.5;
/// OpenCV cuts corners to whole cells and draws the outline too, so it counts more cells around a small box.
const SCORES_APART_MAX: f32 = 0.08;

#[test]
fn boxes_are_those_of_paddleocr() {
    let map: Vec<f32> = MAP.iter().map(|cell| f32::from(*cell) / 255.0).collect();
    let settings = Settings { photo: Some([120, 320]), ..Settings::default() };
    let mut found = find(&map, 120, 160, &settings).expect("a map");
    // Twice as wide, so that axes are not confused; back to cells, whose middles PaddleOCR calls 0, 1, 2 and so on.
    for corner in found.iter_mut().flat_map(|found| &mut found.corners) {
        *corner = [corner[0] / 2.0 - 0.5, corner[1] - 0.5];
    }
    let expected: Vec<TextBox> = serde_json::from_str(EXPECTED).expect("boxes");
    assert_eq!(found.len(), expected.len());
    for expected in &expected {
        let apart = |found: &TextBox| {
            let pairs = found.corners.as_flattened().iter().zip(expected.corners.as_flattened());
            let limits = [160.0, 120.0].iter().cycle();
            pairs.zip(limits).map(|((a, b), side)| (a - b.clamp(-0.5, side - 0.5)).abs()).fold(0.0, f32::max)
        };
        let nearest = found.iter().min_by(|a, b| apart(a).total_cmp(&apart(b))).expect("boxes");
        assert!(apart(nearest) <= APART_MAX, "{expected:?}\nis {} from {nearest:?}", apart(nearest));
        assert!((nearest.score - expected.score).abs() < SCORES_APART_MAX, "{expected:?}\n{nearest:?}");
    }
}
