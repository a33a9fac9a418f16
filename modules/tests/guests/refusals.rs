//! What modules refuse: settings and inputs, and how each refusal begins.

use serde_json::json;
use thalweg_guest::{DType, Tensor};

use super::cases::{bytes, f32s, i64s, of};

/// Settings that a module refuses: module, settings, whether the reason has this in it.
pub(crate) fn settings() -> Vec<(&'static str, String, &'static str)> {
    let anchors = json!([{"anchors": [[1, 1]]}]);
    let grids = |grids| json!({"grids": grids, "labels": ["a"], "input": [9, 9]}).to_string();
    vec![
        ("top-k", json!({"labels": ["cat"], "kk": 3}).to_string(), "unknown field `kk`"),
        ("top-k", json!({"labels": ["a"], "k": 0}).to_string(), "`k` is at least 1"),
        ("decode-image", json!({"width": 9}).to_string(), "missing field `height`"),
        ("decode-image", json!({"width": 9, "height": 9, "photo": [9, 5000]}).to_string(), "resized to 5000 x 9"),
        ("decode-image", json!({"width": 9, "height": 9, "scale": [1, 0, 1]}).to_string(), "scale 0 of channel 1"),
        ("text-boxes", json!({"treshold": 0.3}).to_string(), "unknown field `treshold`"),
        ("text-boxes", json!({"boxes_max": 0}).to_string(), "setting `boxes_max` is 0"),
        ("text-boxes", json!({"photo": [0, 9]}).to_string(), "a photo of 9 x 0 pixels"),
        ("crop", json!({}).to_string(), "missing field `width`"),
        ("crop", json!({"width": 1u64 << 31, "height": 48}).to_string(), "a line of 2147483648 x 48 pixels"),
        ("ctc-decode", json!({"dictionary": "a\n\nb"}).to_string(), "line 2 of the dictionary is empty"),
        ("find-boxes", grids(json!([])), "setting `grids` is empty"),
        ("find-boxes", grids(json!([anchors[0], anchors[0], anchors[0], anchors[0]])), "there are 4 grids"),
        ("tokenise", json!({"vocabulary": "[PAD]"}).to_string(), "the vocabulary has no line `[UNK]`"),
        ("mean-pool", json!({"width": 5}).to_string(), "unknown field `width`"),
        ("rules", json!({"keep": [{"a": "b"}]}).to_string(), "keep[0].a: `b` is no comparison"),
    ]
}

/// Inputs that a module refuses with the settings of its first case: module, inputs, whether the reason has this in it.
pub(crate) fn inputs() -> Vec<(&'static str, Vec<Tensor>, &'static str)> {
    let crop = |count, at: f32| {
        let photo = Tensor::new(DType::U8, &[2, 2, 3], vec![7; 12]).unwrap();
        vec![photo, f32s(&[1, 9], &[at; 9]), i64s(&[1], &[count]), f32s(&[0, 0], &[])]
    };
    let photo = of("decode-image")[0].inputs[0].to_bytes().unwrap();
    let heads = of("find-boxes")[0].inputs.clone();
    let embeddings = |mask: &[i64]| vec![f32s(&[1, 2, 1], &[1.0, -1.0]), i64s(&[1, 2], mask)];
    vec![
        ("top-k", vec![f32s(&[2], &[1.0, 2.0])], "there are 1000 labels"),
        ("top-k", vec![f32s(&[1, 1000], &[f32::NAN; 1000])], "score 0 is NaN"),
        ("decode-image", vec![bytes("GIF89a,,,,")], "the photo is a picture of type image/gif"),
        ("decode-image", vec![bytes(&photo[..photo.len() / 2])], "the photo is cut short"),
        ("text-boxes", vec![f32s(&[1, 1, 1, 2], &[0.5, f32::INFINITY])], "the map has inf in row 0, column 1"),
        ("text-boxes", vec![f32s(&[1, 1, 0, 2], &[])], "0 probabilities do not make a map"),
        ("crop", crop(2, 0.0), "the count is [2], but there are 0 to 1 boxes"),
        ("crop", crop(1, f32::NAN), "box 0: the corner [NaN, NaN] is not in or near"),
        ("crop", crop(1, 1e9), "box 0: the corner [1000000000.0, 1000000000.0] is not in or near"),
        ("ctc-decode", vec![f32s(&[1, 1, 2], &[0.5; 2]), i64s(&[0], &[])], "line 0: the scores have 2 classes"),
        ("ctc-decode", vec![f32s(&[2], &[0.5; 2]), i64s(&[0], &[])], "scores of [2], not [lines, steps, classes]"),
        ("ctc-decode", vec![f32s(&[1, 0, 2], &[]), i64s(&[1], &[-1])], "the count is [-1]"),
        ("find-boxes", vec![heads[0].clone(), heads[0].clone(), heads[2].clone()], "output 1 has 768 numbers"),
        ("find-boxes", vec![heads[0].clone(), heads[1].clone(), heads[0].clone()], "head-3 is given"),
        ("find-boxes", vec![f32s(&[768], &[0.0; 768]), heads[1].clone(), heads[2].clone()], "head-1 has shape [768]"),
        ("tokenise", vec![bytes(vec![b'a', 0xff])], "no UTF-8"),
        ("mean-pool", embeddings(&[0, 0]), "all 2 tokens are padding"),
        ("mean-pool", embeddings(&[1, 1]), "add up to zero"),
        ("rules", vec![bytes("{}")], "the records cannot be read"),
        ("rules", vec![bytes(r#"[{"label": "dog"}]"#)], "asks for a number in `confidence`"),
    ]
}
