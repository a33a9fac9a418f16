//! Whether something is up, and for how long what has come up is not used yet.
//!
//! What goes down soon after it came up is held down for longer each time, and for less again once it stays up: route
//! flap damping (RFC 2439), with doubling and halving instead of figures of merit.

use std::time::Duration;

/// How long what was down once is held after it has come up: longer than a handshake and the first probes take, so that
/// there are estimates when it is used.
pub const HOLD_MIN: Duration = Duration::from_millis(500);
/// The longest: so long at most after a fault has ended it is still felt.
pub const HOLD_MAX: Duration = Duration::from_secs(30);
/// For each of these that it has been up the next hold is halved. What stays up for longer than this between two faults
/// is worth using each time.
pub const HOLD_HALVES: Duration = Duration::from_secs(10);

/// A tier, a link, or a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Hold {
    down: bool,
    /// Since when it is up, if it was ever down.
    up_since: Option<Duration>,
    length: Duration,
}

/// Whether it may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holding {
    Up,
    Down,
    HeldUntil(Duration),
}

impl Hold {
    /// It is down from now on. Nothing happens where that is known.
    pub(crate) fn goes_down(&mut self, now: Duration) {
        if self.down {
            return;
        }
        let stable = self.up_since.map_or(Duration::ZERO, |since| now.saturating_sub(since));
        let halvings = stable.as_nanos() / HOLD_HALVES.as_nanos();
        let doubled = self.length.saturating_mul(2);
        let halved = u32::try_from(halvings).ok().and_then(|halvings| 1_u32.checked_shl(halvings));
        let length = halved.map_or(Duration::ZERO, |parts| doubled / parts);
        *self = Self { down: true, up_since: None, length: length.clamp(HOLD_MIN, HOLD_MAX) };
    }

    /// It is up from now on. Nothing happens where that is known.
    pub(crate) fn comes_up(&mut self, now: Duration) {
        if self.down {
            self.down = false;
            self.up_since = Some(now);
        }
    }

    /// It was down for a moment.
    pub(crate) fn flaps(&mut self, now: Duration) {
        self.goes_down(now);
        self.comes_up(now);
    }

    /// Until when it is held, if it is.
    pub(crate) fn until(&self, now: Duration) -> Option<Duration> {
        if let Holding::HeldUntil(until) = self.state(now) { Some(until) } else { None }
    }

    pub(crate) fn state(&self, now: Duration) -> Holding {
        let until = self.up_since.map(|since| since.saturating_add(self.length));
        match (self.down, until) {
            (true, _) => Holding::Down,
            (false, Some(until)) if now < until => Holding::HeldUntil(until),
            _ => Holding::Up,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn each_flap_doubles_the_hold_up_to_a_maximum() {
        let mut hold = Hold::default();
        assert_eq!(hold.state(ms(0)), Holding::Up);
        let lengths: Vec<u64> = (0..8)
            .map(|flap| {
                let now = ms(2000 * flap);
                hold.goes_down(now);
                hold.goes_down(now + ms(500));
                assert_eq!(hold.state(now), Holding::Down);
                hold.comes_up(now + ms(1000));
                hold.comes_up(now + ms(1500));
                let Holding::HeldUntil(until) = hold.state(now + ms(1000)) else { panic!("not held") };
                assert_eq!(hold.state(until), Holding::Up);
                (until - now - ms(1000)).as_millis() as u64
            })
            .collect();
        assert_eq!(lengths, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
    }

    #[test]
    fn what_stays_up_is_held_for_less() {
        let held_after = |stable: Duration| {
            let mut hold = Hold { down: true, up_since: None, length: ms(8000) };
            hold.comes_up(ms(0));
            hold.goes_down(stable);
            hold.comes_up(stable);
            match hold.state(stable) {
                Holding::HeldUntil(until) => until - stable,
                other => panic!("{other:?}"),
            }
        };
        let just_before = HOLD_HALVES - Duration::from_nanos(1);
        assert_eq!(held_after(just_before), ms(16_000));
        assert_eq!(held_after(HOLD_HALVES), ms(8000));
        assert_eq!(held_after(HOLD_HALVES * 2), ms(4000));
        assert_eq!(held_after(HOLD_HALVES * 6), HOLD_MIN);
        assert_eq!(held_after(Duration::MAX / 2), HOLD_MIN);
    }

    proptest! {
        #[test]
        fn it_is_never_held_for_longer_than_the_maximum(
            flaps in prop::collection::vec((any::<bool>(), 0_u64..100_000), 0..100),
        ) {
            let (mut hold, mut now) = (Hold::default(), Duration::ZERO);
            for (up, wait) in flaps {
                now += ms(wait);
                if up { hold.comes_up(now) } else { hold.goes_down(now) }
                if let Holding::HeldUntil(until) = hold.state(now) {
                    prop_assert!(now < until && until - now <= HOLD_MAX);
                }
            }
        }
    }
}
