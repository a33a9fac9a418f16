//! The task module.
//!
//! Inputs: class scores of lines of text, `f32[lines,steps,classes]`, or `f32[steps,classes]` of one; and how many
//! lines count, `i64[1]`, or `i64[0]` where all do. Output: a JSON list with text and confidence of each line,
//! `u8[bytes]`.

use serde::{Deserialize, Serialize};
use thalweg_guest::{DType, Description, Failure, Module, Port, Tensor};

use crate::{Dictionary, Scores, decode};

const SCHEMA: &str = r#"{
  "type": "object",
  "properties": {
    "dictionary": {"type": "string", "description": "what each class but the blank writes, one a line"},
    "space": {"type": "boolean", "default": true, "description": "whether a last class follows, which writes a space"},
    "scores": {
      "enum": ["probabilities", "logits"], "default": "probabilities",
      "description": "whether the model ends with a softmax"
    }
  },
  "required": ["dictionary"],
  "additionalProperties": false
}"#;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    dictionary: String,
    #[serde(default = "yes")]
    space: bool,
    #[serde(default)]
    scores: Scores,
}

fn yes() -> bool {
    true
}

/// The module: its settings.
#[derive(Debug)]
pub struct CtcDecode {
    dictionary: Dictionary,
    scores: Scores,
}

/// A line in the text.
#[derive(Serialize)]
struct Read {
    text: String,
    confidence: f32,
}

impl Module for CtcDecode {
    fn describe() -> Description {
        Description {
            name: "ctc-decode".into(),
            version: "1.0.0".into(),
            inputs: vec![Port::any("scores", DType::F32), Port::new("count", DType::I64, [None])],
            outputs: vec![Port::new("text", DType::U8, [None])],
            nanoseconds_per_byte: 1.0,
            settings_schema: SCHEMA.into(),
        }
    }

    fn configure(settings: &str) -> Result<Self, Failure> {
        let settings: Settings = serde_json::from_str(settings).map_err(Failure::settings)?;
        let dictionary = Dictionary::read(&settings.dictionary, settings.space).map_err(Failure::settings)?;
        Ok(Self { dictionary, scores: settings.scores })
    }

    fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, Failure> {
        let [scores, count] = inputs else { return Err(Failure::Input("scores and a count are expected".into())) };
        let (most, steps, classes) = match scores.sizes()?[..] {
            [steps, classes] => (1, steps, classes),
            [lines, steps, classes] => (lines, steps, classes),
            ref other => return Err(Failure::Input(format!("scores of {other:?}, not [lines, steps, classes]"))),
        };
        let lines = counted(count, most)?;
        let scores = scores.to_f32()?;
        // As many as there are: a line takes less than all of them.
        let of_line = scores.len().checked_div(most).unwrap_or(0);
        let read = |line: usize| {
            let scores = &scores[line * of_line..(line + 1) * of_line];
            let decoded = decode(scores, steps, classes, &self.dictionary, self.scores);
            let decoded = decoded.map_err(|error| Failure::Input(format!("line {line}: {error}")))?;
            Ok(Read { text: decoded.text, confidence: decoded.confidence })
        };
        let read: Vec<Read> = (0..lines).map(read).collect::<Result<_, Failure>>()?;
        let text = serde_json::to_vec(&read).map_err(|error| Failure::Inner(error.to_string()))?;
        Ok(vec![Tensor::from_bytes(text)?])
    }
}

fn counted(count: &Tensor, most: usize) -> Result<usize, Failure> {
    let found = count.to_i64()?;
    let fits = |count: i64| usize::try_from(count).ok().filter(|count| *count <= most);
    let count = match found[..] {
        [] => Some(most),
        [count] => fits(count),
        _ => None,
    };
    count.ok_or_else(|| Failure::Input(format!("the count is {found:?}, but there are 0 to {most} lines")))
}

thalweg_guest::export!(CtcDecode);
