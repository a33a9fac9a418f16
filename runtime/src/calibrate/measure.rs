//! Bytes, times and disagreement of each level, on samples that the books were not fitted to.

use std::time::Instant;

use thalweg_codec::features::elements;
use thalweg_codec::{Codec, LEVELS};
use thalweg_devices::{Below, Split as Parts};
use thalweg_planner::Tensor;

use super::parallel::in_parallel;
use super::{Held, Judge, KEPT_BYTES_MAX, Options, Phase, Sample, Watch, spread};
use crate::codebook::{CodecFigures, TensorBook, TensorFigures};
use crate::run::RunError;

/// So many samples are timed, with nothing beside them.
const TIMED: usize = 24;

/// A measured sample, as far as the cut, and the model's answer.
struct Reference {
    /// Its index among all that are held.
    sample: usize,
    below: Below,
    outputs: Vec<Tensor>,
}

/// A judge, and what it wants to know of all references.
struct Judging<'a> {
    judge: &'a dyn Judge,
    variances: Vec<f64>,
}

/// What a level makes of one sample.
struct Shown {
    /// Of each tensor: bytes, and the squared error.
    tensors: Vec<(usize, f64)>,
    disagreement: f64,
    right: Option<f64>,
}

/// Codecs without books that are measured beside the levels, so that a limit of the loss holds for them too.
const OTHERS: [Codec; 2] = [Codec::Int8, Codec::F16];

/// The figures of [`OTHERS`], and of the levels from the coarsest to the first whose answers are all those of the model.
pub(super) fn codecs<S: Sample>(
    parts: &Parts,
    tensors: &[TensorBook],
    held: &Held<S>,
    judge: &dyn Judge,
    options: &Options,
    watch: Watch<'_>,
) -> Result<Vec<CodecFigures>, RunError> {
    let references = references(parts, held, options)?;
    let variances = variances(references.iter().map(|it| it.below.live.as_slice()));
    let judging = Judging { judge, variances: self::variances(references.iter().map(|it| it.outputs.as_slice())) };
    let accuracy = mean(references.iter().filter_map(|it| judge.rightness(it.sample, &it.outputs)));
    let levels = (1..=LEVELS).map(|level| Codec::Features { level, book: None });
    let all: Vec<Codec> = OTHERS.into_iter().chain(levels).collect();
    let total = all.len() * references.len();
    let mut measured = Vec::new();
    for (turn, codec) in all.iter().enumerate() {
        let codecs: Vec<Codec> = tensors.iter().map(|tensor| of_tensor(codec, tensor)).collect();
        let run = |at: usize| shown(parts, &codecs, &references[at], &judging);
        let before = turn * references.len();
        let shown =
            in_parallel(references.len(), options.threads, run, |done| watch(Phase::Measuring, before + done, total))?;
        let figures = |(at, codec): (usize, &Codec)| {
            let [encode_ms, decode_ms] = times(codec, &references, at)?;
            let bytes = mean(shown.iter().map(|it| it.tensors[at].0 as f64)).unwrap_or(0.0);
            let error = mean(shown.iter().map(|it| it.tensors[at].1)).unwrap_or(0.0);
            let distortion = if error == 0.0 { 0.0 } else { error / variances[at].max(f64::MIN_POSITIVE) };
            Ok(TensorFigures { bytes, encode_ms, decode_ms, distortion })
        };
        let tensors = codecs.iter().enumerate().map(figures).collect::<Result<Vec<_>, RunError>>()?;
        let disagreement = mean(shown.iter().map(|it| it.disagreement)).unwrap_or(0.0);
        let right = mean(shown.iter().filter_map(|it| it.right));
        let accuracy_loss = accuracy.zip(right).map(|(without, with)| without - with);
        measured.push(CodecFigures { codec: codec.to_string(), tensors, disagreement, accuracy_loss });
        if disagreement == 0.0 && matches!(codec, Codec::Features { .. }) {
            break;
        }
    }
    Ok(measured)
}

/// The codec with the book of a tensor; `lossless` where it needs one and there is none.
fn of_tensor(codec: &Codec, tensor: &TensorBook) -> Codec {
    match (codec, &tensor.book) {
        (Codec::Features { .. }, None) => Codec::Lossless,
        (_, Some(book)) => codec.clone().with_book(book),
        (_, None) => codec.clone(),
    }
}

