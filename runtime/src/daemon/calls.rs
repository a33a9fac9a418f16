//! Answers calls of peers: each is refused unless the role of the caller's key allows it.

use std::sync::Arc;
use std::time::Duration;

use thalweg_flow::{Answer, Call, Coded, Frame, Reason, Refusal, Reply, Text, micros};
use thalweg_planner::Tensor;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::DaemonError;
use super::deliver::DELIVERY_MAX;
use super::gossip;
use super::orders::{Order, carry_out, fits};
use super::outbox;
use super::serving;
use super::source::Source;
use super::start::Inner;
use crate::calls::{json, read};
use crate::identity::{Gate, NodeId};
use crate::link::Exchange;
use crate::node::{Incoming, RequestError};
use crate::quota::{Held, Quota};
use crate::store::{CHUNK_BYTES, Hash};
use crate::trust::{Member, Operation};

/// What follows a call has to be here by then.
const BYTES_IN: Duration = Duration::from_secs(60);
/// And an answer has to be taken by then.
const BYTES_OUT: Duration = Duration::from_secs(120);
/// Bytes of JSON that follow an order at most: large things lie in the store.
const ORDER_BYTES_MAX: u64 = 8 << 20;
/// Bytes that follow a call of a stranger at most.
const JOIN_BYTES_MAX: u64 = 4 << 10;
/// Padding of a probe at most.
const PROBE_BYTES_MAX: u64 = 1 << 20;
/// Bytes of all that a node knows of members at most.
const MEMBERS_BYTES_MAX: u64 = 16 << 20;
/// Bytes of an answer in JSON, about.
const JSON_BYTES: u64 = 1 << 20;
/// KiB that calls of one peer hold at a time: four of the largest, and a hundred inputs of 224 × 224 pixels.
const PEER_KIB_MAX: u32 = 64 << 10;
/// And those of all strangers together: some that join.
const STRANGERS_KIB_MAX: u32 = 8 << 10;
/// And those of all peers.
const ALL_KIB_MAX: u32 = 256 << 10;

/// What calls may hold, in KiB.
pub(super) fn quota() -> Quota {
    Quota::new(PEER_KIB_MAX, STRANGERS_KIB_MAX, ALL_KIB_MAX)
}

/// Bytes that are held while a call is answered: what follows it, or its answer, or both. What takes next to nothing never
/// waits for what takes much, so probes and gossip go on whatever else is asked.
fn holds(call: &Call) -> u64 {
    match call {
        Call::Gossip(_) | Call::Probe { .. } => 0,
        Call::Join { bytes, .. } | Call::Members { bytes } | Call::Order { bytes } => bytes.saturating_add(JSON_BYTES),
        Call::Deliver { bytes, .. } => *bytes,
        Call::Fetch { .. } | Call::Put { .. } => CHUNK_BYTES as u64,
        Call::Ask { tensors, .. } => tensors.iter().fold(0, |sum, tensor| sum.saturating_add(tensor.bytes)),
    }
}

/// Results that follow a call at most: as many as are delivered together, or a long one.
const DELIVERY_BYTES_MAX: u64 = 8 << 20;

/// Takes calls until the node ends.
pub(crate) async fn serve(inner: Arc<Inner>, mut calls: mpsc::Receiver<Incoming>) {
    while let Some(incoming) = calls.recv().await {
        tokio::spawn(answer(inner.clone(), incoming));
    }
}

async fn answer(inner: Arc<Inner>, mut incoming: Incoming) {
    let came = inner.clock.now();
    let (frame, bytes, _held) = match act_within(&inner, &mut incoming, came).await {
        Ok(((frame, bytes), held)) => (frame, bytes, held),
        Err(failed) => (Frame::Refuse(refusal(&inner, incoming.peer, failed)), Vec::new(), None),
    };
    incoming.exchange.want_no_more();
    let said = async {
        if incoming.exchange.send(&frame, bytes).await.is_ok() {
            incoming.exchange.released().await;
        }
    };
    // A peer that does not read what it has asked for holds nothing for ever.
    let _ = timeout(BYTES_OUT, said).await;
}

