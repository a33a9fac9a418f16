//! Which of the alternatives of a deployment serves, and why.
//!
//! All alternatives are prepared on all their tiers, so a change costs nothing and no request waits for it. What it has
//! to avoid is to go back and forth:
//! - another alternative takes over where it has been predicted better by enough for a while;
//! - at once where the one that serves needs a tier or link that is down;
//! - what came up is held for a time that doubles with each flap, and so is what was left, for a better one together
//!   with all that would have been left with it: what is worse now and uses the same link. The local one never is.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::alternative::Place;
use crate::backlog::Backlog;
use crate::cost::sum;
use crate::hold::{Hold, Holding};
use crate::{Alternative, Estimates, PlanId};

/// An alternative is better only by at least this share, in percent: estimates of bandwidth and speed are this
/// uncertain, since transfers are timed to a millisecond and ratios vary by some percent.
pub const BETTER_PERCENT: u32 = 10;
/// And by at least this: nobody notices less, and it is as much as two crossings vary on their own.
pub const BETTER_MIN: Duration = Duration::from_millis(2);
/// And for so long without a break. Together with the three samples each 200 ms after which a better link is believed,
/// a change is followed within one second.
pub const DWELL: Duration = Duration::from_millis(250);
/// So many requests in a row that an alternative does not answer in time, and it counts as down for a while, even where
/// all its tiers and links look alive. One may be lost by chance, two by one short stall.
pub const FAILURES: u32 = 3;

/// What keeps an alternative from serving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Bar {
    /// A tier of it is down.
    TierDown { tier: usize },
    /// A tier of it has come up too recently.
    TierHeld { tier: usize, until: Duration },
    /// A link of it is down, there or back.
    LinkDown { from: usize, to: usize },
    /// A link of it has come up too recently.
    LinkHeld { from: usize, to: usize, until: Duration },
    /// It did not answer [`FAILURES`] requests in a row.
    Silent { until: Duration },
}

/// Why the present alternative serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Why {
    /// It was predicted best when there was none before it.
    Best,
    /// It was predicted better than the one before it for [`DWELL`].
    Better { than: PlanId, predicted: Duration, than_predicted: Duration },
    /// It was predicted best of those that could serve when the one before it no longer could.
    Barred { before: PlanId, by: Bar },
    /// It was predicted best when a new deployment no longer had the one before it.
    Replaced { before: PlanId },
}

/// One alternative beside the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Which.
    pub plan: PlanId,
    /// Latency that is predicted for it.
    pub predicted: Duration,
    /// What keeps it from serving.
    pub bar: Option<Bar>,
    /// Since when it is predicted better than the one that serves, by enough.
    pub better_since: Option<Duration>,
    /// Until when it does not take over although better, because it, or one over the same link, was left for a better
    /// one.
    pub left_until: Option<Duration>,
}

/// Which alternative serves and what of the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// None where none can.
    pub serving: Option<PlanId>,
    /// Since when that is so.
    pub since: Duration,
    /// The reason of the last change. None where none can serve.
    pub why: Option<Why>,
    /// All alternatives, in the order of the deployment.
    pub standings: Vec<Standing>,
}

/// An alternative that a request may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// Which.
    pub plan: PlanId,
    /// Latency that is predicted for it, by itself.
    pub predicted: Duration,
    /// How long all that is under way holds up one more request over it until it is answered.
    pub waits: Duration,
    /// How long of this because of requests over other plans, which need the same tiers and links.
    pub held_up: Duration,
    /// How many requests go over it.
    pub under_way: u32,
    /// The tier that it goes to from here; none where it stays.
    pub next: Option<usize>,
}

impl Way {
    /// Whether it stays on this node.
    pub fn is_local(&self) -> bool {
        self.next.is_none()
    }

    /// How long a request takes that goes this way now.
    pub fn expected(&self) -> Duration {
        self.predicted.max(self.waits)
    }
}

#[derive(Debug, Clone)]
struct Entry {
    alternative: Alternative,
    backlog: Backlog,
    better_since: Option<Duration>,
    failures: u32,
    silent: Hold,
    left: Hold,
}

