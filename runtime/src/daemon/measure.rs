//! Tells what this machine and its links are capable of, for who plans.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use thalweg_devices::Partition;
use thalweg_modules::random;
use thalweg_planner::Tensor;

use super::DaemonError;
use super::files::fetch;
use super::install::try_part;
use super::neighbours::{PROBE_EVERY, probe};
use super::start::Inner;
use crate::deployment::{PartOf, PieceOf, RunsOf, UnpackError, read_files};
use crate::identity::NodeId;
use crate::memory::{self, available};
use crate::store::FileEntry;

/// Runs of which the median counts; the first is not among them.
const RUNS: usize = 5;
/// Probes of a link before it is told of: as many as a change takes to be believed, and some more.
const PROBES: usize = 6;
/// Probes of a link at most: one that has just joined is not known to all others yet, for a second or two.
const TRIES: usize = 24;

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Of each model in the part, what one run of it takes, in microseconds.
    pub models_us: Vec<u64>,
    /// Bytes that are free for parts.
    pub memory: u64,
    /// Requests that it computes at a time.
    pub threads: u32,
    /// The links.
    pub links: Vec<LinkMeasured>,
}

/// A link from the node that measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinkMeasured {
    /// To whom.
    pub to: NodeId,
    /// Whether there is one.
    pub up: bool,
    /// Bits a second.
    pub bandwidth: u64,
    /// Half a round trip, in nanoseconds.
    pub delay_ns: u64,
}

/// Times a part and links.
pub(crate) async fn measure(
    inner: &Arc<Inner>,
    part: Option<FileEntry>,
    links: &[NodeId],
    holders: &[NodeId],
) -> Result<Measured, DaemonError> {
    let peers: Vec<_> = links.iter().filter_map(|id| inner.cluster.peer(*id)).collect();
    for peer in &peers {
        let mut answered = 0;
        for _ in 0..TRIES {
            answered += usize::from(probe(inner.clone(), *peer).await);
            if answered >= PROBES {
                break;
            }
            tokio::time::sleep(PROBE_EVERY / 4).await;
        }
    }
    let link = |id: &NodeId| {
        let (believed, now) = (inner.neighbours.believed(*id)?, inner.clock.now());
        let delay_ns = u64::try_from(believed.link.delay().as_nanos()).unwrap_or(u64::MAX);
        let up = believed.up && believed.known;
        Some(LinkMeasured { to: *id, up, bandwidth: believed.link.bandwidth(now).0, delay_ns })
    };
    let links = links.iter().filter_map(link).collect();
    let models_us = match part {
        Some(part) => time_part(inner, part, holders).await?,
        None => Vec::new(),
    };
    let memory = inner.config.memory.map_or_else(available, |memory| memory.0);
    Ok(Measured { models_us, memory, threads: inner.config.threads.get(), links })
}

/// The median time of each model of a part, where it is computed alone.
async fn time_part(inner: &Arc<Inner>, file: FileEntry, holders: &[NodeId]) -> Result<Vec<u64>, DaemonError> {
    if let Some(known) = inner.measured().get(&file.hash) {
        return Ok(known.clone());
    }
    fetch(inner, std::slice::from_ref(&file), holders).await?;
    let damaged = |cause: serde_json::Error| DaemonError::NoOrder { cause: cause.to_string() };
    let part: PartOf = serde_json::from_slice(&inner.store.read(&file)?).map_err(damaged)?;
    let files: Vec<FileEntry> = part.pieces.iter().flat_map(PieceOf::files).cloned().collect();
    fetch(inner, &files, holders).await?;
    try_part(inner, &part).await?;
    let timing = move |inner: &Arc<Inner>| {
        inner.cores()?.run(|| part.pieces.iter().map(|piece| time(inner, &piece.runs)).collect())
    };
    let timed: Result<Vec<Option<u64>>, DaemonError> = inner.blocking(timing).await;
    memory::give_back();
    let emulated = |time: u64| (time as f64 * inner.config.slowdown) as u64;
    let times: Vec<u64> = timed?.into_iter().flatten().map(emulated).collect();
    inner.measured().insert(file.hash, times.clone());
    Ok(times)
}

fn time(inner: &Inner, runs: &RunsOf) -> Result<Option<u64>, DaemonError> {
    let RunsOf::Model(files) = runs else { return Ok(None) };
    let partition = Partition::from_files(&read_files(files, &inner.store)?).map_err(UnpackError::from)?;
    let stage = inner.backends.prepare(partition).map_err(UnpackError::from)?;
    let zeros = |spec| random::zeros(spec).map_err(|_| DaemonError::Misunderstood);
    let inputs = stage.takes().map(zeros).collect::<Result<Vec<Tensor>, _>>()?;
    let mut times = Vec::new();
    for _ in 0..=RUNS {
        let start = Instant::now();
        stage.run(&inputs).map_err(UnpackError::from)?;
        times.push(start.elapsed());
    }
    let mut times: Vec<Duration> = times.split_off(1);
    times.sort_unstable();
    Ok(times.get(RUNS / 2).map(|time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX)))
}
