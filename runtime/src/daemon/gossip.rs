//! Tells other nodes of this one, and hears of them: who is there, what their links carry, who is a member.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thalweg_flow::{Call, Gossip, GossipFrame, Health, LinkEstimate, NodeKey, Pace, Reply};
use thalweg_planner::{Bandwidth, Direction};
use tokio::time::timeout;

use super::DaemonError;
use super::cluster::Told;
use super::install;
use super::start::Inner;
use crate::calls::{JSON_BYTES_MAX, call, json};
use crate::identity::NodeId;
use crate::trust::Role;

/// A node that nothing is heard of for twice this time is down.
const IDLE: Duration = Duration::from_secs(4);
/// How often a node tells of itself.
const TICK: Duration = Duration::from_millis(500);
/// How long an exchange may take.
const EXCHANGE_MAX: Duration = Duration::from_secs(2);
/// A signature of a state is of nothing else.
const CONTEXT: &[u8] = b"thalweg state 1";

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Said {
    /// Name of all that it knows of members.
    members: String,
    links: Vec<LinkSaid>,
    /// The epochs over which it sends the requests of its deployments, by their names.
    serves: BTreeMap<String, u32>,
}

/// A link from the node that says it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct LinkSaid {
    to: NodeId,
    up: bool,
    bandwidth: u64,
    delay_us: u64,
}

/// What a node knows of others.
#[derive(Debug)]
pub(crate) struct Talk {
    gossip: Mutex<Gossip>,
    said: Mutex<BTreeMap<NodeId, Read>>,
}

/// What a node said last, read once: it is looked at for each link several times a second.
#[derive(Debug)]
struct Read {
    incarnation: u64,
    version: u64,
    /// None where it is not understood.
    said: Option<Arc<Said>>,
}

impl Talk {
    pub(crate) fn new(id: NodeId, incarnation: u64) -> Self {
        let gossip = Mutex::new(Gossip::new(*id.as_bytes(), incarnation, Pace::within_twice(IDLE)));
        Self { gossip, said: Mutex::default() }
    }

    /// From now on this node tells of itself under another key.
    pub(crate) fn rename(&self, id: NodeId, incarnation: u64) {
        *self.gossip() = Gossip::new(*id.as_bytes(), incarnation, Pace::within_twice(IDLE));
    }

    fn gossip(&self) -> MutexGuard<'_, Gossip> {
        self.gossip.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a node counts as down.
    pub(crate) fn is_down(&self, id: NodeId, now: Duration) -> bool {
        let gossip = self.gossip();
        // Of one that has not been heard of nothing is known.
        gossip.body(id.as_bytes()).is_some() && gossip.health(id.as_bytes(), now) == Some(Health::Down)
    }

    /// How a node is, in a word.
    pub(crate) fn liveness(&self, id: NodeId, now: Duration) -> &'static str {
        let gossip = self.gossip();
        match gossip.health(id.as_bytes(), now) {
            None => "unknown",
            Some(Health::Alive) => "alive",
            Some(Health::Suspect) => "suspect",
            Some(Health::Down) if gossip.body(id.as_bytes()).is_none() => "unknown",
            Some(Health::Down) => "down",
        }
    }

    fn read(&self) -> MutexGuard<'_, BTreeMap<NodeId, Read>> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn said(&self, id: NodeId) -> Option<Arc<Said>> {
        let gossip = self.gossip();
        let (incarnation, body) = gossip.body(id.as_bytes())?;
        let (version, mut read) = (body.version, self.read());
        if let Some(known) = read.get(&id).filter(|known| (known.incarnation, known.version) == (incarnation, version))
        {
            return known.said.clone();
        }
        let said: Option<Arc<Said>> = serde_json::from_slice(&body.bytes).ok().map(Arc::new);
        read.insert(id, Read { incarnation, version, said: said.clone() });
        said
    }

    /// What a node says of its link to another one.
    pub(crate) fn link(&self, from: NodeId, to: NodeId) -> Option<LinkEstimate> {
        let link = self.said(from)?.links.iter().find(|link| link.to == to && link.up).cloned()?;
        let (bandwidth, delay) = (Bandwidth(link.bandwidth.max(1)), Duration::from_micros(link.delay_us));
        Some(LinkEstimate::new(&Direction::new(bandwidth, delay)))
    }

    /// The epoch over which a node sends the requests of a deployment of its own, as it says.
    pub(crate) fn serves(&self, source: NodeId, deployment: &str) -> Option<u32> {
        self.said(source)?.serves.get(deployment).copied()
    }

    /// What another node is told when it asks.
    pub(crate) fn answer(&self, inner: &Inner, frame: &GossipFrame, peer: NodeId) -> Option<GossipFrame> {
        let now = inner.clock.now();
        let mut gossip = self.gossip();
        match frame {
            GossipFrame::Ask(digest) => Some(GossipFrame::Tell(gossip.digest_like(digest), gossip.delta(digest))),
            GossipFrame::Rest(states) => {
                let merged = gossip.merge(states.clone(), now, verified);
                gossip.answered(peer.as_bytes(), now);
                drop(gossip);
                inner.outlive(merged.incarnation);
                None
            }
            GossipFrame::Tell(..) => None,
        }
    }
}

