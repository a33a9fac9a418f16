//! What this node sees of its links to others: from light probes, and from requests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use thalweg_flow::{Call, LinkEstimate, Reply};
use thalweg_planner::{Bandwidth, Bytes, Direction};
use tokio::time::timeout;

use super::start::Inner;
use crate::calls::call;
use crate::identity::NodeId;
use crate::link::Peer;

/// Between two probes of a link.
pub(crate) const PROBE_EVERY: Duration = Duration::from_millis(200);
/// A probe that shows a link otherwise than is believed is followed by others at once, at most so many: three in a row tell
/// of a change.
const FOLLOW_UPS_MAX: usize = 10;
/// Between two decisions which plans serve.
const DECIDE_EVERY: Duration = Duration::from_millis(50);
/// A probe shows what a link carries by how far its packets are apart when they come. QUIC sends ten packets without
/// pacing them (RFC 9002, section 7.7), so no more than these belong together.
const PROBE_BYTES_MAX: u64 = 12_000;
/// And it takes the link for about this, so that it costs little of a slow one…
const PROBE_TIME: Duration = Duration::from_millis(10);
/// … but three packets are needed to see how far apart they come; …
const PROBE_BYTES_MIN: u64 = 3_600;
/// … and of a link on which there are no requests padding takes at most half.
const PROBE_SHARE: f64 = 0.5;
/// Requests show it as well, and better: a long transfer may be slower than a few packets, which would only contradict it.
/// So for so long after one no padding is sent.
const FRESH: Duration = Duration::from_millis(600);
/// A probe is given up after four round trips and this.
const PROBE_PATIENCE: Duration = Duration::from_millis(400);
/// And at the latest after this.
const PROBE_PATIENCE_MAX: Duration = Duration::from_secs(3);
/// So many probes in a row that are given up, and the link counts as down.
const FAILURES_MAX: u32 = 3;
/// What was seen of a link that is of no interest any more is forgotten after this.
const REMEMBERED: Duration = Duration::from_secs(60);
/// What is believed of a link before it was probed: a home's Wi-Fi.
const UNKNOWN: Direction = Direction::new(Bandwidth(20_000_000), Duration::from_millis(10));

/// The link to one node.
#[derive(Debug)]
struct Seen {
    link: LinkEstimate,
    up: bool,
    /// Whether anything was ever heard.
    known: bool,
    failures: u32,
    probing: bool,
    last_transfer: Option<Duration>,
    /// Before this no padding is sent again.
    padded_until: Duration,
    /// As QUIC counted them when it was last asked.
    packets: (u64, u64),
}

/// A link as it is believed to be.
#[derive(Debug, Clone)]
pub(crate) struct Believed {
    pub(crate) link: LinkEstimate,
    pub(crate) up: bool,
    pub(crate) known: bool,
}

impl Seen {
    /// Whether requests go over it.
    fn is_used(&self, now: Duration) -> bool {
        self.last_transfer.is_some_and(|last| now.saturating_sub(last) < FRESH)
    }

    fn believed(&self) -> Believed {
        Believed { link: self.link.clone(), up: self.up, known: self.known }
    }
}

/// The links of this node.
#[derive(Debug, Default)]
pub(crate) struct Neighbours {
    seen: Mutex<BTreeMap<NodeId, Seen>>,
}

impl Neighbours {
    fn seen(&self) -> MutexGuard<'_, BTreeMap<NodeId, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, id: NodeId, change: impl FnOnce(&mut Seen) -> T) -> T {
        change(self.seen().entry(id).or_insert_with(|| Seen {
            link: LinkEstimate::new(&UNKNOWN),
            up: true,
            known: false,
            failures: 0,
            probing: false,
            last_transfer: None,
            padded_until: Duration::ZERO,
            packets: (0, 0),
        }))
    }

    /// What is believed of the link to a node; none where it was never of interest.
    pub(crate) fn believed(&self, id: NodeId) -> Option<Believed> {
        let seen = self.seen();
        seen.get(&id).map(Seen::believed)
    }

    /// All links of which anything is believed.
    pub(crate) fn all(&self) -> Vec<(NodeId, Believed)> {
        let seen = self.seen();
        seen.iter().map(|(id, seen)| (*id, seen.believed())).collect()
    }

    /// Only these links are of interest by now, and those that somebody has asked for lately.
    fn retain(&self, wanted: &[Peer], now: Duration) {
        let is_recent = |seen: &Seen| seen.probing || seen.link.age(now).is_some_and(|age| age < REMEMBERED);
        self.seen().retain(|id, seen| is_recent(seen) || wanted.iter().any(|peer| peer.id == *id));
    }

    /// A request has taken so many bytes to a node in such a time, beyond the delay.
    pub(crate) fn transferred(&self, id: NodeId, bytes: u64, took: Duration, now: Duration) {
        self.change(id, |seen| {
            let took = took.saturating_sub(seen.link.delay());
            seen.link.transfer(Bytes(bytes), took, now);
            seen.last_transfer = Some(now);
        });
    }

    /// The bytes that a probe takes along.
    fn padding(&self, id: NodeId, now: Duration) -> u64 {
        self.change(id, |seen| {
            if seen.is_used(now) || (!seen.link.is_unsure() && seen.padded_until > now) {
                return 0;
            }
            let bandwidth = seen.link.bandwidth(now);
            let bytes = (bandwidth.0 as f64 / 8.0 * PROBE_TIME.as_secs_f64()) as u64;
            let bytes = bytes.clamp(PROBE_BYTES_MIN, PROBE_BYTES_MAX);
            seen.padded_until = now + bandwidth.time_for(Bytes(bytes)).div_f64(PROBE_SHARE);
            bytes
        })
    }
}

