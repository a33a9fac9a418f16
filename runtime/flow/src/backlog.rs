//! Requests that are under way over one alternative, and how fast they come out at its other end.
//!
//! The slowest tier or link of an alternative sets the pace of all of it, wherever it is and whoever else uses it. Only the
//! node where requests are made sees the whole of it, and can refuse what would come out too late before anything was
//! done for it.

use std::time::Duration;

use crate::cost::Cost;

/// Of one alternative.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Backlog {
    /// Between two answers while there is always something to do.
    interval: Cost,
    under_way: u32,
    /// When the latest answer came.
    answered: Duration,
}

impl Backlog {
    /// Nothing is under way. An answer comes each `interval` while there is something to do, until it is seen otherwise.
    pub(crate) fn new(interval: Duration) -> Self {
        Self { interval: Cost::exact(interval), under_way: 0, answered: Duration::ZERO }
    }

    /// The same pace, with nothing under way.
    pub(crate) fn emptied(&self) -> Self {
        Self { under_way: 0, ..self.clone() }
    }

    /// Requests that are under way.
    pub(crate) fn under_way(&self) -> u32 {
        self.under_way
    }

    /// How long the requests that are under way hold up one more until it is answered. Nothing where there are none,
    /// whatever has been seen: or it would never be tried again.
    pub(crate) fn waits(&self) -> Duration {
        if self.under_way == 0 {
            return Duration::ZERO;
        }
        self.interval.likely().saturating_mul(self.under_way.saturating_add(1))
    }

    /// One more is under way.
    pub(crate) fn begin(&mut self) {
        self.under_way = self.under_way.saturating_add(1);
    }

    /// One that began at `began` is answered.
    pub(crate) fn answered(&mut self, began: Duration, now: Duration) {
        self.end();
        // If another answer came meanwhile, there was something to do since then.
        let since = now.saturating_sub(self.answered.max(began));
        let was_alone = self.answered <= began;
        self.answered = now;
        // Alone it took all of its way, which is more than between two of them.
        if !was_alone || since < self.interval.typical {
            self.interval.measure(since);
        }
    }

    /// One is not under way any more.
    pub(crate) fn end(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn it_tells_how_long_one_more_takes_by_those_before_it() {
        let mut backlog = Backlog::new(ms(20));
        assert_eq!(backlog.waits(), ms(0));
        backlog.begin();
        assert_eq!(backlog.waits(), ms(40));
        backlog.begin();
        assert_eq!((backlog.waits(), backlog.under_way()), (ms(60), 2));
        backlog.end();
        backlog.end();
        backlog.end();
        assert_eq!((backlog.waits(), backlog.under_way()), (ms(0), 0));
    }

    #[test]
    fn it_learns_the_pace_from_answers_that_come_one_after_the_other() {
        let mut backlog = Backlog::new(ms(20));
        (0..60).for_each(|_| backlog.begin());
        for at in 0..59 {
            backlog.answered(ms(0), ms(300 + 50 * at));
        }
        let waits = backlog.waits();
        assert!((ms(98)..ms(110)).contains(&waits), "{waits:?} for two at 50 ms each");
    }

    #[test]
    fn one_alone_says_only_that_it_is_no_slower() {
        let mut backlog = Backlog::new(ms(20));
        for at in 0..40 {
            backlog.begin();
            backlog.answered(ms(1000 * at), ms(1000 * at + 90));
        }
        backlog.begin();
        assert_eq!(backlog.waits(), ms(40));
        let mut slow = Backlog::new(ms(500));
        for at in 0..40 {
            slow.begin();
            slow.answered(ms(1000 * at), ms(1000 * at + 90));
        }
        slow.begin();
        assert!(slow.waits() < ms(200), "{:?}", slow.waits());
    }
}
