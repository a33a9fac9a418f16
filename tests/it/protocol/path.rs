//! Nodes in a row on loopback, each with a small stage over four numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::net::SocketAddr;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use thalweg::clock::Clock;
use thalweg::emulate::{ShapedSocket, bind};
use thalweg::identity::Identity;
use thalweg::link::Tuning;
use thalweg::node::{Answered, Node, NodeConfig, RequestError};
use thalweg::share::{Onward, Pick, Share};
use thalweg::stage::{Compute, Emulation};
use thalweg_codec::Codec;
use thalweg_flow::{Contract, PlanId, Slot};
use thalweg_planner::{DType, Tensor, TensorSpec};

/// What all stages take and make.
fn spec() -> TensorSpec {
    TensorSpec::new(DType::F32, [4])
}

/// An input.
pub(super) fn ones() -> Tensor {
    Tensor::from_f32([4], &[1.0; 4]).expect("four numbers")
}

/// What a hop does.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// Passes on what comes.
    Relay,
    /// Adds a number, and takes a while for it.
    Add(f32, Duration),
    /// Panics on -1, refuses 0, and gives back the rest.
    Fussy,
}

impl Step {
    pub(super) fn add(number: f32) -> Self {
        Self::Add(number, Duration::ZERO)
    }

    pub(super) fn slow(ms: u64) -> Self {
        Self::Add(1.0, Duration::from_millis(ms))
    }
}

struct Counted {
    step: Step,
    runs: Arc<AtomicU32>,
}

impl Compute for Counted {
    fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, Box<dyn Error + Send + Sync>> {
        self.runs.fetch_add(1, Ordering::SeqCst);
        let mut numbers = inputs[0].to_f32().ok_or("no numbers")?;
        match self.step {
            Step::Add(number, pause) => {
                thread::sleep(pause);
                numbers.iter_mut().for_each(|one| *one += number);
            }
            Step::Fussy if numbers[0] == -1.0 => panic!("minus one"),
            Step::Fussy if numbers[0] == 0.0 => return Err("zero is no input".into()),
            Step::Fussy | Step::Relay => {}
        }
        Ok(vec![Tensor::from_f32([4], &numbers)?])
    }
}

/// Nodes, and the plan that is installed on them in epoch 1.
pub(super) struct Path {
    pub(super) nodes: Vec<Node>,
    pub(super) plan: PlanId,
    steps: Vec<Step>,
    /// Of each link, in turns.
    codecs: Vec<Codec>,
    everywhere: bool,
    identities: Vec<Identity>,
    stranger: Option<usize>,
    clock: Clock,
    runs: Arc<AtomicU32>,
}

impl Path {
    pub(super) fn of(steps: &[Step]) -> Self {
        Self {
            nodes: Vec::new(),
            plan: PlanId([1; 32]),
            steps: steps.to_vec(),
            codecs: vec![Codec::F32],
            everywhere: false,
            identities: steps.iter().map(|_| Identity::generate().expect("a key").0).collect(),
            stranger: None,
            clock: Clock::start(),
            runs: Arc::default(),
        }
    }

    /// Every hop answers what it made, not only the last one.
    pub(super) fn answering_everywhere(self) -> Self {
        Self { everywhere: true, ..self }
    }

    /// With these codecs, from the first link upwards and over again.
    pub(super) fn coded(self, codecs: &[&str]) -> Self {
        Self { codecs: codecs.iter().map(|codec| codec.parse().expect("a codec")).collect(), ..self }
    }

    /// The codec of the link above a hop.
    fn codec_above(&self, hop: usize) -> Codec {
        self.codecs[hop % self.codecs.len()].clone()
    }

    /// No node knows the key of this one.
    pub(super) fn stranger_at(self, hop: usize) -> Self {
        Self { stranger: Some(hop), ..self }
    }

    pub(super) fn start(mut self) -> Self {
        self.nodes = (0..self.steps.len()).map(|hop| self.node(hop, ([127, 0, 0, 1], 0).into())).collect();
        for hop in 0..self.nodes.len() {
            self.nodes[hop].install(self.share(hop, 1));
        }
        self
    }

    /// Ends a node and starts it again with the same key at the same address.
    pub(super) async fn restart(&mut self, hop: usize) {
        let old = self.nodes.remove(hop);
        let address = old.peer().address;
        old.stop(Duration::ZERO).await;
        let mut tries = 0;
        // The old socket closes when its last user has noticed.
        while let Err(error) = bind(address) {
            tries += 1;
            assert!(tries < 100, "{error}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.nodes.insert(hop, self.node(hop, address));
        self.nodes[hop].install(self.share(hop, 1));
    }

    fn node(&self, hop: usize, address: SocketAddr) -> Node {
        let known = self.identities.iter().enumerate().filter(|(index, _)| Some(*index) != self.stranger);
        let gate = Arc::new(BTreeSet::from_iter(known.map(|(_, identity)| identity.id())));
        let socket = ShapedSocket::new(bind(address).expect("a socket")).expect("a socket");
        let node = Node::start(NodeConfig {
            name: format!("hop {hop}"),
            identity: self.identities[hop].clone(),
            gate,
            calls: None,
            socket: Arc::new(socket),
            tuning: Tuning::default(),
            links: BTreeMap::new(),
            threads: NonZero::<u32>::MIN,
            clock: self.clock,
            clocks_apart: false,
        });
        node.expect("a node")
    }

    /// What a hop has to do in an epoch of the plan.
    pub(super) fn share(&self, hop: usize, epoch: u32) -> Share {
        let above = self.steps.len() - hop - 1;
        let step = self.steps[hop];
        let relays = matches!(step, Step::Relay);
        let stage = (!relays).then(|| Arc::new(Counted { step, runs: self.runs.clone() }) as Arc<dyn Compute>);
        let pick = if relays { Pick::Taken(0) } else { Pick::Made(0) };
        let codec = self.codec_above(hop);
        let peer = |next: &Node| Onward { peer: next.peer(), crossing: vec![(pick, codec.clone())] };
        let answers = if self.everywhere || above == 0 { vec![Pick::Made(0)] } else { vec![] };
        let taken = self.codec_above(hop.saturating_sub(1));
        let contract = Contract {
            plan: self.plan,
            epoch,
            hop: hop as u8,
            takes: vec![Slot {
                spec: spec(),
                codec: taken.to_string(),
                bytes_max: taken.bytes_max(&spec()).0,
                early: false,
            }],
            returns: vec![spec(); if self.everywhere { above } else { above.min(1) }],
            answers_in: Duration::ZERO,
        };
        let onward = self.nodes.get(hop + 1).map(peer);
        Share { contract, takes: vec![taken], stage, answers, onward, emulation: Emulation::NONE }
    }

    pub(super) async fn request(&self, input: Tensor, time: Duration) -> Result<Answered, RequestError> {
        self.nodes[0].request(self.plan, 1, vec![input], time).await
    }

    /// How often a stage has begun to run, on all nodes.
    pub(super) fn runs(&self) -> u32 {
        self.runs.load(Ordering::SeqCst)
    }
}
