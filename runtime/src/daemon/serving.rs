//! One request at its source: tried over the plan that serves, and over others while there is time.

use std::sync::Arc;
use std::time::Duration;

use thalweg_flow::{AttemptAction, AttemptEvent, Attempts, PlanId, Reason, Refusal};
use thalweg_planner::Tensor;
use tokio::task::JoinSet;
use tokio::time::sleep_until;

use super::source::Source;
use super::start::Inner;
use crate::node::{Answered, RequestError, Trace};

/// What came of trying one way.
type Tried = (usize, Result<Answered, RequestError>);

/// Answers a request within `time`, over whichever plan is first, or says why not.
pub(crate) async fn answer(
    inner: &Arc<Inner>,
    source: &Arc<Source>,
    inputs: Vec<Tensor>,
    time: Duration,
) -> Result<Answered, RequestError> {
    let trace = inner.node.trace();
    let answered = try_ways(inner, source, trace, inputs, time).await;
    let (node, deployment, trace) = (&inner.config.name, &source.name, Trace(trace));
    match &answered {
        Ok(Answered { length, .. }) => tracing::debug!(node, deployment, %trace, took = ?length, "answered"),
        Err(error) => tracing::debug!(node, deployment, %trace, %error, "refused"),
    }
    answered
}

async fn try_ways(
    inner: &Arc<Inner>,
    source: &Arc<Source>,
    trace: u64,
    inputs: Vec<Tensor>,
    time: Duration,
) -> Result<Answered, RequestError> {
    let (start, mut tries) = (inner.clock.now(), JoinSet::<Tried>::new());
    let deadline = start.saturating_add(time);
    let (mut attempts, first) = {
        let mut decided = source.decided();
        decided.counts.requests += 1;
        let ways = source.ways(inner, &decided, start);
        Attempts::begin(&ways, deadline, &mut decided.budget, start)
    };
    let (mut action, mut answers) = (Some(first), Vec::new());
    loop {
        match action.take() {
            Some(AttemptAction::Start { way }) => {
                if let Some(plan) = attempts.way(way).map(|way| way.plan) {
                    let going = Going::over(inner.clone(), source.clone(), plan);
                    tries.spawn(going.until_it_ends(trace, way, inputs.clone(), deadline));
                }
            }
            Some(AttemptAction::Answer { way }) => {
                let plan = attempts.way(way).map(|way| way.plan);
                let found = answers.into_iter().find(|(tried, _): &(usize, Answered)| *tried == way);
                if let Some((plan, (_, mut answered))) = plan.zip(found) {
                    source.learn(inner, plan, &answered);
                    note_failures(inner, source, &attempts);
                    (answered.start, answered.length) = (start, inner.clock.now().saturating_sub(start));
                    return Ok(answered);
                }
                return Err(refused(inner, source, &attempts, Refusal { hop: 0, reason: Reason::Stopping }));
            }
            Some(AttemptAction::Refuse(refusal)) => return Err(refused(inner, source, &attempts, refusal)),
            Some(AttemptAction::Abandon) => {
                return Err(refused(inner, source, &attempts, Refusal { hop: 0, reason: Reason::Stopping }));
            }
            None => {}
        }
        let wakes = inner.clock.instant(attempts.wakes().unwrap_or(deadline));
        let event = tokio::select! {
            biased;
            Some(tried) = tries.join_next() => match tried {
                Ok((way, Ok(answered))) => {
                    answers.push((way, answered));
                    AttemptEvent::Answered { way }
                }
                Ok((way, Err(RequestError::Refused(refusal)))) => AttemptEvent::Refused { way, refusal },
                // Inputs that do not fit fit no plan.
                Ok((_, Err(error))) => return Err(error),
                Err(_) => AttemptEvent::Stopping,
            },
            () = sleep_until(wakes) => AttemptEvent::TimeIsUp,
        };
        let now = inner.clock.now();
        action = attempts.handle(event, &mut source.decided().budget, now);
    }
}

/// A request on its way over one plan. It counts as under way until this is dropped.
struct Going {
    inner: Arc<Inner>,
    source: Arc<Source>,
    plan: PlanId,
    began: Duration,
    answered: bool,
}

impl Going {
    fn over(inner: Arc<Inner>, source: Arc<Source>, plan: PlanId) -> Self {
        source.decided().switch.goes(plan);
        Self { began: inner.clock.now(), inner, source, plan, answered: false }
    }

    async fn until_it_ends(mut self, trace: u64, way: usize, inputs: Vec<Tensor>, deadline: Duration) -> Tried {
        let time = deadline.saturating_sub(self.began);
        let answered = self.inner.node.request_as(trace, self.plan, self.source.epoch, inputs, time).await;
        self.answered = answered.is_ok();
        (way, answered)
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        let now = self.inner.clock.now();
        self.source.decided().switch.came_back(self.plan, self.answered, self.began, now);
    }
}

fn refused(inner: &Arc<Inner>, source: &Source, attempts: &Attempts, refusal: Refusal) -> RequestError {
    source.decided().counts.refused += 1;
    note_failures(inner, source, attempts);
    refusal.into()
}

/// Ways that did not answer for reasons of their own count against their plans.
fn note_failures(inner: &Arc<Inner>, source: &Source, attempts: &Attempts) {
    let (now, mut any) = (inner.clock.now(), false);
    for plan in attempts.failed() {
        source.decided().switch.failed(plan, now);
        any = true;
    }
    if any {
        source.decide(inner);
    }
}
