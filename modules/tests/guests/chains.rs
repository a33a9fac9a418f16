//! Outputs of one module are inputs of the next, as pipelines link them.

use serde_json::{Value, json};
use thalweg_guest::Tensor;

use super::cases::{f32s, i64s, of};
use super::natively::MODULES;

fn run(name: &str, settings: &Value, inputs: &[Tensor]) -> Vec<Tensor> {
    let configure = MODULES.iter().find(|(module, _)| *module == name).unwrap().1;
    configure(&settings.to_string()).unwrap()(inputs).unwrap()
}

fn json_of(text: &Tensor) -> Value {
    serde_json::from_slice(&text.to_bytes().unwrap()).unwrap()
}

#[test]
fn lines_are_cut_out_of_the_photo_that_was_decoded() {
    let decode = json!({"width": 320, "height": 240, "photo": [480, 640], "scale": [255, 255, 255]});
    let [picture, photo] = &run("decode-image", &decode, &of("decode-image")[0].inputs)[..] else { panic!() };
    assert_eq!((picture.shape(), photo.shape()), (vec![1, 3, 240, 320], vec![480, 640, 3]));

    // A detector's map of a quarter of the picture's sides, with one line of text in its middle.
    let level = |at: usize| if (20..60).contains(&(at % 80)) && (25..35).contains(&(at / 80)) { 0.9 } else { 0.0 };
    let map = f32s(&[1, 1, 60, 80], &(0..60 * 80).map(level).collect::<Vec<f32>>());
    let [boxes, count] = &run("text-boxes", &json!({"photo": [480, 640], "boxes_max": 4}), &[map])[..] else {
        panic!()
    };
    assert_eq!((boxes.shape(), count.to_i64().unwrap()), (vec![4, 9], vec![1]));

    let lines = run("crop", &json!({"width": 320}), &[photo.clone(), boxes.clone(), count.clone(), f32s(&[0, 0], &[])]);
    assert_eq!(lines[0].shape(), [4, 3, 48, 320]);
    let lines = lines[0].to_f32().unwrap();
    let (first, others) = lines.split_at(3 * 48 * 320);
    assert!(first.iter().any(|level| *level != 0.0) && others.iter().all(|level| *level == 0.0));
}

#[test]
fn rules_read_what_was_found_and_what_was_read() {
    let case = &of("find-boxes")[0];
    let settings: Value = serde_json::from_str(&case.settings).unwrap();
    let found = run("find-boxes", &settings, &case.inputs);
    let rules = json!({"keep": [{"label": ["dog"], "width": "> 0"}]});
    let kept = json_of(&run("rules", &rules, &found[..1])[0]);
    let dogs = json_of(&found[0]).as_array().unwrap().iter().filter(|of| of["label"] == "dog").count();
    assert!(dogs > 0);
    assert_eq!(kept.as_array().unwrap().len(), dogs);

    let read = run("ctc-decode", &json!({"dictionary": "a\nb", "space": false}), &of("ctc-decode")[2].inputs);
    let kept = run("rules", &json!({"keep": [{"text": ["ab"]}, {"confidence": ">= 0.5"}]}), &read);
    assert_eq!(json_of(&kept[0]), json_of(&read[0]));
}

#[test]
fn the_mask_of_a_text_tells_what_counts_of_its_embeddings() {
    let tokens =
        run("tokenise", &serde_json::from_str(&of("tokenise")[2].settings).unwrap(), &of("tokenise")[2].inputs);
    assert_eq!(tokens[0].shape(), [1, 32]);
    let marks = tokens[1].to_i64().unwrap();
    // Tokens that count say one thing, padding says another.
    let embeddings: Vec<f32> = marks.iter().flat_map(|mark| if *mark == 1 { [3.0, 4.0] } else { [9.0, 0.0] }).collect();
    let mask = i64s(&[1, 32], &marks);
    let embedding = run("mean-pool", &json!({}), &[f32s(&[1, 32, 2], &embeddings), mask]);
    assert_eq!(embedding[0].to_f32().unwrap(), [0.6, 0.8]);
}
