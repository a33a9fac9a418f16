//! The protocol over real QUIC on loopback: nodes in a row, small stages, and everything that can go wrong between them.

mod overload;
mod path;

use std::time::{Duration, Instant};

use path::{Path, Step, ones};
use thalweg::identity::Identity;
use thalweg::link::LinkError;
use thalweg::node::{Answered, Node, RequestError};
use thalweg_flow::{PlanId, Reason, Refusal, SpanKind};
use thalweg_planner::{DType, Tensor, TensorSpec};

const SECOND: Duration = Duration::from_secs(1);
/// Time for a request that shall succeed, on however busy a machine.
const LONG: Duration = Duration::from_secs(20);

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(test);
}

fn numbers(answered: &Answered) -> Vec<f32> {
    answered.outputs.iter().map(|output| output.to_f32().expect("f32")[0]).collect()
}

fn refusal(result: Result<Answered, RequestError>) -> Refusal {
    match result {
        Err(RequestError::Refused(refusal)) => refusal,
        other => panic!("this is not a refusal: {other:?}"),
    }
}

#[test]
fn each_hop_appends_the_outputs_that_it_made() {
    run(async {
        let path = Path::of(&[Step::add(1.0), Step::add(10.0), Step::add(100.0)]).answering_everywhere().start();
        let answered = path.request(ones(), LONG).await.expect("an answer");
        assert_eq!(numbers(&answered), [2.0, 12.0, 112.0]);
    });
}

#[test]
fn the_trace_accounts_for_the_whole_time_in_order() {
    run(async {
        let path = Path::of(&[Step::add(1.0), Step::slow(20), Step::add(1.0)]).start();
        path.request(ones(), LONG).await.expect("a first answer, over new connections");
        let answered = path.request(ones(), LONG).await.expect("an answer");
        use SpanKind::{Answer, Compute, Decode, Encode, Queue, Wait, Wire};
        let kinds: Vec<_> = answered.spans.iter().map(|span| (span.hop, span.kind)).collect();
        let up = [(0, Wait), (0, Compute), (0, Encode), (0, Queue), (0, Wire)];
        let middle = [(1, Wait), (1, Decode), (1, Compute), (1, Encode), (1, Queue), (1, Wire)];
        let top = [(2, Wait), (2, Decode), (2, Compute), (1, Answer), (0, Answer)];
        assert_eq!(kinds, [&up[..], &middle, &top].concat());
        let spent: Duration = answered.spans.iter().map(|span| span.length).sum();
        assert!(spent <= answered.length, "{spent:?} of {:?}", answered.length);
        assert!(spent >= Duration::from_millis(20));
        assert!(answered.spans.iter().filter(|span| span.kind == Wire).all(|span| span.bytes == 16));
    });
}

#[test]
fn a_relay_passes_bytes_on_as_they_came() {
    run(async {
        let path = Path::of(&[Step::add(1.0), Step::Relay, Step::add(100.0)]).coded(&["f16"]).start();
        let answered = path.request(ones(), LONG).await.expect("an answer");
        assert_eq!(numbers(&answered), [102.0]);
        let relayed = |kind| answered.spans.iter().any(|span| span.hop == 1 && span.kind == kind);
        assert!(relayed(SpanKind::Wire) && !relayed(SpanKind::Decode) && !relayed(SpanKind::Encode));
    });
}

#[test]
fn a_hop_without_a_stage_codes_anew_what_goes_on_in_another_codec() {
    run(async {
        let path = Path::of(&[Step::add(1.0), Step::Relay, Step::add(100.0)]).coded(&["f16", "f32"]).start();
        let answered = path.request(ones(), LONG).await.expect("an answer");
        assert_eq!(numbers(&answered), [102.0]);
        let on_middle = |kind| answered.spans.iter().find(|span| span.hop == 1 && span.kind == kind);
        assert!(on_middle(SpanKind::Decode).is_some() && on_middle(SpanKind::Encode).is_some());
        assert!(on_middle(SpanKind::Compute).is_none());
        assert_eq!(on_middle(SpanKind::Wire).map(|span| span.bytes), Some(16));
    });
}

#[test]
fn a_hop_that_computes_nothing_sends_its_inputs() {
    run(async {
        let path = Path::of(&[Step::Relay, Step::add(5.0)]).start();
        assert_eq!(numbers(&path.request(ones(), LONG).await.expect("an answer")), [6.0]);
    });
}

