//! Where the time of a request went.
//!
//! Each node notes spans on its own clock. All nodes of one process share the clock's origin, so their spans can be laid
//! side by side as they are. Spans of nodes on different machines differ by the offset of their clocks, which must be
//! estimated (from the four times of each crossing, see [`Answer`]) before spans of different hops are compared.

use std::time::Duration;

use crate::Answer;

/// What a span of time was spent on. Of one request the spans follow each other without overlap: decode, wait and compute
/// on a hop, then encode, queue and wire to the next one, and on the way back one answer for each link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum SpanKind {
    /// All bytes are there, but the compute thread still serves other requests.
    Wait = 0,
    /// Bytes become tensors.
    Decode = 1,
    /// The hop's part of the model runs.
    Compute = 2,
    /// Tensors become bytes.
    Encode = 3,
    /// All bytes are ready, but the first of them has not been given to the link yet.
    Queue = 4,
    /// From the first byte given to the link to the last byte received on the next hop.
    Wire = 5,
    /// From the first byte of an answer given to the link to its last byte received here.
    Answer = 6,
}

impl SpanKind {
    /// In the order of the wire's numbers.
    pub const ALL: [Self; 7] =
        [Self::Wait, Self::Decode, Self::Compute, Self::Encode, Self::Queue, Self::Wire, Self::Answer];
}

/// One stretch of time on one hop. Crossings belong to their lower hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Index of the hop in the plan.
    pub hop: u8,
    /// What it was spent on.
    pub kind: SpanKind,
    /// When it began, on the clock of the hop where it began. Whole microseconds once it has crossed a link.
    pub start: Duration,
    /// How long it took.
    pub length: Duration,
    /// Bytes of tensors that crossed, for [`SpanKind::Wire`] and [`SpanKind::Answer`]: without frames and the headers of
    /// the link. Zero for the others.
    pub bytes: u64,
}

impl Span {
    /// A span from `start` to `end`, of no length where the clocks of two nodes disagree so far that it would be negative.
    pub fn between(hop: u8, kind: SpanKind, start: Duration, end: Duration) -> Self {
        Self { hop, kind, start, length: end.saturating_sub(start), bytes: 0 }
    }
}

/// A tensor of which a hop has not awaited all: it went on with a coarser one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coarse {
    /// Index of the hop in the plan.
    pub hop: u8,
    /// Index of the tensor among those that the hop takes.
    pub tensor: u16,
    /// The share of its numbers that was there, in millionths.
    pub share_ppm: u32,
}

/// When a request left a hop for the next one, on the clock of that hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Departure {
    /// Its bytes were ready.
    pub ready: Duration,
    /// The first of them was given to the link.
    pub sent: Duration,
    /// Bytes of tensors.
    pub bytes: u64,
}

/// How the clocks of a hop and the next one go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clocks {
    /// They are one clock: the nodes are one process.
    Shared,
    /// They began at different times. What the next hop says of when tells only how long it took.
    Apart {
        /// What the link takes there and back without any load.
        round_trip: Duration,
    },
}

/// The spans of a crossing from `hop` to the next one and back, once its answer has come completely, at `now`.
///
/// With clocks apart only the time of both ways together is known. The link counts as the same in both directions: each way
/// takes half of the round trip, and of the rest as much as it has of the bytes.
pub fn crossing_spans(hop: u8, departure: Departure, answer: &Answer, now: Duration, clocks: Clocks) -> [Span; 3] {
    let returned = answer.sizes.iter().fold(0u64, |sum, size| sum.saturating_add(*size));
    let [received, answered] = [answer.received_us, answer.sent_us].map(Duration::from_micros);
    let [received, answered] = match clocks {
        Clocks::Shared => [received, answered],
        Clocks::Apart { round_trip } => {
            let both = now.saturating_sub(departure.sent).saturating_sub(answered.saturating_sub(received));
            let idle = both.min(round_trip);
            let share = departure.bytes as f64 / departure.bytes.saturating_add(returned).max(1) as f64;
            let there = idle / 2 + (both - idle).mul_f64(share);
            [departure.sent.saturating_add(there), now.saturating_sub(both - there)]
        }
    };
    let between = |kind, start, end| Span::between(hop, kind, start, end);
    [
        between(SpanKind::Queue, departure.ready, departure.sent),
        Span { bytes: departure.bytes, ..between(SpanKind::Wire, departure.sent, received) },
        Span { bytes: returned, ..between(SpanKind::Answer, answered, now) },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crossing_is_timed_at_both_of_its_ends() {
        let ms = Duration::from_millis;
        let departure = Departure { ready: ms(10), sent: ms(11), bytes: 500 };
        let answer =
            Answer { trace: 7, received_us: 31_000, sent_us: 40_000, spans: vec![], coarse: vec![], sizes: vec![4, 8] };
        let spans = crossing_spans(1, departure, &answer, ms(55), Clocks::Shared);
        let expected = [
            Span { hop: 1, kind: SpanKind::Queue, start: ms(10), length: ms(1), bytes: 0 },
            Span { hop: 1, kind: SpanKind::Wire, start: ms(11), length: ms(20), bytes: 500 },
            Span { hop: 1, kind: SpanKind::Answer, start: ms(40), length: ms(15), bytes: 12 },
        ];
        assert_eq!(spans, expected);
    }

    #[test]
    fn with_clocks_apart_both_ways_share_what_is_not_the_next_hops() {
        let ms = Duration::from_millis;
        let departure = Departure { ready: ms(10), sent: ms(11), bytes: 900 };
        // It took 9 ms by its own clock, which is 100 s ahead; 44 ms had passed here.
        let answer = Answer {
            trace: 7,
            received_us: 100_000_000,
            sent_us: 100_009_000,
            spans: vec![],
            coarse: vec![],
            sizes: vec![100],
        };
        let clocks = Clocks::Apart { round_trip: ms(15) };
        let [queue, wire, back] = crossing_spans(1, departure, &answer, ms(55), clocks);
        assert_eq!(
            [queue.length, wire.length, back.length],
            [ms(1), Duration::from_micros(25_500), Duration::from_micros(9_500)]
        );
        assert_eq!((wire.start, back.start + back.length), (ms(11), ms(55)));
    }

    #[test]
    fn clocks_that_disagree_give_no_negative_time() {
        let departure = Departure { ready: Duration::MAX, sent: Duration::MAX, bytes: 0 };
        let answer = Answer {
            trace: 7,
            received_us: 0,
            sent_us: u64::MAX,
            spans: vec![],
            coarse: vec![],
            sizes: vec![u64::MAX, 1],
        };
        for clocks in [Clocks::Shared, Clocks::Apart { round_trip: Duration::MAX }] {
            let spans = crossing_spans(0, departure, &answer, Duration::ZERO, clocks);
            assert!(spans.iter().all(|span| span.length == Duration::ZERO));
        }
    }
}
