//! Which requests a node takes, and in which order it computes them.
//!
//! ```text
//! enter ──bytes come──► ready ──take──► running ──done──► measured
//!   └── refused            └── refused     └── late, when its turn comes
//! ```
//! Callers take turns by computing time: whoever has had least of it is next (start-time fair queueing, Goyal, Vin and
//! Cheng, 1996), so a caller that asks for a hundred times as much gets no more than the others while they wait. The
//! requests of one caller are in the order of their deadlines. What will not be answered in time by prediction is
//! refused at once, and again when its turn comes: computing it would make the next one late too.
//!
//! A request that is alone gets all threads at once where they can share its work, so it is answered as early as can be,
//! and so does one that would be late otherwise while nothing runs. Where several wait each gets one thread: together they
//! take least then. No other share waits for such a request longer than it takes itself.

mod costs;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::ops::RangeTo;
use std::time::Duration;

use crate::PlanId;
use crate::cost::{Cost, sum};
use costs::Costs;

/// A share of a plan on this node. What it takes to compute is measured for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ShareId {
    /// The plan.
    pub plan: PlanId,
    /// Its epoch.
    pub epoch: u32,
}

/// A place in an [`Admission`], held from [`Admission::enter`] until the request was computed, refused, or has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

/// A request is not taken, because it would not be answered in time or there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy {
    /// How many requests wait already.
    pub waiting: u32,
}

/// A request whose turn has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn<T> {
    /// Compute it, then say [`Admission::done`].
    Run {
        /// Its place.
        ticket: Ticket,
        /// What to compute.
        share: ShareId,
        /// Whether all threads compute it, and nothing beside.
        alone: bool,
        /// As it was given.
        item: T,
    },
    /// Refuse it: less time is left than it takes. Its place is free again.
    Late {
        /// As it was given.
        item: T,
        /// The refusal.
        busy: Busy,
    },
}

/// A bounded queue that is fair between callers `C`, for requests `T`. All times are on one clock, which never goes
/// back.
#[derive(Debug)]
pub struct Admission<C, T> {
    places_max: usize,
    entered: u64,
    waiting: BTreeMap<Ticket, Waiting<C, T>>,
    lines: BTreeMap<C, Line>,
    running: BTreeMap<Ticket, Running<C>>,
    costs: Costs,
    /// How long it took from when a share was computed until the answer of the tiers above was here.
    rests: BTreeMap<ShareId, Cost>,
    /// The least computing time that any caller with something ready had been served when the last turn was given. Who
    /// comes back begins here: nobody saves up turns while away.
    served: Duration,
}

#[derive(Debug)]
struct Waiting<C, T> {
    caller: C,
    share: ShareId,
    /// When it is refused whatever is predicted.
    due: Duration,
    /// When it has to be computed by, so that the tiers above answer in time by prediction.
    deadline: Duration,
    /// None while its bytes are still coming.
    item: Option<T>,
    /// It is computed whatever is predicted, if its deadline has not passed.
    trial: bool,
}

#[derive(Debug)]
struct Running<C> {
    caller: C,
    share: ShareId,
    since: Duration,
    charged: Duration,
    /// Threads that compute it.
    threads: u32,
}

impl<C> Running<C> {
    /// Computing time that is left.
    fn left(&self, now: Duration) -> Duration {
        self.since.saturating_add(self.charged).saturating_sub(now).saturating_mul(self.threads)
    }
}

/// The place of a request among those of its caller.
type Order = (Duration, Ticket);

/// What a caller has waiting.
#[derive(Debug, Default)]
struct Line {
    /// All, by their deadlines.
    all: BTreeSet<Order>,
    /// Those whose bytes have come.
    ready: BTreeSet<Order>,
    ready_of: BTreeMap<ShareId, u32>,
    /// Computing time that it was served, beginning at [`Admission::served`].
    served: Duration,
}

