//! A small network on a device, an edge and a cloud, and the plans of it that the planner finds under several
//! conditions.

use std::time::Duration;

use thalweg_flow::{Alternative, Contract, Course, PlanId, Slot};
use thalweg_planner::{
    Bandwidth, Bytes, Coding, DType, Direction, Graph, Layer, Link, Loss, Macs, Objective, OpClass, Pin, Plan,
    Slowdown, TensorCost, TensorSpec, Tier, Topology, evaluate, plan,
};

/// Every pair of tiers is linked: the edge is near, the cloud is reached over it or directly.
pub(crate) const PAIRS: [(usize, usize); 3] = [(0, 1), (1, 2), (0, 2)];
pub(crate) const SLOWDOWNS: [f64; 3] = [8.0, 2.0, 0.5];

/// Bytes that stand for the payload of a message: what a link carries is counted, not copied.
pub(crate) const STANDS_FOR: [u8; 4] = [7; 4];

/// One plan, as all nodes have it.
pub(crate) struct Prepared {
    pub(crate) alternative: Alternative,
    pub(crate) plan: Plan,
    /// How long each hop decodes, computes and encodes.
    pub(crate) busy: Vec<Duration>,
}

impl Prepared {
    pub(crate) fn contract(&self, hop: usize, epoch: u32) -> Contract {
        let spec = TensorSpec::new(DType::U8, [STANDS_FOR.len()]);
        let slot = Slot { spec, codec: "raw".into(), bytes_max: STANDS_FOR.len() as u64, early: false };
        let takes = if hop == 0 { vec![] } else { vec![slot] };
        let (plan, hop) = (self.alternative.plan, hop as u8);
        Contract { plan, epoch, hop, takes, returns: vec![], answers_in: Duration::ZERO }
    }

    pub(crate) fn course(&self, hop: usize) -> Course {
        match hop + 1 == self.plan.hops.len() {
            true => Course::Answer,
            false if self.plan.passes_on(hop) => Course::Relay,
            false => Course::Forward,
        }
    }

    pub(crate) fn tier(&self, hop: usize) -> usize {
        self.plan.hops[hop].tier
    }
}

/// Tiers and links; one rate in kbit/s and one delay in milliseconds for each pair, both ways.
pub(crate) fn topology(kbit: [u64; 3], delay: [u64; 3]) -> Topology {
    let tier = |(name, slowdown): (&str, f64)| Tier {
        name: name.into(),
        memory: Bytes(1 << 40),
        slowdown: Slowdown::NONE.map(|_| slowdown),
        gpu: false,
        watts: 0.0,
        price_hour: 0.0,
    };
    let links = PAIRS.into_iter().zip(kbit).zip(delay).flat_map(|(((one, other), kbit), delay)| {
        let (bandwidth, delay) = (Bandwidth(kbit * 1000), Duration::from_millis(delay));
        let direction = Direction { bandwidth, delay, nanojoules_byte: 0.0, price_gb: 0.0 };
        [Link { from: one, to: other, direction }, Link { from: other, to: one, direction }]
    });
    Topology {
        tiers: ["device", "edge", "cloud"].into_iter().zip(SLOWDOWNS).map(tier).collect(),
        links: links.collect(),
    }
}

/// What is believed before anything is seen.
pub(crate) fn believed() -> Topology {
    topology([50_000, 50_000, 10_000], [3, 10, 30])
}

fn graph() -> Graph {
    // Milliseconds on the reference machine, and kilobytes of what comes out, of which a codec leaves a quarter.
    let layers = [(3, 400), (5, 200), (5, 100), (4, 30), (2, 10), (1, 4)];
    let tensor = |(at, kilobytes): (usize, usize)| {
        let spec = TensorSpec::new(DType::F32, [kilobytes * 250]);
        let coding = |codec: &str, share: u64, micros: u64| Coding {
            codec: codec.into(),
            bytes: Bytes(spec.bytes().0 / share),
            encode: Duration::from_micros(micros * kilobytes as u64),
            decode: Duration::from_micros(micros * kilobytes as u64 / 2),
            loss: Loss(0),
        };
        TensorCost {
            name: at.to_string(),
            codings: vec![coding("f32", 1, 0), coding("small", 8, 5)],
            spec: spec.clone(),
        }
    };
    let layer = |(at, (millis, _)): (usize, (u64, usize))| Layer {
        name: at.to_string(),
        op: "Op".into(),
        class: OpClass::Convolution,
        macs: Macs(1),
        weights: Bytes(1),
        reference: Duration::from_millis(millis),
        reads: vec![at],
        writes: vec![at + 1],
        pin: Pin::Anywhere,
    };
    let kilobytes = [600].into_iter().chain(layers.iter().map(|(_, kilobytes)| *kilobytes));
    Graph {
        tensors: kilobytes.enumerate().map(tensor).collect(),
        layers: layers.into_iter().enumerate().map(layer).collect(),
        inputs: vec![0],
        outputs: vec![layers.len()],
        exits: Vec::new(),
    }
}

/// The best plans with fast and slow links, with and without the edge, and the local one; each once.
pub(crate) fn prepared() -> Vec<Prepared> {
    let (graph, base) = (graph(), believed());
    let objective = Objective { codecs: vec!["f32".into(), "small".into()], ..Objective::default() };
    let mut worlds = vec![Topology { links: vec![], ..base.clone() }];
    for kbit in [100_000, 10_000, 2_000, 500, 100] {
        for slow in [[1, 1, 1], [1, 1, 100], [100, 1, 1], [1, 100, 100]] {
            worlds.push(topology(slow.map(|slow| kbit / slow), [2, 10, 30]));
        }
    }
    let mut plans: Vec<Plan> = Vec::new();
    for world in worlds {
        let best = plan(&graph, &world, &objective).expect("a plan");
        let best = evaluate(&graph, &base, &best.placement(&graph), 0).expect("the same placement");
        if !plans.iter().any(|plan| plan.decides_like(&best)) {
            plans.push(best);
        }
    }
    let prepare = |(at, plan): (usize, Plan)| Prepared {
        alternative: Alternative::new(PlanId([at as u8; 32]), &plan),
        busy: plan.busy().collect(),
        plan,
    };
    plans.into_iter().enumerate().map(prepare).collect()
}
