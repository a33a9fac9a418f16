//! One direction of a link as a pure model: which packets it drops and when it delivers the others.
//!
//! A packet waits in a drop-tail queue, is put on the link at its rate, is lost or not, and travels for the delay.
//! A lost packet has used the link all the same, as on a radio link.

use std::collections::VecDeque;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use thalweg_devices::link::{Outage, Shape};
use thalweg_planner::{Bandwidth, Bytes};

use super::jitter::Jitter;
use super::trace::{Cursor, Trace};

/// Packets that may wait for the link, however many bytes its queue holds: bounds the memory of a shaper to about 2 MB.
const WAITING_MAX: usize = 65_536;

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It never arrives.
    Drop(DropReason),
    /// It arrives.
    Deliver {
        /// When, on the clock of [`Shaper::offer`].
        at: Duration,
        /// Whether a copy of it arrives right after it.
        twice: bool,
    },
}

/// Why a packet is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropReason {
    /// The throw of `loss` hit it.
    Loss,
    /// As much as the queue holds was waiting already.
    QueueFull,
    /// The link was down when it would have left, or has no rate at all.
    Outage,
}

/// What a shaper has done so far. `packets` is the sum of what arrived and the three kinds of drops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Packets that were offered.
    pub packets: u64,
    /// Their bytes, headers included.
    pub bytes: u64,
    /// Dropped: [`DropReason::Loss`].
    pub lost: u64,
    /// Dropped: [`DropReason::QueueFull`].
    pub queue_full: u64,
    /// Dropped: [`DropReason::Outage`].
    pub outage: u64,
    /// Delivered without the delay, past the packets before them.
    pub reordered: u64,
    /// Delivered twice.
    pub duplicated: u64,
}

impl Counters {
    /// Packets that arrive, copies not counted.
    pub fn delivered(&self) -> u64 {
        self.packets - self.lost - self.queue_full - self.outage
    }
}

/// One direction of an emulated link.
#[derive(Debug)]
pub struct Shaper {
    capacity: Capacity,
    queue: Queue,
    jitter: Jitter,
    loss: f64,
    reorder: f64,
    duplicate: f64,
    outage: Option<Outage>,
    random: Pcg64,
    counters: Counters,
}

impl Shaper {
    /// A link that behaves as `shape` says; `trace`, when given, replaces its rate (`shape.trace`, a path, is not read).
    ///
    /// The same seed and the same offers give the same verdicts. Any values do: a share below 0 or not a number is 0,
    /// one above 1 is 1, a rate of 0 is a link that is always down, a delay stays above 0 however large the jitter is.
    pub fn new(shape: &Shape, trace: Option<Trace>, seed: u64) -> Self {
        let capacity = match trace {
            Some(trace) => Capacity::Trace(Cursor::new(trace)),
            None => Capacity::Rate { rate: shape.rate, free: Duration::ZERO },
        };
        Self {
            capacity,
            queue: Queue { bytes_max: shape.queue, bytes: 0, waiting: VecDeque::new() },
            // Another stream than that of the throws, so that neither follows the other.
            jitter: Jitter::new(shape.delay, shape.jitter, !seed),
            loss: shape.loss,
            reorder: shape.reorder,
            duplicate: shape.duplicate,
            outage: shape.outage,
            random: Pcg64::seed_from_u64(seed),
            counters: Counters::default(),
        }
    }

    /// What becomes of a packet of `wire_bytes`, IP and UDP headers included, that is handed to the link at `now`.
    ///
    /// `now` counts from any fixed moment, from which outages and the trace count too, and may not go back.
    pub fn offer(&mut self, now: Duration, wire_bytes: usize) -> Verdict {
        let bytes = wire_bytes as u64;
        self.counters.packets += 1;
        self.counters.bytes = self.counters.bytes.saturating_add(bytes);
        let verdict = self.judge(now, bytes);
        match verdict {
            Verdict::Drop(DropReason::Loss) => self.counters.lost += 1,
            Verdict::Drop(DropReason::QueueFull) => self.counters.queue_full += 1,
            Verdict::Drop(DropReason::Outage) => self.counters.outage += 1,
            Verdict::Deliver { twice, .. } => self.counters.duplicated += u64::from(twice),
        }
        verdict
    }

