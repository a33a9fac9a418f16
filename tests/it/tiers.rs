//! A model over several nodes equals the whole, bit for bit: any two cuts, layers in interleaved sets, tiers that only pass
//! on, outputs made anywhere, any path of a topology, and a codec for each tensor.

use std::time::Duration;

use thalweg::config;
use thalweg::run::{Deployment, EPOCH, Speed, Subject, in_model_order, priced_graph, priced_topology};
use thalweg_codec::Codec;
use thalweg_devices::{Shapes, cuts, this_machine};
use thalweg_modules::signature::Trust;
use thalweg_planner::{Bytes, Graph, LIVE_MAX, Objective, Placement, Plan, Tensor, Topology, evaluate, plan};

use crate::models::{CASES, root};

/// Models that are in the repository and take a few milliseconds: recurrent state beside an answer, skips, branches.
const SMALL: [&str; 4] = [
    "silero_vad/silero_vad_16k_sequence.onnx",
    "silero_vad/silero_vad_openvino_16k.onnx",
    "onnx_light/light_squeezenet.onnx",
    "onnx_light/light_shufflenet.onnx",
];
/// A model with branches.
const BRANCHES: &str = "onnx_light/light_squeezenet.onnx";
/// A model with branches, whose weights are those of a trained network, so that rounding shows.
const TRAINED: &str = "efficientnet_lite0/efficientnet_lite0_op13.onnx";
/// Places that each of the two cuts is tried at, beside the model's ends.
const PLACES: usize = 4;
/// A model with its inputs, and where it can run.
struct Bench {
    subject: Subject,
    graph: Graph,
    places: config::Topology,
    topology: Topology,
    whole: Vec<Tensor>,
}

impl Bench {
    fn new(file: &str, places: &std::path::Path, codecs: &[Codec]) -> Self {
        let case = CASES.iter().find(|case| case.file == file).expect("a known model");
        let path = case.path().expect("it is in the repository");
        let subject = Subject::load(&path, &Shapes::new(), Trust::own()).unwrap_or_else(|error| panic!("{error}"));
        let places = config::Topology::read(places).unwrap_or_else(|error| panic!("{error}"));
        let reference = this_machine().expect("this machine can be measured");
        let graph = priced_graph(&subject, &[], codecs);
        let topology = priced_topology(&places, &reference, Speed::Shown);
        let whole = subject.model(None).expect("one model").0.whole().and_then(|whole| whole.run(&subject.inputs));
        let whole = whole.expect("the whole model runs");
        Self { subject, graph, places, topology, whole }
    }

    fn loopback(file: &str) -> Self {
        Self::new(file, &root().join("examples/loopback/topology.toml"), &[Codec::F32])
    }

    fn start(&self) -> Deployment<'_> {
        Deployment::start(&self.subject, &self.graph, &self.topology, &self.places).expect("a node a tier")
    }

    fn placed(&self, placement: &Placement) -> Plan {
        evaluate(&self.graph, &self.topology, placement, 0).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The outputs of one request, in the order of the model.
    async fn answer(&self, deployment: &mut Deployment<'_>, plan: &Plan) -> Vec<Tensor> {
        let id = deployment.install(plan).expect("its parts");
        let request = deployment.device().request(id, EPOCH, self.subject.inputs.clone(), Duration::from_secs(30));
        let answered = request.await.unwrap_or_else(|error| panic!("{error} with {plan:?}"));
        in_model_order(&self.graph, plan, &answered.outputs)
    }
}

#[tokio::test]
async fn three_nodes_answer_what_the_whole_model_answers() {
    for file in SMALL {
        let bench = Bench::loopback(file);
        let inside = cuts(bench.subject.model(None).expect("one model").0, &bench.graph, LIVE_MAX);
        let mut ats: Vec<usize> = (0..PLACES).map(|index| inside[index * inside.len() / PLACES].at).collect();
        ats.extend([0, bench.graph.layers.len()]);
        ats.sort_unstable();
        let mut deployment = bench.start();
        for (index, low) in ats.iter().enumerate() {
            for high in &ats[index..] {
                let codecs = ["f32".to_owned(), "f32".to_owned()];
                let placement = Placement::in_order(&bench.graph, &[0, 1, 2], &[*low, *high], &codecs);
                let plan = bench.placed(&placement.expect("two cuts"));
                let outputs = bench.answer(&mut deployment, &plan).await;
                assert_eq!(outputs, bench.whole, "{file} cut at {low}, {high}");
            }
        }
    }
}

/// Layers on three tiers so that data flows up: each layer is where its inputs are, and every so often one tier further.
fn interleaved(graph: &Graph, every: usize) -> Vec<usize> {
    let mut made_at = vec![0; graph.tensors.len()];
    let mut places = Vec::new();
    for (at, layer) in graph.layers.iter().enumerate() {
        let below = layer.reads.iter().map(|tensor| made_at[*tensor]).max().unwrap_or(0);
        let place = (below + usize::from(at % every == every - 1)).min(2);
        layer.writes.iter().for_each(|tensor| made_at[*tensor] = place);
        places.push(place);
    }
    places
}

