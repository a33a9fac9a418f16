//! Cores that compute one request together.

use std::io;
use std::num::NonZero;
use std::sync::Arc;

use rayon::{ThreadPool, ThreadPoolBuilder};
use tract_linalg::multithread::{Executor, multithread_tract_scope};

use crate::registers::clear_upper_halves;

/// Threads that share the work of each operator on the CPU, where it is large enough for that. How many they are changes no bit of
/// what is made. They end when this is dropped.
#[derive(Debug)]
pub struct Cores(Option<Arc<ThreadPool>>);

impl Cores {
    /// So many threads of this name; with one, what runs stays on the thread of who asks.
    pub fn start(name: &str, count: NonZero<u32>) -> io::Result<Self> {
        if count == NonZero::<u32>::MIN {
            return Ok(Self(None));
        }
        let name = name.to_owned();
        let threads = ThreadPoolBuilder::new().num_threads(count.get() as usize);
        let pool = threads.thread_name(move |number| format!("{name} {number}")).build();
        Ok(Self(Some(Arc::new(pool.map_err(io::Error::other)?))))
    }

    /// Does `work` on them; its stages run on all.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let Some(pool) = &self.0 else { return work() };
        pool.install(|| {
            // This thread may have helped with an operator of the engine's last.
            clear_upper_halves();
            multithread_tract_scope(Executor::MultiThread(Arc::clone(pool)), work)
        })
    }
}
