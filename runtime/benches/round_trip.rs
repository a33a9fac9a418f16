//! How long a request takes through the whole protocol, without any model: `cargo bench --bench round_trip`.
//!
//! Nodes are in one process and talk real QUIC, first over plain loopback, then over an emulated link. Stages give back
//! what they are given.
#![allow(clippy::print_stdout)]

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use thalweg::clock::Clock;
use thalweg::emulate::{ShapedSocket, Shaper, bind};
use thalweg::identity::Identity;
use thalweg::link::{PayloadMax, Tuning};
use thalweg::node::{Answered, Node, NodeConfig};
use thalweg::share::{Onward, Pick, Share};
use thalweg::stage::{Compute, Emulation};
use thalweg_codec::Codec;
use thalweg_devices::link::Shape;
use thalweg_flow::{Contract, PlanId, Slot, SpanKind};
use thalweg_planner::{Bandwidth, DType, Tensor, TensorSpec};
use tokio::runtime;

type Failure = Box<dyn Error + Send + Sync>;

const PLAN: PlanId = PlanId([1; 32]);
const WARM_UP: usize = 300;
const ROUNDS: usize = 3000;
const LONG_ROUNDS: usize = 9;

struct Identical;

impl Compute for Identical {
    fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, Failure> {
        Ok(inputs.to_vec())
    }
}

fn main() -> Result<(), Failure> {
    println!("{ROUNDS} requests, one after the other, {WARM_UP} before them not counted");
    let one = runtime::Builder::new_current_thread().enable_all().build()?;
    println!("\nall nodes' network on one thread");
    one.block_on(measure())?;
    let two = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    println!("\nall nodes' network on two threads");
    two.block_on(measure())?;
    println!("\nan emulated link of 20 Mbit/s, 15 ms each way; 100,000 bytes take at least 70 ms");
    one.block_on(measure_long_link())
}

async fn measure() -> Result<(), Failure> {
    println!("nodes  sent      returned  p50        p90        median of each part, in µs");
    for (nodes, sent, returned) in [(2, 1024, 1024), (2, 60_000, 4000), (3, 60_000, 4000), (3, 300_000, 4000)] {
        let loopback = Tuning { payload_max: PayloadMax::LARGE, ..Tuning::default() };
        let path = path(nodes, sent, returned, loopback, None)?;
        let mut answers = Vec::with_capacity(ROUNDS);
        for round in 0..WARM_UP + ROUNDS {
            let answered = ask(&path[0], sent).await?;
            if round >= WARM_UP {
                answers.push(answered);
            }
        }
        print(nodes, sent, returned, &answers);
        for node in path.into_iter().rev() {
            node.stop(Duration::ZERO).await;
        }
    }
    Ok(())
}

/// What it is worth to know a link: the first request on a new connection, with and without.
async fn measure_long_link() -> Result<(), Failure> {
    const SENT: usize = 100_000;
    let delay = Duration::from_millis(15);
    let rate = Bandwidth(20_000_000);
    for (name, tuning) in [("unknown", Tuning::default()), ("known", Tuning::for_link(rate, 2 * delay))] {
        let (mut first, mut later) = (Vec::new(), Vec::new());
        for _ in 0..LONG_ROUNDS {
            let path = path(2, SENT, 4000, tuning, Some(Shape::new(rate, delay)))?;
            path[0].join(path[1].peer()).await?;
            first.push(ask(&path[0], SENT).await?.length.as_micros());
            for _ in 0..LONG_ROUNDS {
                later.push(ask(&path[0], SENT).await?.length.as_micros());
            }
        }
        let [first, later] = [first, later].map(|mut lengths| percentile(&mut lengths, 50) as f64 / 1000.0);
        println!("{name:<8} first {first:.1} ms, later {later:.1} ms");
    }
    Ok(())
}

async fn ask(node: &Node, sent: usize) -> Result<Answered, Failure> {
    let input = Tensor::new(TensorSpec::new(DType::U8, [sent]), vec![7; sent])?;
    Ok(node.request(PLAN, 1, vec![input], Duration::from_secs(5)).await?)
}

