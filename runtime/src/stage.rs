//! Where a hop's part runs: on threads of their own, so that a node computes no more at a time than it has cores for
//! and never keeps the network waiting.

use std::any::Any;
use std::collections::BTreeSet;
use std::error::Error;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{io, mem, thread};

use thalweg_devices::Cores;
use thalweg_flow::{Admission, Busy, ShareId, Ticket, Turn};
use thalweg_planner::Tensor;
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::identity::NodeId;

/// Requests that may wait for the compute threads of a node. One caller alone gets half of it.
const PLACES_MAX: usize = 2048;

/// A prepared part of a model, or of a pipeline.
pub trait Compute: Send + Sync {
    /// Makes the outputs of the part from its inputs, each in the order of the plan. An error concerns this input only;
    /// a panic is taken for one.
    fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, Box<dyn Error + Send + Sync>>;

    /// Whether threads can share the work of one run: then a request that is alone gets all those of a node.
    fn is_shared(&self) -> bool {
        false
    }

    /// What computes its models, for people: "cpu", names of adapters, and how much the CPU has all the same.
    fn computed_on(&self) -> BTreeSet<String> {
        BTreeSet::new()
    }
}

impl Compute for thalweg_devices::Stage {
    fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, Box<dyn Error + Send + Sync>> {
        Ok(self.run(inputs)?)
    }

    fn is_shared(&self) -> bool {
        self.is_on_cpu()
    }
}

/// Emulation, for trying out weaker machines on this one: how long things take there. They never take less than here.
///
/// Times rather than factors, because a factor would also multiply what only this machine is to blame for: a core that
/// wakes from sleep with cold caches runs a small part in twice the time, which no device is twenty times slower at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Emulation {
    /// For decoding all that comes.
    pub decode: Duration,
    /// For running the part.
    pub compute: Duration,
    /// For encoding all that crosses.
    pub encode: Duration,
}

impl Emulation {
    /// This machine as it is.
    pub const NONE: Self = Self { decode: Duration::ZERO, compute: Duration::ZERO, encode: Duration::ZERO };
}

/// Runs `work`, then sleeps until it has taken as long as `emulated`. Tells when it began and how long all of it took.
pub(crate) fn slowed<T>(clock: Clock, emulated: Duration, work: impl FnOnce() -> T) -> (T, Duration, Duration) {
    let start = clock.now();
    let made = work();
    let took = clock.now().saturating_sub(start);
    if emulated > took {
        thread::sleep(emulated - took);
    }
    (made, start, clock.now().saturating_sub(start))
}

/// Who asks: callers take turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Caller {
    /// Who made the request on this node.
    Here,
    /// The node below.
    Peer(NodeId),
}

/// Why something was not computed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Undone {
    /// It would have been too late.
    Busy(Busy),
    /// It panicked with this text.
    Panicked(String),
    /// The threads have ended.
    Ended,
}

/// What a thread has been asked for: it is computed, or told that its turn has come too late.
type Work = Box<dyn FnOnce(Result<(), Busy>) + Send>;

/// Threads that compute side by side, each one thing after the other, or all of them one thing that is alone. They end when this
/// is dropped.
///
/// Each runs a plan of its own rather than all of them one batch: convolutional networks take longer an item in
/// batches.
pub(crate) struct ComputeThreads {
    room: Arc<Room>,
}

impl ComputeThreads {
    /// Starts so many threads of this name.
    pub(crate) fn start(name: &str, threads: NonZero<u32>, clock: Clock) -> io::Result<Self> {
        let queue = Queue { admission: Admission::new(threads, PLACES_MAX), closed: false };
        let cores = Cores::start(&format!("{name} core"), threads)?;
        let started = Self { room: Arc::new(Room { queue: Mutex::new(queue), changed: Condvar::new(), clock, cores }) };
        for number in 0..threads.get() {
            let room = started.room.clone();
            thread::Builder::new().name(format!("{name} compute {number}")).spawn(move || room.serve())?;
        }
        Ok(started)
    }

