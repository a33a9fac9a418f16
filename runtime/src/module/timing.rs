//! How long a module takes, and how much it takes of the machine.

use std::time::{Duration, Instant};

use serde::Serialize;
use thalweg_modules::sandbox::{Grants, Limit, Limits, Machine, Sandbox};
use thalweg_modules::signature::Trust;

use super::found::Found;
use super::input::{GivenInput, tensors};
use crate::run::RunError;

/// Who measures a module wants to know how long it takes, not that it takes longer than a step should.
const LIMITS: Limits = Limits { time_ms: Limit::of::<60_000>(), ..Limits::RECOMMENDED };

/// Calls before the first that counts.
const WARM_UP: usize = 3;
/// Calls of which ten take longer than the 99th percentile.
const CALLS_MAX: usize = 1000;
/// However long each takes.
const CALLS_MIN: usize = 5;
/// Calls end after so long.
const CALLS_TIME: Duration = Duration::from_secs(3);
/// Instances that are started.
const STARTS_MAX: usize = 100;
const STARTS_TIME: Duration = Duration::from_secs(1);

/// What a module has taken on this machine.
#[derive(Debug, Serialize)]
pub struct Timing {
    /// The module's own name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Type and shape of each tensor that went in.
    pub inputs: Vec<String>,
    /// Type and shape of each that came out.
    pub outputs: Vec<String>,
    /// Checking, compiling and describing it, once.
    pub load_ms: f64,
    /// From a loaded module to an instance with its settings, median.
    pub start_ms: f64,
    /// Calls that were timed, in one warm instance.
    pub calls: usize,
    /// The median call.
    pub call_ms_median: f64,
    /// The 99th percentile of calls, by nearest rank.
    pub call_ms_p99: f64,
    /// The most linear memory that the instance had.
    pub memory_bytes: u64,
    /// Bytes that a call copies between module and host, in both directions together.
    pub copied_bytes: u64,
    /// Calls of the host in a call.
    pub host_calls: u64,
}

/// Loads, starts and runs a module with these grants and settings, which are JSON; `progress` gets the calls that are done, and
/// how many there are at most.
pub fn time(
    found: &Found,
    trust: Trust,
    grants: &Grants,
    settings: &str,
    given: &[GivenInput],
    progress: impl Fn(usize, usize),
) -> Result<Timing, RunError> {
    let sandbox = Sandbox::open(Machine::probe(), trust)?;
    let started = Instant::now();
    let module = sandbox.load(&found.name, &found.component, grants, &LIMITS)?;
    let load_ms = ms(started.elapsed());
    let description = module.description();
    let inputs = tensors(&found.name, &description.inputs, given)?;
    let mut instance = module.start(&LIMITS, settings)?;
    let mut outputs = Vec::new();
    for _ in 0..WARM_UP {
        outputs = instance.run(&inputs, Duration::MAX)?;
    }
    let mut call = |done| {
        progress(done, CALLS_MAX);
        instance.run(&inputs, Duration::MAX).map(drop)
    };
    let calls = timed(CALLS_MIN, CALLS_MAX, CALLS_TIME, &mut call)?;
    let taken = instance.taken();
    let starts = timed(1, STARTS_MAX, STARTS_TIME, &mut |_| module.start(&LIMITS, settings).map(drop))?;
    let specs = |tensors: &[thalweg_planner::Tensor]| tensors.iter().map(|tensor| tensor.spec().to_string()).collect();
    Ok(Timing {
        name: description.name.clone(),
        version: description.version.clone(),
        inputs: specs(&inputs),
        outputs: specs(&outputs),
        load_ms,
        start_ms: ms(rank(&starts, 0.5)),
        calls: calls.len(),
        call_ms_median: ms(rank(&calls, 0.5)),
        call_ms_p99: ms(rank(&calls, 0.99)),
        memory_bytes: taken.memory.0,
        copied_bytes: taken.copied.0,
        host_calls: taken.host_calls,
    })
}

/// How long each of `least` to `most` calls took, shortest first. Between them `time` decides.
fn timed<E>(
    least: usize,
    most: usize,
    time: Duration,
    call: &mut dyn FnMut(usize) -> Result<(), E>,
) -> Result<Vec<Duration>, E> {
    let begun = Instant::now();
    let mut times = Vec::with_capacity(most);
    while times.len() < least || times.len() < most && begun.elapsed() < time {
        let started = Instant::now();
        call(times.len())?;
        times.push(started.elapsed());
    }
    times.sort_unstable();
    Ok(times)
}

/// The smallest of sorted times that so large a share is not above; zero of none.
pub(crate) fn rank(times: &[Duration], share: f64) -> Duration {
    let rank = (share * times.len() as f64).ceil() as usize;
    times.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let times: Vec<_> = (1..=100).map(Duration::from_millis).collect();
        let at = |count: usize, share| rank(&times[..count], share).as_millis();
        assert_eq!(
            (at(100, 0.99), at(100, 0.5), at(5, 0.99), at(5, 0.5), at(1, 0.99), at(0, 0.5)),
            (99, 50, 5, 3, 1, 0)
        );
    }

    #[test]
    fn calls_are_bounded_by_number_and_time() {
        let count = |least, most, time| timed(least, most, time, &mut |_| Ok::<(), ()>(())).map(|times| times.len());
        assert_eq!(count(2, 7, Duration::MAX), Ok(7));
        assert_eq!(count(2, 7, Duration::ZERO), Ok(2));
        assert_eq!(
            timed(2, 7, Duration::MAX, &mut |done| if done == 1 { Err("second") } else { Ok(()) }),
            Err("second")
        );
    }
}
