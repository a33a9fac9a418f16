//! Graphs and topologies for tests: random ones, and a small network that one can follow by hand.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::subsequence;

use crate::{
    Bandwidth, Bytes, Coding, DType, Direction, Graph, Layer, Link, Macs, OpClass, Slowdown, TensorCost, TensorSpec,
    Tier, Topology,
};

/// The codecs that random tensors offer some of.
pub(crate) const CODECS: [&str; 3] = ["f32", "f16", "int8"];

const CLASSES: [OpClass; 4] = [OpClass::Convolution, OpClass::Depthwise, OpClass::MatrixProduct, OpClass::MemoryBound];

/// Up to eight layers and two inputs. Layers write one or two tensors and read any that exist, so there are skips,
/// tensors with several readers and tensors that nobody reads; any tensor may be an output, inputs included.
pub(crate) fn any_graph() -> impl Strategy<Value = Graph> {
    (1_usize..3, vec((1_usize..3, vec(any::<prop::sample::Index>(), 0..4), any_work()), 0..9))
        .prop_flat_map(|(inputs, layers)| {
            let tensors = inputs + layers.iter().map(|(writes, ..)| writes).sum::<usize>();
            let outputs = vec(0..tensors, 0..4);
            (Just(inputs), Just(layers), vec(any_tensor(), tensors), outputs)
        })
        .prop_map(|(inputs, layers, tensors, outputs)| {
            let mut exist = inputs;
            let layers = layers.into_iter().enumerate().map(|(at, (writes, reads, work))| {
                let reads = reads.iter().map(|read| read.index(exist)).collect();
                exist += writes;
                Layer { name: format!("layer{at}"), reads, writes: (exist - writes..exist).collect(), ..work }
            });
            Graph { layers: layers.collect(), tensors, inputs: (0..inputs).collect(), outputs }
        })
}

fn any_work() -> impl Strategy<Value = Layer> {
    // Few different times, so that there are ties.
    (0_usize..4, 0_u64..4, 0_u64..5).prop_map(|(class, millis, weights)| Layer {
        name: String::new(),
        op: "Op".to_owned(),
        class: CLASSES[class],
        macs: Macs(millis),
        weights: Bytes(weights * 1000),
        reference: Duration::from_millis(millis),
        reads: Vec::new(),
        writes: Vec::new(),
    })
}

fn any_tensor() -> impl Strategy<Value = TensorCost> {
    let codecs = prop_oneof![3 => Just(CODECS.to_vec()), 1 => subsequence(CODECS.to_vec(), 0..=3)];
    (1_usize..2000, codecs, vec((0_u64..3, 0_u64..3), 3)).prop_map(|(len, codecs, micros)| {
        let spec = TensorSpec::new(DType::F32, [len]);
        let coding = |(codec, (encode, decode)): (&str, (u64, u64))| Coding {
            codec: codec.to_owned(),
            bytes: Bytes(spec.bytes().0 / CODECS.iter().position(|name| *name == codec).map_or(1, |at| 1 << at)),
            encode: Duration::from_micros(encode * 100),
            decode: Duration::from_micros(decode * 100),
        };
        TensorCost {
            name: format!("tensor of {len}"),
            codings: codecs.into_iter().zip(micros).map(coding).collect(),
            spec,
        }
    })
}

/// One to four tiers. Speeds and links differ by tens, and memory is often scarce.
pub(crate) fn any_topology() -> impl Strategy<Value = Topology> {
    vec((any_tier(), any_link()), 1..5).prop_map(|tiers| {
        let (mut tiers, mut links): (Vec<_>, Vec<_>) = tiers.into_iter().unzip();
        links.pop();
        tiers.iter_mut().enumerate().for_each(|(index, tier): (usize, &mut Tier)| tier.name = format!("tier{index}"));
        Topology { tiers, links }
    })
}

fn any_tier() -> impl Strategy<Value = Tier> {
    let factor = || prop_oneof![Just(0.1), Just(1.0), Just(7.3)];
    let memory = prop_oneof![2 => Just(1 << 30), 1 => 5_000_u64..40_000];
    (memory, factor(), factor(), factor(), factor()).prop_map(
        |(memory, convolution, depthwise, matrix_product, memory_bound)| {
            let slowdown = Slowdown { convolution, depthwise, matrix_product, memory_bound };
            Tier { name: String::new(), memory: Bytes(memory), slowdown }
        },
    )
}

fn any_link() -> impl Strategy<Value = Link> {
    let direction = || {
        (prop_oneof![Just(1_u64), Just(10), Just(500)], 0_u64..3).prop_map(|(mbit, millis)| Direction {
            bandwidth: Bandwidth(mbit * 1_000_000),
            delay: Duration::from_millis(millis),
        })
    };
    (direction(), direction()).prop_map(|(up, down)| Link { up, down })
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
    };
    let link = |mbit: u64, millis: u64| {
        let direction = Direction { bandwidth: Bandwidth(mbit * 1_000_000), delay: Duration::from_millis(millis) };
        Link { up: direction, down: direction }
    };
    Topology {
        tiers: vec![tier("device", 2_000_000, 8.0), tier("edge", 64_000_000, 2.0), tier("cloud", 1 << 34, 0.5)],
        links: vec![link(20, 2), link(100, 10)],
    }
}
