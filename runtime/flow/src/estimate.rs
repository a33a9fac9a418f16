//! What a node believes of one direction of a link and of a tier, learnt from what it has seen of them.
//!
//! Both ignore what a single sample says, follow a change that persists within two or three samples, and take the same
//! memory for ever. Times that are called `now` count from a start that the node chose, and never go back.

use std::collections::VecDeque;
use std::time::Duration;

use thalweg_planner::{Bandwidth, Bytes, Direction};

use crate::message;

/// Samples in a row that must say less before less bandwidth is believed. One alone may have waited for a packet that
/// was sent again.
const FALL_SAMPLES: usize = 2;
/// Samples in a row that must say more before more bandwidth is believed: too much of it costs a request its deadline,
/// too little only the difference between two plans.
const RISE_SAMPLES: usize = 3;
/// Times of transfers are wrong by at least this much: a sleeping thread wakes so late on a busy machine.
const NOISE_MIN: Duration = Duration::from_millis(1);
/// A round trip that is so many times longer or shorter than usual tells of a change.
const ROUND_TRIP_CHANGE: u32 = 4;
/// Round trips whose least counts as the one without queues: BBR's minimum filter, over fewer, so that a longer way is
/// believed within a second of samples each 200 ms.
const LEAST_OF: usize = 4;
/// Reports of lost packets that are remembered.
const LOSS_REPORTS: usize = 16;

/// One direction of a link.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkEstimate {
    prior_delay: Duration,
    believed: Bandwidth,
    /// Rates that the latest transfers had, all above or all below what is believed.
    disagreeing: Vec<Bandwidth>,
    disagreeing_above: bool,
    smoothed: Option<Duration>,
    jitter: Duration,
    round_trips: VecDeque<Duration>,
    /// Packets lost and sent.
    losses: VecDeque<[u64; 2]>,
    under_way: Option<(Bytes, Duration)>,
    /// What was given up has shown that the link is no faster, and no transfer since then that it is.
    bound: Option<Bandwidth>,
    /// The latest round trip was not like those before.
    upset: bool,
    heard: Option<Duration>,
}

impl LinkEstimate {
    /// What is believed before anything was seen.
    pub fn new(prior: &Direction) -> Self {
        Self {
            prior_delay: prior.delay,
            believed: prior.bandwidth,
            disagreeing: Vec::new(),
            disagreeing_above: false,
            smoothed: None,
            jitter: Duration::ZERO,
            round_trips: VecDeque::with_capacity(LEAST_OF),
            losses: VecDeque::with_capacity(LOSS_REPORTS),
            under_way: None,
            bound: None,
            upset: false,
            heard: None,
        }
    }

    /// A small message and its echo took so long.
    pub fn round_trip(&mut self, took: Duration, now: Duration) {
        self.heard = Some(now);
        let usual = self.round_trip_smoothed();
        self.upset = took >= usual.saturating_mul(ROUND_TRIP_CHANGE) || took <= usual / ROUND_TRIP_CHANGE;
        // RFC 6298, section 2.3, with alpha = 1/8.
        self.smoothed = Some(self.smoothed.map_or(took, |old| (old.saturating_mul(7).saturating_add(took)) / 8));
        // RFC 3550, section 6.4.1, of round trips instead of transits.
        if let Some(last) = self.round_trips.back() {
            self.jitter = self.jitter.saturating_mul(15).saturating_add(took.abs_diff(*last)) / 16;
        }
        push(&mut self.round_trips, took, LEAST_OF);
    }

    /// A message with `bytes` of payload took so long from its first byte sent to its last byte received, beyond the
    /// delay, and had the link to itself.
    ///
    /// That time is uncertain by as much as round trips differ, so a transfer says that the bandwidth lies between two
    /// values, and says little if it took no longer than that. What is believed changes where it lies outside in several
    /// transfers in a row.
    pub fn transfer(&mut self, bytes: Bytes, took: Duration, now: Duration) {
        self.heard = Some(now);
        let noise = self.noise();
        let least = message::rate(bytes, took.saturating_add(noise));
        let most = message::rate(bytes, took.saturating_sub(noise));
        self.bound = self.bound.filter(|bound| *bound >= least);
        if (least..=most).contains(&self.believed) {
            self.disagreeing.clear();
            return;
        }
        let above = least > self.believed;
        if above != self.disagreeing_above {
            self.disagreeing.clear();
        }
        self.disagreeing_above = above;
        self.disagreeing.push(message::rate(bytes, took.max(noise)));
        // The least of a change that all of them show.
        let agreed = match above {
            true if self.disagreeing.len() >= RISE_SAMPLES => self.disagreeing.iter().min(),
            false if self.disagreeing.len() >= FALL_SAMPLES => self.disagreeing.iter().max(),
            _ => None,
        };
        if let Some(agreed) = agreed {
            self.believed = *agreed;
            self.disagreeing.clear();
        }
    }

    /// Whether the link looks otherwise than is believed, and another sample soon would tell.
    pub fn is_unsure(&self) -> bool {
        self.upset || self.bound.is_some() || !self.disagreeing.is_empty()
    }

    /// So many packets were sent since the last report, and so many of them lost.
    pub fn lost(&mut self, packets_lost: u64, packets_sent: u64, now: Duration) {
        self.heard = Some(now);
        push(&mut self.losses, [packets_lost.min(packets_sent), packets_sent], LOSS_REPORTS);
    }

