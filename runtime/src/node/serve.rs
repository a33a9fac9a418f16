//! What peers ask of a node: requests for its share of a plan, which it serves, and calls, which it hands on.

use std::sync::Arc;
use std::time::Duration;

use thalweg_flow::{Answer, Course, Frame, Open, Reason, Refusal, Request, micros};
use thalweg_planner::Tensor;
use tokio::time::timeout;

use super::drive::{Drive, Ending, Finished};
use super::{Incoming, Shared};
use crate::link::{Connection, Exchange};
use crate::quota::Held;
use crate::stage::Caller;

/// A peer that opens a stream has this long to say what for.
const OPEN_MAX: Duration = Duration::from_secs(10);

/// One that is let in because it may have been invited has this long to show that it was.
const STRANGER_MAX: Duration = Duration::from_secs(10);

/// Lets peers in until the node ends.
pub(super) async fn accept_peers(shared: Arc<Shared>) {
    while let Some(arrival) = shared.endpoint.accept().await {
        shared.links.knocked();
        let shared = shared.clone();
        tokio::spawn(async move {
            match arrival.greet(&shared.endpoint, |peer| shared.hello(peer)).await {
                Ok(connection) if shared.gate.knows(connection.peer()) => accept_requests(shared, connection).await,
                Ok(connection) => {
                    let _ = timeout(STRANGER_MAX, accept_requests(shared, connection.clone())).await;
                    connection.close();
                }
                Err(error) => tracing::warn!(node = %shared.name, %error, "a peer was not let in"),
            }
        });
    }
}

async fn accept_requests(shared: Arc<Shared>, connection: Connection) {
    while let Ok(exchange) = connection.accept().await {
        // One that has enough of them under way is not heard until some are over, whatever connections it makes.
        let peer = Some(connection.peer()).filter(|peer| shared.gate.knows(*peer));
        let Some(place) = shared.streams.take(peer, 1).await else { return };
        let serving = serve(shared.clone(), connection.clone(), exchange, place);
        tokio::spawn(serving);
    }
}

/// Serves one request, or passes on one call, of a peer.
async fn serve(shared: Arc<Shared>, connection: Connection, mut exchange: Exchange, place: Held) {
    let open = shared.phase.subscribe();
    let malformed = |text: &str| Refusal { hop: 0, reason: Reason::Malformed { text: text.into() } };
    let refusal = match timeout(OPEN_MAX, exchange.read_frame()).await {
        Ok(Ok(Frame::Open(open))) => return infer(&shared, &connection, &open, exchange).await,
        Ok(Ok(Frame::Call(call))) => match &shared.calls {
            Some(calls) => {
                let peer = connection.peer();
                // One that is not taken belongs to a node that has ended.
                let _ = calls.send(Incoming { peer, call, exchange, _place: place, _open: open }).await;
                return;
            }
            None => malformed("this node takes no calls"),
        },
        Ok(Ok(_)) => malformed("a request begins with another frame"),
        Ok(Err(error)) => malformed(&error.to_string()),
        Err(_) => malformed("a request was begun, but nothing said"),
    };
    reply(&shared, exchange, &Frame::Refuse(refusal), Vec::new()).await;
}

/// Says the last word on a stream, and waits until the peer has it.
async fn reply(shared: &Shared, mut exchange: Exchange, frame: &Frame, tensors: Vec<Vec<u8>>) {
    match exchange.send(frame, tensors).await {
        Ok(()) => exchange.released().await,
        Err(error) => tracing::debug!(node = %shared.name, %error, "an answer found nobody"),
    }
}

/// Runs this node's share for a peer, if the request is as agreed and can be answered in time.
async fn infer(shared: &Arc<Shared>, connection: &Connection, open: &Open, mut exchange: Exchange) {
    let ending = match begin(shared, connection, open) {
        Ok(drive) => drive.run(Some(&mut exchange), None).await,
        Err(refusal) => {
            // Its tensors are not awaited.
            exchange.want_no_more();
            Ending::Refuse(refusal)
        }
    };
    match ending {
        Ending::Answer(finished) => {
            let (answer, tensors) = answer(shared, open.trace, finished);
            reply(shared, exchange, &Frame::Answer(answer), tensors).await;
        }
        Ending::Refuse(refusal) => reply(shared, exchange, &Frame::Refuse(refusal), Vec::new()).await,
        Ending::Abandon => {}
    }
}

/// Takes a request if it is as agreed and can be answered in time.
fn begin(shared: &Arc<Shared>, connection: &Connection, open: &Open) -> Result<Drive, Refusal> {
    let refuse = |reason| Refusal { hop: open.hop, reason };
    if !shared.gate.may_infer(connection.peer()) {
        return Err(refuse(Reason::NotAllowed { operation: "to infer".into() }));
    }
    let now = shared.clock.now();
    let share = shared.find(open.plan, open.epoch).map_err(refuse)?;
    let course = share.course();
    let request = Request::accept(&share.contract, course, open, now)?;
    // The caller counts from when it asked: its frame was on the way for half a round trip, and the answer will be too. But
    // no more than half of the time: for a while after a jam the round trip is thought longer than it is.
    let on_the_way = connection.round_trip().min(Duration::from_micros(open.remaining_us) / 2);
    let computed_by = request.deadline().saturating_sub(on_the_way);
    let computes = course != Course::Relay;
    let place = computes.then(|| shared.place(Caller::Peer(connection.peer()), &share, computed_by)).transpose()?;
    Ok(Drive::new(shared.clone(), share, request, open.trace, place))
}

/// The outputs that were made here, and those from above as they came.
fn answer(shared: &Shared, trace: u64, finished: Finished) -> (Answer, Vec<Vec<u8>>) {
    let Finished { received, own, above, spans, coarse } = finished;
    let sizes = own.iter().map(|tensor| tensor.data().len() as u64).chain(above.sizes()).collect();
    let (received_us, sent_us) = (micros(received), micros(shared.clock.now()));
    let answer = Answer { trace, received_us, sent_us, spans, coarse, sizes };
    (answer, own.into_iter().map(Tensor::into_data).chain([above.into_bytes()]).collect())
}
