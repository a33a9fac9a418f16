//! What nodes do in a run: what the runtime does with the real decisions, with virtual time instead of threads.

use std::time::Duration;

use rand::RngExt;
use thalweg_flow::{Action, Coded, Event, Open, Refusal, Request};
use thalweg_planner::Bytes;

use crate::deployment::STANDS_FOR;
use crate::pipe::{Message, Says};
use crate::run::{Run, What};

/// Requests that wait for a tier's compute thread.
const WAITING_MAX: usize = 8;
/// A refusal on a link, without headers.
const REFUSAL: Bytes = Bytes(100);

impl Run<'_> {
    /// What a tier is to handle: later where it is stopped, never where it is dead.
    pub(crate) fn give_tier(&mut self, tier: usize, what: What) {
        let node = &mut self.nodes[tier];
        if node.stopped {
            node.inbox.push(what);
        } else if !node.dead {
            self.handles(tier, what);
            self.computes_next(tier);
        }
    }

    fn handles(&mut self, tier: usize, what: What) {
        match what {
            What::Delivered { message, .. } => self.receives(tier, message),
            What::Computed { generation, .. } if generation == self.nodes[tier].generation => self.computed(tier),
            What::Hop { about, hop, event } => self.hop(about, hop, event),
            What::Install { epoch, .. } => self.install(tier, epoch),
            What::Retire { epoch, .. } => {
                for prepared in self.prepared {
                    self.nodes[tier].installed.remove(prepared.alternative.plan, epoch);
                }
            }
            _ => {}
        }
    }

    pub(crate) fn install(&mut self, tier: usize, epoch: u32) {
        for at in self.deployed(epoch) {
            self.nodes[tier].installed.insert(self.prepared[at].alternative.plan, epoch, at);
        }
    }

    pub(crate) fn set_alive(&mut self, tier: usize, dead: bool, stopped: bool) {
        let (was_dead, was_stopped) = (self.nodes[tier].dead, self.nodes[tier].stopped);
        self.nodes[tier].dead = dead;
        self.nodes[tier].stopped = stopped && !dead;
        if dead && !was_dead {
            let node = &mut self.nodes[tier];
            node.generation += 1;
            (node.computing, node.installed) = (None, thalweg_flow::Installed::default());
            node.waiting.clear();
            node.inbox.clear();
            for attempt in self.tries.values_mut() {
                let prepared = &self.prepared[attempt.plan];
                let here = attempt.hops.iter_mut().enumerate().filter(|(hop, _)| prepared.tier(*hop) == tier);
                here.for_each(|(_, request)| *request = None);
            }
        }
        if was_dead && !dead {
            self.install(tier, self.epoch);
        }
        if was_stopped && !self.nodes[tier].stopped {
            // It reads all that has come before it computes anything.
            let inbox = std::mem::take(&mut self.nodes[tier].inbox);
            inbox.into_iter().for_each(|what| self.handles(tier, what));
            self.computes_next(tier);
        }
    }

    fn receives(&mut self, tier: usize, message: Message) {
        let Some(about) = message.about else { return };
        let Some(attempt) = self.tries.get_mut(&about) else { return };
        match message.says {
            Says::Answer => self.hop(about, message.hop, Event::UpstreamAnswered),
            Says::Refuse(refusal) => self.hop(about, message.hop, Event::UpstreamRefused(refusal)),
            Says::Probe => {}
            Says::Open => {
                let (hop, now) = (message.hop, self.now);
                let prepared = &self.prepared[attempt.plan];
                let remaining_us = thalweg_flow::micros(attempt.deadline.saturating_sub(now));
                let tensors = vec![Coded { codec: "raw".into(), bytes: STANDS_FOR.len() as u64 }];
                let (plan, epoch) = (prepared.alternative.plan, attempt.epoch);
                let open = Open { trace: about, plan, epoch, hop: hop as u8, remaining_us, tensors };
                let refuse = |reason| Refusal { hop: hop as u8, reason };
                let share = self.nodes[tier].installed.find(open.plan, open.epoch).map_err(refuse);
                let contract = prepared.contract(hop, epoch);
                let accept = |_| Request::accept(&contract, prepared.course(hop), &open, now);
                match share.and_then(accept) {
                    Ok(request) => {
                        let expires = request.deadline();
                        attempt.hops[hop] = Some(request);
                        self.at(expires, What::Hop { about, hop, event: Event::DeadlinePassed });
                        self.hop(about, hop, Event::Payload(&STANDS_FOR));
                    }
                    Err(refusal) => self.sends_down(about, hop, Says::Refuse(refusal), REFUSAL),
                }
            }
        }
    }

    /// Something happens to a try on a hop; the hop does what follows.
    pub(crate) fn hop(&mut self, about: u64, hop: usize, event: Event<'_>) {
        let Some(attempt) = self.tries.get_mut(&about) else { return };
        let Some(action) = attempt.hops[hop].as_mut().and_then(|request| request.handle(event, self.now)) else {
            return;
        };
        let plan = attempt.plan;
        if matches!(action, Action::Answer | Action::Refuse(_) | Action::Abandon) {
            attempt.hops[hop] = None;
        }
        match action {
            Action::Compute(_) => self.queues(about, hop),
            Action::Relay(_) | Action::Forward => self.sends_up(about, hop),
            Action::Abandon => {}
            Action::Answer if hop == 0 => self.try_answered(about),
            Action::Refuse(refusal) if hop == 0 => self.try_refused(about, refusal),
            Action::Answer => {
                let payload = self.prepared[plan].alternative.crossings[hop - 1].answer_bytes;
                self.sends_down(about, hop, Says::Answer, payload);
            }
            Action::Refuse(refusal) => self.sends_down(about, hop, Says::Refuse(refusal), REFUSAL),
        }
    }

    fn sends_up(&mut self, about: u64, hop: usize) {
        let prepared = &self.prepared[self.tries[&about].plan];
        let (from, to) = (prepared.tier(hop), prepared.tier(hop + 1));
        if self.connections[&(from.min(to), from.max(to))].lost {
            return self.hop(about, hop, Event::UpstreamUnreachable("the connection is lost".into()));
        }
        let payload = prepared.alternative.crossings[hop].bytes;
        self.sends((from, to), Message { about: Some(about), hop: hop + 1, says: Says::Open, payload });
    }

    fn sends_down(&mut self, about: u64, hop: usize, says: Says, payload: Bytes) {
        let prepared = &self.prepared[self.tries[&about].plan];
        let (from, to) = (prepared.tier(hop), prepared.tier(hop - 1));
        if !self.connections[&(from.min(to), from.max(to))].lost {
            self.sends((from, to), Message { about: Some(about), hop: hop - 1, says, payload });
        }
    }

    pub(crate) fn sends(&mut self, link: (usize, usize), message: Message) {
        let Some(pipe) = self.pipes.get_mut(&link) else { return };
        if pipe.push(message, self.now) {
            self.await_sent(link);
        }
    }

    pub(crate) fn await_sent(&mut self, link: (usize, usize)) {
        let (ends, generation) = (self.pipes[&link].ends(), self.pipes[&link].generation);
        if let Some(ends) = ends {
            self.at(ends.max(self.now), What::Sent { link, generation });
        }
    }

    pub(crate) fn sent(&mut self, link: (usize, usize), generation: u64) {
        let noise = self.noise();
        let Some(pipe) = self.pipes.get_mut(&link).filter(|pipe| pipe.generation == generation) else { return };
        let (begun, delay, loss) = (pipe.begun, pipe.delay, pipe.loss);
        let Some(message) = pipe.pop(self.now) else { return };
        self.await_sent(link);
        if let Some(estimate) = self.estimates.links.get_mut(&link) {
            estimate.transfer(message.payload, self.now - begun + noise, self.now);
        }
        // The last packets of a message may be lost, and again, each of which takes about one more round trip.
        let mut arrives = self.now + delay + noise;
        while self.random.random_bool(loss) {
            arrives += delay * 2 + Duration::from_millis(10);
        }
        self.at(arrives, What::Delivered { to: link.1, message });
    }

    pub(crate) fn noise(&mut self) -> Duration {
        let rare = self.random.random_range(0..100) == 0;
        Duration::from_micros(self.random.random_range(0..if rare { 30_000 } else { 800 }))
    }

    /// Both ends notice that a connection is lost. What was on its way is lost as well.
    pub(crate) fn hangs_up(&mut self, (low, high): (usize, usize)) {
        for link in [(low, high), (high, low)] {
            if let Some(pipe) = self.pipes.get_mut(&link) {
                pipe.keep(|_| false, self.now);
            }
        }
        let mut told = Vec::new();
        for (about, attempt) in &self.tries {
            let prepared = &self.prepared[attempt.plan];
            for hop in 1..attempt.hops.len() {
                let (below, here) = (prepared.tier(hop - 1), prepared.tier(hop));
                if (below.min(here), below.max(here)) == (low, high) {
                    told.push((*about, hop - 1, Event::UpstreamLost("nothing was heard of it".into())));
                    told.push((*about, hop, Event::CallerLost));
                }
            }
        }
        told.into_iter().for_each(|(about, hop, event)| self.at(self.now, What::Hop { about, hop, event }));
    }

    pub(crate) fn queues(&mut self, about: u64, hop: usize) {
        let tier = self.prepared[self.tries[&about].plan].tier(hop);
        let waiting = self.nodes[tier].waiting.len();
        if waiting >= WAITING_MAX {
            return self.hop(about, hop, Event::Overloaded { waiting: waiting as u32 });
        }
        self.nodes[tier].waiting.push_back((about, hop));
    }

    pub(crate) fn computes_next(&mut self, tier: usize) {
        self.checks.waits("requests wait for a tier", self.nodes[tier].waiting.len(), WAITING_MAX, self.now);
        while self.nodes[tier].computing.is_none() {
            // As [`Admission`](thalweg_flow::Admission) has it for the requests of one caller.
            let deadline = |(_, (about, _)): &(usize, &(u64, usize))| self.tries.get(about).map(|it| it.deadline);
            let Some((first, _)) = self.nodes[tier].waiting.iter().enumerate().min_by_key(deadline) else { return };
            let Some((about, hop)) = self.nodes[tier].waiting.remove(first) else { return };
            let Some(attempt) = self.tries.get(&about).filter(|attempt| attempt.hops[hop].is_some()) else { continue };
            self.checks.computes(tier, attempt.epoch, attempt.made, self.now);
            let planned = self.prepared[attempt.plan].busy[hop];
            let varies = self.random.random_range(0.95..1.1);
            let node = &mut self.nodes[tier];
            node.generation += 1;
            node.computing = Some((about, hop, self.now));
            let (ends, generation) = (self.now + planned.mul_f64(node.slow * varies), node.generation);
            self.at(ends, What::Computed { tier, generation });
        }
    }

    fn computed(&mut self, tier: usize) {
        let Some((about, hop, begun)) = self.nodes[tier].computing.take() else { return };
        let Some(attempt) = self.tries.get(&about) else { return };
        let planned = self.prepared[attempt.plan].busy[hop];
        self.estimates.tiers[tier].computed(planned, self.now - begun, self.now);
        self.hop(about, hop, Event::Computed);
    }

    pub(crate) fn forget(&mut self, about: u64) {
        let paused = self.nodes.iter().any(|node| node.stopped);
        let open = self.tries.get(&about).is_some_and(|attempt| attempt.hops.iter().any(Option::is_some));
        match (open, paused) {
            (true, true) => self.at(self.now + Duration::from_secs(1), What::Forget(about)),
            (true, false) => self.checks.broken.push(format!("{:?}: try {about} is open on a hop for ever", self.now)),
            (false, _) => drop(self.tries.remove(&about)),
        }
    }
}
