//! Who is there, and what each says of itself: anti-entropy of node states, after Scuttlebutt (van Renesse et al.,
//! 2008, "Efficient reconciliation and flow control for anti-entropy protocols").
//!
//! The crate chitchat 0.13 does the same, but its envelope cannot travel over any transport but its own UDP, because
//! how it is serialised is private.
//!
//! A node has one state: an incarnation, which is higher after each start, a version, which it raises at each tick, and
//! a body. It signs them itself, so it does not matter who passes them on. Membership is not decided here: states of
//! whom [`Gossip::set_members`] does not name are refused, so memory is bounded, and whoever leaves is forgotten.
//!
//! Two things tell that a node is there, and it counts as down as soon as one of them fails:
//! - its version has risen lately, whoever told so;
//! - when this node asks it something, an answer comes. An answer proves both directions of the link; a message that
//!   only arrives proves one. So on a link that carries one way only both ends call each other down, while the rest of
//!   the cluster, which reaches both, does not.
//!
//! Thresholds are fixed times. A detector that learns them (phi accrual, Hayashibara et al., 2004) waits longer where
//! the past was irregular, so it cannot promise when a fault is noticed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::{Body, Digest, Known, NodeKey, NodeState};

mod peer;

pub use peer::Health;
use peer::Peer;

/// Largest body.
pub const BODY_BYTES_MAX: usize = 16 * 1024;

/// Most nodes in one digest. Of more each digest names others.
pub const DIGEST_MAX: usize = 256;

/// Most memory of the states that are told at once, half of it for those with bodies: beside the largest digest they
/// fit a frame. What is left out is told next time.
const STATES_BYTES_MAX: usize = 40 * 1024;

/// Most that are asked again at one tick because they owe an answer.
const RETRIES_MAX: usize = 8;

/// When to call a node down, and how many to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Nodes that are asked at each tick, beside those that owe an answer.
    pub fanout: usize,
    /// A node of which no news came for so long is suspect.
    pub suspect_after: Duration,
    /// A node of which no news came for so long is down.
    pub down_after: Duration,
    /// A node that answers nothing for so long, and not the third time either, is down.
    pub unanswered_after: Duration,
}

impl Pace {
    /// Calls a node down within twice this time.
    ///
    /// For that ticks are at most an eighth of it apart, news reaches everyone within half of it, and no node has more
    /// than 24 to ask: so each is asked once in that time.
    pub fn within_twice(idle: Duration) -> Self {
        let suspect_after = idle.saturating_mul(3) / 4;
        Self { fanout: 3, suspect_after, down_after: suspect_after.saturating_mul(2), unanswered_after: idle }
    }
}

/// A body that is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a node says {bytes} bytes of itself, but {BODY_BYTES_MAX} is the most")]
pub struct BodyTooLong {
    /// Its length.
    pub bytes: usize,
}

/// What to do at a tick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tick {
    /// Whom to ask. One that is still being asked may be left out.
    pub ask: Vec<NodeKey>,
    /// What to ask them with.
    pub digest: Digest,
}

/// What was new in the states that came.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Merged {
    /// Nodes that say something new of themselves.
    pub bodies: Vec<NodeKey>,
    /// States that were forged, too long, or of no member.
    pub refused: usize,
    /// This node had started with an incarnation that was used before, and now has this one. To be kept where the next
    /// start finds it. If this happens again and again, another process has the same key.
    pub incarnation: Option<u64>,
}

/// What one node knows of all.
#[derive(Debug, Clone)]
pub struct Gossip {
    id: NodeKey,
    pace: Pace,
    incarnation: u64,
    version: u64,
    body: Vec<u8>,
    /// Incarnation and version in which `body` was signed; none where it is new.
    body_signed: Option<u64>,
    /// As others get it; none before the first tick of an incarnation.
    own: Option<NodeState>,
    peers: BTreeMap<NodeKey, Peer>,
    talks_to: BTreeSet<NodeKey>,
}

impl Gossip {
    /// A node that knows of nobody. `incarnation` is higher than at each start before.
    pub fn new(id: NodeKey, incarnation: u64, pace: Pace) -> Self {
        Self {
            id,
            pace,
            incarnation,
            version: 0,
            body: Vec::new(),
            body_signed: None,
            own: None,
            peers: BTreeMap::new(),
            talks_to: BTreeSet::new(),
        }
    }

