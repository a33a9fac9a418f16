//! Drives one request on one node: waits for what happens to it, asks what to do, and does it.

use std::fmt;
use std::future::{Future, pending};
use std::mem;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use thalweg_flow::{
    Action, Busy, Coarse, Contract, Event, Payload, Refusal, Request, ShareId, Span, SpanKind, Text, crossing_spans,
};
use thalweg_planner::Tensor;
use tokio::select;
use tokio::sync::watch;
use tokio::time::sleep_until;

use super::upstream::{Failure, Question, Reply, ask};
use super::{Phase, Shared, Trace};
use crate::link::{Exchange, LinkError, Piece};
use crate::share::{Made, Share, Source};
use crate::stage::{Place, Ran, Undone};

/// How a request ended.
pub(super) enum Ending {
    Answer(Finished),
    Refuse(Refusal),
    /// Nobody waits for it.
    Abandon,
}

impl fmt::Display for Ending {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(_) => out.write_str("answered"),
            Self::Refuse(refusal) => write!(out, "refused: {refusal}"),
            Self::Abandon => out.write_str("nobody waits for it"),
        }
    }
}

/// What an answer is made of.
#[derive(Default)]
pub(super) struct Finished {
    /// When the last byte of the request had come.
    pub(super) received: Duration,
    /// Outputs that were made here.
    pub(super) own: Vec<Tensor>,
    /// Outputs of the hops above.
    pub(super) above: Payload,
    pub(super) spans: Vec<Span>,
    /// What was not awaited, here and above.
    pub(super) coarse: Vec<Coarse>,
}

/// The hop above, being asked.
type Asked = Pin<Box<dyn Future<Output = Result<Reply, Failure>> + Send>>;

/// What a request can be waiting for.
enum Happened {
    Piece(Result<Option<Piece>, LinkError>),
    /// A compute thread is done: with a result, with an error of the part, or without having run it to its end.
    Ran(Result<Result<Made, Text>, Undone>),
    Replied(Result<Reply, Failure>),
    TimeIsShort,
    Alarm,
    CallerLost,
    Stopping,
}

/// One request on its way through this node.
pub(super) struct Drive {
    shared: Arc<Shared>,
    share: Arc<Share>,
    request: Request,
    trace: u64,
    /// Its place among those who wait to be computed, until they are; a relay needs none.
    place: Option<Place>,
    computing: Option<Ran<Result<Made, Text>>>,
    upstream: Option<Asked>,
    finished: Finished,
    /// What crosses next, and when it was ready.
    leaving: Option<(Payload, Duration)>,
    /// Bytes may still be coming that nobody waits for.
    unwanted: bool,
}

impl Drive {
    pub(super) fn new(
        shared: Arc<Shared>,
        share: Arc<Share>,
        request: Request,
        trace: u64,
        place: Option<Place>,
    ) -> Self {
        let spans = Vec::with_capacity(2 * SpanKind::ALL.len());
        let finished = Finished { received: shared.clock.now(), spans, ..Finished::default() };
        let (computing, upstream, leaving) = (None, None, None);
        Self { shared, share, request, trace, place, computing, upstream, finished, leaving, unwanted: false }
    }

    /// Runs the request to its end: from the bytes that `caller` sends, or from `source` where the caller is on this node.
    pub(super) async fn run(self, caller: Option<&mut Exchange>, source: Option<Source>) -> Ending {
        let (shared, trace, start) = (self.shared.clone(), self.trace, self.shared.clock.now());
        let Contract { plan, hop, .. } = self.share.contract;
        let ending = self.until_it_ends(caller, source).await;
        let took = shared.clock.now().saturating_sub(start);
        tracing::debug!(node = %shared.name, trace = %Trace(trace), %plan, hop, ?took, %ending, "a request is over");
        ending
    }

    async fn until_it_ends(mut self, mut caller: Option<&mut Exchange>, source: Option<Source>) -> Ending {
        let mut phase = self.shared.phase.subscribe();
        let mut alarm = pin!(sleep_until(self.shared.clock.instant(self.request.deadline())));
        let mut hurry = pin!(sleep_until(self.shared.clock.instant(self.request.hurries())));
        let mut hurries = false;
        let mut gone = pin!(gone(caller.as_deref()));
        let mut ending = match source {
            Some(source) => self.compute(source),
            None => self.handle(Event::Payload(&[])),
        };
        loop {
            if let Some(ending) = ending {
                return ending;
            }
            if mem::take(&mut self.unwanted)
                && let Some(exchange) = &mut caller
            {
                exchange.want_no_more();
            }
            let missing = self.request.missing();
            let happened = select! {
                biased;
                () = &mut alarm => Happened::Alarm,
                piece = read(&mut caller, missing) => Happened::Piece(piece),
                () = &mut hurry, if !hurries && missing > 0 => {
                    hurries = true;
                    Happened::TimeIsShort
                }
                ran = ran(&mut self.computing) => Happened::Ran(ran),
                replied = replied(&mut self.upstream) => Happened::Replied(replied),
                () = &mut gone => Happened::CallerLost,
                () = stopping(&mut phase) => Happened::Stopping,
            };
            ending = self.note(happened);
        }
    }

