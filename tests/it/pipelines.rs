//! Pipelines of models and task modules: three tiers answer what one does, and pages of text are read.

#![allow(clippy::print_stdout)]

mod page;

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use thalweg::config;
use thalweg::run::{Deployment, EPOCH, Speed, Subject, in_model_order, priced_graph, priced_topology};
use thalweg_codec::Codec;
use thalweg_devices::{Shapes, this_machine};
use thalweg_modules::signature::Trust;
use thalweg_planner::{Graph, Placement, Plan, Tensor, Topology, evaluate};

use crate::models::root;
use page::{FONTS, Page};

/// Share of the characters, spaces aside: the recogniser drops many of those.
const ERRORS_MAX: f64 = 0.03;

/// Pixels of capital and small letters from the top of the one to the bottom of the other.
const SIZES: [f32; 2] = [26.0, 34.0];

/// The beginning of "Alice's Adventures in Wonderland" by Lewis Carroll (1865), a page each.
const TEXTS: [[&str; 6]; 4] = [
    [
        "Alice was beginning to get",
        "very tired of sitting by",
        "her sister on the bank,",
        "and of having nothing to",
        "do: once or twice she had",
        "peeped into the book her",
    ],
    [
        "sister was reading, but it",
        "had no pictures or",
        "conversations in it, and",
        "what is the use of a book,",
        "thought Alice without",
        "pictures or conversations?",
    ],
    [
        "So she was considering in",
        "her own mind (as well as",
        "she could, for the hot day",
        "made her feel very sleepy",
        "and stupid), whether the",
        "pleasure of making a",
    ],
    [
        "daisy-chain would be worth",
        "the trouble of getting up",
        "and picking the daisies,",
        "when suddenly a White",
        "Rabbit with pink eyes ran",
        "close by her.",
    ],
];

struct Bench {
    subject: Subject,
    graph: Graph,
    topology: Topology,
    places: config::Topology,
}

impl Bench {
    /// The pipeline of `examples/read-text` on another photo.
    fn reading(photo: &[u8]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let example = fs::read_to_string(root().join("examples/read-text/pipeline.toml")).expect("the example");
        let models = root().join("examples/models");
        let pipeline = example.replace("../models", &models.display().to_string()).replace("photo.jpg", "page.png");
        // Cuts before the first model are tried as well.
        let pipeline = pipeline.replace("inputs_stay = true\n", "");
        fs::write(folder.path().join("pipeline.toml"), pipeline).expect("a pipeline");
        fs::write(folder.path().join("page.png"), photo).expect("a page");
        let subject = Subject::load(folder.path(), &Shapes::new(), Trust::own());
        let subject = subject.unwrap_or_else(|error| panic!("{error}"));
        let places = config::Topology::read(&root().join("examples/loopback/topology.toml")).expect("three tiers");
        let graph = priced_graph(&subject, &[], &[Codec::Lossless]);
        let reference = this_machine().expect("this machine can be measured");
        let topology = priced_topology(&places, &reference, Speed::Shown);
        Self { subject, graph, topology, places }
    }

    /// How many layers come before the first one of a step, and how many are in it.
    fn step(&self, name: &str) -> (usize, usize) {
        let of_step = |layer: &str| layer == name || layer.starts_with(&format!("{name}/"));
        let layers = || self.graph.layers.iter().map(|layer| layer.name.as_str());
        let first = layers().position(of_step).unwrap_or_else(|| panic!("there is no step {name}"));
        (first, layers().filter(|layer| of_step(layer)).count())
    }

    /// On the first tiers, cut before these layers; everything that crosses does so exactly.
    fn plan(&self, cuts: &[usize]) -> Plan {
        let tiers: Vec<usize> = (0..=cuts.len()).collect();
        let codecs = vec!["lossless".to_owned(); cuts.len()];
        let placement =
            Placement::in_order(&self.graph, &tiers, cuts, &codecs).unwrap_or_else(|error| panic!("{error}"));
        evaluate(&self.graph, &self.topology, &placement, 0).unwrap_or_else(|error| panic!("{error}"))
    }

    async fn answers(&self, cuts: &[usize]) -> Vec<Tensor> {
        let plan = self.plan(cuts);
        let mut deployment =
            Deployment::start(&self.subject, &self.graph, &self.topology, &self.places).expect("nodes");
        let id = deployment.install(&plan).unwrap_or_else(|error| panic!("{error}"));
        let request = deployment.device().request(id, EPOCH, self.subject.inputs.clone(), Duration::from_secs(60));
        let answered = request.await.unwrap_or_else(|error| panic!("{error} with {cuts:?}"));
        deployment.stop(Duration::from_secs(1)).await;
        in_model_order(&self.graph, &plan, &answered.outputs)
    }
}