    /// Of whom it wants to know, and whom of these it asks. All others are forgotten.
    pub fn set_members(&mut self, members: &BTreeSet<NodeKey>, talks_to: &BTreeSet<NodeKey>) {
        self.peers.retain(|id, _| members.contains(id));
        for id in members.iter().filter(|id| **id != self.id) {
            self.peers.entry(*id).or_default();
        }
        self.talks_to = talks_to.iter().filter(|id| self.peers.contains_key(*id)).copied().collect();
    }

    /// What this node says of itself from the next tick on.
    pub fn set_own(&mut self, body: Vec<u8>) -> Result<(), BodyTooLong> {
        if body.len() > BODY_BYTES_MAX {
            return Err(BodyTooLong { bytes: body.len() });
        }
        if body != self.body {
            (self.body, self.body_signed) = (body, None);
        }
        Ok(())
    }

    /// This node's incarnation.
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// Raises this node's version and says whom to ask. `seed` is random and new each time; `sign` signs as this node.
    pub fn tick(&mut self, now: Duration, seed: u64, mut sign: impl FnMut(&[u8]) -> [u8; 64]) -> Tick {
        // Lives that share an incarnation by mistake begin far from each other, so one of them is newer in all it says
        // and the other hears of it.
        self.version = if self.version == 0 { 1 + (seed >> 16) } else { self.version + 1 };
        let (id, incarnation, version) = (self.id, self.incarnation, self.version);
        let body = self.own.take().and_then(|own| own.body).filter(|_| self.body_signed.is_some());
        let body = body.unwrap_or_else(|| {
            let mut body = Body { version, bytes: self.body.clone(), signature: [0; 64] };
            body.signature = sign(&body.signed_bytes(&id, incarnation));
            body
        });
        self.body_signed = Some(body.version);
        let mut own = NodeState { id, incarnation, version, signature: [0; 64], body: Some(body) };
        own.signature = sign(&own.signed_bytes());
        self.own = Some(own);
        let ask = self.choose(now, seed);
        for id in &ask {
            if let Some(peer) = self.peers.get_mut(id) {
                peer.asked(now);
            }
        }
        Tick { ask, digest: self.digest() }
    }

    /// Those that were not asked for longest, those that owe an answer, and one that is down: perhaps it is back.
    fn choose(&self, now: Duration, seed: u64) -> Vec<NodeKey> {
        let mut random = Random(seed);
        let asked = self.talks_to.iter().filter_map(|id| Some((*id, self.peers.get(id)?)));
        let (down, mut up): (Vec<_>, Vec<_>) =
            asked.partition(|(_, peer)| peer.asked_at().is_some() && peer.health(&self.pace, now) == Health::Down);
        // Chance decides among those that were asked at once, so that not all nodes ask in the same order.
        up.sort_by_cached_key(|(_, peer)| (peer.asked_at(), random.next()));
        let (first, others) = up.split_at(up.len().min(self.pace.fanout));
        let owing = others.iter().filter(|(_, peer)| peer.owes()).take(RETRIES_MAX);
        let one_down = (!down.is_empty()).then(|| &down[random.below(down.len())]);
        first.iter().chain(owing).chain(one_down).map(|(id, _)| *id).collect()
    }

    /// What this node knows of itself and of its members.
    pub fn digest(&self) -> Digest {
        let all = 1 + self.peers.len();
        let turn = (self.version as usize).wrapping_mul(DIGEST_MAX - 1);
        let skipped = if all > DIGEST_MAX { turn % self.peers.len() } else { 0 };
        let peers = self.peers.keys().cycle().skip(skipped).take(self.peers.len().min(DIGEST_MAX - 1));
        Digest([&self.id].into_iter().chain(peers).filter_map(|id| self.known(id)).collect())
    }

    /// What this node knows of those that a digest names: no more, since its sender wants to hear of no others.
    pub fn digest_like(&self, theirs: &Digest) -> Digest {
        Digest(theirs.0.iter().take(DIGEST_MAX).filter_map(|known| self.known(&known.id)).collect())
    }

    fn known(&self, id: &NodeKey) -> Option<Known> {
        if *id == self.id {
            let body = self.body_signed.unwrap_or(0);
            return Some(Known { id: *id, incarnation: self.incarnation, version: self.version, body });
        }
        Some(self.peers.get(id)?.known(*id))
    }

