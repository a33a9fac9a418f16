//! Tokens are those of Hugging Face's `tokenizers`.
//!
//! `fixtures/texts.json` has texts that are hard to read in many scripts, and what version 0.23 of the Python package
//! makes of them with BERT's normaliser, pre-tokeniser and pieces, for an `uncased` and a `cased` model. Its
//! vocabulary, `fixtures/vocab.txt`, is the part of MiniLM's that occurs in them, with the letters they are made of.

use serde::Deserialize;
use thalweg_module_tokenise::{Settings, Tokeniser, Vocabulary};

#[derive(Deserialize)]
struct Expected {
    text: String,
    uncased: Vec<i64>,
    cased: Vec<i64>,
}

#[test]
fn tokens_are_those_of_the_reference() {
    let vocabulary = Vocabulary::read(include_str!("fixtures/vocab.txt")).expect("a vocabulary");
    let expected: Vec<Expected> = serde_json::from_str(include_str!("fixtures/texts.json")).expect("texts");
    assert!(expected.len() >= 38);
    for lower_case in [true, false] {
        let settings = Settings { lower_case, ..Settings::default() };
        let tokeniser = Tokeniser::new(vocabulary.clone(), settings).expect("settings");
        for Expected { text, uncased, cased } in &expected {
            let found = tokeniser.encode(text).expect("a text").input_ids;
            assert_eq!(found, *if lower_case { uncased } else { cased }, "{text:?}");
        }
    }
}