fn verified(id: &NodeKey, bytes: &[u8], signature: &[u8; 64]) -> bool {
    NodeId::from(*id).has_signed(CONTEXT, bytes, signature)
}

/// Talks to others as long as the node lives.
pub(crate) async fn keep_talking(inner: Arc<Inner>) {
    let (mut every, mut following) = (tokio::time::interval(TICK), tokio::spawn(async {}));
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        let (members, talks_to) = members(&inner);
        let said = Said { members: inner.cluster.digest(), links: links(&inner), serves: serves(&inner) };
        let (now, identity) = (inner.clock.now(), inner.cluster.identity());
        inner.gossip.read().retain(|id, _| members.contains(id.as_bytes()));
        let tick = {
            let mut gossip = inner.gossip.gossip();
            gossip.set_members(&members, &talks_to);
            if let Err(error) = gossip.set_own(serde_json::to_vec(&said).unwrap_or_default()) {
                tracing::warn!(node = %inner.config.name, %error, "what is known of links is too much to be told");
            }
            let seed = u64::try_from(now.as_nanos()).unwrap_or_default() ^ inner.incarnation;
            gossip.tick(now, seed, |bytes| identity.sign(CONTEXT, bytes))
        };
        for id in tick.ask {
            tokio::spawn(exchange(inner.clone(), id.into(), GossipFrame::Ask(tick.digest.clone())));
        }
        // A slow disk does not make this node look as if it were down.
        if following.is_finished() {
            let inner = inner.clone();
            following = tokio::spawn(async move { install::follow(&inner).await });
        }
    }
}

/// Of whom to hear, and whom to ask: devices hear of nodes that help them or that they help, and only those that help are
/// asked.
fn members(inner: &Inner) -> (BTreeSet<NodeKey>, BTreeSet<NodeKey>) {
    let sources: BTreeSet<NodeId> = {
        let held = inner.held();
        let manifests = held.values().filter_map(|held| Some(&held.manifests.last_key_value()?.1.1));
        manifests.map(|manifest| inner.cluster.current(manifest.source)).collect()
    };
    let roster = inner.cluster.roster();
    let helps = |role: Role| matches!(role, Role::Edge | Role::Cloud);
    let (mut hears, mut talks_to) = (BTreeSet::new(), BTreeSet::new());
    for member in roster.members().filter(|member| member.role != Role::Operator) {
        if helps(member.role) || inner.config.role != Role::Device || sources.contains(&member.id) {
            hears.insert(*member.id.as_bytes());
        }
        if helps(member.role) && member.id != inner.cluster.id() {
            talks_to.insert(*member.id.as_bytes());
        }
    }
    (hears, talks_to)
}

fn links(inner: &Inner) -> Vec<LinkSaid> {
    let now = inner.clock.now();
    let known = inner.neighbours.all().into_iter().filter(|(_, believed)| believed.known);
    let said = known.map(|(to, believed)| LinkSaid {
        to,
        up: believed.up,
        bandwidth: believed.link.bandwidth(now).0,
        delay_us: u64::try_from(believed.link.delay().as_micros()).unwrap_or(u64::MAX),
    });
    said.collect()
}