/// Which of a few alternatives serves.
#[derive(Debug, Clone)]
pub struct Switch {
    entries: Vec<Entry>,
    tiers: BTreeMap<usize, Hold>,
    links: BTreeMap<(usize, usize), Hold>,
    serving: Option<usize>,
    since: Duration,
    why: Option<Why>,
}

impl Switch {
    /// Of these alternatives the one that is predicted best serves. All tiers and links count as up until it is said
    /// otherwise.
    pub fn new(alternatives: Vec<Alternative>, estimates: &Estimates, now: Duration) -> Self {
        let entries = alternatives.into_iter().map(|one| Entry::new(one, estimates, now)).collect();
        let (tiers, links) = (BTreeMap::new(), BTreeMap::new());
        let mut switch = Self { entries, tiers, links, serving: None, since: now, why: None };
        switch.decide(estimates, now);
        switch
    }

    /// Another deployment takes over, all of which is prepared. What is known of tiers and links stays, and so does an
    /// alternative that serves and is in both. What is under way belongs to the deployment before, and is not counted.
    pub fn replace(&mut self, alternatives: Vec<Alternative>, estimates: &Estimates, now: Duration) {
        let before = self.serving();
        let mut old = std::mem::take(&mut self.entries);
        let plan_of = |entry: &Entry| entry.alternative.plan;
        let keep = |alternative: Alternative| match old.iter().position(|entry| plan_of(entry) == alternative.plan) {
            Some(at) => Entry { alternative, backlog: old[at].backlog.emptied(), ..old.swap_remove(at) },
            None => Entry::new(alternative, estimates, now),
        };
        self.entries = alternatives.into_iter().map(keep).collect();
        self.serving = self.entries.iter().position(|entry| Some(entry.alternative.plan) == before);
        let stays = self.serving.is_some();
        self.decide(estimates, now);
        if let Some(before) = before.filter(|_| !stays) {
            self.since = now;
            self.why = self.serving.map(|_| Why::Replaced { before });
        }
    }

    /// A tier is down, or gone. The next [`Switch::decide`] leaves what needs it.
    pub fn tier_down(&mut self, tier: usize, now: Duration) {
        self.tiers.entry(tier).or_default().goes_down(now);
    }

    /// A tier is up.
    pub fn tier_up(&mut self, tier: usize, now: Duration) {
        self.tiers.entry(tier).or_default().comes_up(now);
    }

    /// One direction of a link is down. The next [`Switch::decide`] leaves what needs it, there or back.
    pub fn link_down(&mut self, from: usize, to: usize, now: Duration) {
        self.links.entry((from, to)).or_default().goes_down(now);
    }

    /// One direction of a link is up.
    pub fn link_up(&mut self, from: usize, to: usize, now: Duration) {
        self.links.entry((from, to)).or_default().comes_up(now);
    }

    /// A request goes over this plan: until [`Switch::came_back`] it is under way.
    pub fn goes(&mut self, plan: PlanId) {
        if let Some(entry) = self.entry(plan) {
            entry.backlog.begin();
        }
    }

    /// A request that [went](Switch::goes) over this plan at `began` has been answered, or is given up.
    pub fn came_back(&mut self, plan: PlanId, answered: bool, began: Duration, now: Duration) {
        match self.entry(plan) {
            Some(entry) if answered => entry.backlog.answered(began, now),
            Some(entry) => entry.backlog.end(),
            None => {}
        }
    }

    /// A request was answered over this plan.
    pub fn answered(&mut self, plan: PlanId) {
        if let Some(entry) = self.entry(plan) {
            entry.failures = 0;
        }
    }

    /// A request was not answered over this plan, or too late, for reasons that are not the request's own. The local
    /// one has nothing that could come back, so it is never held down.
    pub fn failed(&mut self, plan: PlanId, now: Duration) {
        let Some(entry) = self.entry(plan) else { return };
        // What began before it was held says nothing new.
        if entry.alternative.is_local() || entry.silent.state(now) != Holding::Up {
            return;
        }
        entry.failures = entry.failures.saturating_add(1);
        if entry.failures >= FAILURES {
            entry.silent.flaps(now);
        }
    }

