//! Classifies with a small network, and asks a large one when the small one is in doubt.
//!
//! The parts `small` and `large` take the input and give shares of classes. Outputs: the shares of the part that
//! decided, and as `i64[1]` how many parts have run.

use thalweg_guest::{DType, Description, Failure, Module, Port, Tensor, models};

/// The small network is believed from this share of its best class on.
const SHARE_MIN: f32 = 0.75;

/// The module. It has no settings.
#[derive(Debug)]
pub struct Cascade;

impl Module for Cascade {
    fn describe() -> Description {
        Description {
            name: "cascade".into(),
            version: "1.0.0".into(),
            inputs: vec![Port::any("picture", DType::F32)],
            outputs: vec![Port::any("shares", DType::F32), Port::new("parts", DType::I64, [Some(1)])],
            nanoseconds_per_byte: 1.0,
            settings_schema: r#"{"type": "object", "additionalProperties": false}"#.into(),
        }
    }

    fn configure(_settings: &str) -> Result<Self, Failure> {
        Ok(Self)
    }

    fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, Failure> {
        let [picture] = inputs else { return Err(Failure::input("one picture is expected")) };
        let shares = only(models::infer("small", &[picture])?)?;
        if shares.to_f32()?.iter().any(|share| *share >= SHARE_MIN) {
            return Ok(vec![shares, Tensor::from_i64(&[1], &[1])?]);
        }
        Ok(vec![only(models::infer("large", &[picture])?)?, Tensor::from_i64(&[1], &[2])?])
    }
}

fn only(mut outputs: Vec<Tensor>) -> Result<Tensor, Failure> {
    match outputs.len() {
        1 => Ok(outputs.swap_remove(0)),
        count => Err(Failure::Model(format!("one output is expected, not {count}"))),
    }
}

thalweg_guest::export!(Cascade);
