//! What peers may have of something that can run short: each so much, and all of them together so much. Who wants more
//! waits, and others do not wait for it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::identity::NodeId;

/// Something that peers share.
#[derive(Debug)]
pub(crate) struct Quota {
    each: u32,
    all: Arc<Semaphore>,
    /// Of those that have some of it, or wait for some.
    peers: Mutex<BTreeMap<NodeId, Arc<Semaphore>>>,
}

/// What a peer has of it, until this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    _of_peer: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Quota {
    /// At most `each` for one peer, and `all`, which is no less, for all of them.
    pub(crate) fn new(each: u32, all: u32) -> Self {
        let all = Arc::new(Semaphore::new(all.max(each) as usize));
        Self { each, all, peers: Mutex::default() }
    }

    /// Waits until `peer` may have this much more. One that asks for more than it may ever have gets all that it may.
    /// None is lost where this is not awaited to the end.
    pub(crate) async fn take(&self, peer: NodeId, much: u64) -> Option<Held> {
        let much = u32::try_from(much).unwrap_or(u32::MAX).min(self.each);
        // Its own first: what it waits for there keeps no other peer waiting.
        let of_peer = self.of_peer(peer).acquire_many_owned(much).await.ok()?;
        let of_all = self.all.clone().acquire_many_owned(much).await.ok()?;
        Some(Held { _of_peer: of_peer, _of_all: of_all })
    }

    fn of_peer(&self, peer: NodeId) -> Arc<Semaphore> {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = peers.get(&peer) {
            return known.clone();
        }
        // Those of which nobody else knows are held and awaited by nobody.
        peers.retain(|_, of_peer| Arc::strong_count(of_peer) > 1);
        peers.entry(peer).or_insert_with(|| Arc::new(Semaphore::new(self.each as usize))).clone()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::future::ready;

    use super::*;

    fn peer(number: u8) -> NodeId {
        [number; 32].into()
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
        let quota = Quota::new(4, 10);
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
        let quota = Quota::new(4, 6);
        let first = at_once(&quota, 1, 4).await.unwrap();
        let _second = at_once(&quota, 2, 2).await.unwrap();
        assert!(at_once(&quota, 3, 1).await.is_none());
        let _nothing = at_once(&quota, 3, 0).await.unwrap();
        drop(first);
        let _third = at_once(&quota, 3, 4).await.unwrap();
    }

    #[tokio::test]
    async fn who_wants_more_than_it_may_have_gets_that_alone() {
        let quota = Quota::new(4, 4);
        let small = at_once(&quota, 1, 1).await.unwrap();
        assert!(at_once(&quota, 1, u64::MAX).await.is_none());
        drop(small);
        let _all = at_once(&quota, 1, u64::MAX).await.unwrap();
        assert!(at_once(&quota, 1, 1).await.is_none());
    }

    #[tokio::test]
    async fn who_has_nothing_is_forgotten() {
        let quota = Quota::new(4, 4);
        for number in 0..200 {
            at_once(&quota, number, 4).await.unwrap();
        }
        assert_eq!(quota.peers.lock().unwrap().len(), 1);
    }
}
