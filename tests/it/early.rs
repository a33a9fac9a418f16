//! A receiver with a deadline uses what has arrived: over a link on which the whole features come too late, the answer is
//! made of their beginning, and says so.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use thalweg::clock::Clock;
use thalweg::emulate::{ShapedSocket, Shaper, bind};
use thalweg::identity::Identity;
use thalweg::link::Tuning;
use thalweg::node::{Answered, Node, NodeConfig, RequestError};
use thalweg::share::{Onward, Pick, Share};
use thalweg::stage::{Compute, Emulation};
use thalweg_codec::features::fit::{Basis, Options, fit};
use thalweg_codec::{Book, Codec};
use thalweg_devices::link::Shape;
use thalweg_flow::{Contract, PlanId, Reason, Refusal, Slot, SpanKind};
use thalweg_planner::{Bandwidth, Bytes, DType, Tensor, TensorSpec};

const PLAN: PlanId = PlanId([3; 32]);
/// Of the link upwards: the features take several times the deadline.
const RATE: Bandwidth = Bandwidth(50_000);
const DEADLINE: Duration = Duration::from_secs(2);
/// What the second hop leaves itself for the rest, on however busy a machine.
const ANSWERS_IN: Duration = Duration::from_secs(1);
/// Time for the packets of the handshake to leave the queue.
const SETTLES: Duration = Duration::from_secs(4);

fn spec() -> TensorSpec {
    TensorSpec::new(DType::F32, [1, 64, 32, 32])
}