impl<C: Ord + Copy, T> Admission<C, T> {
    /// An empty queue in front of so many threads. One caller can have half of `places_max`, two a third each, and so
    /// on: what a caller has waiting is never more than what is free, so each finds a place (dynamic thresholds,
    /// Choudhury and Hahne, 1998).
    pub fn new(threads: NonZero<u32>, places_max: usize) -> Self {
        Self {
            places_max,
            entered: 0,
            waiting: BTreeMap::new(),
            lines: BTreeMap::new(),
            running: BTreeMap::new(),
            costs: Costs::new(threads),
            rests: BTreeMap::new(),
            served: Duration::ZERO,
        }
    }

    /// How many requests wait, those included whose bytes are still coming.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How long one thread takes to compute a share, as far as is known.
    pub fn typical(&self, share: ShareId) -> Duration {
        self.costs.on_one(share).typical
    }

    /// How long all that waits here for other shares takes, with what runs.
    pub fn backlog_beside(&self, share: ShareId, now: Duration) -> Duration {
        let others = self.waiting.values().filter(|one| one.share != share).map(|one| self.likely(one.share));
        let left = self.running.values().filter(|one| one.share != share).map(|one| one.left(now));
        sum(others.chain(left)) / self.threads()
    }

    /// All threads can share the work of a request for this share.
    pub fn spread(&mut self, share: ShareId) {
        self.costs.spread(share);
    }

    /// A share that nothing was measured of is thought to take so long where it is alone: as if it took no time, any number of
    /// its requests would be let in.
    pub fn expect(&mut self, share: ShareId, takes: Duration) {
        self.costs.expect(share, takes);
    }

    /// Forgets what was measured of a share that is not here any more.
    pub fn forget(&mut self, share: ShareId) {
        self.costs.forget(share);
        self.rests.remove(&share);
    }

    /// The answer of the tiers above a share came so long after it was computed: the next one is expected to be computed
    /// so long before its deadline.
    pub fn answered(&mut self, share: ShareId, rest: Duration) {
        measure(&mut self.rests, share, rest);
    }

    /// Gives a place to a request whose bytes are still to come, unless it would not be answered by its `deadline` even
    /// if they came at once.
    pub fn enter(&mut self, caller: C, share: ShareId, deadline: Duration, now: Duration) -> Result<Ticket, Busy> {
        let ticket = Ticket(self.entered);
        self.costs.ask(share, now);
        let own = self.lines.get(&caller).map_or(0, |line| line.all.len());
        let has_place = own < self.places_max.saturating_sub(self.waiting.len());
        if deadline <= now || !has_place {
            return Err(self.busy());
        }
        let rest = self.rests.get(&share).map_or(Duration::ZERO, |rest| rest.typical);
        let (due, deadline) = (deadline, deadline.saturating_sub(rest));
        let expected = self.expected(caller, share, (deadline, ticket), now);
        let trial = expected > deadline && self.costs.is_tried(share, deadline.saturating_sub(now));
        let hopeless = expected > deadline && !trial && !(own == 0 && self.is_idle());
        if hopeless || self.delays_others(caller, share, (deadline, ticket), now) {
            return Err(self.busy());
        }
        self.entered += 1;
        self.waiting.insert(ticket, Waiting { caller, share, due, deadline, item: None, trial });
        let served = self.served;
        let line = self.lines.entry(caller).or_insert_with(|| Line { served, ..Line::default() });
        line.all.insert((deadline, ticket));
        Ok(ticket)
    }

    /// The bytes of a request have come, so it can be computed. Refuses what would not be answered in time any more,
    /// and a ticket that does not wait for its item; its place is free then.
    pub fn ready(&mut self, ticket: Ticket, item: T, now: Duration) -> Result<(), (T, Busy)> {
        let idle = self.is_idle();
        let found = self.waiting.get(&ticket).filter(|waiting| waiting.item.is_none());
        let Some(&Waiting { caller, share, deadline, trial, .. }) = found else {
            return Err((item, self.busy()));
        };
        let order = (deadline, ticket);
        if !idle && !trial && self.expected(caller, share, order, now) > deadline {
            self.leave(ticket);
            return Err((item, self.busy()));
        }
        if let Some(waiting) = self.waiting.get_mut(&ticket) {
            waiting.item = Some(item);
            waiting.trial |= idle;
        }
        if let Some(line) = self.lines.get_mut(&caller) {
            if line.ready.is_empty() {
                line.served = line.served.max(self.served);
            }
            line.ready.insert(order);
            *line.ready_of.entry(share).or_default() += 1;
        }
        Ok(())
    }

