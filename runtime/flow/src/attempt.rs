//! One request at the node where it is made: over which alternatives it is tried, and which answer counts.
//!
//! ```text
//!                 ┌─refused, may be tried again─► the next way ─┐
//! the first way ──┼─late───────────────────────► the local way ─┼─► the first answer, or the refusal
//!                 └─────────────────answered────────────────────┘
//! ```
//! Each try is a [`Request`](crate::Request) of its own, on hop 0 of the plan of its way. From everywhere the deadline,
//! the loss of the caller, or the end of the node leads to the end. A request ends once: with
//! [`AttemptAction::Answer`], [`AttemptAction::Refuse`] or [`AttemptAction::Abandon`], and all tries that still run are
//! dropped then.

use std::time::Duration;

use crate::{PlanId, Reason, Refusal, RetryBudget, Way};

/// Ways that one request tries at most: what serves, one other, and the local one. Those that fail one after the other
/// mostly fail for the same reason.
pub const WAYS_MAX: usize = 3;
/// A try is late when it takes so much longer than predicted: as long again, but at least and at most this. What is
/// predicted for less varies by more than itself; and with the most of it a peer that has stopped, though it looks
/// alive, is noticed soon enough to answer within 500 ms from then, where both ways take up to 150 ms.
pub const LATE_MIN: Duration = Duration::from_millis(20);
/// See [`LATE_MIN`].
pub const LATE_MAX: Duration = Duration::from_millis(200);
/// So much longer than predicted the local way may take and still make the deadline, in percent: it may find another
/// request before it, runs beside the other tries' coding, and a device is not alone on its cores.
pub const LOCAL_MARGIN_PERCENT: u32 = 100;

/// One part in so many of the time left is kept free by what a request waits for: paces vary, and what is late by a little
/// has taken as much from all tiers as what is answered.
pub const KEPT_FREE: u32 = 4;

/// All that can happen to a request at the node that makes it. Ways are named by their index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptEvent {
    /// The complete answer of a try has come.
    Answered {
        /// Over which way.
        way: usize,
    },
    /// A try has failed, here or above.
    Refused {
        /// Over which way.
        way: usize,
        /// Where and why.
        refusal: Refusal,
    },
    /// The time has come that [`Attempts::wakes`] names.
    TimeIsUp,
    /// The caller has gone, so nobody waits for an answer.
    CallerLost,
    /// The node shuts down.
    Stopping,
}

/// What the node must do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptAction {
    /// Try this way, beside what runs already.
    Start {
        /// Index among the ways.
        way: usize,
    },
    /// Give the caller the answer of this way. The request is over.
    Answer {
        /// Index among the ways.
        way: usize,
    },
    /// Tell the caller why there is no answer. The request is over.
    Refuse(Refusal),
    /// Say nothing. The request is over.
    Abandon,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Try {
    Ahead,
    Runs,
    /// It was refused or too slow, for reasons that are not the request's own.
    Failed,
    /// It has answered, or shown that no way can.
    Over,
}

/// A request that was made here.
#[derive(Debug, Clone)]
pub struct Attempts {
    ways: Vec<(Way, Try)>,
    deadline: Duration,
    /// When the local way is begun beside what runs. None where there is none, or where it has begun.
    hedge: Option<Duration>,
    over: bool,
}

/// The refusal of a request that would not be answered in the time that is `left` over any of these ways, because of what
/// is under way over them already. None where one may do, or where there are none.
pub fn too_busy(ways: &[Way], left: Duration) -> Option<Refusal> {
    let waiting = ways.iter().map(|way| way.under_way).sum();
    let free = chosen(ways).enumerate().any(|(place, way)| is_free(place, way, left));
    (!ways.is_empty() && !free).then_some(Refusal { hop: 0, reason: Reason::Busy { waiting } })
}

/// Those of the ways that one request may try: the first, others that do not go the same way from here before those that
/// do, and the local one.
fn chosen(ways: &[Way]) -> impl Iterator<Item = &Way> {
    let (first, rest) = ways.split_at(ways.len().min(1));
    let (local, mut others): (Vec<&Way>, Vec<&Way>) = rest.iter().partition(|way| way.is_local());
    others.sort_by_key(|way| first.iter().any(|first| first.next == way.next));
    others.truncate(WAYS_MAX - 1 - local.len().min(1));
    first.iter().chain(others).chain(local.into_iter().take(1))
}

