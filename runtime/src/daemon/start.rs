//! Starts a node as its file says, and keeps it going until it is told to stop.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use thalweg_devices::{Backends, Cores};
use thalweg_modules::sandbox::{Cache, Machine, Sandbox};
use thalweg_modules::signature::{SigningKey, Trust};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

use super::cluster::Cluster;
use super::deliver::keep_delivering;
use super::gossip::Talk;
use super::held::{Held, kept};
use super::inbox::Inboxes;
use super::neighbours::{Neighbours, keep_deciding, keep_probing};
use super::outbox::Outboxes;
use super::source::Source;
use super::state::State;
use super::{DaemonError, calls, gossip, install, rotate};
use crate::clock::Clock;
use crate::config;
use crate::emulate::{ShapedSocket, bind};
use crate::identity::NodeId;
use crate::link::{PayloadMax, Peer, Tuning};
use crate::node::{Node, NodeConfig, NodeError};
use crate::quota::Quota;
use crate::store::{Hash, Store};

/// What was brought here is kept for so long, though nothing that is installed needs it.
const PUT_KEEPS: Duration = Duration::from_secs(600);
/// Calls that wait until they are looked at.
const CALLS_MAX: usize = 256;
/// What requests that are under way get before the node ends.
const GRACE: Duration = Duration::from_secs(5);
/// How often it is written down how long invitations still hold, and looked for files to be removed.
const KEEP_EVERY: Duration = Duration::from_secs(60);

/// All that a node is made of.
pub(crate) struct Inner {
    pub(crate) config: config::NodeFile,
    pub(crate) state: State,
    pub(crate) clock: Clock,
    pub(crate) incarnation: u64,
    /// This program, which tries out parts.
    pub(crate) program: PathBuf,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) node: Node,
    pub(crate) store: Store,
    /// What it computes models on.
    pub(crate) backends: Backends,
    pub(crate) neighbours: Neighbours,
    pub(crate) gossip: Talk,
    /// What calls that are being answered hold, in KiB, of each peer and in all.
    pub(crate) calls: Quota,
    pub(crate) outboxes: Outboxes,
    pub(crate) inboxes: Inboxes,
    held: Mutex<BTreeMap<String, Held>>,
    changing: Mutex<()>,
    /// Whether what was deployed when this node last ended is back, as far as it will be.
    pub(super) restored: watch::Sender<bool>,
    /// Held while this node changes its key.
    pub(crate) rotating: Arc<tokio::sync::Mutex<()>>,
    measured: Mutex<BTreeMap<Hash, Vec<u64>>>,
    preparing: AtomicU32,
    /// When a piece of a file was last brought here, in seconds; 0 for never.
    last_put_s: AtomicU64,
    /// Files that nothing needs may lie in the store.
    pub(crate) unswept: AtomicBool,
    /// Opened for the first module; none where this machine has no room for one.
    sandbox: OnceLock<Option<Sandbox>>,
}

/// Something is being prepared as long as this lives.
pub(crate) struct Preparing(Arc<Inner>);