    /// Takes a place for a request whose bytes are still to come, if it can be answered by its `deadline`.
    pub(crate) fn enter(&self, caller: Caller, share: ShareId, deadline: Duration) -> Result<Place, Busy> {
        let now = self.room.clock.now();
        let ticket = self.room.lock().admission.enter(caller, share, deadline, now)?;
        Ok(Place { room: self.room.clone(), ticket })
    }

    /// The threads can share the work of one request for this share.
    pub(crate) fn spread(&self, share: ShareId) {
        self.room.lock().admission.spread(share);
    }

    /// How long all takes that waits for these threads for other shares, with what they compute.
    pub(crate) fn backlog_beside(&self, share: ShareId) -> Duration {
        self.room.lock().admission.backlog_beside(share, self.room.clock.now())
    }

    /// A share that was not computed yet is thought to take so long where it is alone.
    pub(crate) fn expect(&self, share: ShareId, takes: Duration) {
        self.room.lock().admission.expect(share, takes);
    }

    /// The tiers above a share have answered so long after it was computed here.
    pub(crate) fn answered(&self, share: ShareId, rest: Duration) {
        self.room.lock().admission.answered(share, rest);
    }

    /// Forgets how long a share takes that has been taken away.
    pub(crate) fn forget(&self, share: ShareId) {
        self.room.lock().admission.forget(share);
    }
}

impl Drop for ComputeThreads {
    fn drop(&mut self) {
        let mut queue = self.room.lock();
        queue.closed = true;
        // What waits is dropped, so that who waits for it learns of it.
        let abandoned = mem::replace(&mut queue.admission, Admission::new(NonZero::<u32>::MIN, 0));
        drop(queue);
        self.room.changed.notify_all();
        drop(abandoned);
    }
}

/// What the threads share with those who ask.
struct Room {
    queue: Mutex<Queue>,
    changed: Condvar,
    clock: Clock,
    /// What computes a request that is alone; the others sleep then.
    cores: Cores,
}

struct Queue {
    admission: Admission<Caller, Work>,
    closed: bool,
}

impl Room {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a thread does.
    fn serve(&self) {
        let mut last = None;
        while let Some(turn) = self.next(last) {
            match turn {
                Turn::Late { item, busy } => item(Err(busy)),
                Turn::Run { ticket, share, alone, item } => {
                    if alone {
                        self.cores.run(|| item(Ok(())));
                    } else {
                        item(Ok(()));
                    }
                    self.lock().admission.done(ticket, self.clock.now());
                    if alone {
                        // Nobody has begun what came in the meantime.
                        self.changed.notify_all();
                    }
                    last = Some(share);
                }
            }
        }
    }

