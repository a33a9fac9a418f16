//! Mahimahi packet-delivery traces: when a recorded link had room for a packet.
//!
//! The format is one whole number a line, in milliseconds from the start and never decreasing. Each line is a chance
//! for 1,504 bytes to leave; the last one is also the length of the trace, after which it repeats. Netravali et al.,
//! "Mahimahi: Accurate Record-and-Replay for HTTP", USENIX ATC 2015; manual page of `mm-link`.

use std::sync::Arc;
use std::time::Duration;

use thalweg_planner::Bandwidth;

/// Bytes that may leave at each chance: `PACKET_SIZE` in Mahimahi's `link_queue.hh`.
const CHANCE_BYTES: u64 = 1504;

/// Characters of a bad line that an error quotes: the line may be of any length.
const QUOTED_MAX: usize = 40;

/// A text that is not a packet-delivery trace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TraceError {
    /// No line at all.
    #[error("the trace is empty: write one whole number of milliseconds a line")]
    Empty,
    /// A line that is not one whole number.
    #[error("line {line} of the trace, \"{text}\", is not a whole number of milliseconds")]
    NotANumber {
        /// The first line is 1.
        line: usize,
        /// What it says, cut short when long.
        text: String,
    },
    /// A line that goes back in time.
    #[error("line {line} of the trace says {millis} ms after {before} ms: times may not decrease")]
    Decreasing {
        /// The first line is 1.
        line: usize,
        /// What it says.
        millis: u64,
        /// What the line before it says.
        before: u64,
    },
    /// Nothing but zeros: the trace has no length and cannot repeat.
    #[error("line {line}, the last of the trace, says 0 ms: the last time is the trace's length and must be above 0")]
    NoLength {
        /// The first line is 1.
        line: usize,
    },
}

/// When 1,504 bytes may leave, for ever. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// Milliseconds of each chance in one period: not empty, never decreasing.
    chances: Arc<[u64]>,
    /// Milliseconds until the trace repeats: the last chance, above zero.
    period: u64,
}

impl Trace {
    /// Reads a trace from the text of its file.
    ///
    /// # Errors
    /// What is wrong and in which line. A blank line counts as one that is not a number; the file may end in a newline.
    pub fn parse(text: &str) -> Result<Self, TraceError> {
        let mut chances: Vec<u64> = Vec::new();
        for (line, content) in (1..).zip(text.lines()) {
            let Ok(millis) = content.trim().parse() else {
                return Err(TraceError::NotANumber { line, text: content.chars().take(QUOTED_MAX).collect() });
            };
            match chances.last() {
                Some(&before) if before > millis => return Err(TraceError::Decreasing { line, millis, before }),
                _ => chances.push(millis),
            }
        }
        match chances.last() {
            None => Err(TraceError::Empty),
            Some(0) => Err(TraceError::NoLength { line: chances.len() }),
            Some(&period) => Ok(Self { chances: chances.into(), period }),
        }
    }

    /// What it carries on average, with packets that fill each chance.
    pub fn mean(&self) -> Bandwidth {
        let bits = self.chances.len() as f64 * CHANCE_BYTES as f64 * 8.0;
        Bandwidth((bits * 1000.0 / self.period as f64) as u64)
    }

    /// When chance number `index` comes, counted from 0 over all periods.
    fn time(&self, index: u64) -> Duration {
        let count = self.chances.len() as u64;
        let within = self.chances[(index % count) as usize];
        Duration::from_millis((index / count).saturating_mul(self.period).saturating_add(within))
    }

    /// The number of the first chance that comes at `now` or later.
    fn first_from(&self, now: Duration) -> u64 {
        let millis = u64::try_from(now.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        // Period number c holds the times after c · period up to (c + 1) · period.
        let periods = millis.saturating_sub(1) / self.period;
        let within = self.chances.partition_point(|&chance| chance < millis - periods * self.period);
        periods.saturating_mul(self.chances.len() as u64).saturating_add(within as u64)
    }
}

/// A place in a [`Trace`] that moves on as packets leave.
#[derive(Debug, Clone)]
pub(super) struct Cursor {
    trace: Trace,
    /// The number of the chance that is being used.
    chance: u64,
    /// How much of it is left.
    left: u64,
}

impl Cursor {
    /// The start of `trace`.
    pub(super) fn new(trace: Trace) -> Self {
        Self { trace, chance: 0, left: CHANCE_BYTES }
    }

