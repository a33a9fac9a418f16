//! Where a hop's part runs: on one thread of its own, so that a node computes one thing at a time and never keeps the
//! network waiting.

use std::any::Any;
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;
use std::{io, thread};

use thalweg_planner::Tensor;
use tokio::sync::oneshot;

use crate::clock::Clock;

/// Requests that may wait for one compute thread.
const WAITING_MAX: usize = 1024;

/// A prepared part of a model, or of a pipeline.
pub trait Compute: Send + Sync {
    /// Makes the outputs of the part from its inputs, each in the order of the plan. An error concerns this input only; a
    /// panic is taken for one.
    fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, Box<dyn Error + Send + Sync>>;
}

impl Compute for thalweg_devices::Stage {
    fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, Box<dyn Error + Send + Sync>> {
        Ok(self.run(inputs)?)
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

/// A piece of work that a thread has been asked for.
type Work = Box<dyn FnOnce() + Send>;

/// What came of it: its result, or the text of its panic.
pub(crate) type Ran<T> = oneshot::Receiver<Result<T, String>>;

/// One thread that runs one thing after the other. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct ComputeThread {
    queue: SyncSender<Work>,
}

/// So many pieces of work wait already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Overloaded {
    pub(crate) waiting: u32,
}

impl ComputeThread {
    /// Starts a thread of this name.
    pub(crate) fn start(name: &str) -> io::Result<Self> {
        let (queue, waiting): (SyncSender<Work>, Receiver<Work>) = sync_channel(WAITING_MAX);
        let serve = move || waiting.into_iter().for_each(|work| work());
        thread::Builder::new().name(format!("{name} compute")).spawn(serve)?;
        Ok(Self { queue })
    }

    /// Asks for `work`. It is skipped if nobody waits for its result any more when its turn comes.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Ran<T>, Overloaded> {
        let (done, ran) = oneshot::channel();
        let work = move || {
            if done.is_closed() {
                return;
            }
            let result = catch_unwind(AssertUnwindSafe(work)).map_err(panic_text);
            // Nobody may wait for it any more, which is no error.
            let _ = done.send(result);
        };
        match self.queue.try_send(Box::new(work)) {
            // A thread that is gone has dropped the work, so its result says so.
            Ok(()) | Err(TrySendError::Disconnected(_)) => Ok(ran),
            Err(TrySendError::Full(_)) => Err(Overloaded { waiting: WAITING_MAX as u32 }),
        }
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
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn a_panic_is_told_and_the_thread_goes_on() {
        let thread = ComputeThread::start("test").unwrap();
        let panicked = thread.run(|| panic!("index {}", 7)).unwrap();
        assert_eq!(panicked.blocking_recv().unwrap(), Err::<(), _>("it panicked: index 7".into()));
        assert_eq!(thread.run(|| 5).unwrap().blocking_recv().unwrap(), Ok(5));
    }

    #[test]
    fn what_nobody_waits_for_is_not_run() {
        let thread = ComputeThread::start("test").unwrap();
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let first = thread.run(move || wait.recv().is_ok()).unwrap();
        let runs = Arc::new(AtomicU32::new(0));
        let count = runs.clone();
        drop(thread.run(move || count.fetch_add(1, Ordering::Relaxed)).unwrap());
        go.send(()).unwrap();
        assert_eq!(first.blocking_recv().unwrap(), Ok(true));
        assert_eq!(thread.run(move || runs.load(Ordering::Relaxed)).unwrap().blocking_recv().unwrap(), Ok(0));
    }

    #[test]
    fn an_emulated_machine_takes_longer_and_never_shorter() {
        let clock = Clock::start();
        let work = || thread::sleep(Duration::from_millis(2));
        assert!(slowed(clock, Duration::from_millis(10), work).2 >= Duration::from_millis(10));
        assert!(slowed(clock, Duration::from_micros(1), work).2 >= Duration::from_millis(2));
    }
}