    /// The oldest bytes that have not been acknowledged were sent at `since`, and in all `bytes` have been given to
    /// the link since then. The link cannot be faster than if all of them had just arrived, so a collapse is noticed
    /// before a transfer ends.
    pub fn under_way(&mut self, bytes: Bytes, since: Duration) {
        self.under_way = Some((bytes, since));
    }

    /// Everything that was sent is acknowledged.
    pub fn nothing_under_way(&mut self) {
        self.under_way = None;
    }

    /// What was under way is given up. What it has shown stays, or a jam would be forgotten with the first message in it.
    pub fn gave_up(&mut self, now: Duration) {
        let bound = self.bandwidth(now);
        self.bound = (bound < self.believed).then_some(bound);
        self.under_way = None;
    }

    /// Bits a second on the link, headers included, as in [`Direction::bandwidth`].
    pub fn bandwidth(&self, now: Duration) -> Bandwidth {
        let bound = self.under_way.and_then(|(bytes, since)| {
            let excused = self.round_trip_smoothed().saturating_add(self.noise());
            let overdue = now.saturating_sub(since).checked_sub(excused)?;
            (overdue > Duration::ZERO).then(|| message::rate(bytes, overdue))
        });
        bound.into_iter().chain(self.bound).fold(self.believed, Bandwidth::min)
    }

    /// How long a bit is on the way: half the least of the latest round trips, because others wait behind the node's
    /// own transfers, which the bandwidth accounts for.
    pub fn delay(&self) -> Duration {
        self.round_trips.iter().min().map_or(self.prior_delay, |least| *least / 2)
    }

    /// Smoothed round trip as RFC 6298 has it: twice the expected delay before one was seen.
    pub fn round_trip_smoothed(&self) -> Duration {
        self.smoothed.unwrap_or(self.prior_delay.saturating_mul(2))
    }

    /// How much round trips differ from each other, as RFC 3550 has it.
    pub fn jitter(&self) -> Duration {
        self.jitter
    }

    /// The share of packets that was lost, of those that the latest reports are about.
    pub fn loss(&self) -> f64 {
        let [lost, sent] = self
            .losses
            .iter()
            .fold([0u64; 2], |[lost, sent], report| [lost.saturating_add(report[0]), sent.saturating_add(report[1])]);
        if sent == 0 { 0.0 } else { lost as f64 / sent as f64 }
    }

    /// How long ago anything was heard of it. None before the first time.
    pub fn age(&self, now: Duration) -> Option<Duration> {
        self.heard.map(|heard| now.saturating_sub(heard))
    }

    /// The median by which the latest round trips differ, each from the one before: other than of the jitter, nothing is
    /// left of a jam in it after two of them.
    fn noise(&self) -> Duration {
        let pairs = self.round_trips.iter().zip(self.round_trips.iter().skip(1));
        let mut differences: Vec<Duration> = pairs.map(|(one, next)| one.abs_diff(*next)).collect();
        differences.sort_unstable();
        differences.get(differences.len() / 2).map_or(NOISE_MIN, |median| NOISE_MIN.max(*median))
    }
}

/// Ratios whose median counts.
const RATIOS: usize = 8;
/// Two ratios in a row that are both this far from the median, to the same side, are a change and no outliers: a quota
/// of 10 % is ten times, another process on the same core is twice.
const CHANGE: f64 = 2.0;
/// Ratios beyond this, either way, are errors of a clock rather than of a prediction.
const RATIO_MAX: f64 = 1024.0;
/// A part that is predicted to take less is timed too inexactly to tell of others.
const PREDICTED_MIN: Duration = Duration::from_micros(500);

/// How fast a tier computes, beside what was predicted.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TierEstimate {
    ratios: VecDeque<f64>,
    heard: Option<Duration>,
}

impl TierEstimate {
    /// What was predicted to compute for `predicted` took `took`, without waiting. Passed over where little was
    /// predicted.
    pub fn computed(&mut self, predicted: Duration, took: Duration, now: Duration) {
        if predicted < PREDICTED_MIN {
            return;
        }
        self.heard = Some(now);
        let ratio = (took.as_secs_f64() / predicted.as_secs_f64()).clamp(1.0 / RATIO_MAX, RATIO_MAX);
        let median = self.ratio();
        let last = self.ratios.back().copied();
        push(&mut self.ratios, ratio, RATIOS);
        let far = |ratio: f64| [ratio >= median * CHANGE, ratio * CHANGE <= median];
        let changed = last.is_some_and(|last| far(last).into_iter().zip(far(ratio)).any(|(one, other)| one && other));
        if changed {
            self.ratios.drain(..self.ratios.len().saturating_sub(2));
        }
    }

    /// What predicted times of computing and coding are multiplied by: the median of the latest ratios, the lower one
    /// of two; 1 before there is one.
    pub fn ratio(&self) -> f64 {
        let mut sorted: Vec<f64> = self.ratios.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or(1.0)
    }

    /// How long ago it was heard of. None before the first time.
    pub fn age(&self, now: Duration) -> Option<Duration> {
        self.heard.map(|heard| now.saturating_sub(heard))
    }
}

fn push<T>(latest: &mut VecDeque<T>, value: T, most: usize) {
    if latest.len() >= most {
        latest.pop_front();
    }
    latest.push_back(value);
}

#[cfg(test)]
mod tests;
