//! Frames that were damaged on their way: read by the hundred thousand, or with `THALWEG_FRAMES` in the environment as
//! many as that says.
#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "how many may be said from outside")]

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use thalweg_flow::{
    Answer, Body, Call, Coarse, Coded, Digest, Frame, GossipFrame, Hello, Known, NodeState, Open, PREFIX_BYTES, PlanId,
    Reason, Refusal, Reply, Span, SpanKind, VERSION, decode, encode,
};

/// Where nothing else is said.
const COUNT: u64 = 200_000;

/// One of each kind, with something in each of its fields.
fn frames() -> Vec<Frame> {
    let plan = PlanId([7; 32]);
    let tensors = vec![Coded { codec: "features/11".into(), bytes: 37_200 }];
    let time = std::time::Duration::from_micros(70_000);
    let spans = vec![Span { hop: 1, kind: SpanKind::Wire, start: time, length: time, bytes: 37_200 }; 9];
    let coarse = vec![Coarse { hop: 1, tensor: 0, share_ppm: 500_000 }];
    let body = Some(Body { version: 3, bytes: vec![1; 40], signature: [5; 64] });
    let state = NodeState { id: [1; 32], incarnation: 2, version: 9, signature: [6; 64], body };
    let known = Known { id: [1; 32], incarnation: 2, version: 300, body: 0 };
    vec![
        Frame::Hello(Hello { version: VERSION, name: "edge".into() }),
        Frame::Open(Open { trace: 1, plan, epoch: 3, hop: 1, remaining_us: 9, tensors: tensors.clone() }),
        Frame::Answer(Answer { trace: 7, received_us: 1, sent_us: 2, spans, coarse, sizes: vec![4000, 0] }),
        Frame::Refuse(Refusal { hop: 2, reason: Reason::StaleEpoch { plan, asked: 1, installed: 2 } }),
        Frame::Call(Call::Gossip(GossipFrame::Tell(Digest(vec![known; 3]), vec![state; 2]))),
        Frame::Call(Call::Ask { deployment: "eyes".into(), remaining_us: 7, tensors }),
        Frame::Call(Call::Put { hash: [9; 32], bytes: 1 << 18 }),
        Frame::Call(Call::Deliver { deployment: "eyes".into(), has: Some([4; 32]), follows: [4; 32], bytes: 1 << 16 }),
        Frame::Reply(Reply::Pong { first_us: 1, last_us: 2, sent_us: 3, counted: 4 }),
    ]
}

#[test]
fn damaged_frames_never_panic_and_mean_what_they_say() {
    let count = std::env::var("THALWEG_FRAMES").ok().and_then(|count| count.parse().ok()).unwrap_or(COUNT);
    let bodies: Vec<Vec<u8>> = frames()
        .iter()
        .map(|frame| {
            let mut bytes = Vec::new();
            encode(frame, &mut bytes).unwrap();
            bytes.split_off(PREFIX_BYTES)
        })
        .collect();
    let mut random = Pcg64::seed_from_u64(7);
    for _ in 0..count {
        let mut bytes = bodies[random.random_range(0..bodies.len())].clone();
        for _ in 0..random.random_range(1..4) {
            let at = random.random_range(0..bytes.len());
            bytes[at] = random.random();
        }
        bytes.truncate(random.random_range(1..=bytes.len()));
        if let Ok(frame) = decode(&bytes) {
            let mut again = Vec::new();
            encode(&frame, &mut again).unwrap();
            assert_eq!(decode(&again[PREFIX_BYTES..]), Ok(frame));
        }
    }
}
