//! The task module.
//!
//! Input: records, a JSON list of objects, `u8[bytes]`; spaces around it do not count. Outputs, as JSON of
//! `u8[bytes]`: the records that are kept; and the alerts that are raised, each with its name and the kept records
//! that raised it.

use serde::Serialize;
use thalweg_guest::{DType, Description, Failure, Module, Port, Tensor};

use crate::Rules;

const SCHEMA: &str = r##"{
  "type": "object",
  "properties": {
    "keep": {
      "type": "array", "items": {"$ref": "#/$defs/condition"},
      "description": "a record is kept if any of these holds; without it all are"
    },
    "alert": {
      "type": "array",
      "items": {
        "type": "object",
        "properties": {
          "name": {"type": "string"},
          "when": {"$ref": "#/$defs/condition"},
          "count": {
            "type": "string", "default": ">= 1",
            "description": "how many of the kept records fulfil `when` for the alert to be raised: a comparison"
          }
        },
        "required": ["name", "when"],
        "additionalProperties": false
      }
    }
  },
  "additionalProperties": false,
  "$defs": {
    "condition": {
      "type": "object", "minProperties": 1,
      "description": "fields of a record, or left, top, right, bottom, width, height, area of its `box`",
      "additionalProperties": {
        "anyOf": [
          {"type": "array", "items": {"type": "string"}, "minItems": 1, "description": "one of these texts"},
          {"type": "string", "description": "comparisons with numbers, such as `> 1 and < 5`"}
        ]
      }
    }
  }
}"##;

/// The module: its settings.
#[derive(Debug)]
pub struct RulesModule(Rules);

impl Module for RulesModule {
    fn describe() -> Description {
        Description {
            name: "rules".into(),
            version: "1.0.0".into(),
            inputs: vec![Port::new("records", DType::U8, [None])],
            outputs: vec![Port::new("kept", DType::U8, [None]), Port::new("alerts", DType::U8, [None])],
            nanoseconds_per_byte: 10.0,
            settings_schema: SCHEMA.into(),
        }
    }

    fn configure(settings: &str) -> Result<Self, Failure> {
        Rules::read(settings).map(Self).map_err(Failure::settings)
    }

    fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, Failure> {
        let [records] = inputs else { return Err(Failure::Input("one list of records is expected".into())) };
        let outcome = self.0.apply(&records.to_bytes()?).map_err(Failure::input)?;
        Ok(vec![Tensor::from_bytes(json(&outcome.kept)?)?, Tensor::from_bytes(json(&outcome.alerts)?)?])
    }
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(value).map_err(|error| Failure::Inner(error.to_string()))
}

thalweg_guest::export!(RulesModule);
