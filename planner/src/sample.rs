//! Graphs and topologies for tests: random ones, and a small network that one can follow by hand.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::subsequence;

use crate::{
    Bandwidth, Bytes, Coding, DType, Direction, Exit, Goal, Graph, Layer, Link, Loss, Macs, Measure, OpClass, Pin,
    Slowdown, TensorCost, TensorSpec, Tier, Topology,
};

/// The codecs that random tensors offer some of.
pub(crate) const CODECS: [&str; 3] = ["f32", "f16", "int8"];

const CLASSES: [OpClass; 4] = [OpClass::Convolution, OpClass::Depthwise, OpClass::MatrixProduct, OpClass::MemoryBound];

/// Up to ten layers and two inputs. Layers write one or two tensors and read any that exist, so there are skips,
/// tensors with several readers and tensors that nobody reads; any tensor may be an output, inputs included, and some
/// are exits.
pub(crate) fn any_graph() -> impl Strategy<Value = Graph> {
    let layers = prop_oneof![4 => 0_usize..7, 1 => 7_usize..11];
    (
        1_usize..3,
        layers.prop_flat_map(|layers| vec((1_usize..3, vec(any::<prop::sample::Index>(), 0..4), any_work()), layers)),
    )
        .prop_flat_map(|(inputs, layers)| {
            let tensors = inputs + layers.iter().map(|(writes, ..)| writes).sum::<usize>();
            let outputs = vec(0..tensors, 0..4);
            let exits = prop_oneof![4 => Just(Vec::new()), 1 => vec(any_exit(), 1..3)];
            (Just(inputs), Just(layers), vec(any_tensor(), tensors), outputs, exits)
        })
        .prop_map(|(inputs, layers, tensors, outputs, exits)| {
            let mut exist = inputs;
            let layers = layers.into_iter().enumerate().map(|(at, (writes, reads, work))| {
                let reads = reads.iter().map(|read| read.index(exist)).collect();
                exist += writes;
                Layer { name: format!("layer{at}"), reads, writes: (exist - writes..exist).collect(), ..work }
            });
            let layers: Vec<Layer> = layers.collect();
            let written = |output: &&usize| **output >= inputs;
            let mut ends: Vec<usize> = outputs.iter().filter(written).copied().collect();
            ends.sort_unstable();
            let decider = |output: &usize| layers.iter().position(|layer: &Layer| layer.writes.contains(output));
            ends.dedup_by_key(|output| decider(output));
            let exits = exits.into_iter().zip(ends).map(|(exit, output)| Exit { output, ..exit }).collect();
            Graph { layers, tensors, inputs: (0..inputs).collect(), outputs, exits }
        })
}

fn any_exit() -> impl Strategy<Value = Exit> {
    let probability = prop_oneof![Just(0.25), Just(0.5), Just(0.9)];
    (probability, 0_u64..3).prop_map(|(probability, loss)| Exit { output: 0, probability, loss: Loss(loss * 1000) })
}

fn any_work() -> impl Strategy<Value = Layer> {
    // Few different times, so that there are ties.
    let pin = prop_oneof![10 => Just(Pin::Anywhere), 1 => Just(Pin::Stays), 1 => Just(Pin::NeedsGpu)];
    (0_usize..4, 0_u64..4, 0_u64..5, pin).prop_map(|(class, millis, weights, pin)| Layer {
        name: String::new(),
        op: "Op".to_owned(),
        class: CLASSES[class],
        macs: Macs(millis),
        weights: Bytes(weights * 1000),
        reference: Duration::from_millis(millis),
        reads: Vec::new(),
        writes: Vec::new(),
        pin,
    })
}

fn any_tensor() -> impl Strategy<Value = TensorCost> {
    let codecs = prop_oneof![3 => Just(CODECS.to_vec()), 1 => subsequence(CODECS.to_vec(), 0..=3)];
    (1_usize..2000, codecs, vec((0_u64..3, 0_u64..3, 0_u64..3), 3)).prop_map(|(len, codecs, micros)| {
        let spec = TensorSpec::new(DType::F32, [len]);
        let coding = |(codec, (encode, decode, loss)): (&str, (u64, u64, u64))| Coding {
            codec: codec.to_owned(),
            bytes: Bytes(spec.bytes().0 / CODECS.iter().position(|name| *name == codec).map_or(1, |at| 1 << at)),
            encode: Duration::from_micros(encode * 100),
            decode: Duration::from_micros(decode * 100),
            loss: Loss(loss * 1000),
        };
        TensorCost {
            name: format!("tensor of {len}"),
            codings: codecs.into_iter().zip(micros).map(coding).collect(),
            spec,
        }
    })
}

/// Tiers in a row, each linked with the next. Speeds and links differ by tens, and memory is often scarce.
pub(crate) fn any_chain(tiers: std::ops::Range<usize>) -> impl Strategy<Value = Topology> {
    vec((any_tier(), any_direction(), any_direction()), tiers).prop_map(|tiers| {
        let mut chain = Topology::default();
        for (at, (tier, up, down)) in tiers.into_iter().enumerate() {
            chain.tiers.push(Tier { name: format!("tier{at}"), ..tier });
            if let Some(below) = at.checked_sub(1) {
                chain.links.extend([
                    Link { from: below, to: at, direction: up },
                    Link { from: at, to: below, direction: down },
                ]);
            }
        }
        chain
    })
}

