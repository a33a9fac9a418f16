//! How long it takes to place 1,000 devices on 20 edges and 2 clouds, and how near the best that is.

use std::time::Duration;

use divan::Bencher;
use thalweg_planner::{
    Bandwidth, Bytes, Choice, Coding, DType, Direction, Fleet, Graph, Kind, Layer, Link, Loss, Macs, Objective,
    OpClass, Pin, Shared, Slowdown, Source, TensorCost, TensorSpec, Tier, Topology, Use, choices,
};

const DEVICES: usize = 1000;
const EDGES: usize = 20;
const CLOUDS: usize = 2;

fn main() {
    divan::main();
}

/// Every device is a kind of its own, with its own speed and links, and 145 choices.
#[divan::bench]
fn place_devices_that_all_differ(bencher: Bencher) {
    let fleet = different();
    report("all differ", &fleet);
    bencher.bench_local(|| divan::black_box(&fleet).place());
}

/// All devices are alike but for their rates, and choose among plans of one model.
#[divan::bench]
fn place_devices_that_are_alike(bencher: Bencher) {
    let mut fleet = alike(plans(None));
    report("alike", &fleet);
    for _ in 0..2 {
        let prices = fleet.place().expect("the fleet fits").prices;
        fleet.kinds[0].choices.extend(plans(Some(&prices)));
        report("alike, with the plans that are best at its prices", &fleet);
    }
    bencher.bench_local(|| divan::black_box(&fleet).place());
}

/// The plans that the devices of one kind choose from, for a model of 60 layers.
#[divan::bench]
fn plans_of_one_kind(bencher: Bencher) {
    bencher.bench_local(|| plans(None));
}

fn report(name: &str, fleet: &Fleet) {
    let placing = fleet.place().expect("the fleet fits");
    let most = placing.loads.iter().fold(0.0, |most: f64, load| most.max(*load));
    let choices = fleet.sources.iter().map(|source| fleet.kinds[source.kind].choices.len()).max().unwrap_or(0);
    eprintln!(
        "{name}: up to {choices} choices, mean latency {:?}, gap {:.4} %, highest load {most:.3}",
        placing.latency,
        placing.gap * 100.0
    );
    assert!(placing.gap < 0.01, "the gap is {}", placing.gap);
}

/// Numbers from 0 to 1 that are spread evenly: multiples of the golden ratio.
fn spread(at: usize) -> f64 {
    (at as f64 * 0.618_033_988_749_894_9).fract()
}

/// Edges, then clouds, then the links up from each edge to each cloud.
fn servers() -> Vec<String> {
    let edges = (0..EDGES).map(|edge| format!("edge {edge}"));
    let clouds = (0..CLOUDS).map(|cloud| format!("cloud {cloud}"));
    let links = (0..EDGES * CLOUDS).map(|at| format!("edge {} to cloud {}", at / CLOUDS, at % CLOUDS));
    edges.chain(clouds).chain(links).collect()
}

/// From half a request a second to two and a half.
fn source(at: usize, kind: usize) -> Source {
    Source { name: format!("device {at}"), rate: 0.5 + 2.0 * spread(at), kind }
}

fn different() -> Fleet {
    let kind = |at| Kind { name: format!("kind {at}"), choices: device(at) };
    Fleet {
        servers: servers(),
        kinds: (0..DEVICES).map(kind).collect(),
        sources: (0..DEVICES).map(|at| source(at, at)).collect(),
    }
}

/// The model takes 100 to 200 ms on the device, 10 to 15 on an edge and 2 to 4 on a cloud. It is cut after shares of
/// it.
fn device(at: usize) -> Vec<Choice> {
    let alone = 0.1 + 0.1 * spread(at + 7);
    let seconds = Duration::from_secs_f64;
    let choice = |here: f64, way: f64, uses: &[(usize, f64)]| Choice {
        time: seconds(here + way + uses.iter().map(|(_, busy)| busy).sum::<f64>()),
        own: vec![seconds(here), seconds(way / 2.0)],
        uses: uses.iter().map(|(server, busy)| Use { server: *server, busy: seconds(*busy) }).collect(),
        ..Choice::default()
    };
    let mut choices = vec![choice(alone, 0.0, &[])];
    for cloud in 0..CLOUDS {
        let (way, speed) = (0.03 + 0.03 * spread(at * CLOUDS + cloud), 0.002 * (1 + cloud) as f64);
        choices.extend([0.0, 0.3].map(|share| choice(alone * share, way, &[(EDGES + cloud, speed * (1.0 - share))])));
    }
    for edge in 0..EDGES {
        let (way, speed) = (0.005 + 0.02 * spread(at * EDGES + edge), 0.01 + 0.005 * spread(edge));
        choices.extend([0.0, 0.2, 0.5].map(|share| choice(alone * share, way, &[(edge, speed * (1.0 - share))])));
        for cloud in 0..CLOUDS {
            let link = EDGES + CLOUDS + edge * CLOUDS + cloud;
            let both = |share: f64| {
                [(edge, speed * share), (link, 0.004), (EDGES + cloud, 0.002 * (1 + cloud) as f64 * (1.0 - share))]
            };
            choices.extend([0.1, 0.4].map(|share| choice(0.0, way + 0.01, &both(share))));
        }
    }
    choices
}