/// Nodes in a row, of which the first only sends and the last answers the first `returned` bytes of what comes. All links
/// are as `shape` says in both directions.
fn path(
    nodes: usize,
    sent: usize,
    returned: usize,
    tuning: Tuning,
    shape: Option<Shape>,
) -> Result<Vec<Node>, Failure> {
    struct Head(usize);
    impl Compute for Head {
        fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, Failure> {
            let spec = TensorSpec::new(DType::U8, [self.0]);
            Ok(vec![Tensor::new(spec, inputs[0].data()[..self.0].to_vec())?])
        }
    }
    let clock = Clock::start();
    let identities = (0..nodes).map(|_| Ok(Identity::generate()?.0)).collect::<Result<Vec<_>, Failure>>()?;
    let gate = Arc::new(BTreeSet::from_iter(identities.iter().map(Identity::id)));
    let open = |_| Ok(Arc::new(ShapedSocket::new(bind(([127, 0, 0, 1], 0).into())?)?));
    let sockets = (0..nodes).map(open).collect::<Result<Vec<_>, Failure>>()?;
    let known: BTreeMap<_, _> = identities.iter().map(|identity| (identity.id(), tuning)).collect();
    let start = |(hop, identity): (usize, &Identity)| -> Result<Node, Failure> {
        let socket = sockets[hop].clone();
        let (name, identity, gate) = (format!("hop {hop}"), identity.clone(), gate.clone());
        let (links, threads, calls, clocks_apart) = (known.clone(), NonZero::<u32>::MIN, None, false);
        let config = NodeConfig { name, identity, gate, calls, socket, tuning, links, threads, clock, clocks_apart };
        Ok(Node::start(config)?)
    };
    let path = identities.iter().enumerate().map(start).collect::<Result<Vec<_>, _>>()?;
    for (socket, neighbour) in sockets.iter().flat_map(|socket| path.iter().map(move |node| (socket, node.peer()))) {
        if let Some(shape) = &shape {
            socket.shape(neighbour.address, Shaper::new(shape, None, 1));
        }
    }
    let [sent, returned_spec] = [sent, returned].map(|bytes| TensorSpec::new(DType::U8, [bytes]));
    for (hop, node) in path.iter().enumerate() {
        let last = hop + 1 == nodes;
        let crossing = vec![(if hop == 0 { Pick::Taken(0) } else { Pick::Made(0) }, Codec::F32)];
        let onward = path.get(hop + 1).map(|next| Onward { peer: next.peer(), crossing });
        let stage: Option<Arc<dyn Compute>> = match hop {
            0 => None,
            _ if last => Some(Arc::new(Head(returned))),
            _ => Some(Arc::new(Identical)),
        };
        let contract = Contract {
            plan: PLAN,
            epoch: 1,
            hop: hop as u8,
            takes: vec![Slot {
                codec: Codec::F32.to_string(),
                bytes_max: Codec::F32.bytes_max(&sent).0,
                spec: sent.clone(),
                early: false,
            }],
            returns: if last { vec![] } else { vec![returned_spec.clone()] },
            answers_in: Duration::ZERO,
        };
        let answers = if last { vec![Pick::Made(0)] } else { vec![] };
        let takes = vec![Codec::F32; contract.takes.len()];
        node.install(Share { contract, takes, stage, answers, onward, emulation: Emulation::NONE });
    }
    Ok(path)
}

fn print(nodes: usize, sent: usize, returned: usize, answers: &[Answered]) {
    let mut lengths: Vec<_> = answers.iter().map(|answered| answered.length.as_micros()).collect();
    let [p50, p90] = [50, 90].map(|percent| percentile(&mut lengths, percent));
    let parts = (0..nodes as u8).flat_map(|hop| SpanKind::ALL.map(|kind| (hop, kind))).filter_map(|(hop, kind)| {
        let spans = answers.iter().flat_map(|answered| &answered.spans);
        let mut of_part: Vec<_> =
            spans.filter(|span| (span.hop, span.kind) == (hop, kind)).map(|span| span.length.as_micros()).collect();
        (!of_part.is_empty()).then(|| format!("{kind:?} {hop}: {}", percentile(&mut of_part, 50)))
    });
    let parts = parts.collect::<Vec<_>>().join(", ");
    println!("{nodes}      {sent:<8}  {returned:<8}  {p50:<6} µs  {p90:<6} µs  {parts}");
}

fn percentile(values: &mut [u128], percent: usize) -> u128 {
    values.sort_unstable();
    values[(values.len() - 1) * percent / 100]
}
