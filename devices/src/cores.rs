//! Cores that compute one request together.

use std::io;
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rayon::{ThreadPool, ThreadPoolBuilder, Yield};
use tract_linalg::multithread::{Executor, multithread_tract_scope};

use crate::registers::clear_upper_halves;

/// How long a thread looks for work that there is none of.
const IDLE_MAX: Duration = Duration::from_millis(1);

/// Threads that share the work of each operator on the CPU, where it is large enough for that. How many they are changes no bit of
/// what is made. They end when this is dropped.
#[derive(Debug)]
pub struct Cores(Option<Shared>);

#[derive(Debug)]
struct Shared {
    threads: Arc<ThreadPool>,
    turn: Mutex<()>,
}

impl Cores {
    /// So many threads of this name; with one, what runs stays on the thread of who asks.
    pub fn start(name: &str, count: NonZero<u32>) -> io::Result<Self> {
        if count == NonZero::<u32>::MIN {
            return Ok(Self(None));
        }
        let name = name.to_owned();
        let threads = ThreadPoolBuilder::new().num_threads(count.get() as usize);
        let threads = threads.thread_name(move |number| format!("{name} {number}")).build();
        let threads = Arc::new(threads.map_err(io::Error::other)?);
        Ok(Self(Some(Shared { threads, turn: Mutex::new(()) })))
    }

    /// Does `work` on them; its stages run on all. Who asks while others compute waits for its turn.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let Some(Shared { threads, turn }) = &self.0 else { return work() };
        if threads.current_thread_index().is_some() {
            return work();
        }
        // A thread that waits for others' share of a product would begin the next request. The engine holds memory for the
        // first one's product on that thread then, and does not let another one have it: the process ends.
        let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        threads.install(|| {
            let _awake = Awake::start();
            // This thread may have helped with an operator of the engine's last.
            clear_upper_halves();
            multithread_tract_scope(Executor::MultiThread(Arc::clone(threads)), work)
        })
    }
}

/// Keeps the other threads of a pool from sleeping for as long as it is there: most operators take less than it takes to wake them.
/// They yield to whoever else wants their processors.
///
/// One that finds nothing for `IDLE_MAX` goes to sleep all the same. What takes so long without them is no operator; and rayon may
/// have begun this loop on a thread that waits for another one's share, which then goes on.
struct Awake(Arc<AtomicBool>);

impl Awake {
    /// On the pool of this thread.
    fn start() -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let (until, own) = (Arc::clone(&done), rayon::current_thread_index());
        rayon::spawn_broadcast(move |context| {
            let mut busy = Instant::now();
            let is_own = Some(context.index()) == own;
            while !is_own && !until.load(Ordering::Acquire) && busy.elapsed() < IDLE_MAX {
                match rayon::yield_now() {
                    Some(Yield::Executed) => busy = Instant::now(),
                    _ => thread::yield_now(),
                }
            }
        });
        Self(done)
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Barrier;
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn requests_take_turns() {
        let cores = Cores::start("two", NonZero::new(2).expect("two")).expect("threads");
        let running = AtomicUsize::new(0);
        let request = || {
            assert_eq!(running.fetch_add(1, Ordering::SeqCst), 0, "another one runs");
            // What waits for others takes up whatever there is.
            rayon::join(thread::yield_now, || cores.run(thread::yield_now));
            running.fetch_sub(1, Ordering::SeqCst);
        };
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..50).for_each(|_| cores.run(request)));
            }
        });
    }

    #[test]
    fn threads_that_are_kept_awake_help_also_after_a_panic() {
        let cores = Cores::start("two", NonZero::new(2).expect("two")).expect("threads");
        let panics = catch_unwind(AssertUnwindSafe(|| cores.run(|| panic!("on purpose"))));
        assert!(panics.is_err());
        let both = Barrier::new(2);
        for _ in 0..100 {
            cores.run(|| rayon::join(|| both.wait(), || both.wait()));
        }
    }
}
