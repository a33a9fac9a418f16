//! Pipelines of several steps: what commands do with them, and what is said where steps do not fit together.

use std::path::PathBuf;

use super::{Folder, HERE, SILERO, model, of};
use crate::models::root;

const SHUFFLENET: &str = "onnx_light/light_shufflenet.onnx";
const DECODE: &str = "[[step]]\nname = \"decode\"\nmodule = \"decode-image\"\ninputs = \"photo\"\n";
const SIZE: &str = "settings = { photo = [240, 320], width = 224, height = 224 }\n";
const CLASSES: &str = "[[step]]\nname = \"classes\"\nmodule = \"top-k\"\ninputs = \"network\"\n";

/// A photo, decoded, seen by a network, and its classes named; `keys` come before the steps.
fn pipeline(folder: &Folder, keys: &str, steps: &str) -> PathBuf {
    folder.write("topology.toml", HERE);
    let photo = root().join("examples/classify/photo.jpg");
    let input = format!("[[input]]\nname = \"photo\"\nfile = \"{}\"\n", photo.display());
    folder.write("pipeline.toml", format!("name = \"steps\"\n{keys}\n{input}{steps}"))
}

fn network(input: &str) -> String {
    format!("[[step]]\nname = \"network\"\nmodel = \"{}\"\ninputs = \"{input}\"\n", model(SHUFFLENET).display())
}

fn labels() -> String {
    let file = root().join("examples/models/efficientnet_lite0/imagenet1k_clean_names.json");
    format!("files = {{ labels = \"{}\" }}\n", file.display())
}

/// All three steps.
fn whole() -> String {
    format!("{DECODE}{SIZE}{}{CLASSES}{}settings = {{ k = 2 }}\n", network("decode.picture"), labels())
}

#[test]
fn a_pipeline_of_steps_is_planned_run_profiled_and_verified() {
    let folder = Folder::new();
    let path = pipeline(&folder, "answers = [\"classes.text\", \"network\"]", &whole());
    let answers = folder.path("answers");
    let ran = of("run", &path, &["--rounds", "3", "--json", "--answers", &answers.display().to_string()]).json();
    let text = &ran["outputs"][0]["text"];
    assert_eq!((text.as_array().map(Vec::len), ran["outputs"][1]["spec"].as_str()), (Some(2), Some("f32[1,1000]")));
    let written = std::fs::read_to_string(answers.join("classes.text.json")).expect("an answer");
    assert_eq!(&serde_json::from_str::<serde_json::Value>(&written).expect("JSON"), text);
    assert!(!written.ends_with(' ') && answers.join("network.npy").exists());

    let saved = folder.path("plan.json");
    of("plan", &path, &["--save", &saved.display().to_string()]).good();
    of("plan", &path, &["--plan", &saved.display().to_string()]).good();
    let profile = folder.path("profile.toml");
    of("profile", &path, &["-o", &profile.display().to_string()]).good();
    of("plan", &path, &["--profile", &profile.display().to_string()]).good();
    let verified = of("verify", &path, &["--live-max", "1"]).good();
    assert!(verified.starts_with("network: ") && verified.contains("bit for bit"), "{verified}");
}

