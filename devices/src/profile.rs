//! Measures how long the parts of a model take on this machine.
//!
//! What is timed are prefixes: everything up to a cut, optimised as it would be deployed, because fused layers do not add
//! up. The difference between two prefixes is the time of what lies between; inside it, layers share it in proportion to
//! an estimate from their class.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use thalweg_planner::{Graph, Layer, MacRate, OpClass, Separator, Tensor, duration};

use crate::backend::Backends;
use crate::device::DeviceProfile;
use crate::error::StageError;
use crate::model::Model;
use crate::stage::Stage;

/// How much time to spend on measuring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effort {
    /// Prefixes that are timed, the whole model among them.
    pub prefixes_max: usize,
    /// Runs of each prefix.
    pub runs_max: usize,
    /// Time after which no further run of a prefix starts; three runs are always made.
    pub budget: Duration,
    /// What all prefixes may take together: where a model is slow, fewer are timed, but never less than four.
    pub total: Duration,
}

impl Effort {
    /// A few seconds for a small network: enough to plan one run.
    pub const QUICK: Self =
        Self { prefixes_max: 16, runs_max: 9, budget: Duration::from_millis(250), total: Duration::from_secs(5) };
    /// For a profile that is kept.
    pub const THOROUGH: Self =
        Self { prefixes_max: 64, runs_max: 31, budget: Duration::from_secs(2), total: Duration::from_secs(150) };
}

/// Fewer prefixes tell next to nothing of where a model's time goes.
const PREFIXES_MIN: usize = 4;

/// The time of everything up to a cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrefixTime {
    /// How many layers it runs.
    pub layers: usize,
    /// The median of its runs.
    #[serde(with = "duration")]
    pub median: Duration,
    /// Half the distance between the quartiles of its runs.
    #[serde(with = "duration")]
    pub spread: Duration,
}

/// Times prefixes of `model` on `inputs`; `progress` hears how many are done, of how many.
///
/// `candidates` are the cuts to choose from. The last prefix is always the whole model. Each is timed on the backend on which
/// it is fastest.
pub fn measure(
    model: &Model,
    graph: &Graph,
    candidates: &[Separator],
    inputs: &[Tensor],
    (effort, backends): (Effort, &Backends),
    mut progress: impl FnMut(usize, usize),
) -> Result<Vec<PrefixTime>, StageError> {
    let whole = prefix(&backends.prepare(model.whole_part()?)?, graph.layers.len(), inputs, effort)?;
    let chosen = spread_out(graph, candidates, count(whole.median, effort));
    let total = chosen.len();
    let mut times = Vec::with_capacity(total + 1);
    for (done, separator) in chosen.into_iter().enumerate() {
        progress(done, total);
        // With the outputs that are made below the cut: layers that nothing needs would be dropped, and not timed.
        let gives = [separator.live, graph.outputs_of(0..separator.at)].concat();
        let layers: Vec<usize> = (0..separator.at).collect();
        let head = backends.prepare(model.partition(&layers, &graph.inputs, &gives)?)?;
        times.push(prefix(&head, separator.at, inputs, effort)?);
    }
    times.push(whole);
    progress(total, total);
    Ok(times)
}

/// Gives every layer of `graph` its time on the machine that was measured.
pub fn apply(graph: &mut Graph, prefixes: &[PrefixTime]) {
    let mut from = (0, 0.0);
    for (prefix, until_s) in prefixes.iter().zip(never_falling(prefixes)) {
        // Prefixes can come from a file that somebody has written: one out of order says nothing.
        let layers = from.0..prefix.layers.min(graph.layers.len()).max(from.0);
        let weights: Vec<f64> = layers.clone().map(|layer| estimate_s(graph, &graph.layers[layer])).collect();
        let sum: f64 = weights.iter().sum();
        for (layer, weight) in graph.layers[layers.clone()].iter_mut().zip(&weights) {
            layer.reference = Duration::from_secs_f64((until_s - from.1) * weight / sum.max(f64::MIN_POSITIVE));
        }
        if !layers.is_empty() {
            from = (layers.end, until_s);
        }
    }
}

/// Writes into `profile` what its convolutions and depthwise convolutions reach in `graph`, which was timed on it; where
/// another backend than the CPU may compute, its products of matrices too.
///
/// A class that takes less than a hundredth of the model's time is left out: its share is too uncertain.
pub fn class_rates(graph: &Graph, backends: &Backends, profile: &mut DeviceProfile) {
    let time_s =
        |layers: &mut dyn Iterator<Item = &Layer>| layers.map(|layer| layer.reference.as_secs_f64()).sum::<f64>();
    let whole_s = time_s(&mut graph.layers.iter());
    let rate = |class: OpClass| {
        let of_class = || graph.layers.iter().filter(|layer| layer.class == class);
        let macs: u64 = of_class().map(|layer| layer.macs.0).sum();
        let class_s = time_s(&mut of_class());
        (macs > 0 && class_s > whole_s / 100.0).then(|| MacRate((macs as f64 / class_s) as u64))
    };
    profile.convolution = rate(OpClass::Convolution);
    profile.depthwise = rate(OpClass::Depthwise);
    if let (Some(product), Some(others)) = (rate(OpClass::MatrixProduct), backends.beside_cpu()) {
        // What one core of the CPU reaches says nothing of them.
        profile.matrix_product = product;
        profile.title = format!("{}, {others}", profile.title);
    }
}

