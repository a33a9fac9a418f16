//! A node: takes requests from its caller or from the node below, drives each through its share of the plan, asks the node
//! above, and answers. What happens to a request and what is done then is decided in [`thalweg_flow`]; here it is done.

mod error;
mod serve;
mod upstream;
mod drive;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use ring::rand::{SecureRandom as _, SystemRandom};
use thalweg_flow::{
    Busy, Call, Coarse, Contract, Hello, Installed, PlanId, Reason, Refusal, Request, ShareId, Span, Text, VERSION,
};
use thalweg_planner::{Tensor, TensorSpec};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::clock::Clock;
use crate::emulate::ShapedSocket;
use crate::identity::{Gate, Identity, NodeId};
use crate::link::{Connection, Endpoint, Exchange, LinkError, Peer, REQUESTS_MAX, Tuning};
use crate::quota::{Held, Quota};
use crate::share::{Share, Source};
use crate::stage::{Caller, ComputeThreads, Emulation, Place};
use drive::{Drive, Ending, Finished};
use upstream::Links;

pub use error::{NodeError, RequestError};

/// Requests and calls of all peers together that are under way. Each takes a few kilobytes beside its tensors, which
/// admission bounds, and what follows a call.
const STREAMS_MAX: u32 = 8192;

/// And those of all that are let in only because they may have been invited: joining takes one of each.
const STRANGERS_MAX: u32 = 32;

/// What a node says before it goes has this long to arrive.
const FAREWELL_MAX: Duration = Duration::from_secs(2);

/// What a node is made of.
#[derive(Debug)]
pub struct NodeConfig {
    /// For people and threads.
    pub name: String,
    /// Its key.
    pub identity: Identity,
    /// Who may connect, and send it requests.
    pub gate: Arc<dyn Gate>,
    /// Where calls go, which are all that is asked of it beside requests; without it each is refused.
    pub calls: Option<mpsc::Sender<Incoming>>,
    /// Where it listens and what it sends from.
    pub socket: Arc<ShapedSocket>,
    /// What it expects of links of which nothing else is said.
    pub tuning: Tuning,
    /// What it expects of the links to nodes that it asks.
    pub links: BTreeMap<NodeId, Tuning>,
    /// How many requests it computes at a time, each on one thread; one that is alone gets all of them.
    pub threads: NonZero<u32>,
    /// The clock of its traces.
    pub clock: Clock,
    /// Whether the nodes that it asks have clocks of their own, because they are other processes.
    pub clocks_apart: bool,
}

/// A call of a peer, to be answered on its exchange. The peer has shown its key, and no more.
#[derive(Debug)]
pub struct Incoming {
    pub(crate) peer: NodeId,
    pub(crate) call: Call,
    pub(crate) exchange: Exchange,
    /// Held until it is answered: what its peer may have under way.
    _place: Held,
    /// Held as long: the node does not end before.
    _open: watch::Receiver<Phase>,
}

/// An answered request.
#[derive(Debug, Clone)]
pub struct Answered {
    /// The trace id by which all tiers log it.
    pub trace: u64,
    /// The outputs of the model: those that hop 0 made first, then those of hop 1, and so on.
    pub outputs: Vec<Tensor>,
    /// When it was made, on the node's clock.
    pub start: Duration,
    /// How long it took from there until the outputs were in the caller's hands.
    pub length: Duration,
    /// Where the time went, in the order in which it went.
    pub spans: Vec<Span>,
    /// Tensors of which a hop did not await all, because the time for the rest had come; then the outputs are coarser than
    /// those of the plan. In the order of the hops.
    pub coarse: Vec<Coarse>,
}

/// Whether requests are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Serving,
    /// New ones are refused, those that have begun go on.
    Draining,
    /// Those that have begun are refused too.
    Stopping,
}

/// What all requests on a node need.
struct Shared {
    name: Text,
    endpoint: Endpoint,
    gate: Arc<dyn Gate>,
    calls: Option<mpsc::Sender<Incoming>>,
    /// Requests and calls that are under way, of each peer and in all.
    streams: Quota,
    links: Links,
    compute: ComputeThreads,
    clock: Clock,
    clocks_apart: bool,
    installed: RwLock<Installed<Arc<Share>>>,
    /// The next trace id. The first one is random, so that nodes do not give the same ones.
    traces: AtomicU64,
    /// Each request holds a receiver until it is over, so that [`Node::stop`] can wait for all of them.
    phase: watch::Sender<Phase>,
}