    /// Decides anew, from what is believed now. Whether another alternative serves, or none.
    pub fn decide(&mut self, estimates: &Estimates, now: Duration) -> bool {
        let predicted = |entry: &Entry| estimates.predict(&entry.alternative, now);
        let predicted: Vec<Duration> = self.entries.iter().map(predicted).collect();
        let bars: Vec<Option<Bar>> = self.entries.iter().map(|entry| self.bar(entry, now)).collect();
        let serving = self.serving.and_then(|at| Some((at, bars.get(at)?.as_ref())));
        match serving {
            Some((at, None)) => self.take_better(at, &predicted, &bars, now),
            Some((at, Some(bar))) => {
                let before = self.entries[at].alternative.plan;
                // Whatever it was left for, now this and then that is going back and forth as well.
                self.entries[at].left.flaps(now);
                self.take_best(Why::Barred { before, by: *bar }, &predicted, &bars, now)
            }
            None => self.take_best(Why::Best, &predicted, &bars, now),
        }
    }

    /// The plan that serves. None where none can.
    pub fn serving(&self) -> Option<PlanId> {
        self.serving.map(|at| self.entries[at].alternative.plan)
    }

    /// The alternatives that a request may take, in the order in which it tries them: what serves, then what could
    /// serve by predicted latency, and the local one last. How long other requests than those over a plan keep the first
    /// tier from computing for it, that tier itself knows: `waits_here`.
    pub fn ways(&self, estimates: &Estimates, now: Duration, waits_here: impl Fn(PlanId) -> Duration) -> Vec<Way> {
        let way = |(at, entry): (usize, &Entry)| {
            let predicted = estimates.predict(&entry.alternative, now);
            let Entry { alternative, backlog, .. } = entry;
            let held_up = self.held_up(at, estimates, now).max(waits_here(alternative.plan));
            let (own, under_way) = (backlog.waits(), backlog.under_way());
            let waits = if held_up.is_zero() { own } else { own.max(predicted).saturating_add(held_up) };
            let (plan, next) = (alternative.plan, alternative.crossings.first().map(|crossing| crossing.to));
            let way = Way { plan, predicted, waits, held_up, under_way, next };
            let serves = self.serving == Some(at);
            (serves || way.is_local() || self.bar(entry, now).is_none())
                .then_some(((!serves, way.is_local(), predicted), way))
        };
        let mut ways: Vec<_> = self.entries.iter().enumerate().filter_map(way).collect();
        ways.sort_by_key(|(order, _)| *order);
        ways.into_iter().map(|(_, way)| way).collect()
    }

    /// How long requests that are under way over other alternatives hold up one over this behind the first tier, where they
    /// go over the same links and tiers.
    fn held_up(&self, at: usize, estimates: &Estimates, now: Duration) -> Duration {
        let here = &self.entries[at].alternative;
        let first = here.hops.first().map(|hop| Place::Tier(hop.tier));
        let busy = |(other, entry): &(usize, &Entry)| *other != at && entry.backlog.under_way() > 0;
        let others: Vec<&Entry> = self.entries.iter().enumerate().filter(busy).map(|(_, entry)| entry).collect();
        let held_up_at = |place: Place| {
            sum(others.iter().flat_map(|other| {
                let there = estimates.occupies(&other.alternative, now).filter(move |(theirs, _)| *theirs == place);
                there.map(|(_, time)| time.saturating_mul(other.backlog.under_way()))
            }))
        };
        let places = estimates.occupies(here, now).map(|(place, _)| place).filter(|place| Some(*place) != first);
        places.map(held_up_at).max().unwrap_or_default()
    }

    /// Which alternative serves, why, and how the others stand.
    pub fn explain(&self, estimates: &Estimates, now: Duration) -> Explanation {
        let standing = |entry: &Entry| Standing {
            plan: entry.alternative.plan,
            predicted: estimates.predict(&entry.alternative, now),
            bar: self.bar(entry, now),
            better_since: entry.better_since,
            left_until: entry.left.until(now),
        };
        let standings = self.entries.iter().map(standing).collect();
        Explanation { serving: self.serving(), since: self.since, why: self.why, standings }
    }