fn alike(plans: Vec<Choice>) -> Fleet {
    Fleet {
        servers: servers(),
        kinds: vec![Kind { name: "camera".to_owned(), choices: plans }],
        sources: (0..DEVICES).map(|at| source(at, 0)).collect(),
    }
}

fn plans(prices: Option<&[f64]>) -> Vec<Choice> {
    let slowdown = |of: f64| Slowdown { convolution: of, depthwise: of, matrix_product: of, memory_bound: of };
    let tier = |name: String, of: f64| Tier {
        name,
        memory: Bytes(8 << 30),
        slowdown: slowdown(of),
        gpu: false,
        watts: 0.0,
        price_hour: 0.0,
    };
    let edges = (0..EDGES).map(|edge| tier(format!("edge {edge}"), 1.0 + 0.5 * spread(edge)));
    let clouds = (0..CLOUDS).map(|cloud| tier(format!("cloud {cloud}"), 0.2 * (1 + cloud) as f64));
    let tiers: Vec<Tier> = [tier("device".to_owned(), 12.0)].into_iter().chain(edges).chain(clouds).collect();
    let (mut links, mut servers) = (Vec::new(), Vec::new());
    let mut join = |low: usize, high: usize, mbit: f64, millis: u64, server: Option<usize>| {
        let bandwidth = Bandwidth((mbit * 1e6) as u64);
        let delay = Duration::from_millis(millis);
        let direction = Direction { bandwidth, delay, nanojoules_byte: 0.0, price_gb: 0.0 };
        links.extend([(low, high), (high, low)].map(|(from, to)| Link { from, to, direction }));
        servers.extend([server, None]);
    };
    for edge in 0..EDGES {
        join(0, 1 + edge, 20.0 + 30.0 * spread(edge + 3), 2, None);
        for cloud in 0..CLOUDS {
            let server = EDGES + CLOUDS + edge * CLOUDS + cloud;
            join(1 + edge, 1 + EDGES + cloud, 200.0, 10, Some(server));
        }
    }
    (0..CLOUDS).for_each(|cloud| join(0, 1 + EDGES + cloud, 10.0, 15, None));
    let shared = Shared { tiers: [None].into_iter().chain((0..EDGES + CLOUDS).map(Some)).collect(), links: servers };
    let topology = Topology { tiers, links };
    choices(&model(), &topology, &Objective::default(), &shared, prices).expect("the model can be planned")
}

/// A chain of 60 layers, 12 ms in all, whose tensors shrink from 600 kB to 4 kB.
fn model() -> Graph {
    const LAYERS: usize = 60;
    let tensor = |at: usize| {
        let spec = TensorSpec::new(DType::F32, [(150_000.0 * 0.915_f64.powi(at as i32)) as usize]);
        let coding = |codec: &str, share: u64| Coding {
            codec: codec.to_owned(),
            bytes: Bytes(spec.bytes().0 / share),
            encode: Duration::from_micros(50 * (share - 1)),
            decode: Duration::from_micros(50 * (share - 1)),
            loss: Loss(0),
        };
        let codings = vec![coding("f32", 1), coding("f16", 2), coding("int8", 4)];
        TensorCost { name: format!("tensor {at}"), codings, spec }
    };
    let layer = |at: usize| Layer {
        name: format!("layer {at}"),
        op: "Conv".to_owned(),
        class: OpClass::Convolution,
        macs: Macs(0),
        weights: Bytes(200_000),
        reference: Duration::from_micros(200),
        reads: vec![at],
        writes: vec![at + 1],
        pin: Pin::Anywhere,
    };
    Graph {
        layers: (0..LAYERS).map(layer).collect(),
        tensors: (0..=LAYERS).map(tensor).collect(),
        inputs: vec![0],
        outputs: vec![LAYERS],
        exits: Vec::new(),
    }
}
