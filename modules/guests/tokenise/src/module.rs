//! The task module.
//!
//! Input: text in UTF-8, `u8[bytes]`. Outputs, each `i64[1,length]`: the numbers of its tokens, filled up with
//! padding; 1 where there is a token and 0 where there is padding; and zeros, the sentence that each token belongs to.

use serde::Deserialize;
use thalweg_guest::{DType, Description, Failure, Module, Port, Tensor};

use crate::{Settings, Tokeniser, Vocabulary};

const SCHEMA: &str = r#"{
  "type": "object",
  "properties": {
    "vocabulary": {"type": "string", "description": "the tokens of the model, one a line: its vocab.txt"},
    "length": {
      "type": "integer", "minimum": 2, "maximum": 65536, "default": 128,
      "description": "tokens that come out; longer texts are cut off, shorter ones filled up"
    },
    "lower_case": {
      "type": "boolean", "default": true,
      "description": "whether letters become small and lose their accents, as uncased models need it"
    }
  },
  "required": ["vocabulary"],
  "additionalProperties": false
}"#;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    vocabulary: String,
    length: Option<usize>,
    lower_case: Option<bool>,
}

/// The module: its settings.
#[derive(Debug)]
pub struct Tokenise(Tokeniser);

impl Module for Tokenise {
    fn describe() -> Description {
        let tokens = |name: &str| Port::new(name, DType::I64, [Some(1), None]);
        Description {
            name: "tokenise".into(),
            version: "1.0.0".into(),
            inputs: vec![Port::new("text", DType::U8, [None])],
            outputs: ["input-ids", "attention-mask", "token-type-ids"].map(tokens).to_vec(),
            nanoseconds_per_byte: 100.0,
            settings_schema: SCHEMA.into(),
        }
    }

    fn configure(settings: &str) -> Result<Self, Failure> {
        let document: Document = serde_json::from_str(settings).map_err(Failure::settings)?;
        let plain = Settings::default();
        let settings = Settings {
            length: document.length.unwrap_or(plain.length),
            lower_case: document.lower_case.unwrap_or(plain.lower_case),
            pad: true,
        };
        let vocabulary = Vocabulary::read(&document.vocabulary).map_err(Failure::settings)?;
        Ok(Self(Tokeniser::new(vocabulary, settings).map_err(Failure::settings)?))
    }

    fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, Failure> {
        let [text] = inputs else { return Err(Failure::Input("one text is expected".into())) };
        let bytes = text.to_bytes()?;
        let text = std::str::from_utf8(&bytes).map_err(|error| Failure::Input(format!("no UTF-8: {error}")))?;
        let encoding = self.0.encode(text).map_err(Failure::input)?;
        let tensor = |numbers: &[i64]| Tensor::from_i64(&[1, numbers.len() as u64], numbers);
        Ok(vec![tensor(&encoding.input_ids)?, tensor(&encoding.attention_mask)?, tensor(&encoding.token_type_ids)?])
    }
}

thalweg_guest::export!(Tokenise);
