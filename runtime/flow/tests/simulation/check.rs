//! What no single node can see: each request ends once and in time, nothing is computed for an old epoch, and so on.

use std::collections::BTreeMap;
use std::time::Duration;

use thalweg_flow::{HOLD_MAX, PlanId, Refusal};

/// A deployment is retired so long after the switch to the next one: the longest deadline, and some to spare.
pub(crate) const DRAIN: Duration = Duration::from_secs(2);
/// So long after the last fault the best alternative serves: what flapped is held, then measured and compared.
pub(crate) const RECOVERS: Duration = HOLD_MAX.saturating_add(Duration::from_secs(3));
/// In any ten seconds the plan changes at most so often, with all faults at once.
const CHANGES_MAX: usize = 20;
/// In any ten seconds a plan that is not local begins to serve at most so often: after half a second, then one, two and
/// four; and once for a new deployment.
const RETURNS_MAX: usize = 5;
const SPAN: Duration = Duration::from_secs(10);
/// Messages that wait for one direction of a link.
const WAITING_MAX: usize = 200;

#[derive(Debug)]
pub(crate) enum End {
    Answered { local: bool },
    Refused(Refusal),
    Abandoned,
}

/// What a run has shown. Broken rules are noted, not thrown, so that a run tells of all of them.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    pub(crate) broken: Vec<String>,
    /// By request: its deadline, and when it ended.
    requests: BTreeMap<u64, (Duration, Option<Duration>)>,
    /// When each epoch became the one that requests are sent to.
    pub(crate) switched: Vec<Duration>,
    /// When which plan began to serve, and whether it is the local one.
    changes: Vec<(Duration, PlanId, bool)>,
    pub(crate) answered: usize,
    pub(crate) answered_local: usize,
    pub(crate) refused: usize,
    /// Requests that nothing kept the device from answering by itself.
    pub(crate) sure: usize,
    /// How long after the last fault something else than about the best alternative still served.
    pub(crate) recovery: Duration,
    /// How long after the last fault about the best one has last served.
    pub(crate) best: Duration,
}

impl Checks {
    pub(crate) fn begins(&mut self, request: u64, deadline: Duration) {
        self.requests.insert(request, (deadline, None));
    }

    /// `sure` where nothing keeps the device from answering by itself.
    pub(crate) fn ends(&mut self, request: u64, end: &End, sure: bool, now: Duration) {
        let Some((deadline, ended)) = self.requests.get_mut(&request) else {
            return self.broken.push(format!("{now:?}: {request} ends, but was never made"));
        };
        if let Some(before) = ended.replace(now) {
            self.broken.push(format!("{now:?}: {request} ends with {end:?}, but ended at {before:?}"));
        }
        let late = match end {
            End::Answered { .. } => now >= *deadline,
            End::Refused(_) | End::Abandoned => now > *deadline,
        };
        if late {
            self.broken.push(format!("{now:?}: {request} ends with {end:?} after its deadline, {deadline:?}"));
        }
        self.sure += usize::from(sure);
        match end {
            End::Answered { local } => {
                self.answered += 1;
                self.answered_local += usize::from(*local);
            }
            End::Refused(refusal) => {
                self.refused += 1;
                if sure {
                    self.broken.push(format!("{now:?}: {request} could be answered locally, but: {refusal}"));
                }
            }
            End::Abandoned => self.broken.push(format!("{now:?}: {request} is abandoned, but its caller waits")),
        }
    }

    /// A tier begins to compute for a request that was made at `made` in this epoch.
    pub(crate) fn computes(&mut self, tier: usize, epoch: u32, made: Duration, now: Duration) {
        let Some(switched) = self.switched.get(epoch as usize + 1) else { return };
        if made > *switched || now > *switched + DRAIN {
            let text = format!("epoch {epoch} for a request of {made:?}, but the next began at {switched:?}");
            self.broken.push(format!("{now:?}: tier {tier} computes in {text}"));
        }
    }

    pub(crate) fn changes(&mut self, to: PlanId, local: bool, now: Duration) {
        self.changes.push((now, to, local));
    }

    /// How often the plan changed after `since`.
    pub(crate) fn changed(&self, since: Duration) -> usize {
        self.changes.iter().filter(|(at, ..)| *at > since).count()
    }

    pub(crate) fn waits(&mut self, what: &str, count: usize, most: usize, now: Duration) {
        if count > most {
            self.broken.push(format!("{now:?}: {count} {what}, but {most} is the most"));
        }
    }

    pub(crate) fn messages_wait(&mut self, count: usize, now: Duration) {
        self.waits("messages wait for a link", count, WAITING_MAX, now);
    }

    /// After all of it: what is still open should have ended.
    pub(crate) fn finish(&mut self, now: Duration) {
        let open = self.requests.iter().filter(|(_, (deadline, ended))| *deadline <= now && ended.is_none());
        let open: Vec<u64> = open.map(|(request, _)| *request).collect();
        if !open.is_empty() {
            self.broken.push(format!("{now:?}: {open:?} have not ended"));
        }
        let soon = |at: Duration, other: &Duration| (at..at + SPAN).contains(other);
        for (at, plan, local) in &self.changes {
            let near = self.changes.iter().filter(|(other, ..)| soon(*at, other));
            let same = near.clone().filter(|(_, other, _)| other == plan && !local).count();
            let all = near.count();
            // What a deployment does not have is forgotten, and may be in the next one again.
            let deployed = self.switched.iter().filter(|other| soon(*at, other)).count();
            if all > CHANGES_MAX + deployed || same > RETURNS_MAX + deployed {
                let text = format!("{all} changes in ten seconds, {same} of them to the same plan");
                self.broken.push(format!("{at:?}: {text}"));
            }
        }
    }
}
