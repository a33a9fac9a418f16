//! One request on one node: what can happen to it, and what is done then.
//!
//! ```text
//! receiving ──complete──► computing ──computed──► upstream ──answered──► over
//!                              └──────────computed on the last hop────────►
//! ```
//! A hop whose tensors decode early goes on with what has come when the time that it needs for the rest begins; a relay does
//! not, since it decodes nothing. A relay skips computing. From everywhere a failure, the deadline, or the loss of the caller leads to the end.
//! A request ends once: with [`Action::Answer`], [`Action::Refuse`] or [`Action::Abandon`], and nothing comes after.

use std::mem;
use std::time::Duration;

use crate::{Assembly, Contract, Open, Payload, Reason, Refusal, Text};

/// What a hop does with its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// It computes and answers: the last hop of the plan.
    Answer,
    /// It computes, sends the result to the next hop and passes the answer back.
    Forward,
    /// It has nothing to compute and to code: bytes go on as they came.
    Relay,
}

/// All that can happen to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'a> {
    /// The next bytes of its tensors came. A request without bytes is complete at once, so each gets an empty piece first.
    Payload(&'a [u8]),
    /// The caller will send no more bytes.
    PayloadEnded,
    /// The caller has gone, so nobody waits for an answer.
    CallerLost,
    /// This hop's part has run.
    Computed,
    /// This hop's part could not be run on this input.
    ComputeFailed(Text),
    /// The node is too busy to run this hop's part in time.
    Overloaded {
        /// How many requests wait.
        waiting: u32,
    },
    /// The complete answer of the next hop came.
    UpstreamAnswered,
    /// The next hop, or one after it, refused.
    UpstreamRefused(Refusal),
    /// The next hop cannot be reached.
    UpstreamUnreachable(Text),
    /// The next hop was lost, or answered nonsense.
    UpstreamLost(Text),
    /// The time has come that [`Request::hurries`] names.
    TimeIsShort,
    /// The time has come that [`Request::deadline`] names.
    DeadlinePassed,
    /// The node shuts down.
    Stopping,
}

/// What the node must do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Decode these tensors and run this hop's part on them. Where the payload [is cut](Payload::is_cut), want no more of
    /// its bytes.
    Compute(Payload),
    /// Send these bytes to the next hop as they came.
    Relay(Payload),
    /// Send what was computed to the next hop.
    Forward,
    /// Answer the caller with what was made here and above. The request is over.
    Answer,
    /// Tell the caller why there is no answer. The request is over.
    Refuse(Refusal),
    /// Say nothing. The request is over.
    Abandon,
}

#[derive(Debug)]
enum State {
    Receiving(Assembly),
    Computing,
    Upstream,
    Over,
}

/// A request that was accepted.
#[derive(Debug)]
pub struct Request {
    hop: u8,
    course: Course,
    deadline: Duration,
    /// When it stops waiting for bytes that it can do without.
    hurries: Duration,
    state: State,
}

impl Request {
    /// A request from the hop below, if it is as agreed and there is time left. `now` is when its frame came.
    pub fn accept(contract: &Contract, course: Course, open: &Open, now: Duration) -> Result<Self, Refusal> {
        let hop = contract.hop;
        let refuse = |reason| Refusal { hop, reason };
        let announced = contract.admit(open).map_err(refuse)?;
        if open.remaining_us == 0 {
            return Err(refuse(Reason::DeadlinePassed));
        }
        let deadline = now.saturating_add(Duration::from_micros(open.remaining_us));
        let waits = course == Course::Relay || announced.least() == announced.total();
        let answers_in = if waits { Duration::ZERO } else { contract.answers_in };
        let hurries = deadline.saturating_sub(answers_in);
        Ok(Self { hop, course, deadline, hurries, state: State::Receiving(Assembly::new(announced)) })
    }

    /// A request that is made on this node: its tensors are there, and computing begins at once, if only with the encoding.
    pub fn begin(contract: &Contract, last: bool, deadline: Duration) -> Self {
        let course = if last { Course::Answer } else { Course::Forward };
        Self { hop: contract.hop, course, deadline, hurries: deadline, state: State::Computing }
    }

