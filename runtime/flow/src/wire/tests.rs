//! Frames there and back, and frames that are none.
#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

use super::*;

fn frames() -> Vec<Frame> {
    let span = Span {
        hop: 2,
        kind: SpanKind::Wire,
        start: Duration::from_micros(70_000),
        length: Duration::from_micros(9),
        bytes: 300_000,
    };
    let plan = PlanId([7; 32]);
    let body = Some(Body { version: 3, bytes: vec![1, 2], signature: [5; 64] });
    let state = NodeState { id: [1; 32], incarnation: 2, version: u64::MAX, signature: [6; 64], body };
    let known = Known { id: [1; 32], incarnation: 2, version: 300, body: 0 };
    let coarse = vec![Coarse { hop: 2, tensor: 300, share_ppm: 250_000 }];
    let (trace, epoch, hop) = (u64::MAX, 3, 1);
    let tensors = [("int8", 0), ("jpeg/90", 1 << 40)].map(|(codec, bytes)| Coded { codec: codec.into(), bytes });
    vec![
        Frame::Hello(Hello { version: VERSION, name: "edge".into() }),
        Frame::Open(Open { trace, plan, epoch, hop, remaining_us: 250_000, tensors: tensors.to_vec() }),
        Frame::Answer(Answer {
            trace: 7,
            received_us: 1,
            sent_us: 2,
            spans: vec![span; 16 * 7],
            coarse,
            sizes: vec![4000],
        }),
        Frame::Refuse(Refusal { hop: 2, reason: Reason::StaleEpoch { plan, asked: 1, installed: 2 } }),
        Frame::Refuse(Refusal { hop: 0, reason: Reason::ModelFailed { text: "no such axis".into() } }),
        Frame::Call(Call::Gossip(GossipFrame::Tell(
            Digest(vec![known; 3]),
            vec![state.clone(), NodeState { body: None, ..state }],
        ))),
        Frame::Call(Call::Put { hash: [9; 32], bytes: 1 << 40 }),
        Frame::Call(Call::Ask { deployment: "eyes".into(), remaining_us: 7, tensors: vec![] }),
        Frame::Call(Call::Deliver { deployment: "eyes".into(), has: None, follows: [3; 32], bytes: 1 << 16 }),
        Frame::Call(Call::Deliver { deployment: "eyes".into(), has: Some([4; 32]), follows: [4; 32], bytes: 0 }),
        Frame::Reply(Reply::NotHere),
        Frame::Reply(Reply::Continue),
        Frame::Reply(Reply::Pong { first_us: 1, last_us: u64::MAX, sent_us: 3, counted: 1 << 20 }),
    ]
}

#[test]
fn a_frame_comes_back_as_it_was() {
    for frame in frames() {
        let mut bytes = Vec::new();
        encode(&frame, &mut bytes).unwrap();
        let (prefix, body) = bytes.split_first_chunk().unwrap();
        assert_eq!(frame_length(*prefix), Ok(body.len()));
        assert_eq!(decode(body), Ok(frame));
    }
}

#[test]
fn every_cut_or_padded_frame_is_an_error() {
    for frame in frames() {
        let mut bytes = Vec::new();
        encode(&frame, &mut bytes).unwrap();
        for length in PREFIX_BYTES..bytes.len() {
            assert!(decode(&bytes[PREFIX_BYTES..length]).is_err());
        }
        bytes.push(0);
        assert_eq!(decode(&bytes[PREFIX_BYTES..]), Err(WireError::TooShort { left: 1 }));
    }
}

#[test]
fn what_is_too_long_is_neither_sent_nor_awaited() {
    let sizes = vec![u64::MAX; FRAME_BYTES_MAX / 9 + 1];
    let answer = Frame::Answer(Answer { trace: 7, received_us: 0, sent_us: 0, spans: vec![], coarse: vec![], sizes });
    let mut bytes = Vec::new();
    assert!(matches!(encode(&answer, &mut bytes), Err(WireError::TooLong { .. })));
    assert!(bytes.is_empty());
    assert!(frame_length((FRAME_BYTES_MAX as u32).to_le_bytes()).is_ok());
    assert!(frame_length((FRAME_BYTES_MAX as u32 + 1).to_le_bytes()).is_err());
}

#[test]
fn a_short_message_cannot_ask_for_much_memory() {
    // The start of an Answer with no times that announces 2^62 spans.
    let mut hostile = vec![2, 0, 0, 253];
    hostile.extend_from_slice(&(1u64 << 62).to_le_bytes());
    assert!(matches!(decode(&hostile), Err(WireError::Malformed { .. })));
    // An Open without times that announces as many tensors, and one whose first codec has as many bytes.
    let open = [&[1, 0][..], &[0; 32], &[1, 1, 0, 253]].concat();
    let long = [&open[..open.len() - 1], &[1, 253]].concat();
    for start in [open, long] {
        let hostile = [start, (1u64 << 62).to_le_bytes().to_vec()].concat();
        assert!(matches!(decode(&hostile), Err(WireError::Malformed { .. })));
    }
}

#[test]
fn a_frame_of_many_small_tensors_takes_no_more_memory_than_a_frame() {
    let many = |count| {
        let tensors = vec![Coded { codec: String::new(), bytes: 0 }; count];
        let open = Open { trace: 0, plan: PlanId([0; 32]), epoch: 0, hop: 0, remaining_us: 0, tensors };
        let mut bytes = Vec::new();
        encode(&Frame::Open(open), &mut bytes).map(|()| decode(&bytes[PREFIX_BYTES..]))
    };
    let fit = FRAME_BYTES_MAX / size_of::<Coded>();
    assert!(matches!(many(fit - 100), Ok(Ok(_))));
    assert!(matches!(many(fit + 100), Ok(Err(WireError::Malformed { .. }))));
}

#[test]
fn texts_are_cut_between_characters_and_print_no_control_codes() {
    let text = Text::from("ä".repeat(TEXT_BYTES_MAX).as_str());
    assert_eq!(text.to_string().len(), TEXT_BYTES_MAX);
    assert_eq!(Text::from("red \u{1b}[31m").to_string(), "red  [31m");
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 0u8..8) {
        let _ = decode(&bytes);
        if let Some(first) = bytes.first_mut() {
            *first = kind;
        }
        let _ = decode(&bytes);
    }
}
