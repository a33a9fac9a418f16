//! The k best classes of a list of scores, with their labels.
//!
//! Input `f32[...,classes]`, all axes but the last of size 1. Outputs, of the best class first, of equal scores the
//! class of lower index: the classes as `i64[k]`, their shares as `f32[k]`, and both with their labels as JSON text in
//! `u8[n]`. Where there are fewer classes than `k`, all of them.

mod best;

use serde::{Deserialize, Serialize};
use thalweg_guest::{DType, Description, Failure, Module, Port, Tensor};

const SCHEMA: &str = r#"{
  "type": "object",
  "properties": {
    "k": {"type": "integer", "minimum": 1, "default": 5, "description": "how many classes"},
    "labels": {"type": "array", "items": {"type": "string"}, "description": "one for each class, in their order"},
    "softmax": {"type": "boolean", "default": true, "description": "whether scores are logits"}
  },
  "required": ["labels"],
  "additionalProperties": false
}"#;

/// The module: its settings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopK {
    #[serde(default = "five")]
    k: usize,
    labels: Vec<String>,
    #[serde(default = "yes")]
    softmax: bool,
}

fn five() -> usize {
    5
}

fn yes() -> bool {
    true
}

/// One line of the text.
#[derive(Debug, Serialize)]
struct Class<'a> {
    index: usize,
    label: &'a str,
    share: f32,
}

impl Module for TopK {
    fn describe() -> Description {
        Description {
            name: "top-k".into(),
            version: "1.0.0".into(),
            inputs: vec![Port::any("scores", DType::F32)],
            outputs: vec![
                Port::new("classes", DType::I64, [None]),
                Port::new("shares", DType::F32, [None]),
                Port::new("text", DType::U8, [None]),
            ],
            nanoseconds_per_byte: 5.0,
            settings_schema: SCHEMA.into(),
        }
    }

    fn configure(settings: &str) -> Result<Self, Failure> {
        let module: Self = serde_json::from_str(settings).map_err(|error| Failure::Settings(error.to_string()))?;
        if module.k == 0 || module.labels.is_empty() {
            return Err(Failure::Settings("`k` is at least 1 and there is at least one label".into()));
        }
        Ok(module)
    }

    fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, Failure> {
        let [scores] = inputs else { return Err(Failure::Input("one tensor of scores is expected".into())) };
        if scores.elements()? != self.labels.len() || scores.shape().last() != Some(&(self.labels.len() as u64)) {
            let shape = scores.shape();
            return Err(Failure::Input(format!("there are {} labels, but scores of {shape:?}", self.labels.len())));
        }
        let best = best::best(&scores.to_f32()?, self.k, self.softmax).map_err(Failure::Input)?;
        let line =
            |class: &best::Best| Class { index: class.index, label: &self.labels[class.index], share: class.share };
        let text = serde_json::to_vec(&best.iter().map(line).collect::<Vec<_>>());
        let classes: Vec<i64> = best.iter().map(|class| class.index as i64).collect();
        let shares: Vec<f32> = best.iter().map(|class| class.share).collect();
        let shape = [best.len() as u64];
        Ok(vec![
            Tensor::from_i64(&shape, &classes)?,
            Tensor::from_f32(&shape, &shares)?,
            Tensor::from_bytes(text.map_err(|error| Failure::Inner(error.to_string()))?)?,
        ])
    }
}

thalweg_guest::export!(TopK);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn top(settings: &str, scores: &[f32]) -> Result<Vec<Tensor>, Failure> {
        TopK::configure(settings)?.run(&[Tensor::from_f32(&[1, scores.len() as u64], scores)?])
    }

    #[test]
    fn the_best_come_first_with_labels_and_shares() {
        let out = top(r#"{"k": 2, "labels": ["cat", "dog", "cup"]}"#, &[0.0, 3f32.ln(), 0.0]).unwrap();
        assert_eq!(out[0].to_i64().unwrap(), [1, 0]);
        assert!((out[1].to_f32().unwrap()[0] - 0.6).abs() < 1e-6);
        let text = String::from_utf8(out[2].to_bytes().unwrap()).unwrap();
        assert!(text.starts_with(r#"[{"index":1,"label":"dog","share":0.6"#), "{text}");
    }

    #[test]
    fn scores_that_are_no_logits_stay_as_they_are() {
        let out = top(r#"{"labels": ["cat", "dog"], "softmax": false}"#, &[0.25, 0.75]).unwrap();
        assert_eq!(out[1].to_f32().unwrap(), [0.75, 0.25]);
    }

    #[test]
    fn what_does_not_fit_is_refused_by_kind() {
        let kind = |settings, scores: &[f32]| top(settings, scores).unwrap_err();
        assert!(
            matches!(kind(r#"{"labels": ["a"], "kk": 3}"#, &[1.0]), Failure::Settings(text) if text.contains("kk"))
        );
        assert!(matches!(kind(r#"{"labels": ["a"], "k": 0}"#, &[1.0]), Failure::Settings(_)));
        assert!(matches!(kind(r#"{"labels": ["a"]}"#, &[1.0, 2.0]), Failure::Input(_)));
        assert!(matches!(kind(r#"{"labels": ["a"]}"#, &[f32::NAN]), Failure::Input(_)));
    }
}