    /// What this node knows better than the sender of a digest, of those whom it names. Bodies and mere signs of life
    /// do not take each other's room, and others come first each time, so that in the end everything gets through.
    pub fn delta(&self, theirs: &Digest) -> Vec<NodeState> {
        let theirs = &theirs.0[..theirs.0.len().min(DIGEST_MAX)];
        let first = self.version as usize % theirs.len().max(1);
        let (mut room_for_bodies, mut room_for_signs) = (STATES_BYTES_MAX / 2, STATES_BYTES_MAX / 2);
        let told = theirs.iter().cycle().skip(first).take(theirs.len()).filter_map(|their| {
            let ours = if their.id == self.id { self.own.as_ref() } else { self.peers.get(&their.id)?.state() }?;
            let known = if their.incarnation == ours.incarnation { their.body } else { 0 };
            let body = ours.body.as_ref().filter(|it| their.incarnation <= ours.incarnation && it.version > known);
            let length = |body: &Body| size_of::<NodeState>() + body.bytes.len();
            let body = body.filter(|body| length(body) <= room_for_bodies);
            let risen = (ours.incarnation, ours.version) > (their.incarnation, their.version);
            match body {
                Some(body) => room_for_bodies -= length(body),
                None if !risen || room_for_signs < size_of::<NodeState>() => return None,
                None => room_for_signs -= size_of::<NodeState>(),
            }
            let NodeState { id, incarnation, version, signature, .. } = *ours;
            Some(NodeState { id, incarnation, version, signature, body: body.cloned() })
        });
        told.collect()
    }

    /// Takes in what others tell. `verify` says whether the node of a key has signed these bytes.
    pub fn merge(
        &mut self,
        states: Vec<NodeState>,
        now: Duration,
        mut verify: impl FnMut(&NodeKey, &[u8], &[u8; 64]) -> bool,
    ) -> Merged {
        let mut merged = Merged::default();
        for state in states {
            let id = state.id;
            let own = id == self.id;
            let accepted = if own {
                self.hear_of_self(&state, &mut verify)
            } else if let Some(peer) = self.peers.get_mut(&id) {
                peer.hear(state, &self.pace, now, &mut verify)
            } else {
                None
            };
            match accepted {
                None => merged.refused += 1,
                Some(true) if own => merged.incarnation = Some(self.incarnation),
                Some(true) => merged.bodies.push(id),
                Some(false) => {}
            }
        }
        merged
    }

    /// If a former life of this node was newer than this one, this one gets above it: whether it did so; none where it
    /// was not this node.
    fn hear_of_self(
        &mut self,
        state: &NodeState,
        verify: &mut impl FnMut(&NodeKey, &[u8], &[u8; 64]) -> bool,
    ) -> Option<bool> {
        let same = state.incarnation == self.incarnation;
        let newer_body =
            state.body.as_ref().is_some_and(|body| body.version > self.body_signed.unwrap_or(self.version));
        let newer = state.incarnation > self.incarnation || same && (state.version > self.version || newer_body);
        if !newer {
            return Some(false);
        }
        let next = state.incarnation.checked_add(1)?;
        let body = state.body.as_ref().filter(|_| newer_body);
        let is_self = verify(&self.id, &state.signed_bytes(), &state.signature)
            && body
                .is_none_or(|body| verify(&self.id, &body.signed_bytes(&self.id, state.incarnation), &body.signature));
        if !is_self {
            return None;
        }
        (self.incarnation, self.version, self.body_signed, self.own) = (next, 0, None, None);
        Some(true)
    }

    /// An exchange with this node came through both ways: its [`Tell`](crate::GossipFrame::Tell) or
    /// [`Rest`](crate::GossipFrame::Rest) came, or an answer to something else that was asked of it just now.
    pub fn answered(&mut self, id: &NodeKey, now: Duration) {
        if let Some(peer) = self.peers.get_mut(id) {
            peer.answered(now);
        }
    }

    /// How a node is; none of this node and of who is no member.
    pub fn health(&self, id: &NodeKey, now: Duration) -> Option<Health> {
        Some(self.peers.get(id)?.health(&self.pace, now))
    }

    /// What a node last said of itself, in which incarnation and version; none where that is not known.
    pub fn body(&self, id: &NodeKey) -> Option<(u64, &Body)> {
        let state = self.peers.get(id)?.state()?;
        Some((state.incarnation, state.body.as_ref()?))
    }

    /// The members beside this node, in order, and how they are.
    pub fn peers(&self, now: Duration) -> impl Iterator<Item = (NodeKey, Health)> {
        self.peers.iter().map(move |(id, peer)| (*id, peer.health(&self.pace, now)))
    }
}

/// SplitMix64 (Steele, Lea and Flood, 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of the numbers from zero on, of which there is at least one.
    fn below(&mut self, count: usize) -> usize {
        (self.next() % count as u64) as usize
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod simulation;
