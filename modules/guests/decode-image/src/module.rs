//! The task module.
//!
//! Input: the bytes of a JPEG or PNG file, `u8[bytes]`. Outputs: the picture, f32 in the layout of the settings, and
//! the photo it was made of, `u8[height,width,3]`; without the setting `photo`, `u8[0,0,3]`.

use thalweg_guest::{DType, Description, Failure, Module, Port, Tensor};

use crate::{Fit, Photo, Settings};

const SCHEMA: &str = r#"{
  "type": "object",
  "properties": {
    "width": {"type": "integer", "minimum": 1, "maximum": 4096, "description": "of the picture, in pixels"},
    "height": {"type": "integer", "minimum": 1, "maximum": 4096, "description": "of the picture, in pixels"},
    "photo": {
      "type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 4096}, "minItems": 2, "maxItems": 2,
      "description": "height and width of the photo that is given out: it is fitted, the picture stretched from it"
    },
    "fit": {
      "enum": ["crop", "letterbox", "stretch"], "default": "crop",
      "description": "whether of other proportions two borders are cut off, added, or neither"
    },
    "border": {
      "type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 255}, "minItems": 3, "maxItems": 3,
      "default": [128, 128, 128], "description": "the colour of added borders: red, green, blue"
    },
    "colour": {"enum": ["rgb", "bgr", "grey"], "default": "rgb", "description": "the channels of the picture"},
    "layout": {
      "enum": ["nchw", "nhwc"], "default": "nchw",
      "description": "the picture is [1, channels, height, width] or [1, height, width, channels]"
    },
    "mean": {
      "type": "array", "items": {"type": "number"}, "minItems": 3, "maxItems": 3, "default": [0, 0, 0],
      "description": "what is subtracted from each channel's levels, 0 to 255, in the order of the channels"
    },
    "scale": {
      "type": "array", "items": {"type": "number"}, "minItems": 3, "maxItems": 3, "default": [1, 1, 1],
      "description": "what they are divided by then"
    }
  },
  "required": ["width", "height"],
  "additionalProperties": false
}"#;

/// The module: its settings.
#[derive(Debug)]
pub struct DecodeImage(Settings);

impl Module for DecodeImage {
    fn describe() -> Description {
        Description {
            name: "decode-image".into(),
            version: "1.0.0".into(),
            inputs: vec![Port::new("file", DType::U8, [None])],
            outputs: vec![
                Port::new("picture", DType::F32, [Some(1), None, None, None]),
                Port::new("photo", DType::U8, [None, None, Some(3)]),
            ],
            nanoseconds_per_byte: 50.0,
            settings_schema: SCHEMA.into(),
        }
    }

    fn configure(settings: &str) -> Result<Self, Failure> {
        let settings: Settings = serde_json::from_str(settings).map_err(Failure::settings)?;
        settings.check().map_err(Failure::settings)?;
        Ok(Self(settings))
    }

    fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, Failure> {
        let [file] = inputs else { return Err(Failure::Input("the bytes of one file are expected".into())) };
        let whole = Photo::decode(&file.to_bytes()?).map_err(Failure::input)?;
        let settings = self.0;
        let shape = settings.shape().map(|side| side as u64);
        let Some([height, width]) = settings.photo else {
            let picture = whole.numbers(&settings).map_err(Failure::input)?;
            let no_photo = Tensor::new(DType::U8, &[0, 0, 3], vec![])?;
            return Ok(vec![Tensor::from_f32(&shape, &picture)?, no_photo]);
        };
        let photo = whole.fit(&Settings { height, width, ..settings }).map_err(Failure::input)?;
        drop(whole);
        let picture = photo.numbers(&Settings { fit: Fit::Stretch, ..settings }).map_err(Failure::input)?;
        let photo = Tensor::new(DType::U8, &[height.into(), width.into(), 3], photo.into_bytes())?;
        Ok(vec![Tensor::from_f32(&shape, &picture)?, photo])
    }
}

thalweg_guest::export!(DecodeImage);
