//! How often a node may try again, so that overload is not multiplied.

use std::time::Duration;

/// For each request a node gets so much of a second try: retries add at most this to the load of its peers. The share
/// that Finagle (`percentCanRetry`) and linkerd (`retryRatio`) come with.
pub const RETRY_PERCENT: u64 = 20;
/// Tries that a node gets each second besides, so that one that seldom asks can try again too. Both come with ten, for
/// services of many requests a second; a device has few.
pub const RETRIES_SECOND: u64 = 1;
/// The most that it saves. Both count the last ten seconds instead, which takes memory; a bucket of what ten requests a
/// second earn in that time forgets as well.
pub const RETRIES_MAX: u64 = 20;

/// Parts of a try, so that shares of it are whole numbers.
const TRY: u64 = 1000;

/// A bucket of tries: requests and time fill it, a try that follows a failure takes one out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryBudget {
    parts: u64,
    filled: Duration,
}

impl RetryBudget {
    /// A full bucket.
    pub fn new(now: Duration) -> Self {
        Self { parts: RETRIES_MAX * TRY, filled: now }
    }

    /// A request begins.
    pub fn request(&mut self, now: Duration) {
        self.fill(now);
        self.parts = (self.parts + TRY * RETRY_PERCENT / 100).min(RETRIES_MAX * TRY);
    }

    /// Takes a try out, if there is one.
    pub fn take(&mut self, now: Duration) -> bool {
        self.fill(now);
        let left = self.parts.checked_sub(TRY);
        self.parts = left.unwrap_or(self.parts);
        left.is_some()
    }

    fn fill(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.filled);
        let millis = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX);
        // What is not yet a whole millisecond counts next time.
        let rest = Duration::from_nanos(u64::from(passed.subsec_nanos() % 1_000_000));
        self.filled = self.filled.max(now.saturating_sub(rest));
        let earned = millis.saturating_mul(RETRIES_SECOND * TRY / 1000);
        self.parts = self.parts.saturating_add(earned).min(RETRIES_MAX * TRY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> RetryBudget {
        let mut budget = RetryBudget::new(Duration::ZERO);
        let taken = (0..1000).filter(|_| budget.take(Duration::ZERO)).count();
        assert_eq!(taken as u64, RETRIES_MAX);
        budget
    }

    #[test]
    fn five_requests_earn_one_try() {
        let mut budget = empty();
        (0..4).for_each(|_| budget.request(Duration::ZERO));
        assert!(!budget.take(Duration::ZERO));
        budget.request(Duration::ZERO);
        assert!(budget.take(Duration::ZERO));
        assert!(!budget.take(Duration::ZERO));
    }

    #[test]
    fn a_second_earns_one_try_however_often_it_is_asked() {
        let mut budget = empty();
        let tick = Duration::from_micros(300);
        assert!(!(1..=3333).any(|at| budget.take(tick * at)), "before a second has passed");
        assert!(budget.take(Duration::from_secs(1)));
    }

    #[test]
    fn no_more_is_saved_than_the_most() {
        let mut budget = RetryBudget::new(Duration::ZERO);
        (0..1000).for_each(|_| budget.request(Duration::from_secs(1000)));
        let taken = (0..1000).filter(|_| budget.take(Duration::MAX)).count();
        assert_eq!(taken as u64, RETRIES_MAX);
    }

    #[test]
    fn when_everything_fails_tries_are_a_fifth_of_the_requests() {
        let mut budget = empty();
        let second = |at: u64| Duration::from_millis(at * 10);
        let taken = (0..10_000).filter(|at| {
            budget.request(second(*at));
            (0..3).any(|_| budget.take(second(*at)))
        });
        assert_eq!(taken.count(), 2000 + 99);
    }
}
