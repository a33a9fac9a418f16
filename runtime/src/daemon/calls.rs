//! Answers calls of peers: each is refused unless the role of the caller's key allows it.

use std::sync::Arc;
use std::time::Duration;

use thalweg_flow::{Answer, Call, Coded, Frame, Reason, Refusal, Reply, Text, micros};
use thalweg_planner::Tensor;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::DaemonError;
use super::gossip;
use super::orders::{Order, carry_out, fits};
use super::serving;
use super::start::Inner;
use crate::calls::{json, read};
use crate::identity::Gate;
use crate::link::Exchange;
use crate::node::{Incoming, RequestError};
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

/// Takes calls until the node ends.
pub(crate) async fn serve(inner: Arc<Inner>, mut calls: mpsc::Receiver<Incoming>) {
    while let Some(incoming) = calls.recv().await {
        tokio::spawn(answer(inner.clone(), incoming));
    }
}

async fn answer(inner: Arc<Inner>, mut incoming: Incoming) {
    let refuse = |reason| Frame::Refuse(Refusal { hop: 0, reason });
    let (frame, bytes) = match act(&inner, &mut incoming).await {
        Ok(said) => said,
        Err(Failed::NotAllowed(operation)) => {
            let operation = format!("to {operation:?}").to_lowercase();
            tracing::warn!(node = %inner.config.name, peer = %inner.cluster.name(incoming.peer), operation, "refused");
            (refuse(Reason::NotAllowed { operation: operation.into() }), Vec::new())
        }
        Err(Failed::Refused(refusal)) => (Frame::Refuse(refusal), Vec::new()),
        Err(Failed::Error(error)) => {
            tracing::info!(node = %inner.config.name, %error, "a call failed");
            (refuse(Reason::CallFailed { text: error.told() }), Vec::new())
        }
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

async fn act(inner: &Arc<Inner>, incoming: &mut Incoming) -> Result<Said, Failed> {
    let allowed = |operation| match inner.cluster.may(incoming.peer, operation) {
        true => Ok(()),
        false => Err(Failed::NotAllowed(operation)),
    };
    let exchange = &mut incoming.exchange;
    match &incoming.call {
        Call::Join { secret, bytes } => {
            let text = take(exchange, *bytes, JOIN_BYTES_MAX).await?;
            let member: Member = serde_json::from_slice(&text).map_err(|_| DaemonError::Misunderstood)?;
            // It is let in under the key that it has shown, whatever it says.
            let told = inner.cluster.admit(*secret, Member { id: incoming.peer, ..member })?;
            done(json(&told)?)
        }
        Call::Gossip(frame) => {
            allowed(Operation::Gossip)?;
            match inner.gossip.answer(inner, frame, incoming.peer) {
                Some(frame) => Ok((Frame::Reply(Reply::Gossip(frame)), Vec::new())),
                None => done(Vec::new()),
            }
        }
        Call::Members { bytes } => {
            allowed(Operation::Gossip)?;
            gossip::hear(inner, &take(exchange, *bytes, MEMBERS_BYTES_MAX).await?)?;
            done(json(&inner.cluster.told())?)
        }
        Call::Probe { bytes } => {
            allowed(Operation::Probe)?;
            let probed = timeout(BYTES_IN, probed(inner, exchange, (*bytes).min(PROBE_BYTES_MAX)));
            Ok((Frame::Reply(probed.await.map_err(|_| DaemonError::Misunderstood)??), Vec::new()))
        }
        Call::Fetch { hash } => {
            allowed(Operation::Fetch)?;
            match inner.store.chunk(Hash::from(*hash)) {
                Ok(bytes) => done(bytes),
                Err(_) => Ok((Frame::Reply(Reply::NotHere), Vec::new())),
            }
        }
        Call::Put { hash, bytes } => {
            allowed(Operation::Install)?;
            let piece = take(exchange, *bytes, CHUNK_BYTES as u64).await?;
            inner.note_put();
            inner.store.put_chunk(Hash::from(*hash), &piece)?;
            done(Vec::new())
        }
        Call::Order { bytes } => {
            // Who may only ask for little says little.
            let most =
                if inner.cluster.may(incoming.peer, Operation::Install) { ORDER_BYTES_MAX } else { JOIN_BYTES_MAX };
            if !inner.cluster.knows(incoming.peer) {
                return Err(Failed::NotAllowed(Operation::Status));
            }
            let text = take(exchange, *bytes, most).await?;
            let order: Order =
                serde_json::from_slice(&text).map_err(|cause| DaemonError::NoOrder { cause: cause.to_string() })?;
            allowed(order.operation())?;
            // Nothing comes about of what nobody waits for any more.
            tokio::select! {
                answer = carry_out(inner, incoming.peer, order) => done(answer?),
                () = exchange.released() => Err(DaemonError::Ended.into()),
            }
        }
        Call::Ask { deployment, remaining_us, tensors } => {
            allowed(Operation::Ask)?;
            ask(inner, exchange, &deployment.to_string(), Duration::from_micros(*remaining_us), tensors).await
        }
    }
}

fn done(bytes: Vec<u8>) -> Result<Said, Failed> {
    Ok((Frame::Reply(Reply::Done { bytes: bytes.len() as u64 }), vec![bytes]))
}

async fn take(exchange: &mut Exchange, bytes: u64, most: u64) -> Result<Vec<u8>, DaemonError> {
    if bytes > most {
        return Err(DaemonError::Misunderstood);
    }
    let silent = |_| DaemonError::Silent { address: "the caller".into(), time: BYTES_IN };
    Ok(timeout(BYTES_IN, read(exchange, bytes)).await.map_err(silent)??)
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

/// Answers a request of somebody on this host, or of a member, as its source.
async fn ask(
    inner: &Arc<Inner>,
    exchange: &mut Exchange,
    deployment: &str,
    time: Duration,
    tensors: &[Coded],
) -> Result<Said, Failed> {
    let start = inner.clock.now();
    let source = inner.source(deployment)?;
    let sizes: Vec<u64> = tensors.iter().map(|coded| coded.bytes).collect();
    let refuse = |reason| Failed::Refused(Refusal { hop: 0, reason });
    if !fits(&source.of.inputs, &sizes) {
        let (announced, agreed) = (sizes.len() as u64, source.of.inputs.len() as u64);
        return Err(refuse(Reason::WrongCount { announced, agreed }));
    }
    let time = if time.is_zero() { source.of.deadline() } else { time };
    // What cannot be answered is not even read.
    source.refuse_early(time, start).map_err(Failed::Refused)?;
    let mut inputs = Vec::new();
    for input in &source.of.inputs {
        let bytes = take(exchange, input.spec.bytes().0, u64::MAX).await?;
        inputs.push(Tensor::new(input.spec.clone(), bytes).map_err(|_| DaemonError::Misunderstood)?);
    }
    let received = inner.clock.now();
    let time = time.saturating_sub(received.saturating_sub(start));
    let answered = tokio::select! {
        answered = serving::answer(inner, &source, inputs, time) => answered,
        () = exchange.released() => return Err(DaemonError::Ended.into()),
    };
    match answered {
        Ok(answered) => {
            let sizes = answered.outputs.iter().map(|tensor| tensor.data().len() as u64).collect();
            let sent_us = micros(inner.clock.now());
            let (spans, coarse) = (answered.spans, answered.coarse);
            let received_us = micros(received);
            let answer = Answer { received_us, sent_us, spans, coarse, sizes };
            Ok((Frame::Answer(answer), answered.outputs.into_iter().map(Tensor::into_data).collect()))
        }
        Err(RequestError::Refused(refusal)) => Err(Failed::Refused(refusal)),
        Err(error) => Err(refuse(Reason::Malformed { text: Text::from(error.to_string()) })),
    }
}