/// The lines that were read, from the top.
fn lines(answers: &[Tensor]) -> Vec<String> {
    let text = str::from_utf8(answers[0].data()).expect("a text");
    let lines: Vec<Value> = serde_json::from_str(text.trim_end()).expect("a list of lines");
    lines.iter().map(|line| line["text"].as_str().expect("a text").to_owned()).collect()
}

fn spaceless(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_whitespace()).collect()
}

#[tokio::test]
async fn three_tiers_answer_what_one_tier_does() {
    let photo = fs::read(root().join("examples/read-text/photo.jpg")).expect("the example's photo");
    let bench = Bench::reading(&photo);
    let whole = bench.answers(&[]).await;
    let read = ["Espresso", "Cappuccino", "Flat white", "Oat milk"];
    let found = lines(&whole);
    assert!(read.iter().all(|word| found.iter().any(|line| line.starts_with(word))), "{found:?}");
    // The card that lies upside down.
    assert!(found.iter().any(|line| spaceless(line) == "Pleasereturncups"), "{found:?}");

    let (detect, of_detect) = bench.step("detect");
    let (crop, _) = bench.step("crop");
    let (recognise, of_recognise) = bench.step("recognise");
    let everything = bench.graph.layers.len();
    let halves = [detect + of_detect / 2, recognise + of_recognise / 2];
    for cuts in [halves, [detect, crop], [crop + 1, everything - 1], [0, everything]] {
        assert_eq!(bench.answers(&cuts).await, whole, "cut before {cuts:?}");
    }
}

#[test]
fn what_modules_alone_make_of_an_input_stays_with_it() {
    let folder = root().join("examples/read-text");
    let subject = Subject::load(&folder, &Shapes::new(), Trust::own()).unwrap_or_else(|error| panic!("{error}"));
    let graph = priced_graph(&subject, &[], &[Codec::F32]);
    let travels = |name: &str| {
        let tensor = graph.tensors.iter().find(|tensor| tensor.name == name);
        !tensor.unwrap_or_else(|| panic!("there is no {name}")).codings.is_empty()
    };
    for pixels in ["decode.picture", "decode.photo", "glimpse.lines", "crop.lines"] {
        assert!(!travels(pixels), "{pixels} may leave the device");
    }
    // What a model has seen in between may travel, and so may the photo if it were not for the objective.
    for features in ["boxes.boxes", "boxes.count", "lines.text", "photo"] {
        assert!(travels(features), "{features} may not leave the device");
    }
}

#[tokio::test]
async fn rendered_pages_are_read() {
    let (mut wrong, mut all) = (0, 0);
    for (page, text) in TEXTS.iter().enumerate() {
        let (font, size) = (FONTS[page % FONTS.len()], SIZES[page / 2 % SIZES.len()]);
        let bench = Bench::reading(&Page::new(960, 640).write(text, font, size).png());
        let answers = bench.answers(&[]).await;
        let (truth, read) = (spaceless(&text.concat()), spaceless(&lines(&answers).concat()));
        let errors = strsim::levenshtein(&truth, &read);
        println!("{} at {size}: {errors} of {} characters are wrong: {read}", font.0, truth.len());
        (wrong, all) = (wrong + errors, all + truth.len());
        if page == 0 {
            let (recognise, of_recognise) = bench.step("recognise");
            let cuts = [bench.step("boxes").0, recognise + of_recognise / 3];
            assert_eq!(bench.answers(&cuts).await, answers, "three tiers read something else");
        }
    }
    let share = wrong as f64 / all as f64;
    assert!(share < ERRORS_MAX, "{wrong} of {all} characters are wrong: {:.1} %", 100.0 * share);
}

#[test]
fn examples_whose_models_are_brought_load() {
    for example in ["detect", "embed"] {
        let folder = root().join("examples").join(example);
        let pipeline = fs::read_to_string(folder.join("pipeline.toml")).expect("a pipeline");
        let named = pipeline.lines().filter_map(|line| line.strip_prefix("model = \"")?.split('"').next());
        if let Some(model) = named.map(Path::new).find(|model| !folder.join(model).exists()) {
            println!("skipped: {} is not there; examples/{example}/fetch.py brings it", model.display());
            continue;
        }
        let subject = Subject::load(&folder, &Shapes::new(), Trust::own());
        subject.unwrap_or_else(|error| panic!("{example}: {error}"));
    }
}