#[test]
fn links_that_do_not_fit() {
    let folder = Folder::new();
    let say = |steps: &str, facts: &[&str]| {
        of("plan", &pipeline(&folder, "", steps), &[]).bad(2, facts);
    };
    let other = |from: &str, to: &str| whole().replace(from, to);
    say(
        &other("\"decode.picture\"", "\"decode.pixels\""),
        &["\"decode.pixels\", which nothing gives", "decode.photo, "],
    );
    say(&other("\"decode.picture\"", "\"decode.photo\""), &["step \"network\": ", "the shape 240,320,3"]);
    say(
        &other("inputs = \"network\"", "inputs = \"decode.photo\""),
        &["step \"classes\" takes f32[...] as \"scores\""],
    );
    say(&other("inputs = \"network\"", "inputs = { score = \"network\" }"), &["has no input \"score\"", "are scores"]);
    say(&other("k = 2", "k = 2, labels = []"), &["`labels` of step \"classes\" is given twice"]);
    say(&other("k = 2", "k = \"two\""), &["top-k of step \"classes\"", "settings do not fit"]);
    say(&other("settings = { k = 2 }", "text_max = \"9 B\""), &["step \"classes\" has written", "`text_max`"]);
    let idle = format!("{}{DECODE}{SIZE}", whole()).replacen("\"decode\"", "\"idle\"", 0);
    say(&idle, &["a second step or input \"decode\""]);
    let spare = "[[input]]\nname = \"spare\"\ntext = \"x\"";
    of("plan", &pipeline(&folder, spare, &whole()), &[]).bad(2, &["the input \"spare\" is taken by no step"]);
    let unused = format!("{}{}{SIZE}", network("decode.picture"), DECODE.replace("\"decode\"", "\"twice\""));
    say(&format!("{DECODE}{SIZE}{unused}"), &["\"network\" makes nothing that is answered"]);
}

#[test]
fn answers_and_pictures_that_cannot_be() {
    let folder = Folder::new();
    let path = pipeline(&folder, "answers = [\"classes.words\"]", &whole());
    of("plan", &path, &[]).bad(2, &["`answers` takes \"classes.words\", which nothing gives"]);
    let path = pipeline(&folder, "", &whole());
    of("plan", &path, &["--shape", "data_0=1,3,224,224"]).bad(2, &["--shape fixes inputs of a model that is alone"]);
    of("run", &path, &["--draw", "none.png"]).bad(2, &["does not say what is drawn", "add [draw]"]);
    of("calibrate", &path, &["--samples", "."]).bad(2, &["name one that is a model with --step, which are network"]);
    let draw = |photo: &str, boxes: &str| format!("{}[draw]\nphoto = \"{photo}\"\nboxes = \"{boxes}\"\n", whole());
    let say = |draw: &str, fact: &str| {
        of("plan", &pipeline(&folder, "", draw), &[]).bad(2, &["[draw] ", fact]);
    };
    say(&draw("decode.picture", "classes.shares"), "f32[1,3,224,224], not u8[height,width,3]");
    say(&draw("decode.photo", "classes.shares"), "f32[2], not f32[boxes,6]");
}

#[test]
fn modules_that_nobody_vouches_for_are_not_run() {
    let folder = Folder::new();
    let own = thalweg_modules::own::named("top-k").expect("it comes with the program").component;
    // A custom section with nothing in it makes it another file.
    folder.write("other.wasm", [own, b"\x00\x02\x01x"].concat());
    let path = pipeline(&folder, "", &whole().replace("\"top-k\"", "\"other.wasm\""));
    of("plan", &path, &[]).bad(2, &["other.wasm of step \"classes\"", "sign"]);
    of("plan", &path, &["--allow-unsigned"]).good();
}

/// A model of two outputs of which one is answered: layers that only the other one needs are left out of parts.
#[test]
fn what_no_answer_needs_is_not_run() {
    let folder = Folder::new();
    folder.write("topology.toml", HERE);
    let inputs = ["input", "h", "c"].map(|name| format!("[[input]]\nname = \"{name}\"\nzeros = true\n")).concat();
    let voice = |answer: &str| {
        let model = model(SILERO).display().to_string();
        let step = format!("[[step]]\nname = \"voice\"\nmodel = \"{model}\"\n");
        let links = "inputs = { input = \"input\", h = \"h\", c = \"c\" }\n";
        let keys = format!("name = \"voice\"\nanswers = [\"voice.{answer}\"]\n");
        let path = folder.write("pipeline.toml", format!("{keys}{inputs}{step}{links}"));
        of("run", &path, &["--rounds", "3", "--json"]).json()
    };
    let (state, speech) = (voice("cn"), voice("speech_probs"));
    assert_eq!(state["outputs"][0]["spec"], "f32[1,1,128]");
    assert_eq!(speech["outputs"][0]["spec"], "f32[1]");
    assert_ne!(state["plan"]["id"], speech["plan"]["id"], "two answers have one name");
}
