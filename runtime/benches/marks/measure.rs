//! What a way to send does: bytes, answers, and how long it takes.

use std::time::{Duration, Instant};

use thalweg_planner::Tensor;

use crate::cut::Cut;
use crate::neighbours::Way;
use crate::{Failure, both_cores};

/// So many samples are timed, each once; what counts is their median.
const TIMED_MAX: usize = 101;

/// Mean bytes of a sample, everything that crosses counted, and what was made of each sample.
pub(crate) struct Sent<A> {
    pub(crate) bytes: f64,
    pub(crate) answers: Vec<A>,
}

/// Sends what crosses for each sample, finishes the model on what arrives, and reads its outputs.
pub(crate) fn send<A: Send>(
    cut: &Cut,
    live: &[Vec<Tensor>],
    way: &Way,
    read: impl Fn(&[Tensor]) -> Result<A, Failure> + Sync,
) -> Result<Sent<A>, Failure> {
    let made = both_cores(live, |_, tensors| {
        let (mut bytes, mut arrived) = (0, Vec::with_capacity(tensors.len()));
        for (place, tensor) in tensors.iter().enumerate() {
            let mut stream = Vec::new();
            way.encode(place, tensor, &mut stream)?;
            bytes += stream.len();
            arrived.push(way.decode(place, tensor.spec(), &stream)?);
        }
        Ok((bytes, read(&cut.finish(&arrived)?)?))
    })?;
    let bytes = mean(made.iter().map(|(bytes, _)| *bytes as f64));
    Ok(Sent { bytes, answers: made.into_iter().map(|(_, answer)| answer).collect() })
}

/// What the uncut model answers.
pub(crate) fn uncoded<A: Send>(
    cut: &Cut,
    live: &[Vec<Tensor>],
    read: impl Fn(&[Tensor]) -> Result<A, Failure> + Sync,
) -> Result<Vec<A>, Failure> {
    both_cores(live, |_, tensors| read(&cut.finish(tensors)?))
}

/// Mean bytes of these samples alone.
pub(crate) fn bytes(live: &[Vec<Tensor>], way: &Way) -> Result<f64, Failure> {
    let bytes = both_cores(live, |_, tensors| {
        let mut stream = Vec::new();
        for (place, tensor) in tensors.iter().enumerate() {
            way.encode(place, tensor, &mut stream)?;
        }
        Ok(stream.len() as f64)
    })?;
    Ok(mean(bytes))
}

/// Median times to encode and to decode what crosses, on one thread.
pub(crate) fn times(live: &[Vec<Tensor>], way: &Way) -> Result<[Duration; 2], Failure> {
    let (mut encode, mut decode) = (Vec::new(), Vec::new());
    for tensors in live.iter().take(TIMED_MAX) {
        let mut streams = vec![Vec::new(); tensors.len()];
        let start = Instant::now();
        for (place, (tensor, stream)) in tensors.iter().zip(&mut streams).enumerate() {
            way.encode(place, tensor, stream)?;
        }
        encode.push(start.elapsed());
        let start = Instant::now();
        for (place, (tensor, stream)) in tensors.iter().zip(&streams).enumerate() {
            std::hint::black_box(way.decode(place, tensor.spec(), stream)?);
        }
        decode.push(start.elapsed());
    }
    Ok([encode, decode].map(|mut times| {
        times.sort_unstable();
        times.get(times.len() / 2).copied().unwrap_or_default()
    }))
}

/// The mean; 0 of nothing.
pub(crate) fn mean(numbers: impl IntoIterator<Item = f64>) -> f64 {
    let (sum, count) = numbers.into_iter().fold((0.0, 0), |(sum, count), number| (sum + number, count + 1));
    if count == 0 { 0.0 } else { sum / f64::from(count) }
}

/// The levels of the books whose bytes are from `low` to `high`, with the bytes, from a few samples.
pub(crate) fn levels(
    live: &[Vec<Tensor>],
    features: impl Fn(u8) -> Way,
    low: f64,
    high: f64,
) -> Result<Vec<u8>, Failure> {
    let few: Vec<Vec<Tensor>> = live.iter().step_by(live.len().div_ceil(TIMED_MAX).max(1)).cloned().collect();
    let mut fitting = Vec::new();
    for level in 1..=thalweg_codec::LEVELS {
        let bytes = bytes(&few, &features(level))?;
        if (low..=high).contains(&bytes) {
            fitting.push(level);
        }
    }
    Ok(fitting)
}