/// Which epochs serve, of the deployments whose requests are made here.
fn serves(inner: &Inner) -> BTreeMap<String, u32> {
    let held = inner.held();
    let own = held.iter().filter(|(_, held)| held.source.is_some());
    own.filter_map(|(name, held)| Some((name.clone(), held.active?))).collect()
}

/// Asks one node.
async fn exchange(inner: Arc<Inner>, id: NodeId, ask: GossipFrame) {
    let asked = async {
        let peer = inner.cluster.peer(id)?;
        let connection = inner.node.connection(peer).await.ok()?;
        let reply = call(&connection, Call::Gossip(ask), Vec::new(), 0, EXCHANGE_MAX).await.ok()?;
        let (Reply::Gossip(GossipFrame::Tell(theirs, states)), _) = reply else { return None };
        let (rest, merged) = {
            let mut gossip = inner.gossip.gossip();
            let now = inner.clock.now();
            let merged = gossip.merge(states, now, verified);
            gossip.answered(id.as_bytes(), now);
            (gossip.delta(&theirs), merged)
        };
        inner.outlive(merged.incarnation);
        call(&connection, Call::Gossip(GossipFrame::Rest(rest)), Vec::new(), 0, EXCHANGE_MAX).await.ok()?;
        let differs = inner.gossip.said(id).is_some_and(|said| said.members != inner.cluster.digest());
        if differs {
            let told = json(&inner.cluster.told()).ok()?;
            let members = Call::Members { bytes: told.len() as u64 };
            let (_, told) = call(&connection, members, told, JSON_BYTES_MAX, EXCHANGE_MAX).await.ok()?;
            inner.blocking(move |inner| hear(inner, &told)).await.ok()?;
        }
        Some(())
    };
    // Who does not answer is noted by that.
    let _ = timeout(3 * EXCHANGE_MAX, asked).await;
}

/// Takes in what another node says of members, and ends connections with those that are none any more.
pub(crate) fn hear(inner: &Inner, told: &[u8]) -> Result<(), DaemonError> {
    let told: Told = serde_json::from_slice(told).map_err(|_| DaemonError::Misunderstood)?;
    let gone = inner.cluster.hear(told)?;
    inner.node.find_as(inner.cluster.found_as());
    for gone in gone {
        tracing::info!(node = %inner.config.name, id = %gone, "a key counts no more");
        inner.node.hang_up(gone);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::identity::Identity;

    #[test]
    fn what_a_node_says_is_read_when_it_changes() {
        let (teller, now) = (Identity::generate().unwrap().0, Duration::ZERO);
        let [tells, hears] = [teller.id(), [1; 32].into()].map(|id| Talk::new(id, 1));
        hears.gossip().set_members(&BTreeSet::from([*teller.id().as_bytes()]), &BTreeSet::new());
        let tell = |body: Vec<u8>| {
            tells.gossip().set_own(body).unwrap();
            tells.gossip().tick(now, 1, |bytes| teller.sign(CONTEXT, bytes));
            let news = tells.gossip().delta(&hears.gossip().digest());
            assert_eq!(hears.gossip().merge(news, now, verified).refused, 0);
        };
        let body = |epoch| {
            let serves = BTreeMap::from([("eyes".to_owned(), epoch)]);
            serde_json::to_vec(&Said { members: String::new(), links: vec![], serves }).unwrap()
        };
        assert!(hears.said(teller.id()).is_none());
        tell(body(1));
        let first = hears.said(teller.id()).unwrap();
        assert_eq!(hears.serves(teller.id(), "eyes"), Some(1));
        // It lives on and says the same.
        tell(body(1));
        assert!(Arc::ptr_eq(&first, &hears.said(teller.id()).unwrap()));
        tell(body(2));
        assert_eq!(hears.serves(teller.id(), "eyes"), Some(2));
        tell(b"gibberish".to_vec());
        assert_eq!(hears.serves(teller.id(), "eyes"), None);
    }
}
