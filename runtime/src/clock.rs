//! The time of nodes: durations since one start.

use std::time::{Duration, Instant};

/// A clock that starts at zero. Nodes that share one can lay their spans side by side.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Time since its start.
    pub fn now(self) -> Duration {
        self.start.elapsed()
    }

    /// The instant at which it will show `time`; a month from its start for times too far to be shown.
    pub(crate) fn instant(self, time: Duration) -> tokio::time::Instant {
        const FAR: Duration = Duration::from_secs(30 * 24 * 3600);
        (self.start + time.min(FAR)).into()
    }
}