#[test]
fn one_node_needs_no_link() {
    run(async {
        let path = Path::of(&[Step::add(1.0)]).start();
        assert_eq!(numbers(&path.request(ones(), LONG).await.expect("an answer")), [2.0]);
    });
}

#[test]
fn a_caller_whose_key_is_not_on_the_list_computes_nothing_and_hears_no_hello() {
    run(async {
        let path = Path::of(&[Step::Relay, Step::add(1.0)]).stranger_at(0).start();
        let joined = path.nodes[0].join(path.nodes[1].peer()).await;
        assert!(matches!(joined, Err(LinkError::Unreachable { .. })), "{joined:?}");
        let refusal = refusal(path.request(ones(), LONG).await);
        assert!(matches!(refusal, Refusal { hop: 0, reason: Reason::UpstreamUnreachable { .. } }), "{refusal}");
        assert_eq!(path.runs(), 0);
    });
}

#[test]
fn a_server_with_another_key_than_expected_gets_no_request() {
    run(async {
        let path = Path::of(&[Step::Relay, Step::add(1.0)]).start();
        let mut impostor = path.nodes[1].peer();
        impostor.id = Identity::generate().expect("a key").0.id();
        let joined = path.nodes[0].join(impostor).await;
        assert!(matches!(joined, Err(LinkError::Unreachable { .. })), "{joined:?}");
    });
}

#[test]
fn a_stale_epoch_and_an_unknown_plan_are_refused_by_the_hop_that_sees_them() {
    run(async {
        let path = Path::of(&[Step::Relay, Step::add(1.0)]).start();
        path.nodes[0].install(path.share(0, 2));
        let stale = refusal(path.nodes[0].request(path.plan, 2, vec![ones()], LONG).await);
        let reason = Reason::StaleEpoch { plan: path.plan, asked: 2, installed: 1 };
        assert_eq!(stale, Refusal { hop: 1, reason });
        assert!(path.nodes[1].remove(path.plan, 1));
        let unknown = refusal(path.request(ones(), LONG).await);
        assert_eq!(unknown, Refusal { hop: 1, reason: Reason::UnknownPlan { plan: path.plan } });
        let other = PlanId([9; 32]);
        let here = refusal(path.nodes[0].request(other, 1, vec![ones()], LONG).await);
        assert_eq!(here, Refusal { hop: 0, reason: Reason::UnknownPlan { plan: other } });
        assert_eq!(path.runs(), 0);
    });
}

#[test]
fn a_tensor_beyond_the_contract_is_refused_before_it_is_read() {
    run(async {
        let path = Path::of(&[Step::Relay, Step::add(1.0)]).start();
        let mut share = path.share(0, 1);
        let large = TensorSpec::new(DType::F32, [1 << 20]);
        share.contract.takes[0].spec = large.clone();
        path.nodes[0].install(share);
        let input = Tensor::new(large, vec![0; 4 << 20]).expect("a tensor");
        let refusal = refusal(path.request(input, LONG).await);
        let reason = Reason::WrongSize { tensor: 0, announced: 4 << 20, agreed: 16 };
        assert_eq!(refusal, Refusal { hop: 1, reason });
    });
}

#[test]
fn inputs_that_the_plan_does_not_take_are_named() {
    run(async {
        let path = Path::of(&[Step::add(1.0)]).start();
        let wrong = Tensor::from_f32([2], &[1.0, 2.0]).expect("a tensor");
        let error = path.request(wrong, LONG).await.expect_err("wrong inputs");
        assert_eq!(error.to_string(), "the plan takes [f32[4]], but [f32[2]] were given");
    });
}

#[test]
fn what_is_not_computed_by_its_deadline_is_refused_by_then() {
    run(async {
        let path = Path::of(&[Step::Relay, Step::slow(1500)]).start();
        path.nodes[0].join(path.nodes[1].peer()).await.expect("a connection");
        let start = Instant::now();
        let refusal = refusal(path.request(ones(), SECOND / 4).await);
        assert_eq!(refusal.reason, Reason::DeadlinePassed);
        let took = start.elapsed();
        assert!(took >= SECOND / 4 && took < SECOND, "{took:?}");
        path.request(ones(), LONG).await.expect("the node goes on");
    });
}

