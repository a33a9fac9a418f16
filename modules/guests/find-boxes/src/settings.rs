//! What a detector was trained with, and which boxes are wanted.

use serde::{Deserialize, Serialize};

use crate::FindError;

/// The longest side of a detector's input, in pixels.
const SIDE_MAX: f32 = 65_536.0;
/// The most boxes that may be asked for.
const BOXES_MAX: usize = 1024;

/// How outputs are read. Anchors, labels and input belong to the model; the rest has defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The outputs of the model, in their order.
    pub grids: Vec<Grid>,
    /// The names of the classes, in their order.
    pub labels: Vec<String>,
    /// Height and width of the model's input in pixels. The stride of a grid is this over its number of cells.
    pub input: [u32; 2],
    /// Where the numbers of a box stand.
    #[serde(default)]
    pub layout: Layout,
    /// Height and width of the photo in pixels, where boxes are wanted in another picture than the input.
    #[serde(default)]
    pub photo: Option<[u32; 2]>,
    /// How the photo was brought to the input's size.
    #[serde(default)]
    pub fit: Fit,
    /// Boxes with less confidence are dropped: whether there is an object, times whether it is of the class.
    #[serde(default = "confidence_min")]
    pub confidence_min: f32,
    /// Of two boxes of one class whose intersection is a larger share of their union, the less confident is dropped.
    #[serde(default = "overlap_max")]
    pub overlap_max: f32,
    /// The most boxes that are returned, from 1 to 1024: of more, the most confident.
    #[serde(default = "boxes_max")]
    pub boxes_max: usize,
}

/// One output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grid {
    /// Width and height of its anchors, in pixels of the input.
    pub anchors: Vec<[f32; 2]>,
}

/// The order of an output's axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// `[anchors * (5 + classes), height, width]`, as darknet and PyTorch have it.
    #[default]
    Nchw,
    /// `[height, width, anchors * (5 + classes)]`, as TensorFlow has it.
    Nhwc,
}

/// How a photo fills an input of other proportions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// All of it, with two borders.
    Letterbox,
    /// Its middle: two borders are cut off.
    Crop,
    /// All of it, stretched.
    #[default]
    Stretch,
}

/// Darknet's.
fn confidence_min() -> f32 {
    0.25
}

/// Darknet's.
fn overlap_max() -> f32 {
    0.45
}

/// More than a detector for photos tells apart; COCO's evaluation takes 100.
fn boxes_max() -> usize {
    300
}

impl Settings {
    /// Height and width of the picture that boxes are wanted in.
    pub(crate) fn photo(&self) -> [u32; 2] {
        self.photo.unwrap_or(self.input)
    }

    /// Whether each is in its range.
    pub(crate) fn check(&self) -> Result<(), FindError> {
        let share =
            |name, value| if (0.0..=1.0).contains(&value) { Ok(()) } else { Err(FindError::Share { name, value }) };
        share("confidence_min", self.confidence_min)?;
        share("overlap_max", self.overlap_max)?;
        if self.grids.is_empty() || self.labels.is_empty() {
            return Err(FindError::Nothing { name: if self.labels.is_empty() { "labels" } else { "grids" } });
        }
        if !(1..=BOXES_MAX).contains(&self.boxes_max) {
            return Err(FindError::BoxesMax { value: self.boxes_max, max: BOXES_MAX });
        }
        let size = |place: String, sides: [f32; 2]| {
            let allowed = |side: &f32| *side > 0.0 && *side <= SIDE_MAX;
            if sides.iter().all(allowed) { Ok(()) } else { Err(FindError::Size { place, sides }) }
        };
        size("input".to_owned(), self.input.map(|side| side as f32))?;
        size("photo".to_owned(), self.photo().map(|side| side as f32))?;
        for (grid, of) in self.grids.iter().enumerate() {
            if of.anchors.is_empty() {
                return Err(FindError::NoAnchor { grid });
            }
            for (anchor, sides) in of.anchors.iter().enumerate() {
                size(format!("grids[{grid}].anchors[{anchor}]"), *sides)?;
            }
        }
        Ok(())
    }
}
