//! What is known of how long shares take to compute.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::time::Duration;

use super::ShareId;
use crate::cost::Cost;

/// Of so many requests that are refused only because their share is thought too slow for them, the last one is tried
/// all the same: or a share that was slow once, with cold caches, would never be measured again.
pub(super) const TRIED_ONE_IN: u32 = 16;

/// A share is in use for so long after it was asked for.
const IN_USE: Duration = Duration::from_secs(1);

/// What so many threads take, one alone or all of them together.
#[derive(Debug)]
pub(super) struct Costs {
    pub(super) threads: NonZero<u32>,
    /// What one thread takes.
    one: BTreeMap<ShareId, Cost>,
    /// What all threads take, where they can share the work.
    all: BTreeMap<ShareId, Option<Cost>>,
    /// When each was last asked for.
    asked: BTreeMap<ShareId, Duration>,
}

impl Costs {
    pub(super) fn new(threads: NonZero<u32>) -> Self {
        Self { threads, one: BTreeMap::new(), all: BTreeMap::new(), asked: BTreeMap::new() }
    }

    /// Threads can share the work of this one.
    pub(super) fn spread(&mut self, share: ShareId) {
        if self.threads > NonZero::<u32>::MIN {
            self.all.entry(share).or_insert(None);
        }
    }

    pub(super) fn ask(&mut self, share: ShareId, now: Duration) {
        self.asked.insert(share, now);
    }

    /// Whether all threads may compute it: they can, and they hold up no other share that is in use for longer than that takes
    /// itself.
    pub(super) fn may_have_all(&self, share: ShareId, now: Duration) -> bool {
        let takes = self.on_all(share).typical;
        let in_use = |at: &Duration| now.saturating_sub(*at) <= IN_USE;
        let mut others = self.asked.iter().filter(|(other, at)| **other != share && in_use(at));
        self.all.contains_key(&share) && others.all(|(other, _)| takes <= self.on_one(*other).typical)
    }

    pub(super) fn is_measured_on_one(&self, share: ShareId) -> bool {
        self.one.contains_key(&share)
    }

    pub(super) fn forget(&mut self, share: ShareId) {
        self.one.remove(&share);
        self.all.remove(&share);
        self.asked.remove(&share);
    }

    /// What is known without a measurement, of all threads where they can share it.
    pub(super) fn expect(&mut self, share: ShareId, takes: Duration) {
        let takes = Cost::exact(takes);
        match self.all.get_mut(&share) {
            Some(cost) => *cost = cost.or(Some(takes)),
            None => _ = self.one.entry(share).or_insert(takes),
        }
    }

    /// It took so long, on one thread or on all.
    pub(super) fn measure(&mut self, share: ShareId, on_all: bool, took: Duration) {
        match self.all.get_mut(&share).filter(|_| on_all) {
            Some(Some(cost)) => cost.measure(took),
            Some(unknown) => *unknown = Some(Cost::first(took)),
            // It has been forgotten in the meantime.
            None if on_all => {}
            None => _ = self.one.entry(share).and_modify(|cost| cost.measure(took)).or_insert(Cost::first(took)),
        }
    }

    /// What one thread takes: no more than all of them in sum, if nothing else is known.
    pub(super) fn on_one(&self, share: ShareId) -> Cost {
        let in_sum = || Some(self.all.get(&share)?.as_ref()?.times(self.threads.get()));
        self.one.get(&share).copied().or_else(in_sum).unwrap_or(Cost::exact(Duration::ZERO))
    }

    /// What all threads take.
    pub(super) fn on_all(&self, share: ShareId) -> Cost {
        self.all.get(&share).copied().flatten().unwrap_or_else(|| self.on_one(share))
    }

    /// Whether a request that would not be done in the time that is left is tried all the same.
    pub(super) fn is_tried(&mut self, share: ShareId, left: Duration) -> bool {
        let is_too_slow = self.on_one(share).plausible() > left;
        let on_all = self.all.get_mut(&share).and_then(Option::as_mut);
        self.one.get_mut(&share).or(on_all).filter(|_| is_too_slow).is_some_and(|cost| {
            cost.refused = (cost.refused + 1) % TRIED_ONE_IN;
            cost.refused == 0
        })
    }
}