/// A node that is running. Dropping it cuts it off in the middle of things; [`Node::stop`] does it gently.
pub struct Node {
    id: NodeId,
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Node {
    /// Starts a node with nothing installed. Has to be called inside a tokio runtime.
    pub fn start(config: NodeConfig) -> Result<Self, NodeError> {
        let NodeConfig { name, identity, gate, calls, socket, tuning, links, threads, clock, clocks_apart } = config;
        let link = |source| NodeError::Link { name: name.clone(), source };
        let id = identity.id();
        let endpoint = Endpoint::open(socket, identity, gate.clone(), tuning, links).map_err(link)?;
        let address = endpoint.address().map_err(link)?;
        let compute = ComputeThreads::start(&name, threads, clock);
        let compute = compute.map_err(|source| NodeError::Thread { name: name.clone(), source })?;
        let shared = Arc::new(Shared {
            name: name.as_str().into(),
            endpoint,
            gate,
            calls,
            streams: Quota::new(REQUESTS_MAX, STRANGERS_MAX, STREAMS_MAX),
            links: Links::default(),
            compute,
            clock,
            clocks_apart,
            installed: RwLock::default(),
            traces: AtomicU64::new(random_trace()),
            phase: watch::Sender::new(Phase::Serving),
        });
        tokio::spawn(serve::accept_peers(shared.clone()));
        Ok(Self { id, address, shared })
    }

    /// What others need to connect to it. An unspecified address, such as `0.0.0.0`, is as it was bound.
    pub fn peer(&self) -> Peer {
        Peer { id: self.id, address: self.address }
    }

    /// Installs its share of a plan, beside those of other plans and epochs, and in place of the same.
    pub fn install(&self, share: Share) {
        let (plan, epoch) = (share.contract.plan, share.contract.epoch);
        // What takes as long as somewhere else is computed as there.
        let is_real = share.emulation == Emulation::NONE;
        if is_real && share.stage.as_ref().is_some_and(|stage| stage.is_shared()) {
            self.shared.compute.spread(ShareId { plan, epoch });
        }
        self.shared.write(|installed| installed.insert(plan, epoch, Arc::new(share)));
    }

    /// Its share of a plan is thought to take so long here, until it is measured.
    pub(crate) fn expect(&self, plan: PlanId, epoch: u32, takes: Duration) {
        self.shared.compute.expect(ShareId { plan, epoch }, takes);
    }

    /// Takes its share of a plan away. Requests that have begun go on; whether there was one.
    pub fn remove(&self, plan: PlanId, epoch: u32) -> bool {
        self.shared.compute.forget(ShareId { plan, epoch });
        self.shared.write(|installed| installed.remove(plan, epoch)).is_some()
    }

    /// How long all takes that waits to be computed here for other plans and epochs, with what is.
    pub(crate) fn backlog_beside(&self, plan: PlanId, epoch: u32) -> Duration {
        self.shared.compute.backlog_beside(ShareId { plan, epoch })
    }

    /// What computes the models of its share of a plan, for people; nothing where it has none.
    pub(crate) fn computed_on(&self, plan: PlanId, epoch: u32) -> BTreeSet<String> {
        let share = self.shared.find(plan, epoch).ok();
        share.and_then(|share| Some(share.stage.as_ref()?.computed_on())).unwrap_or_default()
    }

    /// The clock of its traces.
    pub fn clock(&self) -> Clock {
        self.shared.clock
    }

    /// The connection to a peer, made if there is none.
    pub(crate) async fn connection(&self, peer: Peer) -> Result<Connection, LinkError> {
        self.shared.links.to(&self.shared.endpoint, peer).await
    }

    /// Ends all connections with the node of this key.
    pub(crate) fn hang_up(&self, peer: NodeId) {
        self.shared.endpoint.hang_up(peer);
        self.shared.links.hang_up(peer);
    }

    /// From now on the nodes that plans name by these keys are found like this: they have other keys or addresses by now.
    pub(crate) fn find_as(&self, found_as: BTreeMap<NodeId, Peer>) {
        self.shared.links.find_as(found_as);
    }

    /// Packets that have come over the connection that this node has made to a peer.
    pub(crate) fn packets_from(&self, peer: NodeId) -> u64 {
        self.shared.links.open(peer).map_or(0, |connection| connection.path().came)
    }

    /// Changes whenever somebody begins a connection to this node.
    pub(crate) fn knocks(&self) -> watch::Receiver<()> {
        self.shared.links.knocks()
    }

    /// Ends the connection that this node has made to a peer; the next request makes another one.
    pub(crate) fn reconnect(&self, peer: NodeId) {
        self.shared.links.hang_up(peer);
    }

    /// From now on shows the key of `identity` in new connections.
    pub(crate) fn rotate(&self, identity: Identity) -> Result<(), LinkError> {
        self.shared.endpoint.rotate(identity)?;
        self.shared.links.renew();
        Ok(())
    }

    /// Connects to a node above before the first request needs it.
    pub async fn join(&self, peer: Peer) -> Result<(), LinkError> {
        self.shared.links.to(&self.shared.endpoint, peer).await.map(|_| ())
    }

    /// Runs a request through the plan, of which this node has hop 0. Comes back within `time`, with the outputs or the
    /// reason why there are none.
    pub async fn request(
        &self,
        plan: PlanId,
        epoch: u32,
        inputs: Vec<Tensor>,
        time: Duration,
    ) -> Result<Answered, RequestError> {
        self.request_as(self.trace(), plan, epoch, inputs, time).await
    }

    /// A trace id: no other request has it, here or elsewhere.
    pub(crate) fn trace(&self) -> u64 {
        self.shared.traces.fetch_add(1, Ordering::Relaxed)
    }

    /// As [`Node::request`], for one of several tries of a request: all tiers log it by this trace id.
    pub(crate) async fn request_as(
        &self,
        trace: u64,
        plan: PlanId,
        epoch: u32,
        inputs: Vec<Tensor>,
        time: Duration,
    ) -> Result<Answered, RequestError> {
        let shared = &self.shared;
        let start = shared.clock.now();
        let share = shared.find(plan, epoch).map_err(|reason| Refusal { hop: 0, reason })?;
        check(&share, &inputs)?;
        let request = Request::begin(&share.contract, share.onward.is_none(), start.saturating_add(time));
        let place = shared.place(Caller::Here, &share, request.deadline())?;
        let returns = share.contract.returns.clone();
        let drive = Drive::new(shared.clone(), share, request, trace, Some(place));
        match drive.run(None, Some(Source::Given(inputs))).await {
            Ending::Answer(finished) => Ok(answered(trace, finished, &returns, start, shared.clock)?),
            Ending::Refuse(refusal) => Err(refusal.into()),
            // Only a caller on another node can be lost.
            Ending::Abandon => Err(Refusal { hop: 0, reason: Reason::Stopping }.into()),
        }
    }

    /// Refuses new requests, gives those that have begun `grace` to end, refuses the rest and says goodbye.
    pub async fn stop(self, grace: Duration) {
        self.drain(grace).await;
    }

    /// As [`Node::stop`], for who shares the node with others.
    pub(crate) async fn drain(&self, grace: Duration) {
        let phase = &self.shared.phase;
        phase.send_replace(Phase::Draining);
        let _ = timeout(grace, phase.closed()).await;
        phase.send_replace(Phase::Stopping);
        let _ = timeout(FAREWELL_MAX, phase.closed()).await;
        self.shared.endpoint.close();
        let _ = timeout(FAREWELL_MAX, self.shared.endpoint.closed()).await;
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.shared.endpoint.close();
    }
}

/// A trace id, as logs and people have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trace(pub(crate) u64);

impl fmt::Display for Trace {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:016x}", self.0)
    }
}