    /// Takes back a request that nobody waits for any more, with its item where it has come. Does nothing to one that
    /// runs or is over.
    pub fn leave(&mut self, ticket: Ticket) -> Option<T> {
        self.remove(ticket)?.item
    }

    /// The request that a free thread shall compute. Where others are as good as next, one of the share `after`, which
    /// the thread computed last: requests of many callers for one share are computed one after the other, with warm
    /// caches.
    pub fn take(&mut self, now: Duration, after: Option<ShareId>) -> Option<Turn<T>> {
        if self.running.values().any(|one| one.threads > 1) {
            return None;
        }
        let (served, ticket) = self.next(after)?;
        self.served = self.served.max(served);
        let Waiting { caller, share, due, deadline, item, trial } = self.remove(ticket)?;
        let item = item?;
        let (left, one) = (deadline.saturating_sub(now), self.costs.on_one(share));
        let (others, known) = (self.is_one_ready(), self.costs.is_measured_on_one(share));
        let may_be_alone = self.running.is_empty() && self.costs.may_have_all(share, now);
        let alone = may_be_alone && (!others || (known && one.typical > left));
        // What nothing is known of but a bound is measured at the first opportunity.
        let trial = trial || (may_be_alone && others && !known);
        let (cost, threads) = if alone { (self.costs.on_all(share), self.threads()) } else { (one, 1) };
        let charged = cost.typical;
        if due <= now || (!trial && left < charged) {
            return Some(Turn::Late { item, busy: self.busy() });
        }
        if let Some(line) = self.lines.get_mut(&caller) {
            line.served = line.served.saturating_add(charged.saturating_mul(threads));
        }
        self.running.insert(ticket, Running { caller, share, since: now, charged, threads });
        self.lines.retain(|caller, line| {
            let runs = self.running.values().any(|running| running.caller == *caller);
            runs || !line.all.is_empty() || line.served > self.served
        });
        Some(Turn::Run { ticket, share, alone, item })
    }

    /// A request was computed, well or not: what it took is what the next one of its share is expected to take.
    pub fn done(&mut self, ticket: Ticket, now: Duration) {
        let Some(Running { caller, share, since, charged, threads }) = self.running.remove(&ticket) else { return };
        let took = now.saturating_sub(since);
        self.costs.measure(share, threads > 1, took);
        if let Some(line) = self.lines.get_mut(&caller) {
            let [took, charged] = [took, charged].map(|time| time.saturating_mul(threads));
            line.served = line.served.saturating_add(took).saturating_sub(charged);
        }
    }

    fn threads(&self) -> u32 {
        self.costs.threads.get()
    }

    fn busy(&self) -> Busy {
        Busy { waiting: u32::try_from(self.waiting.len()).unwrap_or(u32::MAX) }
    }

    /// Whether what is ready now is computed now.
    fn is_idle(&self) -> bool {
        self.has_free_thread() && !self.is_one_ready()
    }

    fn has_free_thread(&self) -> bool {
        self.running.values().map(|one| one.threads).sum::<u32>() < self.threads()
    }

    fn is_one_ready(&self) -> bool {
        self.lines.values().any(|line| !line.ready.is_empty())
    }

    /// When a request of this caller will be done, computed as slowly as its share plausibly is.
    fn expected(&self, caller: C, share: ShareId, order: Order, now: Duration) -> Duration {
        let nobody_waits = self.waiting.keys().all(|ticket| *ticket == order.1);
        let alone = nobody_waits && self.running.values().all(|one| one.threads > 1);
        let cost = if alone { self.costs.on_all(share) } else { self.costs.on_one(share) };
        let ahead = self.ahead(caller, share, order, now) / self.threads();
        now.saturating_add(ahead).saturating_add(cost.plausible())
    }

