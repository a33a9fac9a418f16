//! How long a request takes through the whole protocol on loopback, without any model: `cargo bench --bench round_trip`.
//!
//! Nodes are in one process and talk real QUIC. Stages give back what they are given.
#![allow(clippy::print_stdout)]

use std::collections::BTreeSet;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use thalweg::clock::Clock;
use thalweg::emulate::{ShapedSocket, bind};
use thalweg::identity::Identity;
use thalweg::link::{PayloadMax, Tuning};
use thalweg::node::{Answered, Node, NodeConfig};
use thalweg::share::{Onward, Pick, Share};
use thalweg::stage::{Compute, Emulation};
use thalweg_codec::Codec;
use thalweg_flow::{Contract, PlanId, Slot, SpanKind};
use thalweg_planner::{DType, Tensor, TensorSpec};
use tokio::runtime;

type Failure = Box<dyn Error + Send + Sync>;

const PLAN: PlanId = PlanId([1; 32]);
const WARM_UP: usize = 300;
const ROUNDS: usize = 3000;

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
    two.block_on(measure())
}

async fn measure() -> Result<(), Failure> {
    println!("nodes  sent      returned  p50        p90        median of each part, in µs");
    for (nodes, sent, returned) in [(2, 1024, 1024), (2, 60_000, 4000), (3, 60_000, 4000), (3, 300_000, 4000)] {
        let path = path(nodes, sent, returned)?;
        let mut answers = Vec::with_capacity(ROUNDS);
        for round in 0..WARM_UP + ROUNDS {
            let input = Tensor::new(TensorSpec::new(DType::U8, [sent]), vec![round as u8; sent])?;
            let answered = path[0].request(PLAN, 1, vec![input], Duration::from_secs(5)).await?;
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

/// Nodes in a row, of which the first only sends and the last answers the first `returned` bytes of what comes.
fn path(nodes: usize, sent: usize, returned: usize) -> Result<Vec<Node>, Failure> {
    struct Head(usize);
    impl Compute for Head {
        fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, Failure> {
            let spec = TensorSpec::new(DType::U8, [self.0]);
            Ok(vec![Tensor::new(spec, inputs[0].data()[..self.0].to_vec())?])
        }
    }
    let clock = Clock::start();
    let identities = (0..nodes).map(|_| Ok(Identity::generate()?.0)).collect::<Result<Vec<_>, Failure>>()?;
    let allowed = BTreeSet::from_iter(identities.iter().map(Identity::id));
    let start = |(hop, identity): (usize, &Identity)| -> Result<Node, Failure> {
        let socket = Arc::new(ShapedSocket::new(bind(([127, 0, 0, 1], 0).into())?)?);
        let tuning = Tuning { payload_max: PayloadMax::LARGE, ..Tuning::default() };
        let (name, identity, allowed) = (format!("hop {hop}"), identity.clone(), allowed.clone());
        Ok(Node::start(NodeConfig { name, identity, allowed, socket, tuning, clock })?)
    };
    let path = identities.iter().enumerate().map(start).collect::<Result<Vec<_>, _>>()?;
    let [sent, returned_spec] = [sent, returned].map(|bytes| TensorSpec::new(DType::U8, [bytes]));
    for (hop, node) in path.iter().enumerate() {
        let last = hop + 1 == nodes;
        let crossing = vec![if hop == 0 { Pick::Taken(0) } else { Pick::Made(0) }];
        let onward = path.get(hop + 1).map(|next| Onward { peer: next.peer(), codec: Codec::F32, crossing });
        let stage: Option<Arc<dyn Compute>> = match hop {
            0 => None,
            _ if last => Some(Arc::new(Head(returned))),
            _ => Some(Arc::new(Identical)),
        };
        let contract = Contract {
            plan: PLAN,
            epoch: 1,
            hop: hop as u8,
            codec: Codec::F32.to_string(),
            takes: vec![Slot { bytes_max: Codec::F32.bytes_max(&sent).0, spec: sent.clone() }],
            returns: if last { vec![] } else { vec![returned_spec.clone()] },
        };
        let answers = if last { vec![Pick::Made(0)] } else { vec![] };
        node.install(Share { contract, stage, answers, onward, emulation: Emulation::NONE });
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
