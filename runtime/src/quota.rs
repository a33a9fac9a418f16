//! What peers may have of something that can run short: each so much, strangers together so much, and all of them so much.
//! Who wants more than its own waits, and others do not wait for it. Where all of it is taken those who still have some of
//! their own wait in the order in which they came, who wants little behind who wants much: else much would never be free at
//! a time. Nothing, such as a probe takes, is there at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::identity::NodeId;

/// Something that peers share.
#[derive(Debug)]
pub(crate) struct Quota {
    each: u32,
    strangers: u32,
    all: Arc<Semaphore>,
    /// Of those that have some of it, or wait for some; none is all strangers.
    peers: Mutex<BTreeMap<Option<NodeId>, Arc<Semaphore>>>,
}

/// What a peer has of it, until this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    _of_peer: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Quota {
    /// At most `each` for one peer, `strangers` for all that are none, and `all`, which is no less, for all of them.
    pub(crate) fn new(each: u32, strangers: u32, all: u32) -> Self {
        let all = Arc::new(Semaphore::new(all.max(each).max(strangers) as usize));
        Self { each, strangers, all, peers: Mutex::default() }
    }

    fn most(&self, peer: Option<NodeId>) -> u32 {
        if peer.is_some() { self.each } else { self.strangers }
    }

    /// Waits until `peer` may have this much more; none for a stranger: who likes has many keys, so all of them have what
    /// they have together. One that asks for more than it may ever have gets all that it may. None is lost where this is
    /// not awaited to the end.
    pub(crate) async fn take(&self, peer: Option<NodeId>, much: u64) -> Option<Held> {
        let much = u32::try_from(much).unwrap_or(u32::MAX).min(self.most(peer));
        // Its own first: what it waits for there keeps no other peer waiting.
        let of_peer = self.of_peer(peer).acquire_many_owned(much).await.ok()?;
        let of_all = self.all.clone().acquire_many_owned(much).await.ok()?;
        Some(Held { _of_peer: of_peer, _of_all: of_all })
    }

    fn of_peer(&self, peer: Option<NodeId>) -> Arc<Semaphore> {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = peers.get(&peer) {
            return known.clone();
        }
        // Those of which nobody else knows are held and awaited by nobody.
        peers.retain(|_, of_peer| Arc::strong_count(of_peer) > 1);
        peers.entry(peer).or_insert_with(|| Arc::new(Semaphore::new(self.most(peer) as usize))).clone()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::future::ready;
    use std::pin::pin;

    use super::*;

    /// Number 0 is a stranger.
    fn peer(number: u8) -> Option<NodeId> {
        (number > 0).then(|| [number; 32].into())
    }

    /// What is there without waiting.
    async fn at_once(quota: &Quota, of: u8, much: u64) -> Option<Held> {
        tokio::select! {
            biased;
            held = quota.take(peer(of), much) => held,
            () = ready(()) => None,
        }
    }

    #[tokio::test]
    async fn a_peer_has_no_more_than_its_own_and_others_have_theirs() {
        let quota = Quota::new(4, 1, 10);
        let one = at_once(&quota, 1, 3).await.unwrap();
        let other = at_once(&quota, 1, 1).await.unwrap();
        assert!(at_once(&quota, 1, 1).await.is_none());
        let _theirs = at_once(&quota, 2, 4).await.unwrap();
        drop(other);
        let _again = at_once(&quota, 1, 1).await.unwrap();
        drop(one);
        let _last = at_once(&quota, 1, 3).await.unwrap();
    }

    #[tokio::test]
    async fn all_together_have_no_more_than_there_is() {
        let quota = Quota::new(4, 1, 6);
        let first = at_once(&quota, 1, 4).await.unwrap();
        let _second = at_once(&quota, 2, 2).await.unwrap();
        assert!(at_once(&quota, 3, 1).await.is_none());
        let _nothing = at_once(&quota, 3, 0).await.unwrap();
        drop(first);
        let _third = at_once(&quota, 3, 4).await.unwrap();
    }

    #[tokio::test]
    async fn strangers_have_no_more_than_theirs_together() {
        let quota = Quota::new(4, 2, 10);
        let one = at_once(&quota, 0, 1).await.unwrap();
        let _other = at_once(&quota, 0, 1).await.unwrap();
        assert!(at_once(&quota, 0, 1).await.is_none());
        let _known = at_once(&quota, 1, 4).await.unwrap();
        drop(one);
        assert!(at_once(&quota, 0, u64::MAX).await.is_none());
        let _again = at_once(&quota, 0, 1).await.unwrap();
    }

    #[tokio::test]
    async fn who_came_first_is_first_but_nothing_is_there_at_once() {
        let quota = Quota::new(4, 1, 4);
        let small = at_once(&quota, 1, 1).await.unwrap();
        let mut much = pin!(quota.take(peer(2), 4));
        let waits = tokio::select! {
            biased;
            _ = &mut much => false,
            () = ready(()) => true,
        };
        assert!(waits);
        assert!(at_once(&quota, 3, 1).await.is_none());
        let _nothing = at_once(&quota, 3, 0).await.unwrap();
        drop(small);
        assert!(at_once(&quota, 3, 1).await.is_none());
        drop(much.await);
        let _one = at_once(&quota, 3, 1).await.unwrap();
    }

    #[tokio::test]
    async fn who_wants_more_than_it_may_have_gets_that_alone() {
        let quota = Quota::new(4, 1, 4);
        let small = at_once(&quota, 1, 1).await.unwrap();
        assert!(at_once(&quota, 1, u64::MAX).await.is_none());
        drop(small);
        let _all = at_once(&quota, 1, u64::MAX).await.unwrap();
        assert!(at_once(&quota, 1, 1).await.is_none());
    }

    #[tokio::test]
    async fn who_has_nothing_is_forgotten() {
        let quota = Quota::new(4, 1, 4);
        for number in 1..200 {
            at_once(&quota, number, 4).await.unwrap();
        }
        assert_eq!(quota.peers.lock().unwrap().len(), 1);
    }
}