    fn note(&mut self, happened: Happened) -> Option<Ending> {
        match happened {
            Happened::Piece(Ok(Some(piece))) => self.handle(Event::Payload(&piece)),
            Happened::Piece(Ok(None)) => self.handle(Event::PayloadEnded),
            Happened::Piece(Err(_)) | Happened::CallerLost => self.handle(Event::CallerLost),
            Happened::Ran(Ok(Ok(made))) => {
                self.computing = None;
                self.finished.own = made.answers;
                self.finished.spans.extend(made.spans);
                self.finished.coarse.extend(made.coarse);
                self.leaving = Some((made.onward, made.ready));
                self.handle(Event::Computed)
            }
            Happened::Ran(Ok(Err(text))) => self.handle(Event::ComputeFailed(text)),
            Happened::Ran(Err(Undone::Busy(Busy { waiting }))) => self.handle(Event::Overloaded { waiting }),
            Happened::Ran(Err(Undone::Panicked(panic))) => self.handle(Event::ComputeFailed(panic.into())),
            Happened::Ran(Err(Undone::Ended)) => {
                self.handle(Event::ComputeFailed("the compute threads have ended".into()))
            }
            Happened::Replied(Ok(reply)) => {
                self.upstream = None;
                let Reply { answer, payload, departure, arrived, clocks } = reply;
                let Contract { plan, epoch, .. } = self.share.contract;
                self.shared.compute.answered(ShareId { plan, epoch }, arrived.saturating_sub(departure.ready));
                let spans = crossing_spans(self.share.contract.hop, departure, &answer, arrived, clocks);
                self.finished.spans.extend(spans.into_iter().chain(answer.spans));
                self.finished.coarse.extend(answer.coarse);
                self.finished.above = payload;
                self.handle(Event::UpstreamAnswered)
            }
            Happened::Replied(Err(Failure::Refused(refusal))) => self.handle(Event::UpstreamRefused(refusal)),
            Happened::Replied(Err(Failure::Unreachable(text))) => self.handle(Event::UpstreamUnreachable(text)),
            Happened::Replied(Err(Failure::Lost(text))) => self.handle(Event::UpstreamLost(text)),
            Happened::TimeIsShort => self.handle(Event::TimeIsShort),
            Happened::Alarm => self.handle(Event::DeadlinePassed),
            Happened::Stopping => self.handle(Event::Stopping),
        }
    }

    fn handle(&mut self, event: Event<'_>) -> Option<Ending> {
        let now = self.shared.clock.now();
        match self.request.handle(event, now)? {
            Action::Compute(payload) => {
                self.finished.received = now;
                self.unwanted = payload.is_cut();
                return self.compute(Source::Coded(payload));
            }
            Action::Relay(payload) => {
                self.finished.received = now;
                self.leaving = Some((payload, now));
                self.forward();
            }
            Action::Forward => self.forward(),
            Action::Answer => return Some(Ending::Answer(mem::take(&mut self.finished))),
            Action::Refuse(refusal) => return Some(Ending::Refuse(refusal)),
            Action::Abandon => return Some(Ending::Abandon),
        }
        None
    }

    fn compute(&mut self, source: Source) -> Option<Ending> {
        let (share, clock) = (self.share.clone(), self.shared.clock);
        let asked = clock.now();
        let Some(place) = self.place.take() else {
            return self.handle(Event::ComputeFailed("a hop that passes bytes on has nothing to compute".into()));
        };
        match place.run(move || share.run(source, clock, asked)) {
            Ok(ran) => self.computing = Some(ran),
            Err(Busy { waiting }) => return self.handle(Event::Overloaded { waiting }),
        }
        None
    }

    fn forward(&mut self) {
        if let Some((payload, ready)) = self.leaving.take() {
            let question = Question { trace: self.trace, deadline: self.request.deadline(), payload, ready };
            self.upstream = Some(Box::pin(ask(self.shared.clone(), self.share.clone(), question)));
        }
    }
}

/// The next bytes from the caller, while any are missing.
async fn read(caller: &mut Option<&mut Exchange>, missing: usize) -> Result<Option<Piece>, LinkError> {
    match caller {
        Some(exchange) if missing > 0 => exchange.read_piece(missing).await,
        _ => pending().await,
    }
}

/// What came of computing, while something is computed.
async fn ran(computing: &mut Option<Ran<Result<Made, Text>>>) -> Result<Result<Made, Text>, Undone> {
    match computing {
        Some(ran) => ran.result().await,
        None => pending().await,
    }
}

/// What the hop above says, while it is asked.
async fn replied(upstream: &mut Option<Asked>) -> Result<Reply, Failure> {
    match upstream {
        Some(reply) => reply.await,
        None => pending().await,
    }
}

/// Completes when a caller on another node does not wait any more.
fn gone(caller: Option<&Exchange>) -> impl Future<Output = ()> + Send + 'static {
    let released = caller.map(Exchange::released);
    async move {
        match released {
            Some(released) => released.await,
            None => pending().await,
        }
    }
}

/// Completes when requests that have begun shall end.
async fn stopping(phase: &mut watch::Receiver<Phase>) {
    // A sender that is gone belongs to a node that is.
    let _ = phase.wait_for(|phase| *phase == Phase::Stopping).await;
}
