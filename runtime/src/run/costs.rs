//! Gives the planner what it needs to know: how long layers and codecs take, and what the tiers and links are capable
//! of.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use thalweg_codec::{Bound, Codec, Pixels};
use thalweg_devices::device::DeviceProfile;
use thalweg_devices::profile::{self, Effort, PrefixTime};
use thalweg_devices::{Model, cuts};
use thalweg_modules::random;
use thalweg_planner::{
    Bandwidth, Bytes, Coding, Direction, Graph, Link, Loss, Pin, Slowdown, Tensor, TensorId, TensorSpec, Tier, Topology,
};

use super::error::RunError;
use super::levels::{level_codings, measured_loss};
use super::load::Subject;
use crate::config::{self, Pipeline};
use crate::steps::{Body, MODULE_OP, Step, StepTime};

/// An unshaped loopback, as `cargo bench --bench round_trip` finds it on a small machine.
const LOOPBACK: Direction = Direction::new(Bandwidth(4_000_000_000), Duration::from_micros(30));
/// How people send inputs today.
const COMMON: [&str; 3] = ["f32", "jpeg/90", "webp/90"];
/// What a codec that is not exact loses is known only where the pipeline says it: else it is no choice under a limit of
/// the loss.
const NOT_MEASURED: Loss = Loss(1_000_000);
/// How often a codec is timed; the median counts.
const RUNS: usize = 3;

/// Which speed a tier with a device profile has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speed {
    /// The one of its profile, for plans that are not run here.
    Profiled,
    /// The one that this machine can show: that of its profile when it is emulated and slower, else its own.
    Shown,
}

/// Times each step on what goes into it: of models prefixes, unless `known` has their times. `progress` hears how many
/// measurements of a step are done, of how many.
pub fn measure_steps(
    subject: &Subject,
    effort: Effort,
    live_max: usize,
    known: impl Fn(&Model) -> Option<Vec<PrefixTime>>,
    mut progress: impl FnMut(usize, usize),
) -> Result<Vec<StepTime>, RunError> {
    let time = |step: &Step| match &step.body {
        Body::Model { model, graph, .. } => Ok(StepTime::Model(match known(model) {
            Some(times) => times,
            None => {
                let candidates = cuts(model, graph, live_max);
                profile::measure(
                    model,
                    graph,
                    &candidates,
                    &step.inputs,
                    (effort, subject.steps.backends()),
                    &mut progress,
                )?
            }
        })),
        Body::Module { module, .. } => {
            Ok(StepTime::Module(profile::time(effort, || module.run(&step.inputs).map(drop))?.median))
        }
    };
    subject.steps.all().iter().map(time).collect()
}

/// The subject's graph with the times that were measured, and for every tensor that can travel its codings.
pub fn priced_graph(subject: &Subject, times: &[StepTime], codecs: &[Codec]) -> Graph {
    let mut graph = subject.steps.timed(times);
    // The baselines send inputs like that even when the pipeline does not list it.
    let common = COMMON.iter().filter_map(|name| name.parse().ok()).filter(|codec| !codecs.contains(codec));
    let common: Vec<Codec> = common.collect();
    let mut priced: BTreeMap<(String, String), Option<Coding>> = BTreeMap::new();
    let (levels, others): (Vec<&Codec>, Vec<&Codec>) =
        common.iter().chain(codecs).partition(|codec| matches!(codec, Codec::Features { .. }));
    for codec in others {
        for (id, tensor) in graph.tensors.iter_mut().enumerate().filter(|(id, _)| subject.steps.travels(*id)) {
            let coding = match (codec, subject.steps.sample(id)) {
                (Codec::Picture { .. }, _) => as_picture(subject, id, codec.clone()),
                (_, Some(sample)) => coding(codec, sample),
                (_, None) => {
                    let spec = &tensor.spec;
                    let key = (codec.to_string(), spec.to_string());
                    priced.entry(key).or_insert_with(|| any_values(codec, spec)).clone()
                }
            };
            // Nobody has measured what an index or a score that is a little off does: what modules make travels exactly,
            // unless the pipeline says what that codec loses.
            let is_known = |name: &str| subject.pipeline.as_ref().is_some_and(|of| of.losses.contains_key(name));
            let is_allowed =
                |coding: &Coding| coding.loss == Loss(0) || !subject.steps.is_of_module(id) || is_known(&coding.codec);
            tensor.codings.extend(coding.filter(is_allowed).map(|coding| {
                match measured_loss(subject, id, &coding.codec) {
                    Some(loss) if coding.loss == NOT_MEASURED => Coding { loss, ..coding },
                    _ => coding,
                }
            }));
        }
    }
    for (id, tensor) in graph.tensors.iter_mut().enumerate() {
        tensor.codings.extend(level_codings(subject, id, &levels));
    }
    if subject.pipeline.as_ref().is_some_and(|pipeline| pipeline.inputs_stay) {
        // What is left of an input where no model has seen it may not travel either. The planner holds the inputs
        // themselves, and the baselines show what sending those would bring.
        for tensor in subject.steps.raw().into_iter().filter(|tensor| !subject.steps.graph().inputs.contains(tensor)) {
            graph.tensors[tensor].codings.clear();
        }
    }
    if let Some(pipeline) = &subject.pipeline {
        for coding in graph.tensors.iter_mut().flat_map(|tensor| &mut tensor.codings) {
            coding.loss = pipeline.losses.get(&coding.codec).copied().unwrap_or(coding.loss);
        }
    }
    graph
}

