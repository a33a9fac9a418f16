//! A node against peers that are on its list but do not keep to the protocol.
#![allow(clippy::unwrap_used)]

use thalweg_codec::Codec;
use thalweg_flow::{Coded, Contract, Slot};
use thalweg_planner::DType;

use std::collections::BTreeSet;

use super::*;
use crate::emulate::bind;
use crate::stage::{Compute, Emulation};

const PLAN: PlanId = PlanId([5; 32]);
const BYTES: u64 = 16;

/// Gives nothing.
struct Nothing;

impl Compute for Nothing {
    fn run(&self, _inputs: &[Tensor]) -> Result<Vec<Tensor>, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Vec::new())
    }
}

fn socket() -> Arc<ShapedSocket> {
    Arc::new(ShapedSocket::new(bind(([127, 0, 0, 1], 0).into()).unwrap()).unwrap())
}

/// A node with one share that takes 16 bytes and answers nothing, and a connection to it.
async fn node_and_peer() -> (Node, Endpoint, Connection) {
    let [identity, stranger] = [(); 2].map(|()| Identity::generate().unwrap().0);
    let gate = Arc::new(BTreeSet::from([stranger.id()]));
    let (tuning, clock) = (Tuning::default(), Clock::start());
    let node = Node::start(NodeConfig {
        name: "node".into(),
        identity,
        gate,
        calls: None,
        socket: socket(),
        tuning,
        links: BTreeMap::new(),
        clock,
    });
    let node = node.unwrap();
    let spec = TensorSpec::new(DType::U8, [BYTES as usize]);
    let takes = vec![Slot { spec, codec: Codec::F32.to_string(), bytes_max: BYTES, early: false }];
    let contract = Contract { plan: PLAN, epoch: 1, hop: 1, takes, returns: vec![], answers_in: Duration::ZERO };
    let stage: Arc<dyn Compute> = Arc::new(Nothing);
    let takes = vec![Codec::F32];
    node.install(Share {
        contract,
        takes,
        stage: Some(stage),
        answers: vec![],
        onward: None,
        emulation: Emulation::NONE,
    });
    let endpoint = Endpoint::open(socket(), stranger, Arc::new(BTreeSet::new()), tuning, BTreeMap::new()).unwrap();
    let connection = endpoint.connect(node.peer()).await.unwrap();
    (node, endpoint, connection)
}

fn open() -> Open {
    Open { request: 1, plan: PLAN, epoch: 1, hop: 1, remaining_us: 5_000_000, tensors: vec![coded("f32", BYTES)] }
}

fn coded(codec: &str, bytes: u64) -> Coded {
    Coded { codec: codec.to_owned(), bytes }
}

async fn reply(connection: &Connection, frame: &Frame, tensor: Vec<u8>) -> Frame {
    let mut exchange = connection.open().await.unwrap();
    exchange.send(frame, vec![tensor]).await.unwrap();
    exchange.read_frame().await.unwrap()
}

#[tokio::test]
async fn a_request_that_begins_with_another_frame_is_refused() {
    let (_node, _endpoint, connection) = node_and_peer().await;
    let frame = Frame::Hello(Hello { version: VERSION, name: "me".into() });
    let refused = reply(&connection, &frame, vec![]).await;
    assert!(matches!(&refused, Frame::Refuse(Refusal { reason: Reason::Malformed { .. }, .. })), "{refused:?}");
}

#[tokio::test]
async fn a_request_that_ends_early_is_refused_and_the_connection_goes_on() {
    let (_node, _endpoint, connection) = node_and_peer().await;
    let short = reply(&connection, &Frame::Open(open()), vec![0; 7]).await;
    let reason = Reason::WrongLength { announced: BYTES, got: 7 };
    assert_eq!(short, Frame::Refuse(Refusal { hop: 1, reason }));
    let whole = reply(&connection, &Frame::Open(open()), vec![0; BYTES as usize]).await;
    assert!(matches!(&whole, Frame::Answer(answer) if answer.sizes.is_empty()), "{whole:?}");
}

#[tokio::test]
async fn a_request_whose_bytes_never_come_is_refused_at_its_deadline() {
    let (_node, _endpoint, connection) = node_and_peer().await;
    let mut exchange = connection.open().await.unwrap();
    let frame = Frame::Open(Open { remaining_us: 50_000, ..open() });
    exchange.begin(&frame).await.unwrap();
    assert_eq!(exchange.read_frame().await.unwrap(), Frame::Refuse(Refusal { hop: 1, reason: Reason::DeadlinePassed }));
}

#[tokio::test]
async fn a_request_without_time_another_codec_or_hop_is_refused() {
    let (_node, _endpoint, connection) = node_and_peer().await;
    let wrong = [
        Open { remaining_us: 0, ..open() },
        Open { tensors: vec![coded("int8", BYTES)], ..open() },
        Open { tensors: vec![coded("", BYTES)], ..open() },
        Open { tensors: vec![coded("f32", BYTES); 1000], ..open() },
        Open { hop: 2, ..open() },
        Open { tensors: vec![], ..open() },
        Open { tensors: vec![coded("f32", u64::MAX)], ..open() },
    ];
    for open in wrong {
        let replied = reply(&connection, &Frame::Open(open.clone()), vec![0; BYTES as usize]).await;
        assert!(matches!(replied, Frame::Refuse(_)), "{open:?} got {replied:?}");
    }
}

#[tokio::test]
async fn an_unknown_peer_cannot_connect() {
    let (node, _endpoint, _connection) = node_and_peer().await;
    let unknown = Identity::generate().unwrap().0;
    let endpoint =
        Endpoint::open(socket(), unknown, Arc::new(BTreeSet::new()), Tuning::default(), BTreeMap::new()).unwrap();
    assert!(matches!(endpoint.connect(node.peer()).await, Err(LinkError::Unreachable { .. })));
}
