//! What the modules are run on: settings and inputs of each, from what the repository has where it has it.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::codecs::jpeg::JpegEncoder;
use image::{ImageFormat, RgbImage};
use serde_json::{Value, json};
use thalweg_guest::{DType, Tensor};

/// One request.
pub(crate) struct Case {
    /// As errors of tests call it.
    pub what: String,
    /// JSON.
    pub settings: String,
    /// As many as the module has.
    pub inputs: Vec<Tensor>,
}

impl Case {
    fn new(what: impl Into<String>, settings: &Value, inputs: Vec<Tensor>) -> Self {
        Self { what: what.into(), settings: settings.to_string(), inputs }
    }
}

/// The repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn file(path: &str) -> Vec<u8> {
    fs::read(root().join(path)).unwrap()
}

fn text(path: &str) -> String {
    String::from_utf8(file(path)).unwrap()
}

pub(crate) fn f32s(shape: &[u64], numbers: &[f32]) -> Tensor {
    Tensor::from_f32(shape, numbers).unwrap()
}

pub(crate) fn i64s(shape: &[u64], numbers: &[i64]) -> Tensor {
    Tensor::from_i64(shape, numbers).unwrap()
}

pub(crate) fn bytes(bytes: impl Into<Vec<u8>>) -> Tensor {
    Tensor::from_bytes(bytes.into()).unwrap()
}

/// Numbers without a pattern, from -1 to 1: the high bits of Knuth's linear congruential generator.
fn noise(count: usize, seed: u64) -> impl Iterator<Item = f32> {
    let next =
        |state: &u64| Some(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407));
    std::iter::successors(Some(seed), next).skip(1).take(count).map(|state| (state >> 40) as f32 / 8_388_608.0 - 1.0)
}

/// The cases of a module; the first is what its bench runs.
pub(crate) fn of(module: &str) -> Vec<Case> {
    match module {
        "top-k" => top_k(),
        "decode-image" => decode_image(),
        "text-boxes" => text_boxes(),
        "crop" => crop(),
        "ctc-decode" => ctc_decode(),
        "find-boxes" => find_boxes(),
        "tokenise" => tokenise(),
        "mean-pool" => mean_pool(),
        "rules" => rules(),
        other => panic!("{other} has no cases: write them"),
    }
}

fn top_k() -> Vec<Case> {
    let names: Vec<String> =
        serde_json::from_slice(&file("examples/models/efficientnet_lite0/imagenet1k_clean_names.json")).unwrap();
    let logits: Vec<f32> = noise(names.len(), 1).map(|number| 9.0 * number).collect();
    let scores = [0.3, -1.0, f32::NEG_INFINITY, 2.5, 2.5];
    vec![
        Case::new("a thousand classes", &json!({"labels": names}), vec![f32s(&[1, names.len() as u64], &logits)]),
        Case::new(
            "equal scores, and one that is lost",
            &json!({"k": 3, "labels": ["cat", "dog", "cup", "tea", "pot"]}),
            vec![f32s(&[1, 5], &scores)],
        ),
    ]
}

fn decode_image() -> Vec<Case> {
    let photo = file("examples/classify/photo.jpg");
    let pixels = |x: u32, y: u32| image::Rgb([(x * 5) as u8, (y * 7) as u8, (x * y) as u8]);
    let mut png = Cursor::new(Vec::new());
    RgbImage::from_fn(61, 37, pixels).write_to(&mut png, ImageFormat::Png).unwrap();
    let mut jpeg = Vec::new();
    let mut levels = noise(3 * 53 * 41, 6).map(|number| if number > 0.0 { 255 } else { 0 });
    let harsh = RgbImage::from_fn(53, 41, |_, _| image::Rgb([0; 3].map(|_| levels.next().unwrap())));
    harsh.write_with_encoder(JpegEncoder::new_with_quality(&mut jpeg, 100)).unwrap();
    let as_it_is = json!({"width": 53, "height": 41});
    let plain = json!({"width": 224, "height": 224, "mean": [127, 127, 127], "scale": [128, 128, 128]});
    let with_photo = json!({
        "width": 160, "height": 96, "photo": [480, 800], "fit": "letterbox", "border": [0, 9, 255],
        "colour": "bgr", "layout": "nhwc", "scale": [255, 254, 253]
    });
    let enlarged = json!({"width": 300, "height": 300, "fit": "stretch", "colour": "grey"});
    vec![
        Case::new("a photo", &plain, vec![bytes(photo.clone())]),
        Case::new("a photo that is kept", &with_photo, vec![bytes(photo)]),
        Case::new("noise as harsh as can be", &as_it_is, vec![bytes(jpeg)]),
        Case::new("a drawing that grows", &enlarged, vec![bytes(png.into_inner())]),
    ]
}