    /// When it is refused if it has not been answered.
    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// When it goes on with what has come, if that is enough, or as soon as it is. No earlier than this need the node say
    /// [`Event::TimeIsShort`], and never where this is the deadline.
    pub fn hurries(&self) -> Duration {
        self.hurries
    }

    /// Bytes of its tensors that have not come yet. Zero in all states but the first.
    pub fn missing(&self) -> usize {
        if let State::Receiving(assembly) = &self.state { assembly.missing() } else { 0 }
    }

    /// Decides what an event at the time `now` leads to. Events that do not fit the state, such as what comes after the end,
    /// lead to nothing. At the deadline or later, whatever happens leads to a refusal.
    pub fn handle(&mut self, event: Event<'_>, now: Duration) -> Option<Action> {
        match (&self.state, &event) {
            (State::Over, _) => return None,
            (_, Event::CallerLost) => return Some(self.end(Action::Abandon)),
            _ if now >= self.deadline => return Some(self.refuse(Reason::DeadlinePassed)),
            (_, Event::Stopping) => return Some(self.refuse(Reason::Stopping)),
            _ => {}
        }
        match mem::replace(&mut self.state, State::Over) {
            State::Receiving(assembly) => self.receive(assembly, event, now),
            State::Computing => self.compute(event),
            State::Upstream => self.upstream(event),
            State::Over => None,
        }
    }

    fn receive(&mut self, mut assembly: Assembly, event: Event<'_>, now: Duration) -> Option<Action> {
        let piece: &[u8] = match event {
            Event::Payload(piece) => piece,
            Event::PayloadEnded => return Some(self.complete(assembly)),
            _ => &[],
        };
        if let Err(reason) = assembly.accept(piece) {
            return Some(self.refuse(reason));
        }
        if assembly.missing() == 0 {
            return Some(self.complete(assembly));
        }
        if now >= self.hurries && assembly.can_be_cut() {
            self.state = State::Computing;
            return Some(Action::Compute(assembly.cut()));
        }
        self.state = State::Receiving(assembly);
        None
    }

    fn complete(&mut self, assembly: Assembly) -> Action {
        match (assembly.finish(), self.course) {
            (Err(reason), _) => self.refuse(reason),
            (Ok(payload), Course::Relay) => {
                self.state = State::Upstream;
                Action::Relay(payload)
            }
            (Ok(payload), Course::Answer | Course::Forward) => {
                self.state = State::Computing;
                Action::Compute(payload)
            }
        }
    }

    fn compute(&mut self, event: Event<'_>) -> Option<Action> {
        match event {
            Event::Computed if self.course == Course::Answer => Some(Action::Answer),
            Event::Computed => {
                self.state = State::Upstream;
                Some(Action::Forward)
            }
            Event::ComputeFailed(text) => Some(self.refuse(Reason::ModelFailed { text })),
            Event::Overloaded { waiting } => Some(self.refuse(Reason::Busy { waiting })),
            _ => self.stay(State::Computing),
        }
    }

    fn upstream(&mut self, event: Event<'_>) -> Option<Action> {
        match event {
            Event::UpstreamAnswered => Some(Action::Answer),
            Event::UpstreamRefused(refusal) => Some(Action::Refuse(refusal)),
            Event::UpstreamUnreachable(text) => Some(self.refuse(Reason::UpstreamUnreachable { text })),
            Event::UpstreamLost(text) => Some(self.refuse(Reason::UpstreamLost { text })),
            _ => self.stay(State::Upstream),
        }
    }

    fn stay(&mut self, state: State) -> Option<Action> {
        self.state = state;
        None
    }

    fn refuse(&mut self, reason: Reason) -> Action {
        let refusal = Refusal { hop: self.hop, reason };
        self.end(Action::Refuse(refusal))
    }

    fn end(&mut self, action: Action) -> Action {
        self.state = State::Over;
        action
    }
}

#[cfg(test)]
mod tests;
