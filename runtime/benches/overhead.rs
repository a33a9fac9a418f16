//! What a split over three nodes costs beyond its parts: the same parts, run back to back in one thread, against a request
//! that crosses two QUIC links, in turns. Nothing is emulated. `cargo bench -p thalweg --bench overhead`
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use thalweg::config;
use thalweg::run::{Deployment, EPOCH, Speed, Subject, priced_graph, priced_topology};
use thalweg::steps::Part;
use thalweg_codec::Codec;
use thalweg_devices::{Shapes, this_machine};
use thalweg_flow::SpanKind;
use thalweg_modules::signature::Trust;
use thalweg_planner::{Graph, Placement, Plan, Separator, Tensor, TensorId, evaluate, print_duration};

const ROUNDS: usize = 200;

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let subject = Subject::load(&root.join("examples/classify"), &Shapes::new(), Trust::own())?;
    let places = config::Topology::read(&root.join("examples/loopback/topology.toml"))?;
    let graph = priced_graph(&subject, &[], &[Codec::F32]);
    let topology = priced_topology(&places, &this_machine()?, Speed::Shown);
    let cuts = thirds(&graph);
    let placement = Placement::in_order(&graph, &[0, 1, 2], &cuts, &["f32".to_owned(), "f32".to_owned()])?;
    let plan = evaluate(&graph, &topology, &placement, 0)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut split, mut alone, mut around) = runtime.block_on(async {
        let mut deployment = Deployment::start(&subject, &graph, &topology, &places)?;
        let id = deployment.install(&plan)?;
        deployment.join().await?;
        let parts = parts(&subject, &plan)?;
        let mut times = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..ROUNDS + 10 {
            let answered =
                deployment.device().request(id, EPOCH, subject.inputs.clone(), Duration::from_secs(5)).await?;
            let started = Instant::now();
            let outputs = back_to_back(&parts, &subject.inputs)?;
            let alone = started.elapsed();
            assert_eq!(outputs, answered.outputs, "the split must equal its parts");
            if round >= 10 {
                times.0.push(answered.length);
                times.1.push(alone);
                let compute =
                    answered.spans.iter().filter(|span| span.kind == SpanKind::Compute).map(|span| span.length);
                times.2.push(answered.length.saturating_sub(compute.sum()));
            }
        }
        Ok::<_, Box<dyn Error>>(times)
    })?;
    let mut over: Vec<Duration> = split.iter().zip(&alone).map(|(split, alone)| split.saturating_sub(*alone)).collect();
    let bytes: Vec<String> = plan.crossings.iter().map(|crossing| crossing.bytes().to_string()).collect();
    println!("EfficientNet-Lite0 over three nodes, {} and {} cross, {ROUNDS} rounds in turns", bytes[0], bytes[1]);
    let rows = [
        ("split over three nodes", &mut split),
        ("its parts back to back", &mut alone),
        ("the one minus the other", &mut over),
        ("the split outside its parts", &mut around),
    ];
    for (what, times) in rows {
        times.sort_unstable();
        let at = |share: usize| print_duration(times[(times.len() - 1) * share / 100]);
        println!("{what:28} p10 {:>9}   p50 {:>9}   p90 {:>9}", at(10), at(50), at(90));
    }
    Ok(())
}

/// Where the fewest bytes cross as one tensor, soon after a third and soon after two thirds of the multiply-adds.
fn thirds(graph: &Graph) -> Vec<usize> {
    let whole = graph.macs(0..graph.layers.len()).0;
    let single: Vec<Separator> = graph.separators(1).into_iter().filter(|place| place.live.len() == 1).collect();
    let bytes = |place: &&Separator| graph.tensors[place.live[0]].spec.bytes();
    let within = |sixth: u64, place: &&Separator| graph.macs(0..place.at).0 * 6 / whole.max(1) == sixth;
    let smallest = |sixth: u64| single.iter().filter(|place| within(sixth, place)).min_by_key(bytes);
    [2, 4].into_iter().filter_map(smallest).map(|place| place.at).collect()
}

fn parts(subject: &Subject, plan: &Plan) -> Result<Vec<Part>, Box<dyn Error>> {
    let gives = |index: usize| -> Vec<TensorId> {
        let sends = plan.crossings.get(index).map(|crossing| crossing.sends.iter().map(|sent| sent.tensor).collect());
        sends.unwrap_or_else(|| plan.hops[index].answers.clone())
    };
    let part = |(index, hop): (usize, &thalweg_planner::Hop)| {
        Ok(subject.steps.part(&hop.layers, &hop.takes, &gives(index))?)
    };
    plan.hops.iter().enumerate().map(part).collect()
}

fn back_to_back(parts: &[Part], inputs: &[Tensor]) -> Result<Vec<Tensor>, Box<dyn Error>> {
    let mut tensors = inputs.to_vec();
    for part in parts {
        tensors = part.run(&tensors)?;
    }
    Ok(tensors)
}
