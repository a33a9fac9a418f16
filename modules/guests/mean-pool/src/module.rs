//! The task module.
//!
//! Inputs: embeddings of tokens, `f32[1,tokens,width]`, and which of them count, `i64[1,tokens]`. Output: the
//! embedding of the sentence, `f32[width]`.

use serde::Deserialize;
use thalweg_guest::{DType, Description, Failure, Module, Port, Tensor};

use crate::mean;

/// The module. It has no settings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeanPool {}

impl Module for MeanPool {
    fn describe() -> Description {
        Description {
            name: "mean-pool".into(),
            version: "1.0.0".into(),
            inputs: vec![
                Port::new("embeddings", DType::F32, [Some(1), None, None]),
                Port::new("mask", DType::I64, [Some(1), None]),
            ],
            outputs: vec![Port::new("embedding", DType::F32, [None])],
            nanoseconds_per_byte: 0.5,
            settings_schema: r#"{"type": "object", "additionalProperties": false}"#.into(),
        }
    }

    fn configure(settings: &str) -> Result<Self, Failure> {
        serde_json::from_str(settings).map_err(Failure::settings)
    }

    fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, Failure> {
        let [embeddings, mask] = inputs else {
            return Err(Failure::Input("embeddings and a mask are expected".into()));
        };
        let [1, _, width] = embeddings.sizes()?[..] else {
            let shape = embeddings.shape();
            return Err(Failure::Input(format!("embeddings of shape {shape:?}, not [1, tokens, width]")));
        };
        let embedding = mean(&embeddings.to_f32()?, width, &mask.to_i64()?).map_err(Failure::input)?;
        Ok(vec![Tensor::from_f32(&[width as u64], &embedding)?])
    }
}

thalweg_guest::export!(MeanPool);
