//! Multiplies the numbers of a tensor by a factor.

use serde::Deserialize;
use thalweg_guest::{DType, Description, Failure, Module, Port, Tensor};

const SCHEMA: &str = r#"{
  "type": "object",
  "properties": {"factor": {"type": "number", "description": "what each number is multiplied by"}},
  "required": ["factor"],
  "additionalProperties": false
}"#;

/// The module: its settings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    factor: f32,
}

impl Module for Scale {
    fn describe() -> Description {
        Description {
            name: "scale".into(),
            version: "0.1.0".into(),
            inputs: vec![Port::any("numbers", DType::F32)],
            outputs: vec![Port::any("scaled", DType::F32)],
            nanoseconds_per_byte: 1.0,
            settings_schema: SCHEMA.into(),
        }
    }

    fn configure(settings: &str) -> Result<Self, Failure> {
        serde_json::from_str(settings).map_err(Failure::settings)
    }

    fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, Failure> {
        let [numbers] = inputs else { return Err(Failure::input("one tensor of numbers is expected")) };
        let scaled: Vec<f32> = numbers.to_f32()?.iter().map(|number| number * self.factor).collect();
        Ok(vec![Tensor::from_f32(&numbers.shape(), &scaled)?])
    }
}

thalweg_guest::export!(Scale);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_scaled() -> Result<(), Failure> {
        let numbers = Tensor::from_f32(&[2], &[1.0, -2.0])?;
        let scaled = Scale::configure(r#"{"factor": 3}"#)?.run(&[numbers])?;
        assert_eq!(scaled[0].to_f32()?, [3.0, -6.0]);
        Ok(())
    }

    #[test]
    fn a_factor_is_needed() {
        assert!(matches!(Scale::configure("{}"), Err(Failure::Settings(_))));
    }
}
