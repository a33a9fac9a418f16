//! The task module.
//!
//! Inputs: the heads of a detector, f32 in the layout of the settings, as many as it has grids; the others are empty,
//! `f32[0]`. Outputs: a JSON list with class, label, confidence and box of each object, `u8[bytes]`, from the most
//! confident; and the same as `f32[boxes_max,6]`: left, top, right, bottom, confidence, class, with zeros behind the
//! last.

use thalweg_guest::{DType, Description, Failure, Module, Port, Tensor};

use crate::{Finder, Layout, Map, Settings};

/// Four edges, a confidence and a class.
const NUMBERS: usize = 6;

/// As many as YOLO's detectors of three sizes of objects have.
const HEADS: [&str; 3] = ["head-1", "head-2", "head-3"];

const SCHEMA: &str = r#"{
  "type": "object",
  "properties": {
    "grids": {
      "type": "array", "minItems": 1, "maxItems": 3, "description": "the heads that are linked, in their order",
      "items": {
        "type": "object",
        "properties": {
          "anchors": {
            "type": "array", "minItems": 1, "description": "width and height of each, in pixels of the input",
            "items": {
              "type": "array", "items": {"type": "number", "exclusiveMinimum": 0}, "minItems": 2, "maxItems": 2
            }
          }
        },
        "required": ["anchors"],
        "additionalProperties": false
      }
    },
    "labels": {
      "type": "array", "items": {"type": "string"}, "minItems": 1, "description": "of the classes, in their order"
    },
    "input": {
      "type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 65536}, "minItems": 2, "maxItems": 2,
      "description": "height and width of the model's input, in pixels"
    },
    "photo": {
      "type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 65536}, "minItems": 2, "maxItems": 2,
      "description": "height and width of the photo that boxes are wanted in; without it, of the input"
    },
    "layout": {
      "enum": ["nchw", "nhwc"], "default": "nchw",
      "description": "heads are [1, numbers, height, width] or [1, height, width, numbers]"
    },
    "fit": {
      "enum": ["stretch", "letterbox", "crop"], "default": "stretch",
      "description": "how the photo was brought to the input's size"
    },
    "confidence_min": {
      "type": "number", "minimum": 0, "maximum": 1, "default": 0.25, "description": "boxes with less are dropped"
    },
    "overlap_max": {
      "type": "number", "minimum": 0, "maximum": 1, "default": 0.45,
      "description": "of two boxes of one class whose intersection is a larger share of their union, one is dropped"
    },
    "boxes_max": {
      "type": "integer", "minimum": 1, "maximum": 1024, "default": 300,
      "description": "rows of the output; of more boxes, the most confident are kept"
    }
  },
  "required": ["grids", "labels", "input"],
  "additionalProperties": false
}"#;

/// The module: its settings.
#[derive(Debug)]
pub struct FindBoxes {
    finder: Finder,
    heads: usize,
    layout: Layout,
    boxes_max: usize,
}

impl Module for FindBoxes {
    fn describe() -> Description {
        Description {
            name: "find-boxes".into(),
            version: "1.0.0".into(),
            inputs: HEADS.map(|name| Port::any(name, DType::F32)).to_vec(),
            outputs: vec![
                Port::new("text", DType::U8, [None]),
                Port::new("boxes", DType::F32, [None, Some(NUMBERS as u64)]),
            ],
            nanoseconds_per_byte: 10.0,
            settings_schema: SCHEMA.into(),
        }
    }

    fn configure(settings: &str) -> Result<Self, Failure> {
        let settings: Settings = serde_json::from_str(settings).map_err(Failure::settings)?;
        let &Settings { layout, boxes_max, .. } = &settings;
        let heads = settings.grids.len();
        if heads > HEADS.len() {
            return Err(Failure::Settings(format!("there are {heads} grids, more than {} heads", HEADS.len())));
        }
        Ok(Self { finder: Finder::new(settings).map_err(Failure::settings)?, heads, layout, boxes_max })
    }

    fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, Failure> {
        if inputs.len() != HEADS.len() {
            return Err(Failure::Input(format!("{} heads are expected, empty ones among them", HEADS.len())));
        }
        let (linked, others) = inputs.split_at(self.heads);
        for (head, name) in others.iter().zip(&HEADS[self.heads..]) {
            if head.elements()? == 0 {
                continue;
            }
            let grids = self.heads;
            return Err(Failure::Input(format!(
                "{name} is given, but the settings have {grids} grids: give one for it"
            )));
        }
        let values: Vec<Vec<f32>> = linked.iter().map(Tensor::to_f32).collect::<Result<_, _>>()?;
        let mut maps = Vec::with_capacity(self.heads);
        for ((values, head), name) in values.iter().zip(linked).zip(HEADS) {
            let (height, width) = self.sides(head, name)?;
            maps.push(Map { values, height, width });
        }
        let found = self.finder.find(&maps).map_err(Failure::input)?;
        let mut rows: Vec<f32> = Vec::with_capacity(NUMBERS * self.boxes_max);
        for of in &found {
            rows.extend(of.edges);
            rows.extend([of.confidence, of.class as f32]);
        }
        rows.resize(NUMBERS * self.boxes_max, 0.0);
        let text = serde_json::to_vec(&found).map_err(|error| Failure::Inner(error.to_string()))?;
        Ok(vec![Tensor::from_bytes(text)?, Tensor::from_f32(&[self.boxes_max as u64, NUMBERS as u64], &rows)?])
    }
}

impl FindBoxes {
    /// Rows and columns of cells.
    fn sides(&self, head: &Tensor, name: &str) -> Result<(usize, usize), Failure> {
        match (self.layout, &head.sizes()?[..]) {
            (Layout::Nchw, &[1, _, height, width]) | (Layout::Nhwc, &[1, height, width, _]) => Ok((height, width)),
            (_, shape) => {
                Err(Failure::Input(format!("{name} has shape {shape:?}, not four axes, the first of size 1")))
            }
        }
    }
}

thalweg_guest::export!(FindBoxes);