/// Probes all links that are of interest, as long as the node lives.
pub(crate) async fn keep_probing(inner: Arc<Inner>) {
    let mut every = tokio::time::interval(PROBE_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut knocks = inner.node.knocks();
    loop {
        // Whoever knocks may be a node that was away.
        let only_away = tokio::select! {
            _ = every.tick() => false,
            knocked = knocks.changed() => knocked.is_ok(),
        };
        let wanted = inner.wanted_links();
        inner.neighbours.retain(&wanted, inner.clock.now());
        for peer in wanted {
            let begins = inner.neighbours.change(peer.id, |seen| {
                (!only_away || seen.failures > 0) && !std::mem::replace(&mut seen.probing, true)
            });
            if begins {
                tokio::spawn(probe_until_sure(inner.clone(), peer));
            }
        }
    }
}

/// Decides which plans serve, as long as the node lives.
pub(crate) async fn keep_deciding(inner: Arc<Inner>) {
    let mut every = tokio::time::interval(DECIDE_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        inner.decide();
    }
}

async fn probe_until_sure(inner: Arc<Inner>, peer: Peer) {
    for _ in 0..=FOLLOW_UPS_MAX {
        let came = probe(inner.clone(), peer).await;
        let now = inner.clock.now();
        if !came || inner.neighbours.change(peer.id, |seen| seen.is_used(now) || !seen.link.is_unsure()) {
            break;
        }
    }
    inner.neighbours.change(peer.id, |seen| seen.probing = false);
}

/// Probes one link once; whether it answers.
pub(crate) async fn probe(inner: Arc<Inner>, peer: Peer) -> bool {
    let neighbours = &inner.neighbours;
    let start = inner.clock.now();
    let patience = neighbours
        .change(peer.id, |seen| (PROBE_PATIENCE + 4 * seen.link.round_trip_smoothed()).min(PROBE_PATIENCE_MAX));
    let bytes = neighbours.padding(peer.id, start);
    let packets = inner.node.packets_from(peer.id);
    let came = timeout(patience, measure(&inner, peer, bytes)).await.unwrap_or(false);
    let now = inner.clock.now();
    let (was_up, is_up) = neighbours.change(peer.id, |seen| {
        let was_up = seen.up;
        if came {
            seen.link.nothing_under_way();
            (seen.up, seen.known, seen.failures) = (true, true, 0);
        } else {
            seen.link.gave_up(now);
            if bytes > 0 && seen.known {
                // It is no faster than if all of it had come just now.
                seen.link.transfer(Bytes(bytes), now.saturating_sub(start), now);
            }
            seen.failures = seen.failures.saturating_add(1);
            seen.up &= seen.failures < FAILURES_MAX;
        }
        (was_up, seen.up)
    });
    if was_up != is_up {
        let (node, peer) = (&inner.config.name, inner.cluster.name(peer.id));
        tracing::warn!(%node, %peer, "a link is {}", if is_up { "up again" } else { "down" });
    }
    if !came && inner.node.packets_from(peer.id) == packets {
        // Nothing at all has come: a new connection comes about sooner than an old one tries again that has backed off.
        // One that is only jammed goes on.
        inner.node.reconnect(peer.id);
    }
    came
}

/// Whether the reply to a probe came.
async fn measure(inner: &Inner, peer: Peer, bytes: u64) -> bool {
    let Ok(connection) = inner.node.connection(peer).await else { return false };
    let sent = inner.clock.now();
    let neighbours = &inner.neighbours;
    if bytes > 0 {
        neighbours.change(peer.id, |seen| seen.link.under_way(Bytes(bytes), sent));
    }
    let padding = vec![0; usize::try_from(bytes).unwrap_or_default()];
    let reply = call(&connection, Call::Probe { bytes }, padding, 0, PROBE_PATIENCE_MAX).await;
    let Ok((Reply::Pong { first_us, last_us, sent_us, counted }, _)) = reply else { return false };
    let now = inner.clock.now();
    let between = |from: u64, to: u64| Duration::from_micros(to.saturating_sub(from));
    let path = connection.path();
    neighbours.change(peer.id, |seen| {
        let round_trip = now.saturating_sub(sent).saturating_sub(between(first_us, sent_us));
        seen.link.round_trip(round_trip, now);
        if counted > 0 {
            seen.link.transfer(Bytes(counted), between(first_us, last_us), now);
        }
        let (packets, lost) = seen.packets;
        seen.link.lost(path.lost.saturating_sub(lost), path.sent.saturating_sub(packets), now);
        seen.packets = (path.sent, path.lost);
    });
    true
}
