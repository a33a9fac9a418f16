//! What the source does in a run: requests, probes, and which alternative serves.

use std::time::Duration;

use rand::RngExt;
use thalweg_flow::{AttemptAction, AttemptEvent, Attempts, Event, Refusal, Request};
use thalweg_planner::Bytes;

use crate::check::{DRAIN, End};
use crate::pipe::{Message, Says};
use crate::run::{Run, Try, What, end};

/// Probes of links and tiers.
const PROBE: Duration = Duration::from_millis(200);
/// A try is forgotten so long after its deadline.
const FORGET: Duration = Duration::from_secs(1);

/// A request at the source.
pub(crate) struct Ask {
    attempts: Attempts,
    tries: Vec<u64>,
    over: bool,
    sure: bool,
    epoch: u32,
    made: Duration,
}

impl Run<'_> {
    /// The alternatives of an epoch: all of them, or without some that are not local.
    pub(crate) fn deployed(&self, epoch: u32) -> Vec<usize> {
        let kept = |at: &usize| *at == 0 || epoch == 0 || !(*at + epoch as usize).is_multiple_of(3);
        (0..self.prepared.len()).filter(kept).collect()
    }

    pub(crate) fn arrives(&mut self) {
        let gap = Duration::from_micros(self.random.random_range(0..2_000_000 / self.load()));
        self.at(self.now + gap, What::Arrive);
        if self.now > end() - Duration::from_secs(2) {
            return;
        }
        let deadline = self.now + Duration::from_millis(self.random.random_range(100..1500));
        let ways = self.switch.ways(&self.estimates, self.now, |_| Duration::ZERO);
        // Time for two local answers one after the other, and for noticing that the local one is needed.
        let roomy = deadline - self.now >= Duration::from_millis(1000);
        let free = self.nodes[0].waiting.is_empty() && self.asks.values().all(|ask| ask.over);
        let sure = roomy && free && !self.device_is_troubled();
        let request = self.asks.last_key_value().map_or(0, |(last, _)| last + 1);
        self.checks.begins(request, deadline);
        let (attempts, action) = Attempts::begin(&ways, deadline, &mut self.budget, self.now);
        let ask = Ask { attempts, tries: vec![], over: false, sure, epoch: self.epoch, made: self.now };
        self.asks.insert(request, ask);
        self.acts(request, action);
        // Whatever is forgotten elsewhere, its deadline is not.
        self.at(deadline, What::Wake(request));
    }

    pub(crate) fn wakes(&mut self, request: u64) {
        self.attempts(request, AttemptEvent::TimeIsUp);
    }

    pub(crate) fn try_answered(&mut self, about: u64) {
        let (request, way) = (self.tries[&about].request, self.tries[&about].way);
        self.comes_back(about, true);
        self.attempts(request, AttemptEvent::Answered { way });
    }

    pub(crate) fn try_refused(&mut self, about: u64, refusal: Refusal) {
        let (request, way) = (self.tries[&about].request, self.tries[&about].way);
        self.comes_back(about, false);
        self.attempts(request, AttemptEvent::Refused { way, refusal });
    }

    fn comes_back(&mut self, about: u64, answered: bool) {
        let Some(attempt) = self.tries.get_mut(&about) else { return };
        let plan = self.prepared[attempt.plan].alternative.plan;
        if let Some(began) = attempt.under_way.take() {
            self.switch.came_back(plan, answered, began, self.now);
        }
    }

    fn attempts(&mut self, request: u64, event: AttemptEvent) {
        let Some(ask) = self.asks.get_mut(&request) else { return };
        if let Some(action) = ask.attempts.handle(event, &mut self.budget, self.now) {
            self.acts(request, action);
        }
    }

    fn acts(&mut self, request: u64, action: AttemptAction) {
        let Some(ask) = self.asks.get_mut(&request) else { return };
        let end = match action {
            AttemptAction::Start { way } => return self.starts(request, way),
            AttemptAction::Answer { way } => {
                let way = *ask.attempts.way(way).expect("a way that was begun");
                self.switch.answered(way.plan);
                End::Answered { local: way.is_local() }
            }
            AttemptAction::Refuse(refusal) => End::Refused(refusal),
            AttemptAction::Abandon => End::Abandoned,
        };
        ask.over = true;
        let failed: Vec<_> = ask.attempts.failed().collect();
        let (tries, sure) = (ask.tries.clone(), ask.sure);
        failed.into_iter().for_each(|plan| self.switch.failed(plan, self.now));
        self.checks.ends(request, &end, sure, self.now);
        tries.into_iter().for_each(|about| self.drops(about));
        let old: Vec<u64> = self.asks.range(..request.saturating_sub(200)).map(|(request, _)| *request).collect();
        old.iter().for_each(|request| drop(self.asks.remove(request)));
    }

    fn starts(&mut self, request: u64, index: usize) {
        let Some(ask) = self.asks.get_mut(&request) else { return };
        let Some(way) = ask.attempts.way(index) else { return };
        let plan = usize::from(way.plan.0[0]);
        let (prepared, epoch, deadline) = (&self.prepared[plan], ask.epoch, ask.attempts.deadline());
        let hops = prepared.plan.hops.len();
        self.number += 1;
        let about = self.number;
        let mut requests: Vec<Option<Request>> = (0..hops).map(|_| None).collect();
        requests[0] = Some(Request::begin(&prepared.contract(0, epoch), hops == 1, deadline));
        let made = ask.made;
        self.switch.goes(prepared.alternative.plan);
        let (under_way, dropped) = (Some(self.now), false);
        let attempt = Try { request, way: index, plan, epoch, made, deadline, hops: requests, dropped, under_way };
        ask.tries.push(about);
        let wakes = ask.attempts.wakes();
        self.tries.insert(about, attempt);
        wakes.into_iter().for_each(|wakes| self.at(wakes, What::Wake(request)));
        self.at(deadline + FORGET, What::Forget(about));
        self.queues(about, 0);
        self.computes_next(0);
    }

    /// Drops what is left of a try, here at once and above when they hear of it.
    fn drops(&mut self, about: u64) {
        self.comes_back(about, false);
        let Some(attempt) = self.tries.get_mut(&about).filter(|attempt| !attempt.dropped) else { return };
        attempt.dropped = true;
        let prepared = &self.prepared[attempt.plan];
        let hops = attempt.hops.len();
        self.hop(about, 0, Event::CallerLost);
        let now = self.now;
        let mut changed = Vec::new();
        for (link, pipe) in &mut self.pipes {
            let first = pipe.head().is_some_and(|head| head.about == Some(about));
            pipe.keep(|message| message.about != Some(about), now);
            changed.extend(first.then_some(*link));
        }
        changed.into_iter().for_each(|link| self.await_sent(link));
        let mut heard = now;
        for hop in 1..hops {
            let (from, to) = (prepared.tier(hop - 1), prepared.tier(hop));
            if !self.reachable((from, to)) {
                return;
            }
            heard += self.pipes[&(from, to)].delay;
            self.at(heard, What::Hop { about, hop, event: Event::CallerLost });
        }
    }

    pub(crate) fn decides(&mut self) {
        if self.switch.decide(&self.estimates, self.now) {
            self.notes_change();
        }
    }

    fn notes_change(&mut self) {
        let Some(plan) = self.switch.serving() else { return };
        let local = self.prepared[usize::from(plan.0[0])].alternative.is_local();
        self.checks.changes(plan, local, self.now);
    }

    /// The source hears that two tiers are connected again, or no longer.
    pub(crate) fn hears_of(&mut self, (one, other): (usize, usize), up: bool) {
        for (from, to) in [(one, other), (other, one)] {
            if up { self.switch.link_up(from, to, self.now) } else { self.switch.link_down(from, to, self.now) }
        }
        for tier in [one, other].into_iter().filter(|tier| *tier != 0) {
            if self.nodes[tier].dead {
                self.switch.tier_down(tier, self.now);
            } else {
                self.switch.tier_up(tier, self.now);
            }
        }
        self.decides();
    }

    pub(crate) fn redeploy(&mut self) {
        let (old, epoch) = (self.epoch, self.epoch + 1);
        self.epoch = epoch;
        for tier in 0..3 {
            self.give_tier(tier, What::Install { tier, epoch });
            self.at(self.now + DRAIN, What::Retire { tier, epoch: old });
        }
        self.checks.switched.push(self.now);
        let alternatives = self.deployed(epoch).into_iter().map(|at| self.prepared[at].alternative.clone());
        self.switch.replace(alternatives.collect(), &self.estimates, self.now);
    }

    pub(crate) fn probe(&mut self) {
        self.at(self.now + PROBE, What::Probe);
        let links: Vec<(usize, usize)> = self.pipes.keys().copied().collect();
        for (from, to) in links {
            if !self.reachable((from, to)) {
                continue;
            }
            let noise = self.noise();
            let round_trip = self.pipes[&(from, to)].delay + self.pipes[&(to, from)].delay + noise;
            let Some(estimate) = self.estimates.links.get_mut(&(from, to)) else { continue };
            estimate.round_trip(round_trip, self.now);
            // What takes five milliseconds by the estimate: a datagram or more.
            let bits = estimate.bandwidth(self.now).0 / 200;
            let payload = Bytes((bits / 8).clamp(1_000, 64_000));
            if self.pipes[&(from, to)].waiting() == 0 {
                self.sends((from, to), Message { about: None, hop: 0, says: Says::Probe, payload });
            }
        }
        for tier in 0..3 {
            if !self.nodes[tier].dead && !self.nodes[tier].stopped {
                let rare = if self.random.random_range(0..50) == 0 { 4.0 } else { 1.0 };
                let took = Duration::from_millis(5).mul_f64(self.nodes[tier].slow * rare);
                self.estimates.tiers[tier].computed(Duration::from_millis(5), took, self.now);
            }
        }
    }
}