/// Whether a request that has so much time left may go this way, which stands at this place of those it may try. Another
/// than the first has to answer in time by prediction, and to relieve what makes that one wait: it does not where requests
/// over that one hold it up as well. So all of the model is computed here where others wait for a link, and not where they
/// wait to be computed here.
fn is_free(place: usize, way: &Way, left: Duration) -> bool {
    let relieves = || way.predicted <= left && way.held_up <= way.predicted;
    way.waits <= left - left / KEPT_FREE && (place == 0 || relieves())
}

impl Attempts {
    /// A request that is made at `now`, and the first thing to do. The ways are in the order of
    /// [`Switch::ways`](crate::Switch::ways); without any it is refused, and so where its deadline has passed. A way on
    /// which others hold it up until then is not tried.
    pub fn begin(ways: &[Way], deadline: Duration, budget: &mut RetryBudget, now: Duration) -> (Self, AttemptAction) {
        budget.request(now);
        let chosen = chosen(ways).map(|way| (*way, Try::Ahead)).collect();
        let mut attempts = Self { ways: chosen, deadline, hedge: None, over: false };
        let left = deadline.saturating_sub(now);
        let first = attempts.ways.iter().enumerate().position(|(place, (way, _))| is_free(place, way, left));
        let action = match (first, too_busy(ways, left)) {
            _ if left.is_zero() => attempts.refuse(Reason::DeadlinePassed),
            (Some(first), _) => attempts.start(first, now),
            (None, Some(refusal)) => attempts.end(AttemptAction::Refuse(refusal)),
            (None, None) => {
                let text = "no alternative of the deployment can serve, and none of them is local".into();
                attempts.refuse(Reason::UpstreamUnreachable { text })
            }
        };
        (attempts, action)
    }

    /// The ways that are tried, by index.
    pub fn way(&self, index: usize) -> Option<&Way> {
        self.ways.get(index).map(|(way, _)| way)
    }

    /// When it is refused if it has not been answered.
    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// When the node has to say [`AttemptEvent::TimeIsUp`]. None when it is over.
    pub fn wakes(&self) -> Option<Duration> {
        (!self.over).then(|| self.hedge.map_or(self.deadline, |hedge| hedge.min(self.deadline)))
    }

    /// Decides what an event at the time `now` leads to. Events that do not fit, such as an answer after the end or of
    /// a try that does not run, lead to nothing. At the deadline or later, whatever happens leads to a refusal.
    pub fn handle(&mut self, event: AttemptEvent, budget: &mut RetryBudget, now: Duration) -> Option<AttemptAction> {
        if self.over {
            return None;
        }
        match event {
            AttemptEvent::CallerLost => Some(self.end(AttemptAction::Abandon)),
            _ if now >= self.deadline => {
                self.fail_before(self.ways.len());
                Some(self.refuse(Reason::DeadlinePassed))
            }
            AttemptEvent::Stopping => Some(self.refuse(Reason::Stopping)),
            AttemptEvent::Answered { way } => {
                *self.running(way)? = Try::Over;
                self.fail_before(way);
                Some(self.end(AttemptAction::Answer { way }))
            }
            AttemptEvent::Refused { way, refusal } => {
                let again = may_be_tried_again(&refusal.reason);
                *self.running(way)? = if again { Try::Failed } else { Try::Over };
                self.after_failure(way, refusal, budget, now)
            }
            AttemptEvent::TimeIsUp => self.hedge(now),
        }
    }

    /// Plans over which this request was tried and has not been answered in time, for reasons that are not its own:
    /// what the node tells [`Switch::failed`](crate::Switch::failed) when it is over. Among them is what began before
    /// the way that has answered, and what ran at the deadline.
    pub fn failed(&self) -> impl Iterator<Item = PlanId> {
        self.ways.iter().filter(|(_, state)| *state == Try::Failed).map(|(way, _)| way.plan)
    }

    /// What runs of the ways before this one has been too slow.
    fn fail_before(&mut self, way: usize) {
        let running = self.ways.iter_mut().take(way).filter(|(_, state)| *state == Try::Runs);
        running.for_each(|(_, state)| *state = Try::Failed);
    }