#[test]
fn a_request_that_nobody_waits_for_any_more_is_not_computed() {
    run(async {
        let path = Path::of(&[Step::Relay, Step::slow(600)]).start();
        let busy = path.request(ones(), LONG);
        let hurried = async {
            tokio::time::sleep(SECOND / 10).await;
            path.request(ones(), SECOND / 10).await
        };
        let (busy, hurried) = tokio::join!(busy, hurried);
        busy.expect("an answer");
        assert_eq!(refusal(hurried).reason, Reason::DeadlinePassed);
        path.request(ones(), LONG).await.expect("an answer");
        assert_eq!(path.runs(), 2);
    });
}

#[test]
fn a_stage_that_panics_or_fails_refuses_this_request_only() {
    run(async {
        let path = Path::of(&[Step::Relay, Step::Fussy]).start();
        for (bad, said) in [(-1.0, "it panicked: minus one"), (0.0, "zero is no input")] {
            let input = Tensor::from_f32([4], &[bad; 4]).expect("a tensor");
            let refusal = refusal(path.request(input, LONG).await);
            assert_eq!(refusal, Refusal { hop: 1, reason: Reason::ModelFailed { text: said.into() } });
        }
        assert_eq!(numbers(&path.request(ones(), LONG).await.expect("the node goes on")), [1.0]);
    });
}

#[test]
fn a_node_that_is_cut_off_in_the_middle_is_an_error_by_the_deadline() {
    run(async {
        let mut path = Path::of(&[Step::Relay, Step::Relay, Step::slow(2000)]).start();
        let last = path.nodes.pop().expect("a node");
        let start = Instant::now();
        let cut = async {
            tokio::time::sleep(SECOND / 4).await;
            drop(last);
        };
        let (result, ()) = tokio::join!(path.request(ones(), LONG), cut);
        let refusal = refusal(result);
        assert!(matches!(refusal, Refusal { hop: 1, reason: Reason::UpstreamLost { .. } }), "{refusal}");
        assert!(start.elapsed() < LONG);
    });
}

#[test]
fn a_node_that_stops_gently_ends_what_has_begun_and_takes_nothing_new() {
    run(async {
        let mut path = Path::of(&[Step::Relay, Step::slow(400)]).start();
        let last = path.nodes.pop().expect("a node");
        path.nodes[0].join(last.peer()).await.expect("a connection");
        let stop = async {
            tokio::time::sleep(SECOND / 10).await;
            last.stop(LONG).await;
        };
        let late = async {
            tokio::time::sleep(SECOND / 5).await;
            path.request(ones(), LONG).await
        };
        let (begun, late, ()) = tokio::join!(path.request(ones(), LONG), late, stop);
        begun.expect("what has begun is answered");
        assert_eq!(refusal(late), Refusal { hop: 1, reason: Reason::Stopping });
    });
}

#[test]
fn a_node_that_stops_at_once_refuses_what_has_begun() {
    run(async {
        let mut path = Path::of(&[Step::Relay, Step::slow(3000)]).start();
        let last = path.nodes.pop().expect("a node");
        let stop = async {
            tokio::time::sleep(SECOND / 4).await;
            Node::stop(last, Duration::ZERO).await;
        };
        let (result, ()) = tokio::join!(path.request(ones(), LONG), stop);
        assert_eq!(refusal(result), Refusal { hop: 1, reason: Reason::Stopping });
    });
}

#[test]
fn a_node_that_comes_back_is_connected_to_again() {
    run(async {
        let mut path = Path::of(&[Step::Relay, Step::add(1.0)]).start();
        path.request(ones(), LONG).await.expect("an answer");
        path.restart(1).await;
        assert_eq!(numbers(&path.request(ones(), LONG).await.expect("an answer")), [2.0]);
    });
}

#[test]
fn a_hundred_requests_at_once_are_all_answered_with_their_own_answer() {
    run(async {
        let path = Path::of(&[Step::add(1.0), Step::add(1.0), Step::add(1.0)]).start();
        let path = std::sync::Arc::new(path);
        let ask = |number: i16| {
            let path = path.clone();
            tokio::spawn(async move {
                let input = Tensor::from_f32([4], &[f32::from(number); 4]).expect("a tensor");
                (number, path.request(input, LONG).await)
            })
        };
        for answered in (0..100).map(ask).collect::<Vec<_>>() {
            let (number, result) = answered.await.expect("no panic");
            assert_eq!(numbers(&result.expect("an answer")), [f32::from(number) + 3.0]);
        }
    });
}