/// Carries out a call that has come at `came`, once there is room for what it holds: then its answer still takes it.
async fn act_within(
    inner: &Arc<Inner>,
    incoming: &mut Incoming,
    came: Duration,
) -> Result<(Said, Option<Held>), Failed> {
    check(inner, incoming.peer, &incoming.call, came)?;
    let peer = Some(incoming.peer).filter(|peer| inner.cluster.knows(*peer));
    let held = tokio::select! {
        held = inner.calls.take(peer, holds(&incoming.call).div_ceil(1 << 10)) => held,
        () = incoming.exchange.released() => return Err(DaemonError::GivenUp.into()),
    };
    Ok((act(inner, incoming, came).await?, held))
}

/// Looks at whether a call that has come at `came` may be made, and whether no more is to follow than may, before anything
/// is held for it.
fn check(inner: &Inner, peer: NodeId, call: &Call, came: Duration) -> Result<(), Failed> {
    let (operation, bytes, most) = match call {
        Call::Join { bytes, .. } => return within(*bytes, JOIN_BYTES_MAX),
        Call::Gossip(_) => (Operation::Gossip, 0, 0),
        Call::Members { bytes } => (Operation::Gossip, *bytes, MEMBERS_BYTES_MAX),
        Call::Probe { .. } => (Operation::Probe, 0, 0),
        Call::Fetch { .. } => (Operation::Fetch, 0, 0),
        Call::Put { bytes, .. } => (Operation::Install, *bytes, CHUNK_BYTES as u64),
        // What is ordered, and so who may, is seen later. Who may only ask for little says little.
        Call::Order { bytes } if inner.cluster.may(peer, Operation::Install) => return within(*bytes, ORDER_BYTES_MAX),
        Call::Order { bytes } if inner.cluster.knows(peer) => return within(*bytes, JOIN_BYTES_MAX),
        Call::Order { .. } => return Err(Failed::NotAllowed(Operation::Status)),
        Call::Deliver { bytes, .. } => (Operation::Deliver, *bytes, DELIVERY_BYTES_MAX),
        Call::Ask { deployment, remaining_us, tensors } => {
            allowed(inner, peer, Operation::Ask)?;
            let time = Duration::from_micros(*remaining_us);
            return asked(inner, &deployment.to_string(), (came, time), tensors).map(drop);
        }
    };
    allowed(inner, peer, operation)?;
    within(bytes, most)
}

fn within(bytes: u64, most: u64) -> Result<(), Failed> {
    if bytes <= most { Ok(()) } else { Err(DaemonError::Misunderstood.into()) }
}

fn refusal(inner: &Inner, peer: NodeId, failed: Failed) -> Refusal {
    let refuse = |reason| Refusal { hop: 0, reason };
    match failed {
        Failed::NotAllowed(operation) => {
            let operation = format!("to {operation:?}").to_lowercase();
            tracing::warn!(node = %inner.config.name, peer = %inner.cluster.name(peer), operation, "refused");
            refuse(Reason::NotAllowed { operation: operation.into() })
        }
        Failed::Refused(refusal) => refusal,
        Failed::Error(error) => {
            tracing::info!(node = %inner.config.name, %error, "a call failed");
            refuse(Reason::CallFailed { text: error.told() })
        }
    }
}

/// Why a call is not answered.
enum Failed {
    NotAllowed(Operation),
    Refused(Refusal),
    Error(DaemonError),
}

impl<E: Into<DaemonError>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::Error(error.into())
    }
}

type Said = (Frame, Vec<Vec<u8>>);

/// Carries out a call that may be made.
async fn act(inner: &Arc<Inner>, incoming: &mut Incoming, came: Duration) -> Result<Said, Failed> {
    let peer = incoming.peer;
    let exchange = &mut incoming.exchange;
    match &incoming.call {
        Call::Join { secret, bytes } => {
            let record = take(exchange, *bytes).await?;
            join(inner, peer, *secret, &record).await
        }
        Call::Gossip(frame) => match inner.gossip.answer(inner, frame, peer) {
            Some(frame) => Ok((Frame::Reply(Reply::Gossip(frame)), Vec::new())),
            None => done(Vec::new()),
        },
        Call::Members { bytes } => {
            let told = take(exchange, *bytes).await?;
            let heard = inner.blocking(move |inner| {
                gossip::hear(inner, &told)?;
                json(&inner.cluster.told())
            });
            done(heard.await?)
        }
        Call::Probe { bytes } => {
            let probed = timeout(BYTES_IN, probed(inner, exchange, (*bytes).min(PROBE_BYTES_MAX)));
            Ok((Frame::Reply(probed.await.map_err(|_| DaemonError::Misunderstood)??), Vec::new()))
        }
        Call::Fetch { hash } => {
            let hash = Hash::from(*hash);
            match inner.blocking(move |inner| inner.store.chunk(hash)).await {
                Ok(bytes) => done(bytes),
                Err(_) => Ok((Frame::Reply(Reply::NotHere), Vec::new())),
            }
        }
        Call::Put { hash, bytes } => {
            let piece = take(exchange, *bytes).await?;
            inner.note_put();
            let hash = Hash::from(*hash);
            inner.blocking(move |inner| inner.store.put_chunk(hash, &piece)).await?;
            done(Vec::new())
        }
        Call::Order { bytes } => ordered(inner, exchange, peer, *bytes).await,
        Call::Deliver { deployment, has, follows, bytes } => {
            let results = take_for(exchange, *bytes, DELIVERY_MAX).await?;
            deliver(inner, peer, deployment.to_string(), (*has, *follows), results).await
        }
        Call::Ask { deployment, remaining_us, tensors } => {
            let time = Duration::from_micros(*remaining_us);
            ask(inner, exchange, &deployment.to_string(), (came, time), tensors).await
        }
    }
}