/// Where trace ids begin. Without a source of random numbers there could be no keys either.
fn random_trace() -> u64 {
    let mut bytes = [0; 8];
    // Trace ids that do not differ between nodes are less useful, but no reason to stop.
    let _ = SystemRandom::new().fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

impl Shared {
    fn write<T>(&self, change: impl FnOnce(&mut Installed<Arc<Share>>) -> T) -> T {
        change(&mut self.installed.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// The share of a plan, unless the node is about to stop.
    fn find(&self, plan: PlanId, epoch: u32) -> Result<Arc<Share>, Reason> {
        if *self.phase.borrow() != Phase::Serving {
            return Err(Reason::Stopping);
        }
        self.installed.read().unwrap_or_else(PoisonError::into_inner).find(plan, epoch).cloned()
    }

    /// A place among those that wait to be computed, for a request that has to be computed by `deadline`.
    fn place(&self, caller: Caller, share: &Share, deadline: Duration) -> Result<Place, Refusal> {
        let Contract { plan, epoch, hop, .. } = share.contract;
        let place = self.compute.enter(caller, ShareId { plan, epoch }, deadline);
        place.map_err(|Busy { waiting }| Refusal { hop, reason: Reason::Busy { waiting } })
    }

    fn hello(&self, peer: NodeId) -> Hello {
        let name = if self.gate.knows(peer) { self.name.clone() } else { Text::default() };
        Hello { version: VERSION, name }
    }
}

/// Puts outputs into the caller's hands.
fn answered(
    trace: u64,
    finished: Finished,
    returns: &[TensorSpec],
    start: Duration,
    clock: Clock,
) -> Result<Answered, Refusal> {
    let Finished { own: mut outputs, above, mut spans, mut coarse, .. } = finished;
    for (spec, bytes) in returns.iter().zip(above.tensors()) {
        let tensor = Tensor::new(spec.clone(), bytes.to_vec());
        let wrong = |error: thalweg_planner::WrongLength| Reason::UpstreamLost { text: error.to_string().into() };
        outputs.push(tensor.map_err(|error| Refusal { hop: 0, reason: wrong(error) })?);
    }
    spans.sort_by_key(|span| span.start);
    coarse.sort_by_key(|coarse| (coarse.hop, coarse.tensor));
    Ok(Answered { trace, outputs, start, length: clock.now().saturating_sub(start), spans, coarse })
}

fn check(share: &Share, inputs: &[Tensor]) -> Result<(), RequestError> {
    let takes = share.contract.takes.iter().map(|slot| &slot.spec);
    let given = inputs.iter().map(Tensor::spec);
    if takes.clone().eq(given.clone()) {
        return Ok(());
    }
    Err(RequestError::WrongInputs { takes: takes.cloned().collect(), given: given.cloned().collect() })
}

#[cfg(test)]
mod tests;