/// Up to four tiers, any pair of which may be linked, in one direction or both.
pub(crate) fn any_topology() -> impl Strategy<Value = Topology> {
    (1_usize..5).prop_flat_map(|tiers| {
        let links = vec(prop::option::weighted(0.7, any_direction()), tiers * tiers);
        (vec(any_tier(), tiers), links).prop_map(move |(mut all, directions)| {
            all.iter_mut().enumerate().for_each(|(at, tier)| tier.name = format!("tier{at}"));
            let ends = (0..tiers).flat_map(|from| (0..tiers).map(move |to| (from, to)));
            let links = ends.zip(directions).filter(|((from, to), _)| from != to);
            let links = links.filter_map(|((from, to), direction)| Some(Link { from, to, direction: direction? }));
            Topology { links: links.collect(), tiers: all }
        })
    })
}

fn any_tier() -> impl Strategy<Value = Tier> {
    let factor = || prop_oneof![Just(0.1), Just(1.0), Just(7.3)];
    let memory = prop_oneof![2 => Just(1 << 30), 1 => 5_000_u64..40_000];
    let money = || prop_oneof![Just(0.0), Just(1.0), Just(5.0)];
    (memory, factor(), factor(), factor(), factor(), any::<bool>(), money(), money()).prop_map(
        |(memory, convolution, depthwise, matrix_product, memory_bound, gpu, watts, price_hour)| {
            let slowdown = Slowdown { convolution, depthwise, matrix_product, memory_bound };
            Tier { name: String::new(), memory: Bytes(memory), slowdown, gpu, watts, price_hour }
        },
    )
}

pub(crate) fn any_direction() -> impl Strategy<Value = Direction> {
    let tens = || prop_oneof![Just(0.0), Just(10.0), Just(100.0)];
    (prop_oneof![Just(1_u64), Just(10), Just(500)], 0_u64..3, tens(), tens()).prop_map(
        |(mbit, millis, joules, price)| Direction {
            bandwidth: Bandwidth(mbit * 1_000_000),
            delay: Duration::from_millis(millis),
            nanojoules_byte: joules,
            price_gb: price,
        },
    )
}

/// One measure, or all that add up with weights that make them matter alike.
pub(crate) fn any_additive_goal() -> impl Strategy<Value = Goal> {
    let mixed = Goal { latency: 1.0, interval: 0.0, energy: 0.2, bytes: 300.0, price: 4.0 };
    let single = [Measure::Latency, Measure::Energy, Measure::Bytes, Measure::Price].map(Goal::least);
    prop_oneof![3 => Just(Goal::least(Measure::Latency)), 2 => prop::sample::select(single.to_vec()), 1 => Just(mixed)]
}

/// Without limits of memory.
pub(crate) fn roomy(mut topology: Topology) -> Topology {
    topology.tiers.iter_mut().for_each(|tier| tier.memory = Bytes(1 << 30));
    topology
}

/// A photo through three layers: `conv` shrinks it, `pool` shrinks it more, `fc` has the weights.
pub(crate) fn network() -> Graph {
    let tensor = |name: &str, shape: &[usize], levels: &[(&str, u64)]| {
        let spec = TensorSpec::new(DType::F32, shape);
        let coding = |(codec, share): &(&str, u64)| Coding {
            codec: (*codec).to_owned(),
            bytes: Bytes(spec.bytes().0 / share),
            encode: Duration::from_micros(100 * (share - 1)),
            decode: Duration::from_micros(50 * (share - 1)),
            loss: Loss(share - 1),
        };
        TensorCost { name: name.to_owned(), codings: levels.iter().map(coding).collect(), spec }
    };
    let layer = |name: &str, class, millis, weights, reads, writes| Layer {
        name: name.to_owned(),
        op: name.to_owned(),
        class,
        macs: Macs(0),
        weights: Bytes(weights),
        reference: Duration::from_millis(millis),
        reads: vec![reads],
        writes: vec![writes],
        pin: Pin::Anywhere,
    };
    Graph {
        layers: vec![
            layer("conv", OpClass::Convolution, 2, 10_000, 0, 1),
            layer("pool", OpClass::MemoryBound, 1, 0, 1, 2),
            layer("fc", OpClass::MatrixProduct, 4, 5_000_000, 2, 3),
        ],
        tensors: vec![
            tensor("photo", &[3, 224, 224], &[("f32", 1), ("jpeg/90", 40)]),
            tensor("features", &[32, 28, 28], &[("f32", 1), ("f16", 2)]),
            tensor("pooled", &[1280], &[("f32", 1), ("f16", 2)]),
            tensor("logits", &[1000], &[("f32", 1)]),
        ],
        inputs: vec![0],
        outputs: vec![3],
        exits: Vec::new(),
    }
}

/// A slow device with little memory, an edge and a fast cloud.
pub(crate) fn path() -> Topology {
    let tier = |name: &str, memory: u64, slowdown: f64| Tier {
        name: name.to_owned(),
        memory: Bytes(memory),
        slowdown: Slowdown {
            convolution: slowdown,
            depthwise: slowdown,
            matrix_product: slowdown,
            memory_bound: slowdown,
        },
        gpu: false,
        watts: 0.0,
        price_hour: 0.0,
    };
    let direction = |mbit: u64, millis: u64| Direction::new(Bandwidth(mbit * 1_000_000), Duration::from_millis(millis));
    let link = |from, to, mbit, millis| Link { from, to, direction: direction(mbit, millis) };
    Topology {
        tiers: vec![tier("device", 2_000_000, 8.0), tier("edge", 64_000_000, 2.0), tier("cloud", 1 << 34, 0.5)],
        links: vec![link(0, 1, 20, 2), link(1, 0, 20, 2), link(1, 2, 100, 10), link(2, 1, 100, 10)],
    }
}