fn allowed(inner: &Inner, peer: NodeId, operation: Operation) -> Result<(), Failed> {
    if inner.cluster.may(peer, operation) { Ok(()) } else { Err(Failed::NotAllowed(operation)) }
}

/// Carries out an order of `by`, of which so many bytes follow.
async fn ordered(inner: &Arc<Inner>, exchange: &mut Exchange, by: NodeId, bytes: u64) -> Result<Said, Failed> {
    let text = take(exchange, bytes).await?;
    let order: Order =
        serde_json::from_slice(&text).map_err(|cause| DaemonError::NoOrder { cause: cause.to_string() })?;
    allowed(inner, by, order.operation())?;
    // Nothing comes about of what nobody waits for any more.
    tokio::select! {
        answer = carry_out(inner, by, order) => done(answer?),
        () = exchange.released() => Err(DaemonError::GivenUp.into()),
    }
}

/// Lets a stranger in under the key that it has shown, whatever it says.
async fn join(inner: &Arc<Inner>, peer: NodeId, secret: [u8; 16], record: &[u8]) -> Result<Said, Failed> {
    let member: Member = serde_json::from_slice(record).map_err(|_| DaemonError::Misunderstood)?;
    let member = Member { id: peer, ..member };
    done(inner.blocking(move |inner| json(&inner.cluster.admit(secret, member)?)).await?)
}

/// Keeps results of a node, and says what is kept of it then.
async fn deliver(
    inner: &Arc<Inner>,
    peer: NodeId,
    deployment: String,
    (has, follows): (Option<[u8; 32]>, [u8; 32]),
    results: Vec<u8>,
) -> Result<Said, Failed> {
    let delivering = inner.blocking(move |inner| {
        let current = inner.cluster.current(peer);
        let from = inner.inboxes.known_as(&deployment, |id| inner.cluster.current(id) == current);
        inner.inboxes.deliver(&deployment, from.unwrap_or(peer), (has.map(Hash::from), follows.into()), &results)
    });
    match delivering.await? {
        Some(mark) => done(mark.as_bytes().to_vec()),
        None => Ok((Frame::Reply(Reply::NotHere), Vec::new())),
    }
}

fn done(bytes: Vec<u8>) -> Result<Said, Failed> {
    Ok((Frame::Reply(Reply::Done { bytes: bytes.len() as u64 }), vec![bytes]))
}

async fn take(exchange: &mut Exchange, bytes: u64) -> Result<Vec<u8>, DaemonError> {
    take_for(exchange, bytes, BYTES_IN).await
}

async fn take_for(exchange: &mut Exchange, bytes: u64, time: Duration) -> Result<Vec<u8>, DaemonError> {
    let silent = |_| DaemonError::Silent { address: "the caller".into(), time };
    Ok(timeout(time, read(exchange, bytes)).await.map_err(silent)??)
}

/// When the padding of a probe came.
async fn probed(inner: &Inner, exchange: &mut Exchange, bytes: u64) -> Result<Reply, DaemonError> {
    let now = || micros(inner.clock.now());
    let (mut first_us, mut last_us, mut counted, mut left) = (now(), now(), 0, bytes as usize);
    let mut is_first = true;
    while left > 0 {
        let Some(piece) = exchange.read_piece(left).await? else { break };
        left -= piece.len();
        last_us = now();
        if std::mem::take(&mut is_first) {
            first_us = last_us;
        } else {
            counted += piece.len() as u64;
        }
    }
    Ok(Reply::Pong { first_us, last_us: last_us.max(first_us), sent_us: now(), counted })
}