/// At most `max - 1` of the candidates, as even as possible in estimated time.
fn spread_out(graph: &Graph, candidates: &[Separator], max: usize) -> Vec<Separator> {
    let mut until_s = vec![0.0];
    for layer in &graph.layers {
        until_s.push(until_s[until_s.len() - 1] + estimate_s(graph, layer));
    }
    let whole_s = until_s[graph.layers.len()];
    let mut chosen: Vec<Separator> = Vec::new();
    for candidate in candidates {
        let due_s = whole_s * (chosen.len() + 1) as f64 / max.max(1) as f64;
        if until_s[candidate.at] >= due_s && chosen.len() + 1 < max {
            chosen.push(candidate.clone());
        }
    }
    chosen
}

/// A first guess at a layer's time, used only to share out what was measured.
///
/// The rates are what the engine reached on one core of an x86 server with AVX-512, in multiply-adds a second and bytes a
/// second; only their ratios matter here.
fn estimate_s(graph: &Graph, layer: &Layer) -> f64 {
    let rate = match layer.class {
        OpClass::Convolution | OpClass::MatrixProduct => 40e9,
        OpClass::Depthwise => 6e9,
        OpClass::MemoryBound => 2e9,
    };
    let moved: u64 = layer.reads.iter().chain(&layer.writes).map(|tensor| graph.tensors[*tensor].spec.bytes().0).sum();
    layer.macs.0 as f64 / rate + moved as f64 / 20e9 + 1e-7
}

/// Noise can make a longer prefix look faster: neighbours that are out of order are replaced by their mean (the pool
/// adjacent violators algorithm), which is the nearest never-falling sequence in least squares.
fn never_falling(prefixes: &[PrefixTime]) -> Vec<f64> {
    let mut pools: Vec<(f64, usize)> = Vec::new();
    for prefix in prefixes {
        let mut pool = (prefix.median.as_secs_f64(), 1);
        while let Some(last) = pools.pop_if(|last| last.0 > pool.0) {
            let count = last.1 + pool.1;
            pool = ((last.0 * last.1 as f64 + pool.0 * pool.1 as f64) / count as f64, count);
        }
        pools.push(pool);
    }
    pools.into_iter().flat_map(|(value, count)| std::iter::repeat_n(value, count)).collect()
}

/// How many prefixes are timed of a model that takes `whole`: a prefix takes half as long in the mean, and runs four times.
fn count(whole: Duration, effort: Effort) -> usize {
    let each_s = (2.0 * whole.as_secs_f64()).max(f64::MIN_POSITIVE);
    let fit = (effort.total.as_secs_f64() / each_s) as usize;
    fit.clamp(PREFIXES_MIN.min(effort.prefixes_max), effort.prefixes_max)
}

fn prefix(stage: &Stage, layers: usize, inputs: &[Tensor], effort: Effort) -> Result<PrefixTime, StageError> {
    let Times { median, spread, .. } = time(effort, || stage.run(inputs).map(drop))?;
    Ok(PrefixTime { layers, median, spread })
}

/// How long something takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// The fastest of its runs.
    pub least: Duration,
    /// The median of its runs.
    pub median: Duration,
    /// Half the distance between the quartiles of its runs.
    pub spread: Duration,
}

/// Times `run`: once without counting, then until the effort is spent, but at least three times.
pub fn time<E>(effort: Effort, mut run: impl FnMut() -> Result<(), E>) -> Result<Times, E> {
    let started = Instant::now();
    run()?;
    let mut runs = Vec::with_capacity(effort.runs_max);
    while runs.len() < 3 || (runs.len() < effort.runs_max && started.elapsed() < effort.budget) {
        let run_started = Instant::now();
        run()?;
        runs.push(run_started.elapsed());
    }
    runs.sort_unstable();
    let quartile = |quarters: usize| runs[(runs.len() - 1) * quarters / 4];
    Ok(Times { least: runs[0], median: quartile(2), spread: (quartile(3) - quartile(1)) / 2 })
}

#[cfg(test)]
mod tests {
    use thalweg_planner::{Bytes, Macs, Pin};

    use super::*;

    fn prefix(layers: usize, median_ms: u64) -> PrefixTime {
        PrefixTime { layers, median: Duration::from_millis(median_ms), spread: Duration::ZERO }
    }

    fn graph(macs: &[u64]) -> Graph {
        let layer = |macs: &u64| Layer {
            name: String::new(),
            op: String::new(),
            class: OpClass::Convolution,
            macs: Macs(*macs),
            weights: Bytes(0),
            reference: Duration::ZERO,
            reads: vec![],
            writes: vec![],
            pin: Pin::Anywhere,
        };
        Graph { layers: macs.iter().map(layer).collect(), ..Graph::default() }
    }

    #[test]
    fn a_prefix_out_of_order_says_nothing() {
        let mut graph = graph(&[1, 1]);
        apply(&mut graph, &[prefix(2, 8), prefix(1, 10), prefix(9, 12)]);
        assert_eq!(graph.layers.iter().map(|layer| layer.reference).sum::<Duration>(), Duration::from_millis(8));
    }

    #[test]
    fn layers_share_what_was_measured_between_two_prefixes() {
        let mut graph = graph(&[40_000_000, 120_000_000, 80_000_000]);
        apply(&mut graph, &[prefix(2, 8), prefix(3, 10)]);
        let ms: Vec<u128> = graph.layers.iter().map(|layer| (layer.reference.as_micros() + 500) / 1000).collect();
        assert_eq!(ms, [2, 6, 2]);
    }

    #[test]
    fn noise_never_makes_a_layer_faster_than_nothing() {
        assert_eq!(never_falling(&[prefix(1, 4), prefix(2, 2), prefix(3, 9)]), [0.003, 0.003, 0.009]);
        let mut graph = graph(&[1, 1, 1]);
        apply(&mut graph, &[prefix(1, 4), prefix(2, 2), prefix(3, 9)]);
        let sum: Duration = graph.layers.iter().map(|layer| layer.reference).sum();
        assert_eq!(sum.as_millis(), 9);
    }
}
