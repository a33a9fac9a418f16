//! Boxes are those that NumPy and OpenCV's `dnn.NMSBoxes` find in the same outputs.
//!
//! `fixtures/outputs.bin` holds two outputs, f32 in little endian: [2 * (5 + 3), 6, 8] and [1 * (5 + 3), 12, 16].
//! `fixtures/found.json` has class, confidence and box of what was found with one call of OpenCV a class.

use serde::Deserialize;
use thalweg_module_find_boxes::{Finder, Map};

const OUTPUTS: &[u8] = include_bytes!("fixtures/outputs.bin");
const FOUND: &str = include_str!("fixtures/found.json");
const SETTINGS: &str = r#"{
    "grids": [{"anchors": [[60, 40], [30, 90]]}, {"anchors": [[25, 20]]}],
    "labels": ["cat", "dog", "cup"], "input": [96, 128], "fit": "stretch", "confidence_min": 0.3, "overlap_max": 0.4
}"#;

#[derive(Deserialize)]
struct Expected {
    class: usize,
    confidence: f32,
    edges: [f32; 4],
}

#[test]
fn boxes_are_those_of_opencv() {
    let values: Vec<f32> = OUTPUTS.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let (first, second) = values.split_at(16 * 6 * 8);
    let maps = [Map { values: first, height: 6, width: 8 }, Map { values: second, height: 12, width: 16 }];
    let finder = Finder::new(serde_json::from_str(SETTINGS).expect("settings")).expect("settings");
    let found = finder.find(&maps).expect("boxes");
    let expected: Vec<Expected> = serde_json::from_str(FOUND).expect("boxes");
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found.class, expected.class);
        let numbers = found.edges.iter().zip(expected.edges).chain([(&found.confidence, expected.confidence)]);
        let apart = numbers.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart < 1e-3, "{found:?} is {apart} off");
    }
}