    fn take_better(&mut self, at: usize, predicted: &[Duration], bars: &[Option<Bar>], now: Duration) -> bool {
        let served = predicted[at];
        for ((entry, predicted), bar) in self.entries.iter_mut().zip(predicted).zip(bars) {
            let better = bar.is_none() && is_better(*predicted, served);
            entry.better_since = better.then(|| entry.better_since.unwrap_or(now));
        }
        let ripe = |entry: &Entry| {
            let dwelt = entry.better_since.is_some_and(|since| now.saturating_sub(since) >= DWELL);
            dwelt && entry.left.state(now) == Holding::Up
        };
        let ripe = self.entries.iter().enumerate().filter(|(_, entry)| ripe(entry)).map(|(other, _)| other);
        let Some(best) = ripe.min_by_key(|other| predicted[*other]) else { return false };
        let left = &self.entries[at].alternative;
        let than = left.plan;
        let like_it = |(other, entry): (usize, &Entry)| {
            let worse = other != best && predicted[other] >= predicted[best];
            (worse && entry.alternative.shares_link(left)).then_some(other)
        };
        let like_it: Vec<usize> = self.entries.iter().enumerate().filter_map(like_it).collect();
        like_it.into_iter().for_each(|other| self.entries[other].left.flaps(now));
        self.serve(Some(best), Why::Better { than, predicted: predicted[best], than_predicted: served }, now);
        true
    }

    fn take_best(&mut self, why: Why, predicted: &[Duration], bars: &[Option<Bar>], now: Duration) -> bool {
        let free = (0..self.entries.len()).filter(|at| bars[*at].is_none());
        let best = free.min_by_key(|at| predicted[*at]);
        let changed = best != self.serving;
        if changed {
            self.serve(best, why, now);
        }
        changed
    }

    fn serve(&mut self, at: Option<usize>, why: Why, now: Duration) {
        (self.serving, self.since, self.why) = (at, now, at.map(|_| why));
        self.entries.iter_mut().for_each(|entry| entry.better_since = None);
    }

    fn entry(&mut self, plan: PlanId) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.alternative.plan == plan)
    }

    fn bar(&self, entry: &Entry, now: Duration) -> Option<Bar> {
        let tiers = entry.alternative.hops.iter().filter_map(|hop| {
            let tier = hop.tier;
            match self.tiers.get(&tier)?.state(now) {
                Holding::Up => None,
                Holding::Down => Some(Bar::TierDown { tier }),
                Holding::HeldUntil(until) => Some(Bar::TierHeld { tier, until }),
            }
        });
        let crossings = entry.alternative.crossings.iter();
        let ends = crossings.flat_map(|crossing| [(crossing.from, crossing.to), (crossing.to, crossing.from)]);
        let links = ends.filter_map(|(from, to)| match self.links.get(&(from, to))?.state(now) {
            Holding::Up => None,
            Holding::Down => Some(Bar::LinkDown { from, to }),
            Holding::HeldUntil(until) => Some(Bar::LinkHeld { from, to, until }),
        });
        let silent = entry.silent.until(now).map(|until| Bar::Silent { until });
        tiers.chain(links).chain(silent).next()
    }
}

impl Entry {
    fn new(alternative: Alternative, estimates: &Estimates, now: Duration) -> Self {
        let backlog = Backlog::new(estimates.slowest(&alternative, now));
        Self { alternative, backlog, better_since: None, failures: 0, silent: Hold::default(), left: Hold::default() }
    }
}

/// Whether a predicted latency is better than one that is served by enough: by [`BETTER_PERCENT`] and [`BETTER_MIN`].
pub fn is_better(predicted: Duration, served: Duration) -> bool {
    let gain = served.saturating_sub(predicted);
    gain >= BETTER_MIN && gain.as_nanos() * 100 >= served.as_nanos() * u128::from(BETTER_PERCENT)
}

#[cfg(test)]
mod tests;
