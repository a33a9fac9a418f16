//! What counts as text, and how much of its surroundings a box takes in.

use serde::{Deserialize, Serialize};

use crate::TextBoxError;

/// The most areas that settings may let a map have.
pub const CANDIDATES_MAX: usize = 10_000;

/// A growth that no detector is trained for, in shares of a box's area over its perimeter.
const UNCLIP_MAX: f32 = 100.0;

/// How boxes are found. From the threshold on, defaults are PaddleOCR's for PP-OCR, but for the
/// last, which it gives as 10 pixels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Height and width of the photo in pixels; without it, those of the map.
    pub photo: Option<[u32; 2]>,
    /// The most boxes that are returned, from 1 to [`CANDIDATES_MAX`]: of more, those of the highest scores.
    pub boxes_max: usize,
    /// Cells of a higher probability are text. From 0 to 1.
    pub threshold: f32,
    /// Boxes in which the mean probability is lower are dropped. From 0 to 1.
    pub score_min: f32,
    /// Boxes grow on each side by their area times this over their perimeter, because the detector is trained to find
    /// lines that are shrunk in this way.
    pub unclip: f32,
    /// Boxes with a shorter side are dropped, in cells; grown ones are, if one is shorter by less than 2 more.
    pub side_min: f32,
    /// The most areas that are looked at: of more, the largest. From 1 to [`CANDIDATES_MAX`].
    pub candidates: usize,
    /// Boxes are on one line if their middles differ in height by at most this, in heights of the line's first box.
    pub line_tolerance: f32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            photo: None,
            boxes_max: 100,
            threshold: 0.3,
            score_min: 0.6,
            unclip: 1.5,
            side_min: 3.0,
            candidates: 1000,
            line_tolerance: 0.5,
        }
    }
}

impl Settings {
    /// Whether each is in its range.
    pub(crate) fn check(&self) -> Result<(), TextBoxError> {
        let ranges = [
            ("threshold", self.threshold, 1.0),
            ("score_min", self.score_min, 1.0),
            ("unclip", self.unclip, UNCLIP_MAX),
            ("side_min", self.side_min, f32::MAX),
            ("line_tolerance", self.line_tolerance, f32::MAX),
        ];
        if let Some((name, value, max)) = ranges.into_iter().find(|(_, value, max)| !(0.0..=*max).contains(value)) {
            return Err(TextBoxError::Setting { name, value, max });
        }
        let counts = [("candidates", self.candidates), ("boxes_max", self.boxes_max)];
        if let Some((name, count)) = counts.into_iter().find(|(_, count)| !(1..=CANDIDATES_MAX).contains(count)) {
            return Err(TextBoxError::Count { name, count });
        }
        match self.photo {
            Some([height, width]) if height == 0 || width == 0 => Err(TextBoxError::PhotoSize { width, height }),
            _ => Ok(()),
        }
    }
}
