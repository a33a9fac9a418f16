//! A node against peers that are on its list but do not keep to the protocol, or ask for more than it can do.
#![allow(clippy::unwrap_used)]

use std::thread;

use thalweg_codec::Codec;
use thalweg_flow::{Coded, Contract, Frame, Open, Slot};
use thalweg_planner::DType;

use std::collections::BTreeSet;

use super::*;
use crate::emulate::bind;
use crate::stage::{Compute, Emulation};

const PLAN: PlanId = PlanId([5; 32]);
const BYTES: u64 = 16;

/// Gives nothing, after a while.
struct Nothing(Duration);

impl Compute for Nothing {
    fn run(&self, _inputs: &[Tensor]) -> Result<Vec<Tensor>, Box<dyn std::error::Error + Send + Sync>> {
        thread::sleep(self.0);
        Ok(Vec::new())
    }
}

fn socket() -> Arc<ShapedSocket> {
    Arc::new(ShapedSocket::new(bind(([127, 0, 0, 1], 0).into()).unwrap()).unwrap())
}

/// A node with one share that takes 16 bytes and answers nothing, and a connection to it.
async fn node_and_peer() -> (Node, Endpoint, Connection) {
    let (node, [(endpoint, connection)]) = node_and_peers(Duration::ZERO).await;
    (node, endpoint, connection)
}

/// A node with such a share, which takes a while to compute, and connections of several nodes to it.
async fn node_and_peers<const N: usize>(takes: Duration) -> (Node, [(Endpoint, Connection); N]) {
    let identity = Identity::generate().unwrap().0;
    let strangers = [(); N].map(|()| Identity::generate().unwrap().0);
    let gate = Arc::new(strangers.iter().map(Identity::id).collect::<BTreeSet<_>>());
    let tuning = Tuning::default();
    let node = Node::start(NodeConfig {
        name: "node".into(),
        identity,
        gate,
        calls: None,
        socket: socket(),
        tuning,
        links: BTreeMap::new(),
        threads: NonZero::<u32>::MIN,
        clock: Clock::start(),
        clocks_apart: false,
    });
    let node = node.unwrap();
    let spec = TensorSpec::new(DType::U8, [BYTES as usize]);
    let slots = vec![Slot { spec, codec: Codec::F32.to_string(), bytes_max: BYTES, early: false }];
    let contract = Contract { plan: PLAN, epoch: 1, hop: 1, takes: slots, returns: vec![], answers_in: Duration::ZERO };
    node.install(Share {
        contract,
        takes: vec![Codec::F32],
        stage: Some(Arc::new(Nothing(takes)) as Arc<dyn Compute>),
        answers: vec![],
        onward: None,
        emulation: Emulation::NONE,
    });
    let mut peers = Vec::new();
    for stranger in strangers {
        let nobody = Arc::new(BTreeSet::new());
        let endpoint = Endpoint::open(socket(), stranger, nobody, tuning, BTreeMap::new()).unwrap();
        let connection = endpoint.connect(node.peer()).await.unwrap();
        peers.push((endpoint, connection));
    }
    (node, peers.try_into().unwrap_or_else(|_| panic!("there are as many as asked for")))
}

fn open() -> Open {
    Open { trace: 1, plan: PLAN, epoch: 1, hop: 1, remaining_us: 5_000_000, tensors: vec![coded("f32", BYTES)] }
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

#[tokio::test]
async fn a_caller_of_many_requests_does_not_keep_another_waiting() {
    let (_node, [(_one, greedy), (_other, modest)]) = node_and_peers(Duration::from_millis(10)).await;
    let frame = Frame::Open(Open { remaining_us: 60_000_000, ..open() });
    let answered = Arc::new(AtomicU64::new(0));
    let mut asked = Vec::new();
    for _ in 0..200 {
        let (greedy, frame, answered) = (greedy.clone(), frame.clone(), answered.clone());
        asked.push(tokio::spawn(async move {
            let replied = reply(&greedy, &frame, vec![0; BYTES as usize]).await;
            assert!(matches!(replied, Frame::Answer(_)), "{replied:?}");
            answered.fetch_add(1, Ordering::Relaxed);
        }));
    }
    while answered.load(Ordering::Relaxed) < 5 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for _ in 0..5 {
        let replied = reply(&modest, &frame, vec![0; BYTES as usize]).await;
        assert!(matches!(replied, Frame::Answer(_)), "{replied:?}");
    }
    // It waited for about one of the others each time, not for all 195.
    let overtaken = 200 - answered.load(Ordering::Relaxed);
    assert!(overtaken > 100, "only {overtaken} were still waiting");
    for one in asked {
        one.await.unwrap();
    }
}

#[tokio::test]
async fn what_would_be_late_is_refused_before_its_bytes_come() {
    let (_node, [(_endpoint, connection)]) = node_and_peers(Duration::from_millis(300)).await;
    let whole = vec![0; BYTES as usize];
    let long = Frame::Open(Open { remaining_us: 60_000_000, ..open() });
    assert!(matches!(reply(&connection, &long, whole.clone()).await, Frame::Answer(_)));
    let running = tokio::spawn({
        let (connection, whole) = (connection.clone(), whole.clone());
        async move { reply(&connection, &long, whole).await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut exchange = connection.open().await.unwrap();
    exchange.begin(&Frame::Open(Open { remaining_us: 200_000, ..open() })).await.unwrap();
    let refused = exchange.read_frame().await.unwrap();
    assert_eq!(refused, Frame::Refuse(Refusal { hop: 1, reason: Reason::Busy { waiting: 0 } }));
    assert!(matches!(running.await.unwrap(), Frame::Answer(_)));
}

#[tokio::test]
async fn a_peer_has_so_many_requests_under_way_over_all_its_connections_and_others_have_theirs() {
    let (node, [(greedy, first), (_other, modest)]) = node_and_peers(Duration::ZERO).await;
    let second = greedy.connect(node.peer()).await.unwrap();
    let frame = Frame::Open(Open { remaining_us: 60_000_000, ..open() });
    let mut unfinished = Vec::new();
    for connection in [&first, &second] {
        for _ in 0..REQUESTS_MAX / 2 {
            let mut exchange = connection.open().await.unwrap();
            exchange.begin(&frame).await.unwrap();
            unfinished.push(exchange);
        }
    }
    // One more of the same peer than may be under way.
    let mut one_more = second.open().await.unwrap();
    one_more.begin(&frame).await.unwrap();
    let is_full = || async {
        tokio::select! {
            biased;
            _ = node.shared.streams.take(Some(greedy.id()), 1) => false,
            () = std::future::ready(()) => true,
        }
    };
    while !is_full().await {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let replied = reply(&modest, &frame, vec![0; BYTES as usize]).await;
    assert!(matches!(replied, Frame::Answer(_)), "{replied:?}");
}
