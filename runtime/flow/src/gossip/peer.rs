//! One other node, as this one knows it.

use std::time::Duration;

use super::{BODY_BYTES_MAX, Pace};
use crate::{Body, Known, NodeKey, NodeState};

/// So many unanswered questions are no chance loss.
const UNANSWERED_MIN: u32 = 3;

/// How a node is, as far as one can tell from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// There is news of it.
    Alive,
    /// There was no news for a while, or only one state that may be old.
    Suspect,
    /// There was no news for long, or it does not answer.
    Down,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Peer {
    state: Option<NodeState>,
    /// When a state of it first came. One state can be old; it is news only when another one follows.
    seen_at: Option<Duration>,
    /// When its version last rose, or it last answered.
    alive_at: Option<Duration>,
    /// When it was last asked.
    asked_at: Option<Duration>,
    /// When it was first asked since it last answered, and how often.
    owes: Option<(Duration, u32)>,
}

impl Peer {
    pub(super) fn state(&self) -> Option<&NodeState> {
        self.state.as_ref()
    }

    pub(super) fn known(&self, id: NodeKey) -> Known {
        let Some(state) = &self.state else { return Known { id, incarnation: 0, version: 0, body: 0 } };
        let body = state.body.as_ref().map_or(0, |body| body.version);
        Known { id, incarnation: state.incarnation, version: state.version, body }
    }

    pub(super) fn asked(&mut self, now: Duration) {
        self.asked_at = Some(now);
        let (since, times) = self.owes.unwrap_or((now, 0));
        self.owes = Some((since, times.saturating_add(1)));
    }

    pub(super) fn answered(&mut self, now: Duration) {
        self.owes = None;
        self.alive_at = Some(now);
    }

    pub(super) fn asked_at(&self) -> Option<Duration> {
        self.asked_at
    }

    pub(super) fn owes(&self) -> bool {
        self.owes.is_some()
    }

    pub(super) fn health(&self, pace: &Pace, now: Duration) -> Health {
        let unanswered = |(since, times)| times >= UNANSWERED_MIN && now.saturating_sub(since) >= pace.unanswered_after;
        if self.owes.is_some_and(unanswered) { Health::Down } else { self.heartbeat(pace, now) }
    }

    fn heartbeat(&self, pace: &Pace, now: Duration) -> Health {
        let within = |at: Option<Duration>, time| at.is_some_and(|at| now.saturating_sub(at) < time);
        if within(self.alive_at, pace.suspect_after) {
            Health::Alive
        } else if within(self.alive_at.max(self.seen_at), pace.down_after) {
            Health::Suspect
        } else {
            Health::Down
        }
    }

    /// Takes in what is newer in a state: whether its body is; none where it is refused.
    pub(super) fn hear(
        &mut self,
        mut told: NodeState,
        pace: &Pace,
        now: Duration,
        verify: &mut impl FnMut(&NodeKey, &[u8], &[u8; 64]) -> bool,
    ) -> Option<bool> {
        let known = self.known(told.id);
        let risen = (told.incarnation, told.version) > (known.incarnation, known.version);
        if told.incarnation < known.incarnation {
            return Some(false);
        }
        let restarted = told.incarnation > known.incarnation;
        let body_known = if restarted { 0 } else { known.body };
        let body = told.body.take().filter(|body| body.version > body_known);
        if !risen && body.is_none() {
            return Some(false);
        }
        if risen && !verify(&told.id, &told.signed_bytes(), &told.signature) {
            return None;
        }
        let mut good = |body: &Body| {
            let bytes = body.signed_bytes(&told.id, told.incarnation);
            body.bytes.len() <= BODY_BYTES_MAX && verify(&told.id, &bytes, &body.signature)
        };
        if body.as_ref().is_some_and(|body| !good(body)) {
            return None;
        }
        if risen {
            self.rise(told, restarted, pace, now);
        }
        let newer = body.is_some();
        if let Some(state) = self.state.as_mut().filter(|_| newer) {
            state.body = body;
        }
        Some(newer)
    }

    fn rise(&mut self, told: NodeState, restarted: bool, pace: &Pace, now: Duration) {
        if self.state.is_none() {
            self.seen_at = Some(now);
        } else {
            // It may have been down because it could not be reached: then what it owes is of before.
            if restarted || self.heartbeat(pace, now) == Health::Down {
                self.owes = None;
            }
            self.alive_at = Some(now);
        }
        let body = self.state.take().and_then(|state| state.body).filter(|_| !restarted);
        self.state = Some(NodeState { body, ..told });
    }
}