    /// Counts a packet that was dropped before it could be offered, as one that found the queue full.
    pub fn refuse(&mut self, wire_bytes: usize) {
        self.counters.packets += 1;
        self.counters.bytes = self.counters.bytes.saturating_add(wire_bytes as u64);
        self.counters.queue_full += 1;
    }

    /// This shaper in place of one that has done so much already.
    pub(super) fn counting_on(mut self, before: Counters) -> Self {
        self.counters = before;
        self
    }

    /// What was done so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn judge(&mut self, now: Duration, bytes: u64) -> Verdict {
        // Each packet takes its throws whatever becomes of it: its fate does not shift the luck of the next ones.
        let [lost, overtakes, twice] =
            [self.loss, self.reorder, self.duplicate].map(|share| self.random.random::<f64>() < share);
        if !self.queue.has_room(now, bytes) {
            return Verdict::Drop(DropReason::QueueFull);
        }
        let Some(leaves) = self.capacity.departure(now, bytes) else {
            return Verdict::Drop(DropReason::Outage);
        };
        self.queue.push(leaves, bytes);
        if self.is_down(leaves) {
            return Verdict::Drop(DropReason::Outage);
        }
        if lost {
            return Verdict::Drop(DropReason::Loss);
        }
        self.counters.reordered += u64::from(overtakes);
        let travel = if overtakes { Duration::ZERO } else { self.jitter.delay_at(leaves) };
        Verdict::Deliver { at: leaves.saturating_add(travel), twice }
    }

    fn is_down(&self, at: Duration) -> bool {
        let Some(Outage { every, length }) = self.outage else { return false };
        // A period of zero has no end at which the link could be down.
        let Some(phase) = at.as_nanos().checked_rem(every.as_nanos()) else { return false };
        phase >= every.saturating_sub(length).as_nanos()
    }
}

/// How fast packets are put on the link.
#[derive(Debug)]
enum Capacity {
    Rate {
        rate: Bandwidth,
        /// When the last packet has left.
        free: Duration,
    },
    Trace(Cursor),
}

impl Capacity {
    /// When the last byte of a packet leaves that comes at `now`; none if never.
    fn departure(&mut self, now: Duration, bytes: u64) -> Option<Duration> {
        match self {
            Self::Rate { rate: Bandwidth(0), .. } => None,
            Self::Rate { rate, free } => {
                *free = now.max(*free).saturating_add(rate.time_for(Bytes(bytes)));
                Some(*free)
            }
            Self::Trace(cursor) => Some(cursor.departure(now, bytes)),
        }
    }
}

/// A drop-tail queue: the packet on the link and those behind it.
#[derive(Debug)]
struct Queue {
    bytes_max: Bytes,
    bytes: u64,
    /// When each packet leaves, and its bytes.
    waiting: VecDeque<(Duration, u64)>,
}

impl Queue {
    /// Whether a packet that comes at `now` fits in. One that finds the link idle always does.
    fn has_room(&mut self, now: Duration, bytes: u64) -> bool {
        while let Some((_, left)) = self.waiting.pop_front_if(|(leaves, _)| *leaves <= now) {
            self.bytes -= left;
        }
        self.waiting.is_empty()
            || (self.waiting.len() < WAITING_MAX
                && self.bytes.checked_add(bytes).is_some_and(|bytes| bytes <= self.bytes_max.0))
    }

    fn push(&mut self, leaves: Duration, bytes: u64) {
        self.waiting.push_back((leaves, bytes));
        self.bytes += bytes;
    }
}

#[cfg(test)]
mod tests;