    /// When the last byte of a packet leaves that is ready at `now`, behind all packets before it.
    ///
    /// As in Mahimahi, several small packets share a chance, a large one takes several, and what is left of a chance
    /// that passed while nothing waited is lost.
    pub(super) fn departure(&mut self, now: Duration, bytes: u64) -> Duration {
        let first = self.trace.first_from(now);
        if first > self.chance {
            (self.chance, self.left) = (first, CHANCE_BYTES);
        }
        if bytes > self.left {
            let short = bytes - self.left;
            self.chance = self.chance.saturating_add(short.div_ceil(CHANCE_BYTES));
            self.left = (CHANCE_BYTES - short % CHANCE_BYTES) % CHANCE_BYTES;
        } else {
            self.left -= bytes;
        }
        self.trace.time(self.chance)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        let error = |text: &str| Trace::parse(text).unwrap_err();
        assert_eq!(error(""), TraceError::Empty);
        assert_eq!(error("0\n0\n"), TraceError::NoLength { line: 2 });
        assert_eq!(error("1\n7\n5\n"), TraceError::Decreasing { line: 3, millis: 5, before: 7 });
        for (text, bad) in [("1\n\n2", ""), ("1\n-3", "-3"), ("1\n2.5", "2.5"), ("1\nx y", "x y")] {
            assert_eq!(error(text), TraceError::NotANumber { line: 2, text: bad.into() });
        }
        assert!(error(&"x".repeat(1_000_000)).to_string().len() < 200);
        assert_eq!(error("7\n5").to_string(), "line 2 of the trace says 5 ms after 7 ms: times may not decrease");
    }

    #[test]
    fn small_packets_share_a_chance_and_large_ones_take_several() {
        let mut cursor = Cursor::new(Trace::parse("2\n5\n5\n9\r\n").unwrap());
        assert_eq!(cursor.departure(ms(0), 752), ms(2));
        assert_eq!(cursor.departure(ms(0), 752), ms(2));
        assert_eq!(cursor.departure(ms(0), 2 * 1504 + 1), ms(9));
        // The trace repeats after 9 ms, and 1,503 bytes were left.
        assert_eq!(cursor.departure(ms(3), 1503), ms(9));
        assert_eq!(cursor.departure(ms(3), 1), ms(9 + 2));
    }

    #[test]
    fn a_chance_that_nobody_waited_for_is_lost() {
        let mut cursor = Cursor::new(Trace::parse("0\n4").unwrap());
        assert_eq!(cursor.departure(ms(0), 1504), ms(0));
        assert_eq!(cursor.departure(Duration::from_micros(4001), 1), ms(8));
        assert_eq!(cursor.departure(ms(4_000_000), 1504), ms(4_000_000));
        assert_eq!(cursor.departure(Duration::MAX, u64::MAX), Duration::from_millis(u64::MAX));
    }

    proptest! {
        #[test]
        fn the_first_chance_is_the_one_that_a_walk_finds(
            mut chances in prop::collection::vec(0_u64..20, 1..6), micros in 0_u64..200_000,
        ) {
            chances.sort_unstable();
            chances.push(20);
            let text: Vec<String> = chances.iter().map(u64::to_string).collect();
            let trace = Trace::parse(&text.join("\n")).unwrap();
            let now = Duration::from_micros(micros);
            let walked = (0..).find(|&index| trace.time(index) >= now);
            prop_assert_eq!(Some(trace.first_from(now)), walked);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[0-9 \n\r.x-]{0,60}") {
            if let Ok(trace) = Trace::parse(&text) {
                prop_assert!(trace.time(u64::MAX) >= trace.time(0));
            }
        }
    }
}
