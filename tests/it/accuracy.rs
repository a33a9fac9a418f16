//! Splitting costs no accuracy: on labelled photos a run over three nodes gives the answers of the whole model.
#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use thalweg::config;
use thalweg::run::{Deployment, EPOCH, Speed, Subject, priced_graph, priced_topology};
use thalweg_codec::Codec;
use thalweg_devices::{Shapes, Stage, this_machine};
use thalweg_modules::Photo;
use thalweg_modules::signature::Trust;
use thalweg_planner::{Graph, Placement, Tensor, evaluate};

use crate::models::{NORMALISE, root, shared};

#[tokio::test]
async fn a_split_run_is_as_accurate_as_the_whole() {
    let Some(folder) = shared("data/labelled") else {
        println!("skipped: this machine does not have the labelled photos");
        return;
    };
    let subject = Subject::load(&root().join("examples/classify"), &Shapes::new(), Trust::own()).expect("the example");
    let places = config::Topology::read(&root().join("examples/loopback/topology.toml")).expect("three tiers");
    let graph = priced_graph(&subject, &[], &[Codec::F32]);
    let reference = this_machine().expect("this machine can be measured");
    let topology = priced_topology(&places, &reference, Speed::Shown);
    let cuts = thirds(&graph);
    let codecs = ["f32".to_owned(), "f32".to_owned()];
    let placement = Placement::in_order(&graph, &[0, 1, 2], &cuts, &codecs).expect("two cuts");
    let plan = evaluate(&graph, &topology, &placement, 0).expect("a placement");
    let mut deployment = Deployment::start(&subject, &graph, &topology, &places).expect("three nodes");
    let id = deployment.install(&plan).expect("three parts");
    let whole = subject.model(None).expect("one model").0.whole().expect("the whole model");

    let spec = &subject.steps.inputs()[0].spec;
    let (mut photos, mut right_whole, mut right_split) = (0, 0, 0);
    for (file, classes) in labels(&folder) {
        let bytes = fs::read(folder.join("img").join(&file)).expect("a photo");
        let photo = Photo::decode(&bytes, &file).expect("a photo that decodes");
        let input = NORMALISE.tensor(&photo, spec).expect("the model's input");
        let alone = run(&whole, &input);
        let answered = deployment.device().request(id, EPOCH, vec![input], Duration::from_secs(30)).await;
        let split = answered.expect("an answer").outputs;
        assert_eq!(split, alone, "{file}: the split run answers something else");
        photos += 1;
        right_whole += usize::from(classes.contains(&best(&alone[0])));
        right_split += usize::from(classes.contains(&best(&split[0])));
    }
    let percent = |right: usize| 100.0 * right as f64 / f64::from(photos);
    println!(
        "{photos} photos: top-1 {:.2} % whole, {:.2} % over three nodes",
        percent(right_whole),
        percent(right_split)
    );
    assert_eq!(right_split, right_whole);
    assert!(percent(right_whole) > 60.0, "the photos are not read as the network was trained");
}

fn run(whole: &Stage, input: &Tensor) -> Vec<Tensor> {
    whole.run(std::slice::from_ref(input)).expect("the whole model runs")
}

/// File names with the classes that are right for each.
fn labels(folder: &Path) -> BTreeMap<String, Vec<usize>> {
    let text = fs::read_to_string(folder.join("labels.json")).expect("labels");
    let Value::Object(photos) = serde_json::from_str(&text).expect("JSON") else { panic!("labels are no object") };
    let class = |class: &Value| class.as_u64().expect("a class") as usize;
    let classes = |photo: &Value| photo["classes"].as_array().expect("classes").iter().map(class).collect();
    photos.iter().map(|(file, photo)| (file.clone(), classes(photo))).collect()
}

fn best(logits: &Tensor) -> usize {
    let values = logits.to_f32().expect("logits");
    (0..values.len()).max_by(|one, other| values[*one].total_cmp(&values[*other])).expect("a class")
}

/// Cuts after a third and two thirds of the layers, where one tensor crosses.
fn thirds(graph: &Graph) -> Vec<usize> {
    let single: Vec<usize> =
        graph.separators(1).iter().filter(|place| place.live.len() == 1).map(|place| place.at).collect();
    [1, 2].map(|third| single[single.len() * third / 3]).to_vec()
}
