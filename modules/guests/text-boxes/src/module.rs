//! The task module.
//!
//! Input: a text detector's map, `f32[1,1,height,width]`. Outputs: the boxes as `f32[boxes_max,9]`, of each x and y of
//! its upper left, upper right, lower right and lower left corner in pixels of the photo, and its score, with zeros
//! behind the last; and how many there are, `i64[1]`.

use thalweg_guest::{DType, Description, Failure, Module, Port, Tensor};

use crate::{Settings, find};

/// Eight coordinates and a score.
const NUMBERS: usize = 9;

const SCHEMA: &str = r#"{
  "type": "object",
  "properties": {
    "photo": {
      "type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 2, "maxItems": 2,
      "description": "height and width of the photo that the map shows as a whole; without it boxes are in cells"
    },
    "boxes_max": {
      "type": "integer", "minimum": 1, "maximum": 10000, "default": 100,
      "description": "rows of the output; of more boxes, those of the highest scores are kept"
    },
    "threshold": {
      "type": "number", "minimum": 0, "maximum": 1, "default": 0.3, "description": "what is higher is text"
    },
    "score_min": {
      "type": "number", "minimum": 0, "maximum": 1, "default": 0.6,
      "description": "boxes with a lower mean probability are dropped"
    },
    "unclip": {
      "type": "number", "minimum": 0, "maximum": 100, "default": 1.5,
      "description": "how far boxes grow on each side: times area over perimeter"
    },
    "side_min": {
      "type": "number", "minimum": 0, "default": 3, "description": "boxes with a shorter side are dropped, in cells"
    },
    "candidates": {
      "type": "integer", "minimum": 1, "maximum": 10000, "default": 1000,
      "description": "the most areas that are looked at: of more, the largest"
    },
    "line_tolerance": {
      "type": "number", "minimum": 0, "default": 0.5,
      "description": "how far the middles of boxes on one line are apart in height, in heights of the line's first box"
    }
  },
  "additionalProperties": false
}"#;

/// The module: its settings.
#[derive(Debug)]
pub struct TextBoxes(Settings);

impl Module for TextBoxes {
    fn describe() -> Description {
        Description {
            name: "text-boxes".into(),
            version: "1.0.0".into(),
            inputs: vec![Port::new("map", DType::F32, [Some(1), Some(1), None, None])],
            outputs: vec![
                Port::new("boxes", DType::F32, [None, Some(NUMBERS as u64)]),
                Port::new("count", DType::I64, [Some(1)]),
            ],
            nanoseconds_per_byte: 1.0,
            settings_schema: SCHEMA.into(),
        }
    }

    fn configure(settings: &str) -> Result<Self, Failure> {
        let settings: Settings = serde_json::from_str(settings).map_err(Failure::settings)?;
        settings.check().map_err(Failure::settings)?;
        Ok(Self(settings))
    }

    fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, Failure> {
        let [map] = inputs else { return Err(Failure::Input("one map is expected".into())) };
        let [1, 1, height, width] = map.sizes()?[..] else {
            return Err(Failure::Input(format!("a map of shape {:?}, not [1, 1, height, width]", map.shape())));
        };
        let found = find(&map.to_f32()?, height, width, &self.0).map_err(Failure::input)?;
        let mut rows: Vec<f32> = Vec::with_capacity(NUMBERS * self.0.boxes_max);
        for of in &found {
            rows.extend(of.corners.as_flattened());
            rows.push(of.score);
        }
        rows.resize(NUMBERS * self.0.boxes_max, 0.0);
        let count = [found.len() as i64];
        Ok(vec![Tensor::from_f32(&[self.0.boxes_max as u64, NUMBERS as u64], &rows)?, Tensor::from_i64(&[1], &count)?])
    }
}

thalweg_guest::export!(TextBoxes);
