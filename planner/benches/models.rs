//! ResNet-50 layer by layer, and longer networks of its blocks, with costs as a profile would have them.

use std::time::Duration;

use thalweg_planner::{
    Bandwidth, Bytes, Coding, DType, Direction, Graph, Layer, Link, Loss, Macs, OpClass, Pin, Slowdown, TensorCost,
    TensorId, TensorSpec, Tier, Topology,
};

/// Multiply-adds and bytes that the reference machine gets through in a microsecond: a core of a desktop computer.
const MACS_MICRO: usize = 20_000;
const BYTES_MICRO: usize = 8_000;

/// ResNet-50 for 224 x 224 photos, version 1.5 (He et al., CVPR 2016; the stride is in the 3 x 3 convolution), with
/// batch normalisation folded into the convolutions: 122 layers.
pub(crate) fn resnet50() -> Graph {
    let mut network = Network::stem();
    for (blocks, width, size) in [(3, 64, 56), (4, 128, 28), (6, 256, 14), (3, 512, 7)] {
        for block in 0..blocks {
            network.bottleneck(width, size, block == 0);
        }
    }
    network.head()
}

/// The same beginning and end with so many layers or a few more: its third stage goes on and on.
pub(crate) fn long_resnet(layers: usize) -> Graph {
    let mut network = Network::stem();
    for (blocks, width, size) in [(3, 64, 56), (4, 128, 28), (layers.div_ceil(7), 256, 14), (3, 512, 7)] {
        for block in 0..blocks {
            network.bottleneck(width, size, block == 0);
        }
    }
    network.head()
}

/// A board with a camera, a computer near by and a graphics card far away, in a row. The board sends at `bandwidth`.
pub(crate) fn three_tiers(bandwidth: Bandwidth) -> Topology {
    let tier = |name: &str, slowdown: f64, gpu: bool| Tier {
        name: name.to_owned(),
        memory: Bytes(16 << 30),
        slowdown: Slowdown {
            convolution: slowdown,
            depthwise: slowdown,
            matrix_product: slowdown,
            memory_bound: slowdown * 0.8,
        },
        gpu,
        watts: 10.0,
        price_hour: 0.0,
    };
    let link = |from, to, bandwidth, millis| Link { from, to, direction: direction(bandwidth, millis) };
    let wide = Bandwidth(1_000_000_000);
    Topology {
        tiers: vec![tier("board", 6.0, false), tier("edge", 1.0, false), tier("cloud", 0.1, true)],
        links: vec![
            link(0, 1, bandwidth, 1),
            link(1, 0, Bandwidth(2 * bandwidth.0), 1),
            link(1, 2, wide, 5),
            link(2, 1, wide, 5),
        ],
    }
}

/// One direction of a link.
pub(crate) fn direction(bandwidth: Bandwidth, millis: u64) -> Direction {
    Direction { bandwidth, delay: Duration::from_millis(millis), nanojoules_byte: 10.0, price_gb: 0.0 }
}

/// A network that grows at its end.
struct Network {
    graph: Graph,
    /// Channels, and elements along each side of the last tensor.
    channels: usize,
    size: usize,
}

impl Network {
    fn stem() -> Self {
        let mut network = Self { graph: Graph::default(), channels: 3, size: 224 };
        network.tensor(&[1, 3, 224, 224]);
        network.graph.inputs.push(0);
        network.convolution(0, 64, 7, 112);
        network.pointwise("Relu", &[1]);
        network.layer("MaxPool", OpClass::MemoryBound, 0, 0, &[2], &[1, 64, 56, 56]);
        network.size = 56;
        network
    }

    fn head(mut self) -> Graph {
        let channels = self.channels;
        let pooled = self.layer("AveragePool", OpClass::MemoryBound, 0, 0, &[self.last()], &[1, channels, 1, 1]);
        let flat = self.layer("Reshape", OpClass::MemoryBound, 0, 0, &[pooled], &[1, channels]);
        let weights = channels * 1000;
        let output = self.layer("MatMul", OpClass::MatrixProduct, weights, weights, &[flat], &[1, 1000]);
        self.graph.outputs.push(output);
        self.graph
    }

    /// Three convolutions beside a shortcut, which has a convolution of its own where shapes change.
    fn bottleneck(&mut self, width: usize, size: usize, first: bool) {
        let (input, channels, before) = (self.last(), self.channels, self.size);
        let narrow = self.convolution(input, width, 1, before);
        let narrow = self.pointwise("Relu", &[narrow]);
        let middle = self.convolution(narrow, width, 3, size);
        let middle = self.pointwise("Relu", &[middle]);
        let wide = self.convolution(middle, 4 * width, 1, size);
        let mut shortcut = input;
        if first {
            self.channels = channels;
            shortcut = self.convolution(input, 4 * width, 1, size);
        }
        let sum = self.pointwise("Add", &[wide, shortcut]);
        self.pointwise("Relu", &[sum]);
    }

    fn convolution(&mut self, input: TensorId, channels: usize, kernel: usize, size: usize) -> TensorId {
        let weights = self.channels * channels * kernel * kernel;
        (self.channels, self.size) = (channels, size);
        let shape = [1, channels, size, size];
        self.layer("Conv", OpClass::Convolution, weights * size * size, weights, &[input], &shape)
    }

    fn pointwise(&mut self, op: &str, reads: &[TensorId]) -> TensorId {
        let shape = [1, self.channels, self.size, self.size];
        self.layer(op, OpClass::MemoryBound, 0, 0, reads, &shape)
    }

    fn last(&self) -> TensorId {
        self.graph.tensors.len() - 1
    }

    fn tensor(&mut self, shape: &[usize]) -> TensorId {
        let spec = TensorSpec::new(DType::F32, shape);
        let bytes = spec.bytes().0 as usize;
        let coding = |codec: &str, share: usize, loss: u64| {
            let time = if share == 1 { Duration::ZERO } else { micros(bytes * share, BYTES_MICRO) };
            let size = Bytes((bytes / share) as u64);
            Coding { codec: codec.to_owned(), bytes: size, encode: time, decode: time, loss: Loss(loss) }
        };
        let codings = vec![coding("f32", 1, 0), coding("f16", 2, 10), coding("int8", 4, 1000)];
        self.graph.tensors.push(TensorCost { name: format!("tensor{}", self.graph.tensors.len()), spec, codings });
        self.last()
    }

    fn layer(
        &mut self,
        op: &str,
        class: OpClass,
        macs: usize,
        weights: usize,
        reads: &[TensorId],
        shape: &[usize],
    ) -> TensorId {
        let made = self.tensor(shape);
        let touched = reads.iter().chain([&made]).map(|tensor| self.graph.tensors[*tensor].spec.bytes().0 as usize);
        let reference = micros(touched.sum::<usize>() + 4 * weights, BYTES_MICRO).max(micros(macs, MACS_MICRO));
        self.graph.layers.push(Layer {
            name: format!("{op}{}", self.graph.layers.len()),
            op: op.to_owned(),
            class,
            macs: Macs(macs as u64),
            weights: Bytes(4 * weights as u64),
            reference,
            reads: reads.to_vec(),
            writes: vec![made],
            pin: Pin::Anywhere,
        });
        made
    }
}

fn micros(amount: usize, each_micro: usize) -> Duration {
    Duration::from_nanos((amount * 1000 / each_micro) as u64)
}
