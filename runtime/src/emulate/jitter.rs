//! A delay that changes over time so that packets never overtake each other.
//!
//! Independent throws cannot do it: kept in order by force, packets that follow each other closely would all suffer the
//! longest delay thrown so far, and the mean would be far above the one that was asked for. So the delay is a function
//! of the time of departure, a zigzag between its two ends with legs of random length. At a random moment it is
//! uniform between the ends, whatever the lengths, and as it never falls as fast as time passes, order is kept.

use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

/// The shortest leg, in swings from the middle. A leg crosses two swings, so at 4 the delay changes by at most half of
/// the time that passes: packets that left at one rate arrive at between 2/3 and 2 times that rate.
const LEG_MIN: f64 = 4.0;

/// The longest leg: wide enough that nothing else of the link falls into step with the zigzag.
const LEG_MAX: f64 = 8.0;

/// A pause of so many swings is not walked through leg by leg: after it, any place on any leg is as likely.
const PAUSE: f64 = 100.0;

/// No swing is wider than this, so that the arithmetic of the zigzag is exact to the nanosecond.
const SWING_MAX: Duration = Duration::from_secs(3600);

/// A delay that wanders between `delay - jitter`, or zero if that is more, and `delay + jitter`.
#[derive(Debug, Clone)]
pub(super) struct Jitter {
    delay: Duration,
    swing: Duration,
    random: Pcg64,
    leg: Leg,
    /// When the last packet departed.
    last: Duration,
}

/// One way from one end to the other.
#[derive(Debug, Clone, Copy)]
struct Leg {
    end: Duration,
    length: Duration,
    rising: bool,
}

impl Jitter {
    /// The same `seed` gives the same zigzag.
    pub(super) fn new(delay: Duration, jitter: Duration, seed: u64) -> Self {
        let leg = Leg { end: Duration::ZERO, length: Duration::ZERO, rising: true };
        let (swing, last) = (jitter.min(SWING_MAX), Duration::ZERO);
        let mut new = Self { delay, swing, random: Pcg64::seed_from_u64(seed), leg, last };
        new.leg = new.anywhere(Duration::ZERO);
        new
    }

    /// The delay of a packet that departs at `at`, which may not be before the last call's.
    pub(super) fn delay_at(&mut self, at: Duration) -> Duration {
        if self.swing.is_zero() {
            return self.delay;
        }
        if at.saturating_sub(self.last) > self.swings(PAUSE) {
            self.leg = self.anywhere(at);
        }
        while self.leg.end <= at && self.leg.end < Duration::MAX {
            self.leg = self.following();
        }
        self.last = at;
        let ahead = self.leg.end.saturating_sub(at).as_secs_f64() / self.leg.length.as_secs_f64();
        let share = if self.leg.rising { 1.0 - ahead } else { ahead };
        let above_lowest = seconds(self.swing.as_secs_f64() * 2.0 * share.clamp(0.0, 1.0));
        self.delay.saturating_add(above_lowest).saturating_sub(self.swing)
    }

    /// The leg that starts where the present one ends.
    fn following(&mut self) -> Leg {
        let length = self.length();
        Leg { end: self.leg.end.saturating_add(length), length, rising: !self.leg.rising }
    }

    /// A leg of which a random share has passed at `at`.
    fn anywhere(&mut self, at: Duration) -> Leg {
        let length = self.length();
        let ahead = seconds(length.as_secs_f64() * self.random.random::<f64>());
        Leg { end: at.saturating_add(ahead), length, rising: self.random.random() }
    }

    fn length(&mut self) -> Duration {
        let count = LEG_MIN + (LEG_MAX - LEG_MIN) * self.random.random::<f64>();
        self.swings(count)
    }

    fn swings(&self, count: f64) -> Duration {
        seconds(self.swing.as_secs_f64() * count)
    }
}

/// A duration of so many seconds, or the longest one there is.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn micros(count: u64) -> Duration {
        Duration::from_micros(count)
    }

    #[test]
    fn is_uniform_between_its_ends_however_dense_the_packets_are() {
        for spacing in [17, 900, 31_000, 70_000, 700_000] {
            let mut jitter = Jitter::new(micros(20_000), micros(5_000), spacing);
            let mut tenths = [0_u32; 10];
            let count = 400_000;
            for index in 0..count {
                let above = jitter.delay_at(micros(index * spacing)) - micros(15_000);
                tenths[(above.as_micros() as usize / 1000).min(9)] += 1;
            }
            // 400,000 dense packets see about 220 legs, each of which spends a tenth of its time in each tenth.
            for tenth in tenths {
                assert!((f64::from(tenth) / count as f64 - 0.1).abs() < 0.005, "every {spacing} µs: {tenths:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn packets_arrive_in_the_order_in_which_they_left(
            seed: u64, delay in 0_u64..50_000, swing in 0_u64..80_000,
            gaps in prop::collection::vec(prop_oneof![0_u64..300, 0_u64..1_000_000], 1..200),
        ) {
            let mut jitter = Jitter::new(micros(delay), micros(swing), seed);
            let (mut at, mut last) = (Duration::ZERO, Duration::ZERO);
            for gap in gaps {
                at += micros(gap);
                let delayed = jitter.delay_at(at);
                prop_assert!(delayed <= micros(delay + swing) && delayed >= micros(delay.saturating_sub(swing)));
                prop_assert!(at + delayed >= last);
                last = at + delayed;
            }
        }
    }
}
