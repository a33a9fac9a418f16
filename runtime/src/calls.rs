//! Asking another node for something else than its share of a plan.

use std::time::Duration;

use serde::Serialize;
use thalweg_flow::{Answer, Call, Coded, Frame, Reply};
use thalweg_planner::Tensor;
use tokio::time::timeout;

use crate::daemon::DaemonError;
use crate::link::{Connection, Exchange, LinkError};

/// Bytes of an output at most.
const OUTPUT_BYTES_MAX: u64 = 256 << 20;
/// Bytes of JSON in a reply at most: of many nodes.
pub(crate) const JSON_BYTES_MAX: u64 = 16 << 20;

/// A piece of a file may take so long: at 50 kbit/s it takes 42 s.
pub(crate) const PIECE_TIME_MAX: Duration = Duration::from_secs(60);

/// Calls a node and waits for its reply, at most for `time`; at most `most` bytes may follow that.
pub(crate) async fn call(
    connection: &Connection,
    call: Call,
    bytes: Vec<u8>,
    most: u64,
    time: Duration,
) -> Result<(Reply, Vec<u8>), DaemonError> {
    let address = connection.address();
    let asked = async {
        let mut exchange = connection.open().await?;
        unless_stopped(exchange.send(&Frame::Call(call), vec![bytes]).await)?;
        match exchange.read_frame().await? {
            Frame::Reply(Reply::Done { bytes }) if bytes > most => Err(DaemonError::Misunderstood),
            Frame::Reply(Reply::Done { bytes }) => Ok((Reply::Done { bytes }, read(&mut exchange, bytes).await?)),
            Frame::Reply(reply) => Ok((reply, Vec::new())),
            Frame::Refuse(refusal) => Err(DaemonError::Refused(refusal)),
            _ => Err(DaemonError::Misunderstood),
        }
    };
    timeout(time, asked).await.map_err(|_| DaemonError::Silent { address: address.to_string(), time })?
}

/// Asks a source to answer a request; what it says beside the outputs.
pub(crate) async fn ask(
    connection: &Connection,
    deployment: &str,
    inputs: Vec<Tensor>,
    time: Duration,
) -> Result<(Answer, Vec<Vec<u8>>), DaemonError> {
    let coded = |tensor: &Tensor| Coded { codec: "f32".into(), bytes: tensor.data().len() as u64 };
    let call = Call::Ask {
        deployment: deployment.into(),
        remaining_us: u64::try_from(time.as_micros()).unwrap_or(u64::MAX),
        tensors: inputs.iter().map(coded).collect(),
    };
    let mut exchange = connection.open().await?;
    unless_stopped(exchange.begin(&Frame::Call(call)).await)?;
    match exchange.read_frame().await? {
        Frame::Reply(Reply::Continue) => {}
        Frame::Refuse(refusal) => return Err(DaemonError::Refused(refusal)),
        _ => return Err(DaemonError::Misunderstood),
    }
    unless_stopped(exchange.finish(inputs.into_iter().map(Tensor::into_data)).await)?;
    let answer = match exchange.read_frame().await? {
        Frame::Answer(answer) => answer,
        Frame::Refuse(refusal) => return Err(DaemonError::Refused(refusal)),
        _ => return Err(DaemonError::Misunderstood),
    };
    let mut outputs = Vec::new();
    for size in &answer.sizes {
        if *size > OUTPUT_BYTES_MAX {
            return Err(DaemonError::Misunderstood);
        }
        outputs.push(read(&mut exchange, *size).await?);
    }
    Ok((answer, outputs))
}

/// A node that wants no more of what is sent has said why.
fn unless_stopped(sent: Result<(), LinkError>) -> Result<(), LinkError> {
    match sent {
        Err(LinkError::Stopped) => Ok(()),
        sent => sent,
    }
}

/// So many bytes of a stream.
pub(crate) async fn read(exchange: &mut Exchange, bytes: u64) -> Result<Vec<u8>, LinkError> {
    let length = usize::try_from(bytes).unwrap_or(usize::MAX);
    // Memory is taken as bytes come, so that an announcement alone takes none.
    let mut all = Vec::new();
    while all.len() < length {
        match exchange.read_piece(length - all.len()).await? {
            Some(piece) => all.extend_from_slice(&piece),
            None => return Err(LinkError::Broken { cause: "it ends too early".into() }),
        }
    }
    Ok(all)
}

/// Whatever nodes say to each other in words.
pub(crate) fn json(value: &impl Serialize) -> Result<Vec<u8>, DaemonError> {
    serde_json::to_vec(value).map_err(|cause| DaemonError::NoOrder { cause: cause.to_string() })
}