fn text_boxes() -> Vec<Case> {
    let map: Vec<f32> = file("modules/guests/text-boxes/tests/fixtures/map_120x160.bin")
        .iter()
        .map(|cell| f32::from(*cell) / 255.0)
        .collect();
    let map = f32s(&[1, 1, 120, 160], &map);
    let noise: Vec<f32> = noise(64 * 64, 2).map(|number| number.max(0.0)).collect();
    let all = json!({"score_min": 0, "side_min": 0, "unclip": 0.7});
    vec![
        Case::new("turned lines", &json!({"photo": [480, 640]}), vec![map.clone()]),
        Case::new("the two best lines", &json!({"boxes_max": 2}), vec![map]),
        Case::new("noise", &all, vec![f32s(&[1, 1, 64, 64], &noise)]),
    ]
}

/// Corners of a line, of a tall one, and of one without an area; then a row that does not count.
const BOXES: [f32; 36] = [
    12.3, 8.7, 70.1, 15.2, 66.4, 49.9, 9.5, 38.1, 0.9, //
    3.0, 2.0, 13.0, 2.5, 13.0, 52.0, 2.0, 51.0, 0.8, //
    0.0, 0.0, 0.0, 0.0, 9.0, 0.0, 9.0, 0.0, 0.7, //
    0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
];

fn crop() -> Vec<Case> {
    let pixels = file("modules/guests/crop/tests/fixtures/photo_80x60.bin");
    let photo = || Tensor::new(DType::U8, &[60, 80, 3], pixels.clone()).unwrap();
    let lines = |count, ways| vec![photo(), f32s(&[4, 9], &BOXES), i64s(&[1], &[count]), ways];
    let inputs = |count| lines(count, f32s(&[0, 0], &[]));
    let ways = f32s(&[4, 2], &[0.01, 0.99, 0.2, 0.8, 0.9, 0.1, 0.0, 1.0]);
    vec![
        Case::new("three boxes", &json!({"width": 320}), inputs(3)),
        Case::new("squeezed, in RGB", &json!({"width": 32, "height": 20, "channels": "rgb"}), inputs(1)),
        Case::new("no box", &json!({"width": 32}), inputs(0)),
        Case::new("the first one upside down", &json!({"width": 320}), lines(2, ways)),
    ]
}

fn ctc_decode() -> Vec<Case> {
    let dictionary = text("examples/models/ppocr/rec_keys.txt");
    // With the blank before them and the space behind.
    let classes = dictionary.lines().count() + 2;
    let (lines, steps) = (3, 40);
    let mut logits: Vec<f32> = noise(lines * steps * classes, 3).map(|number| 3.0 * number).collect();
    for (step, scores) in logits.chunks_exact_mut(classes).enumerate() {
        // Every third step writes, the next one repeats it, and then comes a blank.
        let class = if step % 3 == 2 { 0 } else { 1 + step / 3 * 97 % (classes - 1) };
        scores[class] = 11.0;
    }
    let scores = f32s(&[lines as u64, steps as u64, classes as u64], &logits);
    let softmax: Vec<f32> = [0.1, 0.7, 0.2, 0.0, 0.3, 0.7, 0.9, 0.1, 0.0].to_vec();
    vec![
        Case::new(
            "two of three lines",
            &json!({"dictionary": dictionary, "scores": "logits"}),
            vec![scores.clone(), i64s(&[1], &[2])],
        ),
        Case::new("all lines", &json!({"dictionary": dictionary, "scores": "logits"}), vec![scores, i64s(&[0], &[])]),
        Case::new(
            "one line of probabilities",
            &json!({"dictionary": "a\nb", "space": false}),
            vec![f32s(&[3, 3], &softmax), i64s(&[0], &[])],
        ),
    ]
}

