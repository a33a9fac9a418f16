//! How long something takes that is done again and again: an average that forgets, and how far from it single times are.

use std::time::Duration;

/// What was measured of it. The gains and the factor of four are those of RFC 6298, section 2, for round trips.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cost {
    /// The average.
    pub(crate) typical: Duration,
    deviation: Duration,
    /// Requests that were refused since the last measurement because they had less time than this.
    pub(crate) refused: u32,
}

impl Cost {
    pub(crate) fn first(took: Duration) -> Self {
        Self { typical: took, deviation: took / 2, refused: 0 }
    }

    /// What is known without a measurement.
    pub(crate) fn exact(takes: Duration) -> Self {
        Self { typical: takes, deviation: Duration::ZERO, refused: 0 }
    }

    pub(crate) fn measure(&mut self, took: Duration) {
        let off = self.typical.abs_diff(took);
        self.deviation = self.deviation.saturating_mul(3).saturating_add(off) / 4;
        self.typical = self.typical.saturating_mul(7).saturating_add(took) / 8;
        self.refused = 0;
    }

    /// What takes so many times as long.
    pub(crate) fn times(&self, count: u32) -> Self {
        let [typical, deviation] = [self.typical, self.deviation].map(|time| time.saturating_mul(count));
        Self { typical, deviation, refused: 0 }
    }

    /// What a computation takes, or a little more.
    pub(crate) fn likely(&self) -> Duration {
        self.typical.saturating_add(self.deviation)
    }

    /// What a single computation takes at most, with few exceptions.
    pub(crate) fn plausible(&self) -> Duration {
        self.typical.saturating_add(self.deviation.saturating_mul(4))
    }
}

/// All of these, one after the other.
pub(crate) fn sum(times: impl Iterator<Item = Duration>) -> Duration {
    times.fold(Duration::ZERO, Duration::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn steady_times_are_expected_soon_and_a_change_is_followed() {
        let mut cost = Cost::first(ms(800));
        assert_eq!(cost.plausible(), ms(2400));
        (0..40).for_each(|_| cost.measure(ms(100)));
        assert!(cost.typical < ms(105) && cost.plausible() < ms(140), "{cost:?}");
        (0..20).for_each(|_| cost.measure(ms(1000)));
        assert!(cost.typical > ms(900), "{cost:?}");
    }

    #[test]
    fn the_longest_time_there_is_overflows_nothing() {
        let mut cost = Cost::first(Duration::MAX);
        cost.measure(Duration::MAX);
        assert!(cost.typical >= Duration::MAX / 8, "{cost:?}");
    }
}