    /// What a share may well take: when it begins to take longer, this says so before the average does.
    fn likely(&self, share: ShareId) -> Duration {
        self.costs.on_one(share).likely()
    }

    /// Whether another request of this caller, which was taken before but has a later deadline, would be late because of
    /// this one: what is tried again, or beside something else, takes no time that has been promised.
    fn delays_others(&self, caller: C, share: ShareId, order: Order, now: Duration) -> bool {
        let Some(line) = self.lines.get(&caller) else { return false };
        let mut ahead = self.ahead(caller, share, order, now).saturating_add(self.likely(share));
        line.all.range(order..).any(|(deadline, ticket)| {
            let Some(one) = self.waiting.get(ticket) else { return false };
            let end = now.saturating_add(ahead / self.threads()).saturating_add(self.typical(one.share));
            ahead = ahead.saturating_add(self.likely(one.share));
            end > *deadline && !one.trial
        })
    }

    /// Computing time of what comes before a request: what runs, what its caller wants earlier, and of other callers as
    /// much as they are served until then.
    fn ahead(&self, caller: C, share: ShareId, order: Order, now: Duration) -> Duration {
        let likely = |ticket: &Ticket| self.waiting.get(ticket).map_or(Duration::ZERO, |one| self.likely(one.share));
        let line = self.lines.get(&caller);
        let before = RangeTo { end: order };
        let own = sum(line.into_iter().flat_map(|line| line.all.range(before)).map(|(_, ticket)| likely(ticket)));
        let served = line.map_or(self.served, |line| line.served.max(self.served));
        let until = served.saturating_add(own).saturating_add(self.likely(share));
        let others = self.lines.iter().filter(|(other, _)| **other != caller).map(|(_, line)| {
            let work = line.ready_of.iter().map(|(share, count)| self.likely(*share).saturating_mul(*count));
            sum(work).min(until.saturating_sub(line.served))
        });
        own.saturating_add(sum(others)).saturating_add(self.left(now))
    }

    /// Computing time that is left of what runs.
    fn left(&self, now: Duration) -> Duration {
        sum(self.running.values().map(|one| one.left(now)))
    }

    /// Whose turn it is, and how much that caller was served at least.
    fn next(&self, after: Option<ShareId>) -> Option<(Duration, Ticket)> {
        let heads = || {
            let ready = |(caller, line): (&C, &Line)| Some((line.served, *caller, line.ready.first()?.1));
            self.lines.iter().filter_map(ready)
        };
        let (least, _, ticket) = heads().min()?;
        let same = after.and_then(|share| {
            let most = least.saturating_add(self.typical(share));
            let of_share = |ticket: &Ticket| self.waiting.get(ticket).is_some_and(|one| one.share == share);
            heads().filter(|(served, _, ticket)| *served <= most && of_share(ticket)).min()
        });
        Some((least, same.map_or(ticket, |(_, _, ticket)| ticket)))
    }

    fn remove(&mut self, ticket: Ticket) -> Option<Waiting<C, T>> {
        let waiting = self.waiting.remove(&ticket)?;
        if let Some(line) = self.lines.get_mut(&waiting.caller) {
            let order = (waiting.deadline, ticket);
            line.all.remove(&order);
            if line.ready.remove(&order)
                && let Some(count) = line.ready_of.get_mut(&waiting.share)
            {
                *count -= 1;
                line.ready_of.retain(|_, count| *count > 0);
            }
        }
        Some(waiting)
    }
}

fn measure(costs: &mut BTreeMap<ShareId, Cost>, share: ShareId, took: Duration) {
    costs.entry(share).and_modify(|cost| cost.measure(took)).or_insert_with(|| Cost::first(took));
}

#[cfg(test)]
mod tests;