fn find_boxes() -> Vec<Case> {
    let values: Vec<f32> = file("modules/guests/find-boxes/tests/fixtures/outputs.bin")
        .as_chunks::<4>()
        .0
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect();
    let (first, second) = values.split_at(16 * 6 * 8);
    let heads = vec![f32s(&[1, 16, 6, 8], first), f32s(&[1, 8, 12, 16], second), f32s(&[0], &[])];
    let settings = json!({
        "grids": [{"anchors": [[60, 40], [30, 90]]}, {"anchors": [[25, 20]]}], "labels": ["cat", "dog", "cup"],
        "input": [96, 128], "photo": [300, 500], "confidence_min": 0.3, "overlap_max": 0.4
    });
    let mut few = settings.clone();
    few["boxes_max"] = json!(3);
    few["fit"] = json!("letterbox");
    vec![Case::new("two heads", &settings, heads.clone()), Case::new("three boxes", &few, heads)]
}

fn tokenise() -> Vec<Case> {
    let vocabulary = text("modules/guests/tokenise/tests/fixtures/vocab.txt");
    let texts: Vec<Value> = serde_json::from_slice(&file("modules/guests/tokenise/tests/fixtures/texts.json")).unwrap();
    let all = texts.iter().map(|of| of["text"].as_str().unwrap().to_owned());
    let joined = all.clone().collect::<Vec<_>>().join(" ");
    let settings = json!({"vocabulary": vocabulary, "length": 32});
    let long = json!({"vocabulary": vocabulary, "length": 1024, "lower_case": false});
    let mut cases = vec![
        Case::new("all texts", &json!({"vocabulary": vocabulary, "length": 1024}), vec![bytes(joined.clone())]),
        Case::new("all texts as they are", &long, vec![bytes(joined)]),
    ];
    cases.extend(all.map(|text| Case::new(text.clone(), &settings, vec![bytes(text)])));
    cases
}

fn mean_pool() -> Vec<Case> {
    let (tokens, width) = (64, 384);
    let embeddings: Vec<f32> = noise(tokens * width, 4).collect();
    let mask: Vec<i64> = (0..tokens).map(|token| i64::from(token < 17)).collect();
    let inputs = vec![f32s(&[1, tokens as u64, width as u64], &embeddings), i64s(&[1, tokens as u64], &mask)];
    vec![Case::new("seventeen tokens", &json!({}), inputs)]
}

fn rules() -> Vec<Case> {
    let record = |number: f32| {
        let label = if number > 0.2 { "person" } else { "dog" };
        json!({"label": label, "confidence": number.abs(), "box": [1.5, 2, 3.0 + number, 1e3 * number]})
    };
    let records = Value::from(noise(100, 5).map(record).collect::<Vec<_>>());
    let settings = json!({
        "keep": [{"confidence": ">= 0.5"}, {"label": ["dog"], "area": "> 0 and < 300"}],
        "alert": [
            {"name": "a crowd", "when": {"label": ["person"]}, "count": ">= 10"},
            {"name": "no cat", "when": {"label": ["cat"]}, "count": "= 0"}
        ]
    });
    vec![
        Case::new("persons and dogs", &settings, vec![bytes(format!("{records}   "))]),
        Case::new("all are kept", &json!({}), vec![bytes("[]")]),
    ]
}