impl Drop for Preparing {
    fn drop(&mut self) {
        self.0.preparing.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Inner {
    /// As many threads as compute a request that is alone, for what is timed as such a request.
    pub(super) fn cores(&self) -> Result<Cores, DaemonError> {
        let threads = if self.config.emulates() { NonZero::<u32>::MIN } else { self.config.threads };
        let failed = |source| NodeError::Thread { name: self.config.name.clone(), source };
        Ok(Cores::start("timing core", threads).map_err(failed)?)
    }

    pub(crate) fn held(&self) -> MutexGuard<'_, BTreeMap<String, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Held while what is deployed changes, until that is on the disk: who looks at it does not wait for that.
    pub(crate) fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until what was deployed when this node last ended is back.
    pub(crate) async fn restored(&self) {
        // The other end lives as long as this node.
        let _ = self.restored.subscribe().wait_for(|restored| *restored).await;
    }

    /// Does what waits for a disk, or computes for more than a moment, on a thread on which nobody else waits.
    pub(crate) async fn blocking<T: Send + 'static, E: Into<DaemonError> + Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Arc<Self>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, DaemonError> {
        let inner = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&inner)).await;
        done.map_err(|_| DaemonError::Ended)?.map_err(Into::into)
    }

    pub(crate) fn measured(&self) -> MutexGuard<'_, BTreeMap<Hash, Vec<u64>>> {
        self.measured.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn begin_preparing(self: &Arc<Self>) -> Preparing {
        self.preparing.fetch_add(1, Ordering::SeqCst);
        Preparing(self.clone())
    }

    /// Pieces of files are being brought here.
    pub(crate) fn note_put(&self) {
        self.last_put_s.store(self.clock.now().as_secs(), Ordering::SeqCst);
    }

    /// Whether something is being prepared just now, or was brought lately to be.
    pub(crate) fn is_preparing(&self) -> bool {
        let put = self.last_put_s.load(Ordering::SeqCst);
        let lately = put > 0 && self.clock.now().as_secs() < put + PUT_KEEPS.as_secs();
        lately || self.preparing.load(Ordering::SeqCst) > 0
    }

    /// The deployment of this name whose requests are made here.
    pub(crate) fn source(&self, name: &str) -> Result<Arc<Source>, DaemonError> {
        let held = self.held();
        let found = held.get(name).and_then(|held| held.source.clone());
        found.ok_or_else(|| {
            let known: Vec<&str> =
                held.iter().filter(|(_, held)| held.source.is_some()).map(|(name, _)| name.as_str()).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            DaemonError::NoDeployment { name: name.to_owned(), known }
        })
    }

    /// What runs modules here.
    pub(crate) fn sandbox(&self) -> Option<Sandbox> {
        let open = || {
            let mut trusted = match Trust::own() {
                Trust::Keys(keys) => keys,
                Trust::Everyone => Default::default(),
            };
            trusted.extend(self.config.trust.iter().copied());
            let cache = SigningKey::generate().ok().map(|(key, _)| Cache::new(self.state.modules(), key))?;
            Sandbox::open_with_cache(Machine::probe(), Trust::Keys(trusted), cache)
                .inspect_err(|error| tracing::error!(%error, "task modules cannot run here"))
                .ok()
        };
        self.sandbox.get_or_init(open).clone()
    }

    /// Another life of this node was newer than this one, which gets above it: the next one has to be above that.
    pub(crate) fn outlive(&self, incarnation: Option<u64>) {
        if let Some(incarnation) = incarnation {
            tracing::warn!(node = %self.config.name, incarnation, "this key was in use elsewhere");
            if let Err(error) = self.state.keep_incarnation(incarnation) {
                tracing::error!(node = %self.config.name, %error, "the count of starts was not written down");
            }
        }
    }

    /// Peers whose links are of interest: those that shares here send to, and all nodes of deployments that begin here.
    pub(crate) fn wanted_links(&self) -> Vec<Peer> {
        let mut ids: Vec<NodeId> = Vec::new();
        for held in self.held().values() {
            for (_, manifest) in held.manifests.values() {
                ids.extend(manifest.shares.iter().filter_map(|share| Some(share.onward.as_ref()?.peer)));
                ids.extend(manifest.requests.iter().flat_map(|requests| requests.tiers.iter().skip(1)));
            }
        }
        ids.sort_unstable();
        ids.dedup();
        ids.into_iter().filter_map(|id| self.cluster.peer(id)).collect()
    }

    /// Decides anew which plans serve.
    pub(crate) fn decide(&self) {
        let sources: Vec<Arc<Source>> = self.held().values().filter_map(|held| held.source.clone()).collect();
        sources.iter().for_each(|source| source.decide(self));
    }
}

/// A node that runs.
pub struct Daemon {
    pub(super) inner: Arc<Inner>,
    loops: Vec<tokio::task::JoinHandle<()>>,
}