fn references<S: Sample>(parts: &Parts, held: &Held<S>, options: &Options) -> Result<Vec<Reference>, RunError> {
    let samples = held.all();
    let run = |sample: usize| {
        let below = parts.below(&samples[sample].inputs()?)?;
        let outputs = parts.above(&below, &below.live)?;
        Ok(Reference { sample, below, outputs })
    };
    let Some(first) = (0..samples.len()).next().map(run).transpose()? else { return Ok(Vec::new()) };
    let bytes: u64 = first.below.live.iter().chain(&first.outputs).map(|tensor| tensor.spec().bytes().0).sum();
    let affordable = (KEPT_BYTES_MAX as u64 / bytes.max(1)).max(1) as usize;
    let chosen = spread(samples.len(), options.measured_max.min(affordable));
    in_parallel(chosen.len(), options.threads, |at| run(chosen[at]), |_| {})
}

fn shown(parts: &Parts, codecs: &[Codec], reference: &Reference, judging: &Judging<'_>) -> Result<Shown, RunError> {
    let mut stream = Vec::new();
    let (mut tensors, mut carried) = (Vec::new(), Vec::new());
    for (codec, tensor) in codecs.iter().zip(&reference.below.live) {
        stream.clear();
        codec.encode(tensor, &mut stream)?;
        let decoded = codec.decode(tensor.spec(), &stream)?;
        tensors.push((stream.len(), squared_error(tensor, &decoded)));
        carried.push(decoded);
    }
    let outputs = parts.above(&reference.below, &carried)?;
    Ok(Shown {
        tensors,
        disagreement: judging.judge.disagreement(&reference.outputs, &outputs, &judging.variances),
        right: judging.judge.rightness(reference.sample, &outputs),
    })
}

/// The mean squared difference of two tensors of floats; 0 for others, which travel exactly.
fn squared_error(original: &Tensor, decoded: &Tensor) -> f64 {
    let (Some(original), Some(decoded)) = (elements(original), elements(decoded)) else { return 0.0 };
    mean(original.iter().zip(&decoded).map(|(one, other)| f64::from(one - other).powi(2))).unwrap_or(0.0)
}

/// The variance of each tensor's elements over all samples; 0 for one that is not of floats.
pub(super) fn variances<'a>(samples: impl Iterator<Item = &'a [Tensor]> + Clone) -> Vec<f64> {
    let tensors = samples.clone().next().map_or(0, <[Tensor]>::len);
    let one = |at: usize| {
        let values = || samples.clone().filter_map(|tensors| elements(tensors.get(at)?)).flatten().map(f64::from);
        let average = mean(values()).unwrap_or(0.0);
        mean(values().map(|value| (value - average).powi(2))).unwrap_or(0.0)
    };
    (0..tensors).map(one).collect()
}

/// Median milliseconds to encode and to decode a live tensor; the first sample fills caches and does not count.
fn times(codec: &Codec, references: &[Reference], at: usize) -> Result<[f64; 2], RunError> {
    let chosen = spread(references.len(), TIMED);
    let mut times = [Vec::new(), Vec::new()];
    let mut stream = Vec::new();
    for sample in chosen.first().into_iter().chain(&chosen) {
        let tensor = &references[*sample].below.live[at];
        stream.clear();
        let start = Instant::now();
        codec.encode(tensor, &mut stream)?;
        let encoded = Instant::now();
        codec.decode(tensor.spec(), &stream)?;
        times[1].push(encoded.elapsed().as_secs_f64() * 1e3);
        times[0].push((encoded - start).as_secs_f64() * 1e3);
    }
    Ok(times.map(|mut times| {
        times.drain(..times.len().min(1));
        times.sort_by(f64::total_cmp);
        times.get(times.len() / 2).copied().unwrap_or(0.0)
    }))
}

/// `None` of nothing.
pub(super) fn mean(numbers: impl Iterator<Item = f64>) -> Option<f64> {
    let (count, sum) = numbers.fold((0_u64, 0.0), |(count, sum), number| (count + 1, sum + number));
    (count > 0).then(|| sum / count as f64)
}
