//! Requests at a steady rate, whatever becomes of them, and what became of them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use thalweg::client::Spoken;
use thalweg_planner::Tensor;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

/// An answer that comes so much after its deadline is late: what the answer's own way back to the caller takes here.
const LATE: Duration = Duration::from_millis(100);

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Answered, by the device alone or with others.
    Answered { local: bool },
    /// Refused with a reason.
    Refused,
    /// Answered or refused after its deadline.
    Late,
    /// Neither answered nor refused.
    Lost,
    /// Answered otherwise than the whole model does.
    Wrong,
}

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) at: Instant,
    pub(crate) took: Duration,
    pub(crate) fate: Fate,
    pub(crate) reason: String,
}

/// What became of many.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) requests: usize,
    pub(crate) answered: usize,
    pub(crate) local: usize,
    pub(crate) refused: usize,
    pub(crate) late: usize,
    pub(crate) lost: usize,
    pub(crate) wrong: usize,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    /// The longest time of an answer.
    pub(crate) longest: Duration,
    /// The first reason of a refusal or loss.
    pub(crate) reason: String,
}

impl Seen {
    /// Of these requests.
    pub(crate) fn of<'a>(sent: impl Iterator<Item = &'a Sent>) -> Self {
        let (mut seen, mut times) = (Self::default(), Vec::new());
        for sent in sent {
            seen.requests += 1;
            match sent.fate {
                Fate::Answered { local } => {
                    seen.answered += 1;
                    seen.local += usize::from(local);
                    times.push(sent.took);
                }
                Fate::Refused => seen.refused += 1,
                Fate::Late => seen.late += 1,
                Fate::Lost => seen.lost += 1,
                Fate::Wrong => seen.wrong += 1,
            }
            if seen.reason.is_empty() {
                seen.reason.clone_from(&sent.reason);
            }
        }
        times.sort_unstable();
        let at = |percent: usize| times.get((times.len() * percent / 100).min(times.len().saturating_sub(1))).copied();
        (seen.p50, seen.p99) = (at(50).unwrap_or_default(), at(99).unwrap_or_default());
        seen.longest = times.last().copied().unwrap_or_default();
        seen
    }

    /// Whether nothing was lost or wrong.
    pub(crate) fn is_clean(&self) -> bool {
        self.requests > 0 && self.lost + self.wrong == 0
    }

    pub(crate) fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "requests": self.requests, "answered": self.answered, "local": self.local, "refused": self.refused,
            "late": self.late, "lost": self.lost, "wrong": self.wrong,
            "p50_ms": self.p50.as_secs_f64() * 1e3, "p99_ms": self.p99.as_secs_f64() * 1e3,
            "longest_ms": self.longest.as_secs_f64() * 1e3,
        })
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { requests, answered, local, refused, late, lost, wrong, p50, p99, longest, reason } = self;
        write!(out, "{requests} requests, {answered} answered ({local} locally), {refused} refused, {late} late, ")?;
        write!(out, "{lost} lost, {wrong} wrong; p50 {p50:.1?}, p99 {p99:.1?}, longest {longest:.1?}")?;
        if reason.is_empty() { Ok(()) } else { write!(out, " (first: {reason})") }
    }
}

/// What requests ask for.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) deployment: String,
    pub(crate) inputs: Vec<Tensor>,
    /// What the whole model answers.
    pub(crate) right: Vec<u8>,
    pub(crate) deadline: Duration,
}

/// Sends one request and waits for what becomes of it.
pub(crate) async fn ask(spoken: &Spoken, question: &Question) -> Sent {
    let at = Instant::now();
    let asked = spoken.ask(&question.deployment, question.inputs.clone(), question.deadline);
    let patience = question.deadline + Duration::from_secs(5);
    let (mut fate, reason) = match tokio::time::timeout(patience, asked).await {
        Ok(Ok((answer, outputs))) if outputs.first() == Some(&question.right) => {
            (Fate::Answered { local: answer.spans.iter().all(|span| span.hop == 0) }, String::new())
        }
        Ok(Ok(_)) => (Fate::Wrong, "another answer than the whole model gives".to_owned()),
        Ok(Err(error @ thalweg::daemon::DaemonError::Refused(_))) => (Fate::Refused, error.to_string()),
        Ok(Err(error)) => (Fate::Lost, error.to_string()),
        Err(_) => (Fate::Lost, "silence".to_owned()),
    };
    let took = at.elapsed();
    if took > question.deadline + LATE && fate != Fate::Lost {
        fate = Fate::Late;
    }
    Sent { at, took, fate, reason }
}

/// Requests that are being sent.
pub(crate) struct Load {
    /// Between two of them.
    pub(crate) every: Duration,
    stop: Arc<AtomicBool>,
    sent: Arc<Mutex<Vec<Sent>>>,
    sending: JoinHandle<()>,
}

impl Load {
    /// Sends a request each `every`, whether or not those before are answered.
    pub(crate) fn start(spoken: Spoken, question: Question, every: Duration) -> Self {
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let sending = {
            let (stop, sent) = (stop.clone(), sent.clone());
            tokio::spawn(async move {
                let mut ticks = tokio::time::interval(every);
                let mut running = tokio::task::JoinSet::new();
                while !stop.load(Ordering::Relaxed) {
                    ticks.tick().await;
                    let (spoken, question, sent) = (spoken.clone(), question.clone(), sent.clone());
                    running.spawn(async move {
                        let one = ask(&spoken, &question).await;
                        sent.lock().await.push(one);
                    });
                }
                while running.join_next().await.is_some() {}
            })
        };
        Self { every, stop, sent, sending }
    }

    /// Ends it, and tells what became of all requests, in the order in which they were sent.
    pub(crate) async fn stop(self) -> Vec<Sent> {
        self.stop.store(true, Ordering::Relaxed);
        self.sending.await.expect("the load does not panic");
        let mut sent = std::mem::take(&mut *self.sent.lock().await);
        sent.sort_by_key(|sent| sent.at);
        sent
    }
}

/// The longest time after `from` in which no request that was sent then was answered: from `from`, or from an answer, to
/// the next answer.
pub(crate) fn longest_gap(sent: &[Sent], from: Instant, until: Instant) -> Duration {
    let answered =
        sent.iter().filter(|sent| matches!(sent.fate, Fate::Answered { .. })).map(|sent| sent.at + sent.took);
    let mut times: Vec<Instant> = answered.filter(|at| (from..until).contains(at)).collect();
    times.sort_unstable();
    let starts = std::iter::once(from).chain(times.iter().copied());
    let ends = times.iter().copied().chain(std::iter::once(until));
    starts.zip(ends).map(|(one, next)| next - one).max().unwrap_or(until - from)
}

/// How long after `from` the first request was sent that others than the device have helped to answer.
pub(crate) fn back_after(sent: &[Sent], from: Instant) -> Option<Duration> {
    let helped = |sent: &&Sent| sent.at >= from && sent.fate == Fate::Answered { local: false };
    sent.iter().find(helped).map(|sent| sent.at + sent.took - from)
}
