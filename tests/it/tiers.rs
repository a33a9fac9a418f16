//! A model over three nodes equals the whole, bit for bit: any two cuts, tiers that only pass on, outputs made anywhere.

use std::time::Duration;

use thalweg::config;
use thalweg::run::{Deployment, EPOCH, Speed, Subject, in_model_order, priced_graph, priced_topology};
use thalweg_codec::Codec;
use thalweg_devices::{Shapes, cuts, this_machine};
use thalweg_planner::{LIVE_MAX, evaluate};

use crate::models::{CASES, Case, root};

/// Models that are in the repository and take a few milliseconds: recurrent state beside an answer, skips, branches.
const SMALL: [&str; 4] = [
    "silero_vad/silero_vad_16k_sequence.onnx",
    "silero_vad/silero_vad_openvino_16k.onnx",
    "onnx_light/light_squeezenet.onnx",
    "onnx_light/light_shufflenet.onnx",
];
/// Places that each of the two cuts is tried at, beside the model's ends.
const PLACES: usize = 4;

#[tokio::test]
async fn three_nodes_answer_what_the_whole_model_answers() {
    for case in CASES.iter().filter(|case| SMALL.contains(&case.file)) {
        check(case).await;
    }
}

async fn check(case: &Case) {
    let path = case.path().expect("it is in the repository");
    let subject = Subject::load(&path, &Shapes::new()).unwrap_or_else(|error| panic!("{error}"));
    let places = config::Topology::read(&root().join("examples/loopback/topology.toml")).expect("three tiers");
    let graph = priced_graph(&subject, &[], &[Codec::F32], LIVE_MAX).expect("a priced graph");
    let reference = this_machine().expect("this machine can be measured");
    let topology = priced_topology(&places, &reference, Speed::Shown);
    let whole = subject.model.whole().and_then(|whole| whole.run(&subject.inputs)).expect("the whole model runs");
    let inside = cuts(&subject.model, &graph, LIVE_MAX);
    let mut ats: Vec<usize> = (0..PLACES).map(|index| inside[index * inside.len() / PLACES].at).collect();
    ats.extend([0, graph.layers.len()]);
    ats.sort_unstable();

    let mut deployment = Deployment::start(&subject, &graph, &topology, &places).expect("three nodes");
    for (index, low) in ats.iter().enumerate() {
        for high in &ats[index..] {
            let codecs = ["f32".to_owned(), "f32".to_owned()];
            let plan = evaluate(&graph, &topology, &[*low, *high], &codecs).expect("a placement");
            let id = deployment.install(&plan).expect("its parts");
            let request = deployment.device().request(id, EPOCH, subject.inputs.clone(), Duration::from_secs(30));
            let answered = request.await.unwrap_or_else(|error| panic!("{} cut at {low}, {high}: {error}", case.file));
            let outputs = in_model_order(&graph, &plan, &answered.outputs);
            assert_eq!(outputs, whole, "{} cut at {low}, {high}", case.file);
        }
    }
}
