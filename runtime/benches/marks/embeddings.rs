//! MiniLM on short descriptions of packages: how near the embedding stays.

use std::fs;
use std::path::Path;

use serde_json::Value;
use thalweg_devices::Model;
use thalweg_module_tokenise::{Settings, Tokeniser, Vocabulary};
use thalweg_planner::{DType, Tensor, TensorSpec};

use crate::cut::{self, Cut};
use crate::descent::Descent;
use crate::measure::{mean, uncoded};
use crate::{Failure, data};

/// Tokens of a text, with the two at its ends; longer ones are cut off.
const TOKENS: usize = 32;
/// The layers before a cut.
const CUTS: [&str; 3] = ["node_layer_norm.y_internal", "node_layer_norm_4.y_internal", "node_layer_norm_8.y_internal"];
/// Each second description is used: half of those to fit to, half to measure on.
const EVERY: usize = 2;
/// What is asked for.
const COSINE_MIN: f64 = 0.995;
const BITS_MAX: f64 = 4.0;

/// Prints the tables.
pub(crate) fn measure(only_cuts: bool) -> Result<(), Failure> {
    println!("## Embeddings: MiniLM\n");
    let Some(folder) = data::shared("models/minilm_l6_int8") else { return Ok(()) };
    let names = ["input_ids", "attention_mask", "token_type_ids"];
    let model = data::load(&folder.join("model.onnx"), &names.map(|name| (name, [1, TOKENS].as_slice())))?;
    if only_cuts {
        cut::list(&model, &model.describe(), 3).iter().for_each(|line| println!("{line}"));
        return Ok(());
    }
    let Some(file) = data::shared("data/retrieval/debian_descriptions.json") else { return Ok(()) };
    let texts: Vec<String> = texts(&file)?.into_iter().step_by(EVERY).collect();
    let vocabulary = Vocabulary::read(&fs::read_to_string(folder.join("vocab.txt"))?)?;
    let tokeniser = Tokeniser::new(vocabulary, Settings { length: TOKENS, pad: true, lower_case: true })?;
    let inputs: Vec<Vec<Tensor>> =
        texts.iter().map(|text| tokens(&model, &tokeniser, text)).collect::<Result<_, Failure>>()?;
    let fitting: Vec<Vec<Tensor>> = inputs.iter().step_by(2).cloned().collect();
    let measured: Vec<Vec<Tensor>> = inputs.iter().skip(1).step_by(2).cloned().collect();
    println!(
        "Fitted to {} short descriptions, measured on {} others, {TOKENS} tokens each. The embedding is the \
         normalised mean over the tokens of a text.\n",
        fitting.len(),
        measured.len()
    );
    for layer in CUTS {
        at(&model, layer, &fitting, &measured)?;
    }
    Ok(())
}

fn at(model: &Model, layer: &str, fitting: &[Vec<Tensor>], measured: &[Vec<Tensor>]) -> Result<(), Failure> {
    let cut = Cut::after(model, &model.describe(), layer)?;
    println!("### {}, {:.0} % of the multiply-adds before it\n", cut.title(), 100.0 * cut.before);
    let whole = uncoded(&Cut::at_input(model)?, measured, states)?;
    let columns = ["mean cosine", "1st percentile"];
    let descent = Descent { model, cut: &cut, fitting, measured, bits_max: BITS_MAX, columns: &columns };
    let found = descent.print(states, |answers| {
        let pairs = answers.iter().zip(&whole).zip(measured);
        let cosine = |((one, other), inputs): ((&Vec<f32>, &Vec<f32>), &Vec<Tensor>)| {
            let kept = kept(model, inputs);
            cosine(&pooled(one, &kept), &pooled(other, &kept))
        };
        let mut cosines: Vec<f64> = pairs.map(cosine).collect();
        cosines.sort_by(f64::total_cmp);
        let (middle, low) = (mean(cosines.iter().copied()), cosines.get(cosines.len() / 100).copied().unwrap_or(0.0));
        (vec![format!("{middle:.5}"), format!("{low:.5}")], middle >= COSINE_MIN)
    })?;
    println!("Mean cosine of at least {COSINE_MIN}: {found} (wanted: {BITS_MAX}).\n");
    Ok(())
}

/// The short descriptions.
fn texts(file: &Path) -> Result<Vec<String>, Failure> {
    let packages: Vec<Value> = serde_json::from_str(&fs::read_to_string(file)?)?;
    let short = |package: &Value| Some(package["short"].as_str()?.to_owned());
    packages.iter().map(|package| short(package).ok_or_else(|| "a package without a description".into())).collect()
}

/// The model's inputs for a text.
fn tokens(model: &Model, tokeniser: &Tokeniser, text: &str) -> Result<Vec<Tensor>, Failure> {
    let encoding = tokeniser.encode(text)?;
    let tensor = |name: &str| {
        let numbers = match name {
            "input_ids" => &encoding.input_ids,
            "attention_mask" => &encoding.attention_mask,
            _ => &encoding.token_type_ids,
        };
        let data = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        Ok(Tensor::new(TensorSpec::new(DType::I64, [1, TOKENS]), data)?)
    };
    model.inputs().iter().map(|port| tensor(&port.name)).collect()
}

/// Whether each token is of the text.
fn kept(model: &Model, inputs: &[Tensor]) -> Vec<bool> {
    let mask = model.inputs().iter().zip(inputs).find(|(port, _)| port.name == "attention_mask");
    let bytes = mask.map(|(_, mask)| mask.data()).unwrap_or_default();
    bytes.chunks_exact(8).map(|number| number.iter().any(|byte| *byte != 0)).collect()
}

fn states(outputs: &[Tensor]) -> Result<Vec<f32>, Failure> {
    Ok(outputs[0].to_f32().ok_or("an output that is not f32")?)
}

/// The sum of the states of the tokens that are kept: normalising makes it the embedding.
fn pooled(states: &[f32], kept: &[bool]) -> Vec<f64> {
    let width = states.len() / kept.len().max(1);
    let mut sum = vec![0.0; width];
    for (state, _) in states.chunks_exact(width.max(1)).zip(kept).filter(|(_, kept)| **kept) {
        for (sum, number) in sum.iter_mut().zip(state) {
            *sum += f64::from(*number);
        }
    }
    sum
}

fn cosine(one: &[f64], other: &[f64]) -> f64 {
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    product(one, other) / (product(one, one) * product(other, other)).sqrt().max(f64::MIN_POSITIVE)
}