/// Smooth shapes under noise: the shapes take few bytes, and the noise takes many.
fn sample(seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut random = move || {
        // Xorshift (Marsaglia, 2003).
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    let shapes: Vec<[f32; 4]> = (0..4).map(|_| [(); 4].map(|()| random())).collect();
    let mut values = Vec::with_capacity(spec().len());
    for (channel, row, column) in (0..64 * 32 * 32).map(|at| (at / 1024, at / 32 % 32, at % 32)) {
        let shape = |[strength, down, across, phase]: &[f32; 4]| {
            let place = (down * row as f32 + across * column as f32) / 4.0 + 8.0 * phase;
            20.0 * strength * (1.0 + (channel as f32 * phase).cos()) * place.sin()
        };
        values.push(shapes.iter().map(shape).sum::<f32>() + random());
    }
    values
}

fn features() -> Codec {
    let samples: Vec<Vec<f32>> = (1..9).map(sample).collect();
    let basis = Basis::fit(&spec(), &samples).expect("finite samples");
    let mut books: Vec<Book> = fit(&[basis], &[None], &[samples], Options::DEFAULT).expect("a book");
    "features/16".parse::<Codec>().expect("a codec").with_book(&Arc::new(books.remove(0)))
}

/// Gives back one number of so many: an answer of few packets, which waits for no acknowledgement, as those have to pass
/// the slow link.
const KEPT: usize = 32;

struct Sampled;

impl Compute for Sampled {
    fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, Box<dyn Error + Send + Sync>> {
        Ok(vec![sampled(&inputs[0])])
    }
}

fn sampled(tensor: &Tensor) -> Tensor {
    let values: Vec<f32> = tensor.to_f32().expect("f32").into_iter().step_by(KEPT).collect();
    Tensor::from_f32([values.len()], &values).expect("a tensor")
}

/// Two nodes on a link that is slow upwards; the second one answers with some of what it has decoded.
fn nodes(codec: &Codec, answers_in: Duration) -> [Node; 2] {
    let clock = Clock::start();
    let identities = [(); 2].map(|()| Identity::generate().expect("a key").0);
    let allowed = BTreeSet::from_iter(identities.iter().map(Identity::id));
    let open = || ShapedSocket::new(bind(([127, 0, 0, 1], 0).into()).expect("an address")).expect("a socket");
    let sockets = [(); 2].map(|()| Arc::new(open()));
    let start = |hop: usize| {
        let config = NodeConfig {
            name: format!("hop {hop}"),
            identity: identities[hop].clone(),
            gate: Arc::new(allowed.clone()),
            calls: None,
            socket: sockets[hop].clone(),
            tuning: Tuning::for_link(RATE, Duration::from_millis(10)),
            links: BTreeMap::new(),
            threads: NonZero::<u32>::MIN,
            clock,
            clocks_apart: false,
        };
        Node::start(config).expect("a node")
    };
    let nodes = [start(0), start(1)];
    let shape = Shape { queue: Bytes(1 << 20), ..Shape::new(RATE, Duration::from_millis(5)) };
    sockets[0].shape(nodes[1].peer().address, Shaper::new(&shape, None, 1));
    for (hop, node) in nodes.iter().enumerate() {
        let (last, took) = (hop == 1, if hop == 0 { Codec::F32 } else { codec.clone() });
        let slot = Slot {
            spec: spec(),
            codec: took.to_string(),
            bytes_max: took.bytes_max(&spec()).0,
            early: took.decodes_early(&spec()),
        };
        let returns = if last { vec![] } else { vec![TensorSpec::new(DType::F32, [spec().len() / KEPT])] };
        let contract = Contract { plan: PLAN, epoch: 1, hop: hop as u8, takes: vec![slot], returns, answers_in };
        let stage: Option<Arc<dyn Compute>> = if last { Some(Arc::new(Sampled)) } else { None };
        let crossing = vec![(Pick::Taken(0), codec.clone())];
        let onward = (!last).then(|| Onward { peer: nodes[1].peer(), crossing });
        let answers = if last { vec![Pick::Made(0)] } else { vec![] };
        node.install(Share { contract, takes: vec![took], stage, answers, onward, emulation: Emulation::NONE });
    }
    nodes
}

async fn request(codec: &Codec, answers_in: Duration, input: &Tensor) -> Result<Answered, RequestError> {
    let nodes = nodes(codec, answers_in);
    nodes[0].join(nodes[1].peer()).await.expect("a link");
    tokio::time::sleep(SETTLES).await;
    nodes[0].request(PLAN, 1, vec![input.clone()], DEADLINE).await
}

/// The squared distance from the input.
fn distance(input: &Tensor, output: &Tensor) -> f64 {
    let [input, output] = [input, output].map(|tensor| tensor.to_f32().expect("f32"));
    input.iter().zip(output).map(|(one, other)| f64::from(one - other).powi(2)).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_would_come_too_late_is_answered_with_what_has_come() {
    let codec = features();
    let input = Tensor::from_f32(spec().shape, &sample(100)).expect("a tensor");
    let mut stream = Vec::new();
    codec.encode(&input, &mut stream).expect("a tensor of the book");
    assert!(RATE.time_for(Bytes(stream.len() as u64)) > 2 * DEADLINE, "{} bytes come in time", stream.len());

    let (whole, early) = tokio::join!(request(&codec, Duration::ZERO, &input), request(&codec, ANSWERS_IN, &input));
    let late = Refusal { hop: 0, reason: Reason::DeadlinePassed };
    assert!(matches!(&whole, Err(RequestError::Refused(refusal)) if *refusal == late), "{whole:?}");

    let answered = early.expect("an answer from a part of the features");
    assert!(answered.length < DEADLINE);
    let [coarse] = answered.coarse[..] else { panic!("one tensor is coarse: {:?}", answered.coarse) };
    assert_eq!((coarse.hop, coarse.tensor), (1, 0));
    assert!((1..1_000_000).contains(&coarse.share_ppm), "{coarse:?}");
    let wire = answered.spans.iter().find(|span| span.kind == SpanKind::Wire).expect("a crossing");
    assert_eq!(wire.bytes, stream.len() as u64);

    let nothing = codec.decode_prefix(&spec(), &[]).expect("what is expected of samples").0;
    let finest = codec.decode(&spec(), &stream).expect("a stream");
    let of = |output: &Tensor| distance(&sampled(&input), output);
    let [nothing, came, finest] = [of(&sampled(&nothing)), of(&answered.outputs[0]), of(&sampled(&finest))];
    eprintln!(
        "{:.1} % of the numbers came; squared distances: {nothing:.0} of nothing, {came:.0}, {finest:.3} of all",
        f64::from(coarse.share_ppm) / 1e4
    );
    assert!(finest < came && came < nothing / 4.0, "{finest} {came} {nothing}");
}