    fn after_failure(
        &mut self,
        failed: usize,
        refusal: Refusal,
        budget: &mut RetryBudget,
        now: Duration,
    ) -> Option<AttemptAction> {
        // What runs may still answer.
        if self.ways.iter().any(|(_, state)| *state == Try::Runs) {
            return None;
        }
        let hopeless = self.ways.iter().any(|(_, state)| *state == Try::Over);
        let ahead = |way: &(Way, Try)| !hopeless && way.1 == Try::Ahead;
        let left = self.deadline.saturating_sub(now);
        let overdue = self.hedge.is_some_and(|hedge| now >= hedge);
        let gone = self.ways[failed].0.next.filter(|_| is_gone(&refusal));
        let useful = |way: &Way| !way.is_local() && way.expected() <= left && way.next != gone;
        let other = self.ways.iter().position(|way| ahead(way) && useful(&way.0));
        let other = other.filter(|_| !overdue && budget.take(now));
        // The local way multiplies nobody's load, and is tried whatever is predicted: it is the last.
        let next = other.or_else(|| self.ways.iter().position(|way| ahead(way) && way.0.is_local()));
        Some(match next {
            Some(next) => self.start(next, now),
            None => self.end(AttemptAction::Refuse(refusal)),
        })
    }

    fn hedge(&mut self, now: Duration) -> Option<AttemptAction> {
        self.hedge.filter(|hedge| now >= *hedge)?;
        let local = self.ways.iter().position(|(way, state)| way.is_local() && *state == Try::Ahead)?;
        Some(self.start(local, now))
    }

    fn start(&mut self, index: usize, now: Duration) -> AttemptAction {
        let way = self.ways[index].0;
        self.ways[index].1 = Try::Runs;
        let local = self.ways.iter().find(|(way, state)| way.is_local() && *state == Try::Ahead);
        self.hedge = local.and_then(|(local, _)| hedge(&way, local, self.deadline, now));
        AttemptAction::Start { way: index }
    }

    fn running(&mut self, way: usize) -> Option<&mut Try> {
        self.ways.get_mut(way).map(|(_, state)| state).filter(|state| **state == Try::Runs)
    }

    fn refuse(&mut self, reason: Reason) -> AttemptAction {
        self.end(AttemptAction::Refuse(Refusal { hop: 0, reason }))
    }

    fn end(&mut self, action: AttemptAction) -> AttemptAction {
        self.over = true;
        action
    }
}

/// When the local way begins beside one that begins now: when that is late, but no later than the local way needs to
/// make the deadline, with a margin of at most half of the time to spare. At once where no answer is predicted until
/// then: it would begin in any case, and later it might have to wait for others. None where it could not make the
/// deadline any more, and where others that are under way over the same plan take half of the time while something waits here
/// too: it is these that make it late. What goes over other plans does not count, as local tries beside others are among it.
fn hedge(way: &Way, local: &Way, deadline: Duration, now: Duration) -> Option<Duration> {
    let own = way.waits.saturating_sub(way.held_up);
    let expected = way.predicted.max(own);
    let late = expected.saturating_add(expected.clamp(LATE_MIN, LATE_MAX));
    let spare = deadline.saturating_sub(now).checked_sub(local.expected())?;
    if own > spare / 2 && !local.waits.is_zero() {
        return None;
    }
    let margin = local.predicted.saturating_mul(LOCAL_MARGIN_PERCENT) / 100;
    let last = spare - margin.min(spare / 2);
    Some(now.saturating_add(if expected > last { Duration::ZERO } else { late.min(last) }))
}

/// Whether the next tier could not be reached: over other ways it cannot either.
fn is_gone(refusal: &Refusal) -> bool {
    refusal.hop == 0 && matches!(refusal.reason, Reason::UpstreamUnreachable { .. } | Reason::UpstreamLost { .. })
}

/// Whether another way may answer what was refused so. Nothing is ever done twice by that, since a model only computes;
/// but a model that fails on an input fails on it everywhere, and there is no time left on another tier either.
fn may_be_tried_again(reason: &Reason) -> bool {
    match reason {
        Reason::ModelFailed { .. } | Reason::Malformed { .. } | Reason::DeadlinePassed => false,
        Reason::UnknownPlan { .. }
        | Reason::StaleEpoch { .. }
        | Reason::WrongHop { .. }
        | Reason::WrongCodec { .. }
        | Reason::WrongCount { .. }
        | Reason::WrongSize { .. }
        | Reason::WrongLength { .. }
        | Reason::Busy { .. }
        | Reason::UpstreamUnreachable { .. }
        | Reason::UpstreamLost { .. }
        | Reason::NotAllowed { .. }
        | Reason::CallFailed { .. }
        | Reason::Stopping => true,
    }
}

#[cfg(test)]
mod tests;
