//! The task module.
//!
//! Inputs: a photo, `u8[height,width,3]`; boxes in it, `f32[boxes,9]`, of each x and y of its upper left, upper right,
//! lower right and lower left corner, and a score, which is not read; how many of them count, `i64[1]`; and, where a
//! classifier has seen the lines before, `f32[boxes,2]`, how likely each is upright and how likely upside down. Output:
//! the lines as a recogniser's input, `f32[boxes,3,height,width]`, zeros where no box counts. Lines that are likely upside
//! down are turned.

use serde::Deserialize;
use thalweg_guest::{DType, Description, Failure, Module, Port, Tensor, log};

use crate::{Channels, Corners, CropError, PIXELS_MAX, Photo, Settings, crop, input};

/// Eight coordinates and a score.
const NUMBERS: usize = 9;

/// Upright, and upside down.
const WAYS: usize = 2;

const SCHEMA: &str = r#"{
  "type": "object",
  "properties": {
    "width": {"type": "integer", "minimum": 1, "description": "of a line; longer ones are squeezed into it"},
    "height": {"type": "integer", "minimum": 1, "default": 48, "description": "of a line, in pixels"},
    "channels": {"enum": ["bgr", "rgb"], "default": "bgr", "description": "the order of the channels of a line"},
    "turn_from": {
      "type": "number", "minimum": 0, "maximum": 1, "default": 0.9,
      "description": "lines that are upside down with more than this probability are turned"
    }
  },
  "required": ["width"],
  "additionalProperties": false
}"#;

/// The module: its settings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crop {
    width: usize,
    #[serde(default = "of_pp_ocr")]
    height: usize,
    #[serde(default)]
    channels: Channels,
    #[serde(default = "as_paddle")]
    turn_from: f32,
}

/// PaddleOCR's `cls_thresh`.
fn as_paddle() -> f32 {
    0.9
}

fn of_pp_ocr() -> usize {
    Settings::default().height
}

impl Module for Crop {
    fn describe() -> Description {
        Description {
            name: "crop".into(),
            version: "1.0.0".into(),
            inputs: vec![
                Port::new("photo", DType::U8, [None, None, Some(3)]),
                Port::new("boxes", DType::F32, [None, Some(NUMBERS as u64)]),
                Port::new("count", DType::I64, [Some(1)]),
                Port::new("ways", DType::F32, [None, None]),
            ],
            outputs: vec![Port::new("lines", DType::F32, [None, Some(3), None, None])],
            nanoseconds_per_byte: 10.0,
            settings_schema: SCHEMA.into(),
        }
    }

    fn configure(settings: &str) -> Result<Self, Failure> {
        let module: Self = serde_json::from_str(settings).map_err(Failure::settings)?;
        let Self { width, height, .. } = module;
        if !(0.0..=1.0).contains(&module.turn_from) {
            return Err(Failure::Settings(format!("`turn_from` is {}: it takes 0 to 1", module.turn_from)));
        }
        match width.checked_mul(height) {
            Some(1..=PIXELS_MAX) => Ok(module),
            _ => Err(Failure::settings(CropError::Size { width, height })),
        }
    }

    fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, Failure> {
        let [photo, boxes, count, ways] = inputs else {
            return Err(Failure::Input("a photo, boxes, their count and their ways are expected".into()));
        };
        let (&[height, width, 3], &[most, NUMBERS]) = (&photo.sizes()?[..], &boxes.sizes()?[..]) else {
            let (photo, boxes) = (photo.shape(), boxes.shape());
            return Err(Failure::Input(format!(
                "a photo of shape {photo:?} and boxes of {boxes:?}, not [height, width, 3] and [boxes, {NUMBERS}]"
            )));
        };
        let of_line = 3 * self.height * self.width;
        if most.checked_mul(of_line).is_none_or(|numbers| numbers > 3 * PIXELS_MAX) {
            return Err(Failure::input(format!(
                "{most} lines of {} x {} pixels together are more than {PIXELS_MAX}: lower `boxes_max` or `width`",
                self.width, self.height
            )));
        }
        let numbers = boxes.to_f32()?;
        let boxes = numbers.chunks_exact(NUMBERS).take(counted(count, most)?);
        let turned = self.turned(ways, most)?;
        let bytes = photo.to_bytes()?;
        let photo = Photo::new(&bytes, width, height).map_err(Failure::input)?;
        let mut lines = vec![0.0; most * of_line];
        for (number, (of, line)) in boxes.zip(lines.chunks_exact_mut(of_line)).enumerate() {
            let corner = |at: usize| [of[2 * at], of[2 * at + 1]];
            // From the opposite corner on, a line is read upside down.
            let order = if turned[number] { [2, 3, 0, 1] } else { [0, 1, 2, 3] };
            match self.line(&photo, &order.map(corner)) {
                Ok(pixels) => line.copy_from_slice(&pixels),
                // At a photo's edge, which cuts boxes, one may be left without an area. The other lines are still read.
                Err(error @ CropError::NotConvex { .. }) => log::warn(&format!("box {number} is left empty: {error}")),
                Err(error) => return Err(Failure::input(format!("box {number}: {error}"))),
            }
        }
        let shape = [most, 3, self.height, self.width].map(|side| side as u64);
        Ok(vec![Tensor::from_f32(&shape, &lines)?])
    }
}

impl Crop {
    fn line(&self, photo: &Photo, corners: &Corners) -> Result<Vec<f32>, CropError> {
        let line = crop(photo, corners, &Settings { height: self.height, width_max: self.width })?;
        input(&line, self.width, self.channels)
    }

    /// Of each box whether its line is upside down; of none where nothing is said.
    fn turned(&self, ways: &Tensor, boxes: usize) -> Result<Vec<bool>, Failure> {
        match ways.sizes()?[..] {
            [0, 0] => Ok(vec![false; boxes]),
            [of, WAYS] if of == boxes => {
                Ok(ways.to_f32()?.chunks_exact(WAYS).map(|way| way[1] > self.turn_from).collect())
            }
            _ => Err(Failure::Input(format!("ways of shape {:?}, not [{boxes}, {WAYS}]", ways.shape()))),
        }
    }
}

fn counted(count: &Tensor, most: usize) -> Result<usize, Failure> {
    let found = count.to_i64()?;
    let fits = |count: i64| usize::try_from(count).ok().filter(|count| *count <= most);
    let count = if let [count] = found[..] { fits(count) } else { None };
    count.ok_or_else(|| Failure::Input(format!("the count is {found:?}, but there are 0 to {most} boxes")))
}

thalweg_guest::export!(Crop);