impl Daemon {
    /// Starts a node, with what was deployed on it when it ended. Has to be called inside a tokio runtime.
    pub async fn start(config: config::NodeFile, program: PathBuf) -> Result<Self, DaemonError> {
        let (clock, state) = (Clock::start(), State::open(&config.state)?);
        let store = Store::open(&state.store())?;
        let (cluster, incarnation) = (Arc::new(Cluster::open(&state, clock)?), state.incarnation()?);
        let listen = |cause| DaemonError::Listen { address: config.listen, cause };
        let socket = ShapedSocket::new(bind(config.listen).map_err(listen)?).map_err(listen)?;
        let (calls, incoming) = mpsc::channel(CALLS_MAX);
        let node = Node::start(NodeConfig {
            name: config.name.clone(),
            identity: cluster.identity(),
            gate: cluster.clone(),
            calls: Some(calls),
            socket: Arc::new(socket),
            tuning: Tuning { payload_max: PayloadMax::ETHERNET, ..Tuning::default() },
            links: BTreeMap::new(),
            threads: config.threads,
            clock,
            clocks_apart: true,
        })?;
        let mut address = config.address.unwrap_or(config.listen);
        if address.port() == 0 {
            address.set_port(node.peer().address.port());
        }
        cluster.tell_of_self(&config.name, config.role, address)?;
        node.find_as(cluster.found_as());
        let kept = kept(&state)?;
        let (outboxes, inboxes) = (Outboxes::open(&state, config.outbox)?, Inboxes::open(&state, config.inbox)?);
        let inner = Arc::new(Inner {
            gossip: Talk::new(cluster.id(), incarnation),
            calls: calls::quota(),
            outboxes,
            inboxes,
            state,
            clock,
            incarnation,
            program,
            cluster,
            node,
            store,
            neighbours: Neighbours::default(),
            held: Mutex::default(),
            changing: Mutex::default(),
            restored: watch::Sender::new(false),
            rotating: Arc::default(),
            measured: Mutex::default(),
            preparing: AtomicU32::new(0),
            last_put_s: AtomicU64::new(0),
            unswept: AtomicBool::new(false),
            sandbox: OnceLock::new(),
            backends: config.backends(),
            config,
        });
        let mut loops = vec![tokio::spawn(calls::serve(inner.clone(), incoming))];
        let retirements = inner.cluster.retirements()?;
        retirements.into_iter().for_each(|old| drop(tokio::spawn(rotate::retire(inner.clone(), old))));
        install::restore(&inner, kept).await;
        inner.restored.send_replace(true);
        loops.push(tokio::spawn(keep_probing(inner.clone())));
        loops.push(tokio::spawn(keep_deciding(inner.clone())));
        loops.push(tokio::spawn(gossip::keep_talking(inner.clone())));
        loops.push(tokio::spawn(keep_delivering(inner.clone())));
        loops.push(tokio::spawn(keep_house(inner.clone(), address)));
        Ok(Self { inner, loops })
    }

    /// Where it listens, and by which key it is known.
    pub fn peer(&self) -> Peer {
        self.inner.node.peer()
    }

    /// Refuses new requests, gives those that have begun some time, and ends.
    pub async fn stop(self) {
        self.inner.node.drain(GRACE).await;
        self.loops.iter().for_each(tokio::task::JoinHandle::abort);
        if let Err(error) = self.inner.cluster.keep() {
            tracing::warn!(%error, "how long invitations still hold was not written down");
        }
        if let Err(error) = self.inner.outboxes.close() {
            tracing::warn!(%error, "results that were delivered stay on the disk");
        }
    }
}

async fn keep_house(inner: Arc<Inner>, address: SocketAddr) {
    loop {
        tokio::time::sleep(KEEP_EVERY).await;
        let kept = inner.blocking(move |inner| {
            if inner.unswept.load(Ordering::SeqCst) {
                install::sweep(inner);
            }
            inner.cluster.keep()?;
            // A node whose state was put back to an earlier one hears its own later word of where it was.
            inner.cluster.tell_of_self(&inner.config.name, inner.config.role, address)
        });
        if let Err(error) = kept.await {
            tracing::warn!(node = %inner.config.name, %error, "invitations or where this node is were not written down");
        }
    }
}

/// Runs a node until the process is told to end. `ready` hears where it listens, once it takes requests.
pub async fn run(config: config::NodeFile, program: PathBuf, ready: impl FnOnce(Peer)) -> Result<(), DaemonError> {
    let failed = |cause| DaemonError::State { path: "signals".into(), cause };
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let daemon = Daemon::start(config, program).await?;
    ready(daemon.peer());
    tell_supervisor(&[sd_notify::NotifyState::Ready]);
    let mut alive = tokio::time::interval(watchdog());
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = alive.tick() => tell_supervisor(&[sd_notify::NotifyState::Watchdog]),
        }
    }
    tell_supervisor(&[sd_notify::NotifyState::Stopping]);
    daemon.stop().await;
    Ok(())
}

/// Half of what the supervisor waits for a sign of life; an hour where it does not.
fn watchdog() -> Duration {
    const HOUR: Duration = Duration::from_secs(3600);
    sd_notify::watchdog_enabled().map_or(HOUR, |patience| (patience / 2).max(Duration::from_millis(100)))
}

fn tell_supervisor(states: &[sd_notify::NotifyState<'_>]) {
    // Without a supervisor there is nobody to tell.
    let _ = sd_notify::notify(states);
}
