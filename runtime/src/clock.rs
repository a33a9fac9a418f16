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

    /// The instant at which it will show `time`: now where that is past, and a month from now where that is farther away.
    pub(crate) fn instant(self, time: Duration) -> tokio::time::Instant {
        const FAR: Duration = Duration::from_secs(30 * 24 * 3600);
        (Instant::now() + time.saturating_sub(self.now()).min(FAR)).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_of_an_old_clock_is_still_to_come() {
        const MONTHS: Duration = Duration::from_secs(90 * 24 * 3600);
        let Some(start) = Instant::now().checked_sub(MONTHS) else { return };
        let clock = Clock { start };
        let ahead = clock.instant(clock.now() + Duration::from_secs(60)) - tokio::time::Instant::now();
        assert!(ahead > Duration::from_secs(59), "{ahead:?}");
        assert!(clock.instant(Duration::MAX) > tokio::time::Instant::now());
    }
}