#[tokio::test]
async fn layers_in_interleaved_sets_answer_what_the_whole_model_answers() {
    for file in SMALL {
        let bench = Bench::loopback(file);
        let mut deployment = bench.start();
        let mut with_gaps = 0;
        for every in [3, 5, 7, 11] {
            let places = interleaved(&bench.graph, every);
            let mut placement = Placement { path: vec![0, 1, 2], places, ..Placement::default() };
            placement.codecs = codecs_for(&bench.graph, &placement);
            let Ok(plan) = evaluate(&bench.graph, &bench.topology, &placement, 0) else { continue };
            with_gaps += plan.hops.iter().filter(|hop| hop.layers.windows(2).any(|pair| pair[0] + 1 < pair[1])).count();
            let outputs = bench.answer(&mut deployment, &plan).await;
            assert_eq!(outputs, bench.whole, "{file}, every {every}");
        }
        assert!(with_gaps > 0, "{file} was never cut into sets with gaps");
    }
}

/// The exact codec for all that crosses each link.
fn codecs_for(graph: &Graph, placement: &Placement) -> Vec<Vec<String>> {
    let crosses = |tensor: usize, link: usize| {
        let layers = || graph.layers.iter().zip(&placement.places);
        let below = graph.inputs.contains(&tensor)
            || layers().any(|(layer, place)| layer.writes.contains(&tensor) && *place <= link);
        below && layers().any(|(layer, place)| layer.reads.contains(&tensor) && *place > link)
    };
    let count = |link: usize| (0..graph.tensors.len()).filter(|tensor| crosses(*tensor, link)).count();
    (0..placement.path.len() - 1).map(|link| vec!["f32".to_owned(); count(link)]).collect()
}

#[tokio::test]
async fn tensors_of_one_crossing_have_codecs_of_their_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("topology.toml");
    std::fs::write(
        &file,
        "name = \"two\"\ntier = [{ name = \"a\" }, { name = \"b\" }]\n[[link]]\nfrom = \"a\"\nto = \"b\"\n",
    )
    .expect("a file");
    let bench = Bench::new(TRAINED, &file, &[Codec::F32, Codec::F16]);
    let narrow =
        bench.graph.separators(2).into_iter().find(|place| place.live.len() == 2).expect("a cut of two tensors");
    let mut placement = Placement::in_order(&bench.graph, &[0, 1], &[narrow.at], &["f32".to_owned()]).expect("one cut");
    let mut deployment = bench.start();
    let exact = bench.answer(&mut deployment, &bench.placed(&placement)).await;
    assert_eq!(exact, bench.whole);
    placement.codecs = vec![vec!["f16".to_owned(), "f32".to_owned()]];
    let plan = bench.placed(&placement);
    let codecs: Vec<&str> = plan.crossings[0].sends.iter().map(|sent| sent.codec.as_str()).collect();
    assert_eq!(codecs, ["f16", "f32"]);
    let id = deployment.install(&plan).expect("its parts");
    let request = deployment.device().request(id, EPOCH, bench.subject.inputs.clone(), Duration::from_secs(30));
    let answered = request.await.expect("an answer");
    assert_ne!(answered.outputs, bench.whole, "one of the tensors was rounded");
    let wire = answered.spans.iter().find(|span| span.kind == thalweg_flow::SpanKind::Wire).expect("a crossing");
    assert_eq!(wire.bytes, plan.crossings[0].bytes().0);
}

#[tokio::test]
async fn the_planners_path_through_two_edges_and_two_clouds_answers_what_the_whole_model_answers() {
    let mut bench = Bench::new(BRANCHES, &root().join("examples/choice/topology.toml"), &[Codec::F32]);
    for layer in &mut bench.graph.layers {
        layer.reference = Duration::from_millis(2);
    }
    // The gateway does not hold all that the camera leaves, so that the path has three tiers.
    let weights = bench.graph.weights(0..bench.graph.layers.len()).0;
    bench.topology.tiers[1].memory = Bytes(weights * 7 / 10 + 3_000_000);
    let objective = Objective { codecs: vec!["f32".to_owned()], inputs_stay: true, ..Objective::default() };
    let plan = plan(&bench.graph, &bench.topology, &objective).unwrap_or_else(|error| panic!("{error}"));
    let names = plan.hops.iter().map(|hop| bench.topology.tiers[hop.tier].name.as_str());
    assert_eq!(names.collect::<Vec<_>>(), ["camera", "gateway", "data centre"]);
    let mut deployment = bench.start();
    assert_eq!(bench.answer(&mut deployment, &plan).await, bench.whole);
    let other = Placement::in_order(&bench.graph, &[0, 3, 4], &[9, 20], &["f32".to_owned(), "f32".to_owned()]);
    let other = bench.placed(&other.expect("two cuts"));
    assert_eq!(bench.answer(&mut deployment, &other).await, bench.whole, "over the other edge and cloud");
}
