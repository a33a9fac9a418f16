//! What goes wrong, when, and for how long: drawn from the seed.

use std::time::Duration;

use rand::RngExt;
use rand_pcg::Pcg64;

use crate::deployment::PAIRS;

/// Faults begin after this.
pub(crate) const CALM: Duration = Duration::from_secs(3);
/// No fault lasts beyond this.
pub(crate) const FAULTS_END: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// A pair of tiers has this share of its rate.
    Rate(usize, f64),
    /// One direction carries nothing.
    Cut(usize, usize),
    /// A share of the packets is lost between a pair.
    Loss(usize, f64),
    /// A tier computes ten times slower.
    Slow(usize),
    /// A tier does nothing, but is not dead.
    Stop(usize),
    /// A tier is killed, and started again at the end.
    Kill(usize),
    /// Ten times the requests.
    Load,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    pub(crate) begin: Duration,
    pub(crate) end: Duration,
}

pub(crate) fn draw(random: &mut Pcg64) -> Vec<Fault> {
    let mut faults = Vec::new();
    for _ in 0..random.random_range(1..6) {
        let begin = Duration::from_millis(random.random_range(CALM.as_millis() as u64..17_000));
        let length = Duration::from_millis(random.random_range(50..8_000));
        let end = (begin + length).min(FAULTS_END);
        let pair = random.random_range(0..PAIRS.len());
        let (one, other) = PAIRS[pair];
        let far = random.random_range(1..3);
        let mut add = |kind| faults.push(Fault { kind, begin, end });
        match random.random_range(0..10) {
            0 => add(Kind::Rate(pair, 0.01)),
            1 => add(Kind::Rate(pair, 0.001)),
            2 => add(Kind::Cut(one, other)),
            3 => add(Kind::Cut(other, one)),
            4 => {
                add(Kind::Cut(one, other));
                add(Kind::Cut(other, one));
            }
            5 => add(Kind::Loss(pair, [0.01, 0.05, 0.1, 0.3][random.random_range(0..4)])),
            6 => add(Kind::Slow(random.random_range(0..3))),
            7 => add(Kind::Stop(far)),
            8 => add(Kind::Kill(far)),
            _ => add(Kind::Load),
        }
        // One in five flaps at 0.5 Hz.
        let last = faults.last().copied();
        if let Some(fault) = last.filter(|fault| random.random_range(0..5) == 0 && !matches!(fault.kind, Kind::Load)) {
            faults.pop();
            let starts = (0..).map(|flap| begin + Duration::from_secs(2 * flap)).take_while(|at| *at < FAULTS_END);
            let flap = |begin| Fault { begin, end: (begin + Duration::from_secs(1)).min(FAULTS_END), ..fault };
            faults.extend(starts.map(flap));
        }
    }
    faults
}
