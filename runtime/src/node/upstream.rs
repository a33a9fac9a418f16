//! Asks the node above: its connections, the question, and the reply.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use thalweg_codec::Codec;
use thalweg_flow::{Answer, Assembly, Clocks, Coded, Departure, Frame, Open, Payload, Refusal, Text, micros};
use tokio::select;
use tokio::sync::{Mutex as AsyncMutex, watch};

use super::Shared;
use crate::identity::NodeId;
use crate::link::{Connection, Endpoint, Exchange, LinkError, Peer};
use crate::share::{Pick, Share};

/// Connections to nodes above, made when they are first needed and again when they broke.
#[derive(Default)]
pub(super) struct Links {
    by_peer: Mutex<BTreeMap<Peer, Arc<AsyncMutex<Option<Connection>>>>>,
    /// Under which key and address a node is found by now, by the key that plans name.
    found_as: RwLock<BTreeMap<NodeId, Peer>>,
    /// Changes whenever somebody begins a connection to this node.
    knocks: watch::Sender<()>,
}

impl Links {
    /// The connection to `peer`. Requests that need it at the same time wait for one attempt.
    pub(super) async fn to(&self, endpoint: &Endpoint, peer: Peer) -> Result<Connection, LinkError> {
        let found_as = self.found_as.read().unwrap_or_else(PoisonError::into_inner).get(&peer.id).copied();
        let peer = found_as.unwrap_or(peer);
        let link = self.by_peer.lock().unwrap_or_else(PoisonError::into_inner).entry(peer).or_default().clone();
        let mut link = link.lock().await;
        if let Some(connection) = link.as_ref().filter(|connection| connection.is_alive()) {
            return Ok(connection.clone());
        }
        let connection = self.reach(endpoint, peer).await?;
        *link = Some(connection.clone());
        Ok(connection)
    }

    /// Connects. Whoever knocks meanwhile may be the peer, that was away: it is tried once more at once, not only when what it
    /// has not heard is said again. Once, so that strangers who knock cause no more.
    async fn reach(&self, endpoint: &Endpoint, peer: Peer) -> Result<Connection, LinkError> {
        let (mut knocks, mut first) = (self.knocks(), pin!(endpoint.connect(peer)));
        select! {
            connected = &mut first => return connected,
            _ = knocks.changed() => {}
        }
        select! {
            connected = &mut first => connected,
            connected = endpoint.connect(peer) => connected,
        }
    }

    /// Somebody begins a connection to this node.
    pub(super) fn knocked(&self) {
        self.knocks.send_replace(());
    }

    pub(super) fn knocks(&self) -> watch::Receiver<()> {
        self.knocks.subscribe()
    }

    /// Requests that come make connections anew; those that have begun keep theirs.
    pub(super) fn renew(&self) {
        self.by_peer.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// From now on nodes are found like this.
    pub(super) fn find_as(&self, found_as: BTreeMap<NodeId, Peer>) {
        *self.found_as.write().unwrap_or_else(PoisonError::into_inner) = found_as;
    }

    /// The connection to the node of this key, where there is one.
    pub(super) fn open(&self, id: NodeId) -> Option<Connection> {
        let by_peer = self.by_peer.lock().unwrap_or_else(PoisonError::into_inner);
        let link = by_peer.iter().find(|(peer, _)| peer.id == id)?.1.try_lock().ok()?;
        link.clone()
    }

    /// Ends the connections to the node of this key.
    pub(super) fn hang_up(&self, id: NodeId) {
        let mut by_peer = self.by_peer.lock().unwrap_or_else(PoisonError::into_inner);
        by_peer.retain(|peer, link| {
            // One that is being made just now fails by itself: the peer is not let in any more.
            let open = (peer.id == id).then(|| link.try_lock().ok()).flatten();
            open.as_deref().and_then(Option::as_ref).inspect(|connection| connection.close());
            peer.id != id
        });
    }
}

/// What is asked of the hop above.
pub(super) struct Question {
    pub(super) trace: u64,
    pub(super) deadline: Duration,
    pub(super) payload: Payload,
    /// When the payload was complete.
    pub(super) ready: Duration,
}

/// The complete answer of the hop above.
pub(super) struct Reply {
    pub(super) answer: Answer,
    pub(super) payload: Payload,
    pub(super) departure: Departure,
    /// When its last byte had come.
    pub(super) arrived: Duration,
    pub(super) clocks: Clocks,
}

/// Why there is none.
pub(super) enum Failure {
    Refused(Refusal),
    Unreachable(Text),
    Lost(Text),
}

fn coded(((_, codec), bytes): (&(Pick, Codec), u64)) -> Coded {
    Coded { codec: codec.to_string(), bytes }
}

/// Asks the hop above and waits for its reply.
pub(super) async fn ask(shared: Arc<Shared>, share: Arc<Share>, question: Question) -> Result<Reply, Failure> {
    let unreachable = |error: LinkError| Failure::Unreachable(error.to_string().into());
    let Some(onward) = &share.onward else {
        return Err(Failure::Unreachable("the plan ends here".into()));
    };
    let connection = shared.links.to(&shared.endpoint, onward.peer).await.map_err(unreachable)?;
    let mut exchange = connection.open().await.map_err(unreachable)?;

    let Question { trace, deadline, payload, ready } = question;
    let sent = shared.clock.now();
    let departure = Departure { ready, sent, bytes: payload.total() };
    let open = Open {
        trace,
        plan: share.contract.plan,
        epoch: share.contract.epoch,
        hop: share.contract.hop.saturating_add(1),
        remaining_us: micros(deadline.saturating_sub(sent)),
        tensors: onward.crossing.iter().zip(payload.sizes()).map(coded).collect(),
    };
    match exchange.send(&Frame::Open(open), vec![payload.into_bytes()]).await {
        // A node that wants no more has said why.
        Ok(()) | Err(LinkError::Stopped) => {}
        Err(error) => return Err(lost(error)),
    }
    let (answer, payload) = reply(&share, &mut exchange).await?;
    let arrived = shared.clock.now();
    let clocks =
        if shared.clocks_apart { Clocks::Apart { round_trip: connection.round_trip() } } else { Clocks::Shared };
    Ok(Reply { answer, payload, departure, arrived, clocks })
}

async fn reply(share: &Share, exchange: &mut Exchange) -> Result<(Answer, Payload), Failure> {
    let answer = match exchange.read_frame().await.map_err(lost)? {
        Frame::Answer(answer) => answer,
        Frame::Refuse(refusal) => return Err(Failure::Refused(refusal)),
        _ => return Err(Failure::Lost("it replied with another frame".into())),
    };
    let mut assembly = Assembly::new(share.contract.admit_answer(&answer).map_err(lost)?);
    while assembly.missing() > 0 {
        let piece = exchange.read_piece(assembly.missing()).await.map_err(lost)?;
        let Some(piece) = piece else { break };
        assembly.accept(&piece).map_err(lost)?;
    }
    Ok((answer, assembly.finish().map_err(lost)?))
}

fn lost(error: impl std::fmt::Display) -> Failure {
    Failure::Lost(error.to_string().into())
}