    /// Waits until there is something to do; none when there will be no more.
    fn next(&self, last: Option<ShareId>) -> Option<Turn<Work>> {
        let mut queue = self.lock();
        while !queue.closed {
            if let Some(turn) = queue.admission.take(self.clock.now(), last) {
                return Some(turn);
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        None
    }
}

/// A place among those who wait. It is free again when this is dropped, and what waits there is not computed.
pub(crate) struct Place {
    room: Arc<Room>,
    ticket: Ticket,
}

impl Place {
    /// Asks for `work`, unless it is too late by now.
    pub(crate) fn run<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) -> Result<Ran<T>, Busy> {
        let (done, result) = oneshot::channel();
        let work = move |turn: Result<(), Busy>| {
            let run = |()| catch_unwind(AssertUnwindSafe(work)).map_err(|panic| Undone::Panicked(panic_text(panic)));
            // Nobody may wait for it any more, which is no error.
            let _ = done.send(turn.map_err(Undone::Busy).and_then(run));
        };
        let now = self.room.clock.now();
        let asked = self.room.lock().admission.ready(self.ticket, Box::new(work), now);
        asked.map_err(|(_, busy)| busy)?;
        self.room.changed.notify_one();
        Ok(Ran { result, _place: self })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What is dropped with it is dropped when the lock is free again.
        let _left = self.room.lock().admission.leave(self.ticket);
    }
}

/// Something that is being computed, or waits for it. Dropped before its turn, it is not computed.
pub(crate) struct Ran<T> {
    result: oneshot::Receiver<Result<T, Undone>>,
    _place: Place,
}

impl<T> Ran<T> {
    /// What came of it. Nothing is lost when this is not awaited to the end.
    pub(crate) async fn result(&mut self) -> Result<T, Undone> {
        (&mut self.result).await.unwrap_or(Err(Undone::Ended))
    }
}

/// What `panic!` was given.
fn panic_text(payload: Box<dyn Any + Send>) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    format!("it panicked: {}", text.unwrap_or("no reason given"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::mpsc::channel;

    use thalweg_flow::PlanId;

    use super::*;

    const SHARE: ShareId = ShareId { plan: PlanId([3; 32]), epoch: 1 };
    const LONG: Duration = Duration::from_secs(20);

    fn threads(count: u32) -> ComputeThreads {
        ComputeThreads::start("test", NonZero::new(count).unwrap(), Clock::start()).unwrap()
    }

    fn run<T: Send + 'static>(threads: &ComputeThreads, work: impl FnOnce() -> T + Send + 'static) -> Ran<T> {
        threads.enter(Caller::Here, SHARE, LONG).unwrap().run(work).unwrap()
    }

    #[tokio::test]
    async fn a_panic_is_told_and_the_thread_goes_on() {
        let threads = threads(1);
        let panicked = run(&threads, || panic!("index {}", 7)).result().await;
        assert_eq!(panicked, Err::<(), _>(Undone::Panicked("it panicked: index 7".into())));
        assert_eq!(run(&threads, || 5).result().await, Ok(5));
    }

    #[tokio::test]
    async fn what_nobody_waits_for_is_not_run() {
        let threads = threads(1);
        let (go, wait) = channel::<()>();
        let mut first = run(&threads, move || wait.recv().is_ok());
        let runs = Arc::new(AtomicU32::new(0));
        let count = runs.clone();
        drop(run(&threads, move || count.fetch_add(1, Ordering::Relaxed)));
        go.send(()).unwrap();
        assert_eq!(first.result().await, Ok(true));
        assert_eq!(run(&threads, move || runs.load(Ordering::Relaxed)).result().await, Ok(0));
    }

    #[tokio::test]
    async fn two_threads_compute_side_by_side() {
        let threads = threads(2);
        let ((say, heard), (answer, answered)) = (channel(), channel());
        // Either waits for the other.
        let mut first = run(&threads, move || say.send(()).is_ok() && answered.recv().is_ok());
        let mut second = run(&threads, move || heard.recv().is_ok() && answer.send(()).is_ok());
        assert_eq!((first.result().await, second.result().await), (Ok(true), Ok(true)));
    }

    #[tokio::test]
    async fn who_is_alone_runs_on_all_threads_and_others_wait_for_it() {
        let threads = threads(3);
        threads.spread(SHARE);
        let on = || thread::current().name().unwrap_or_default().to_owned();
        assert!(run(&threads, on).result().await.unwrap().starts_with("test core "));
        let (say, heard) = channel();
        let mut alone = run(&threads, move || heard.recv().is_ok());
        let mut others = [(); 2].map(|()| run(&threads, on));
        say.send(()).unwrap();
        assert_eq!(alone.result().await, Ok(true));
        for other in &mut others {
            other.result().await.unwrap();
        }
    }

    #[tokio::test]
    async fn threads_that_are_gone_are_an_error() {
        let threads = threads(1);
        let place = threads.enter(Caller::Here, SHARE, LONG).unwrap();
        let (go, wait) = channel::<()>();
        let mut running = run(&threads, move || wait.recv().is_ok());
        let mut waiting = place.run(|| 5).unwrap();
        drop(threads);
        // The thread may have ended before it began with anything.
        let _ = go.send(());
        assert!(matches!(running.result().await, Ok(true) | Err(Undone::Ended)));
        assert!(matches!(waiting.result().await, Err(Undone::Ended)));
    }

    #[test]
    fn an_emulated_machine_takes_longer_and_never_shorter() {
        let clock = Clock::start();
        let work = || thread::sleep(Duration::from_millis(2));
        assert!(slowed(clock, Duration::from_millis(10), work).2 >= Duration::from_millis(10));
        assert!(slowed(clock, Duration::from_micros(1), work).2 >= Duration::from_millis(2));
    }
}