/// The source of a deployment, if these are its inputs and it may answer in time, and how long a request may take: what
/// cannot be answered is not even read.
fn asked(
    inner: &Inner,
    deployment: &str,
    (came, time): (Duration, Duration),
    tensors: &[Coded],
) -> Result<(Arc<Source>, Duration), Failed> {
    let source = inner.source(deployment)?;
    let sizes: Vec<u64> = tensors.iter().map(|coded| coded.bytes).collect();
    if !fits(&source.of.inputs, &sizes) {
        let (announced, agreed) = (sizes.len() as u64, source.of.inputs.len() as u64);
        return Err(Failed::Refused(Refusal { hop: 0, reason: Reason::WrongCount { announced, agreed } }));
    }
    let time = if time.is_zero() { source.of.deadline() } else { time };
    let now = inner.clock.now();
    source.refuse_early(inner, time.saturating_sub(now.saturating_sub(came)), now).map_err(Failed::Refused)?;
    Ok((source, time))
}

/// Answers a request of somebody on this host, or of a member, as its source: when it came, and how long it may take from
/// then on.
async fn ask(
    inner: &Arc<Inner>,
    exchange: &mut Exchange,
    deployment: &str,
    (came, time): (Duration, Duration),
    tensors: &[Coded],
) -> Result<Said, Failed> {
    // Another epoch may serve than when it was let in, or more may be under way.
    let (source, time) = asked(inner, deployment, (came, time), tensors)?;
    exchange.begin(&Frame::Reply(Reply::Continue)).await?;
    let mut inputs = Vec::new();
    for input in &source.of.inputs {
        let bytes = take(exchange, input.spec.bytes().0).await?;
        inputs.push(Tensor::new(input.spec.clone(), bytes).map_err(|_| DaemonError::Misunderstood)?);
    }
    let received = inner.clock.now();
    let time = time.saturating_sub(received.saturating_sub(came));
    let answered = tokio::select! {
        answered = serving::answer(inner, &source, inputs, time) => answered,
        () = exchange.released() => return Err(DaemonError::GivenUp.into()),
    };
    match answered {
        Ok(answered) => {
            outbox::keep(inner, &source, &answered).await;
            let sizes = answered.outputs.iter().map(|tensor| tensor.data().len() as u64).collect();
            let sent_us = micros(inner.clock.now());
            let (spans, coarse) = (answered.spans, answered.coarse);
            let received_us = micros(received);
            let answer = Answer { trace: answered.trace, received_us, sent_us, spans, coarse, sizes };
            Ok((Frame::Answer(answer), answered.outputs.into_iter().map(Tensor::into_data).collect()))
        }
        Err(RequestError::Refused(refusal)) => Err(Failed::Refused(refusal)),
        Err(error) => {
            let reason = Reason::Malformed { text: Text::from(error.to_string()) };
            Err(Failed::Refused(Refusal { hop: 0, reason }))
        }
    }
}

#[cfg(test)]
mod tests {
    use thalweg_flow::{Digest, GossipFrame};

    use super::*;

    #[test]
    fn what_a_call_holds_bounds_how_many_of_its_kind_are_answered_at_a_time() {
        let coded = |bytes| Coded { codec: "f32".into(), bytes };
        let ask = |tensors| Call::Ask { deployment: "eyes".into(), remaining_us: 1, tensors };
        let at_a_time = |call: Call| u64::from(PEER_KIB_MAX << 10).checked_div(holds(&call));
        assert_eq!(at_a_time(Call::Gossip(GossipFrame::Ask(Digest::default()))), None);
        assert_eq!(at_a_time(Call::Probe { bytes: u64::MAX }), None);
        assert_eq!(at_a_time(Call::Put { hash: [0; 32], bytes: 1 }), Some(256));
        assert_eq!(at_a_time(Call::Fetch { hash: [0; 32] }), Some(256));
        assert_eq!(at_a_time(Call::Order { bytes: 100 }), Some(63));
        assert_eq!(at_a_time(Call::Members { bytes: MEMBERS_BYTES_MAX }), Some(3));
        assert_eq!(at_a_time(ask(vec![coded(224 * 224 * 3 * 4)])), Some(111));
        assert_eq!(at_a_time(ask(vec![coded(u64::MAX), coded(1)])), Some(0));
    }
}