/// Pins the layers that a pipeline names to where they may run; the last pin of a layer counts.
pub fn pin(graph: &mut Graph, pipeline: &Pipeline) -> Result<(), RunError> {
    for (names, pin) in [(&pipeline.pins.gpu, Pin::NeedsGpu), (&pipeline.pins.stay, Pin::Stays)] {
        for name in names {
            let layer = graph.layers.iter_mut().find(|layer| layer.name == *name);
            let unknown = || RunError::NoSuchLayer { file: pipeline.file.clone(), name: name.clone() };
            layer.ok_or_else(unknown)?.pin = pin;
        }
    }
    Ok(())
}

/// What such a tensor takes with ordinary values. One that a codec cannot represent, such as an infinity in an
/// attention mask, goes out exactly and takes more than this says; and under `lossless` each tensor takes its own.
fn any_values(codec: &Codec, spec: &TensorSpec) -> Option<Coding> {
    coding(codec, &random::random(spec, 1, None).ok()?)
}

/// What this very photo takes as a picture file; none when the tensor is no photo.
fn as_picture(subject: &Subject, tensor: TensorId, codec: Codec) -> Option<Coding> {
    let (_, pixels) = subject.photos.iter().find(|(photo, _)| *photo == tensor)?;
    let input = subject.steps.graph().inputs.iter().position(|input| *input == tensor)?;
    coding(&with_pixels(codec, *pixels), subject.inputs.get(input)?)
}

/// Tells how long codings and modules take on another machine, when this one takes `slowdown` times as long as that one.
pub fn scale(graph: &mut Graph, slowdown: &Slowdown) {
    let codings = graph.tensors.iter_mut().flat_map(|tensor| &mut tensor.codings);
    let codings = codings.flat_map(|coding| [&mut coding.encode, &mut coding.decode]);
    let modules = graph.layers.iter_mut().filter(|layer| layer.op == MODULE_OP).map(|layer| &mut layer.reference);
    for time in codings.chain(modules) {
        *time = Duration::try_from_secs_f64(time.as_secs_f64() / slowdown.memory_bound).unwrap_or(*time);
    }
}

/// The codec for one photo.
pub(super) fn with_pixels(codec: Codec, pixels: Pixels) -> Codec {
    match codec {
        Codec::Picture { format, quality, .. } => Codec::Picture { format, quality, pixels },
        _ => codec,
    }
}

/// Encodes and decodes a tensor several times; none when the codec cannot carry it.
pub(super) fn coding(codec: &Codec, tensor: &Tensor) -> Option<Coding> {
    let mut stream = Vec::new();
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..RUNS {
        stream.clear();
        let started = Instant::now();
        codec.encode(tensor, &mut stream).ok()?;
        times[0].push(started.elapsed());
        let started = Instant::now();
        codec.decode(tensor.spec(), &stream).ok()?;
        times[1].push(started.elapsed());
    }
    let [encode, decode] = times.map(|mut times| {
        times.sort_unstable();
        times[RUNS / 2]
    });
    let loss = if codec.bound(tensor) == Bound::Exact { Loss(0) } else { NOT_MEASURED };
    Some(Coding { codec: codec.to_string(), bytes: Bytes(stream.len() as u64), encode, decode, loss })
}

/// The topology as the planner sees it, against `reference`, the machine on which the graph was timed.
pub fn priced_topology(topology: &config::Topology, reference: &DeviceProfile, speed: Speed) -> Topology {
    let tier = |tier: &config::Tier| Tier {
        name: tier.name.clone(),
        memory: tier.memory.unwrap_or(reference.memory),
        slowdown: slowdown(tier, reference, speed),
        gpu: tier.gpu,
        watts: tier.watts,
        price_hour: tier.price_hour,
    };
    let both_ways = |link: &config::Link| {
        let ways = link.profile.as_ref().map(|profile| [profile.up.direction(), profile.down.direction()]);
        let [up, down] = ways.unwrap_or([LOOPBACK; 2]).map(|way| Direction {
            nanojoules_byte: link.nanojoules_byte,
            price_gb: link.price_gb,
            ..way
        });
        [Link { from: link.from, to: link.to, direction: up }, Link { from: link.to, to: link.from, direction: down }]
    };
    Topology {
        tiers: topology.tiers.iter().map(tier).collect(),
        links: topology.links.iter().flat_map(both_ways).collect(),
    }
}

fn slowdown(tier: &config::Tier, reference: &DeviceProfile, speed: Speed) -> Slowdown {
    match (&tier.profile, speed) {
        (None, _) => Slowdown::NONE,
        (Some(profile), Speed::Profiled) => profile.slowdown(reference),
        (Some(profile), Speed::Shown) if tier.emulate => at_least_one(profile.slowdown(reference)),
        (Some(_), Speed::Shown) => Slowdown::NONE,
    }
}

/// A machine can be slowed down, never sped up.
fn at_least_one(slowdown: Slowdown) -> Slowdown {
    slowdown.map(|factor| factor.max(1.0))
}
