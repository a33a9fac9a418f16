//! One thread that makes running modules look at their deadlines, and sleeps when none runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use wasmtime::Engine;

/// How often running modules look at their deadlines. A call ends at most this much after its own, plus what the
/// system takes to wake a thread; 200 wake-ups a second cost a Raspberry Pi nothing that can be measured.
const TICK: Duration = Duration::from_millis(5);

/// Ticks without a call until the thread sleeps. Calls that follow each other closely need not wake it each time.
const LINGER: u32 = 20;

/// Counts running calls and ticks while there are any.
#[derive(Debug)]
pub(super) struct Ticker {
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
    handle: Thread,
}

#[derive(Debug, Default)]
struct State {
    running: AtomicUsize,
    asleep: AtomicBool,
    closing: AtomicBool,
}

impl Ticker {
    /// Starts the thread, which sleeps until the first call.
    pub(super) fn start(engine: Engine) -> std::io::Result<Self> {
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let thread = thread::Builder::new()
            .name("thalweg-ticker".to_owned())
            .stack_size(64 << 10)
            .spawn(move || tick(&shared, &engine))?;
        let handle = thread.thread().clone();
        Ok(Self { state, thread: Some(thread), handle })
    }

    /// Ticks until the guard is dropped.
    pub(super) fn enter(&self) -> Ticking<'_> {
        self.state.running.fetch_add(1, Ordering::SeqCst);
        // Either this sees that the thread is asleep, or the thread sees the call before it falls asleep.
        if self.state.asleep.load(Ordering::SeqCst) {
            self.handle.unpark();
        }
        Ticking(&self.state)
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.state.closing.store(true, Ordering::SeqCst);
        self.handle.unpark();
        if let Some(thread) = self.thread.take() {
            // It cannot have panicked, and there is nobody to tell.
            let _ = thread.join();
        }
    }
}

/// A call that runs.
pub(super) struct Ticking<'a>(&'a State);

impl Drop for Ticking<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

fn tick(state: &State, engine: &Engine) {
    let mut idle = LINGER;
    while !state.closing.load(Ordering::SeqCst) {
        if state.running.load(Ordering::SeqCst) > 0 {
            idle = 0;
        } else if idle < LINGER {
            idle += 1;
        } else {
            state.asleep.store(true, Ordering::SeqCst);
            while state.running.load(Ordering::SeqCst) == 0 && !state.closing.load(Ordering::SeqCst) {
                thread::park();
            }
            state.asleep.store(false, Ordering::SeqCst);
            continue;
        }
        thread::sleep(TICK);
        engine.increment_epoch();
    }
}
