//! Puts plans on nodes: one node a tier, all in this process, joined as the topology says by real QUIC over the
//! loopback.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use thalweg_codec::Codec;
use thalweg_devices::link::Shape;
use thalweg_flow::{Contract, PlanId, Slot};
use thalweg_planner::{Graph, Plan, Sent, Slowdown, TensorId, TensorSpec, Topology};

use super::costs::with_pixels;
use super::error::{RunError, read};
use super::levels::with_book;
use super::load::Subject;
use crate::clock::Clock;
use crate::config;
use crate::emulate::{ShapedSocket, Shaper, Trace, bind};
use crate::identity::{Identity, NodeId};
use crate::link::{PayloadMax, Peer, Tuning};
use crate::node::{Node, NodeConfig};
use crate::share::{Onward, Pick, Share};
use crate::stage::Emulation;
use crate::steps::Part;

/// The epoch of plans that are never replaced while they run.
pub const EPOCH: u32 = 1;

/// What a hop that goes on with a part of its tensors leaves for threads that wake late and for packets that are sent
/// again, beside half of what the plan predicts for the rest of the way.
const SPARE: Duration = Duration::from_millis(10);

/// Nodes that are running, one a tier, and what is prepared on them.
pub struct Deployment<'a> {
    subject: &'a Subject,
    graph: &'a Graph,
    topology: &'a Topology,
    /// One a tier, in the order of the tiers.
    nodes: Vec<Node>,
    /// How others reach each node.
    peers: Vec<Peer>,
    /// Pairs of tiers of which plans that are installed let the first ask the second.
    ways: BTreeSet<(usize, usize)>,
    prepared: BTreeMap<PartKey, Arc<Part>>,
}

/// What makes two parts the same: layers, tensors taken and given.
type PartKey = (Vec<usize>, Vec<TensorId>, Vec<TensorId>);

impl<'a> Deployment<'a> {
    /// Starts a node for each tier, which answers those that it has a link with, and shapes the links. Has to be called
    /// inside a tokio runtime.
    pub fn start(
        subject: &'a Subject,
        graph: &'a Graph,
        topology: &'a Topology,
        places: &config::Topology,
    ) -> Result<Self, RunError> {
        let clock = Clock::start();
        let identities = places.tiers.iter().map(|_| Identity::generate().map(|(identity, _)| identity));
        let identities = identities.collect::<Result<Vec<_>, _>>()?;
        let ids: Vec<NodeId> = identities.iter().map(Identity::id).collect();
        // Large packets only where no link is emulated: those carry Ethernet's.
        let emulated = places.links.iter().any(|link| link.profile.is_some());
        let payload_max = if emulated { PayloadMax::ETHERNET } else { PayloadMax::LARGE };
        let (mut nodes, mut sockets) = (Vec::new(), Vec::new());
        for (index, (tier, identity)) in places.tiers.iter().zip(identities).enumerate() {
            let socket = Arc::new(open_socket(tier)?);
            let neighbours = neighbours(topology, index);
            let config = NodeConfig {
                name: tier.name.clone(),
                identity,
                gate: Arc::new(neighbours.iter().map(|(tier, _)| ids[*tier]).collect::<BTreeSet<NodeId>>()),
                calls: None,
                socket: socket.clone(),
                tuning: Tuning { payload_max, ..Tuning::default() },
                links: neighbours
                    .into_iter()
                    .map(|(tier, known)| (ids[tier], Tuning { payload_max, ..known }))
                    .collect(),
                clock,
            };
            nodes.push(Node::start(config)?);
            sockets.push(socket);
        }
        let peers: Vec<Peer> = nodes.iter().map(|node| reachable(node.peer())).collect();
        for link in &places.links {
            if let Some(profile) = &link.profile {
                // Both directions are drawn from the link's seed, but not the same numbers.
                let seed = link.seed.wrapping_mul(2);
                sockets[link.from].shape(peers[link.to].address, shaper(&profile.up, seed)?);
                sockets[link.to].shape(peers[link.from].address, shaper(&profile.down, seed.wrapping_add(1))?);
            }
        }
        let (ways, prepared) = (BTreeSet::new(), BTreeMap::new());
        Ok(Self { subject, graph, topology, nodes, peers, ways, prepared })
    }

    /// The node where requests are made: that of the first tier.
    pub fn device(&self) -> &Node {
        &self.nodes[0]
    }

    /// Prepares every part of `plan` and installs it. Parts that another plan has prepared are shared.
    pub fn install(&mut self, plan: &Plan) -> Result<PlanId, RunError> {
        let id = plan_id(self.subject, plan);
        for hop in 0..plan.hops.len() {
            let share = self.share(id, plan, hop)?;
            self.nodes[plan.hops[hop].tier].install(share);
        }
        self.ways.extend(plan.hops.windows(2).map(|hops| (hops[0].tier, hops[1].tier)));
        Ok(id)
    }

    /// Connects the nodes that ask each other, so that no request waits for a handshake.
    pub async fn join(&self) -> Result<(), RunError> {
        for (from, to) in &self.ways {
            self.nodes[*from].join(self.peers[*to]).await?;
        }
        Ok(())
    }

    /// Ends all nodes, the device first, so that nobody is asked who is gone.
    pub async fn stop(self, grace: Duration) {
        for node in self.nodes {
            node.stop(grace).await;
        }
    }

    /// What a hop of the plan has to know and to hold.
    fn share(&mut self, id: PlanId, plan: &Plan, index: usize) -> Result<Share, RunError> {
        let hop = &plan.hops[index];
        let crossing = plan.crossings.get(index);
        let mut answers = hop.answers.clone();
        if index == 0 {
            // An output that is an input is answered where it is.
            answers.extend(self.graph.outputs.iter().filter(|output| self.graph.inputs.contains(output)));
        }
        let sends = crossing.map_or(&[][..], |crossing| &crossing.sends);
        let leaves = sends.iter().map(|sent| &sent.tensor).chain(&answers);
        let made: BTreeSet<TensorId> = leaves.filter(|tensor| !hop.takes.contains(tensor)).copied().collect();
        let gives: Vec<TensorId> = made.into_iter().collect();
        let pick = |tensor: &TensorId| match hop.takes.iter().position(|taken| taken == tensor) {
            Some(taken) => Pick::Taken(taken),
            None => Pick::Made(gives.binary_search(tensor).unwrap_or_else(|place| place)),
        };
        let onward = plan.hops.get(index + 1).map(|next| Onward {
            peer: self.peers[next.tier],
            crossing: sends.iter().map(|sent| (pick(&sent.tensor), self.codec(sent))).collect(),
        });
        let answers = answers.iter().map(pick).collect();
        let takes: Vec<Codec> = hop.takes.iter().map(|tensor| self.coming(plan, index, *tensor)).collect();
        let contract = self.contract(id, plan, index, &takes);
        let key = (hop.layers.clone(), hop.takes.clone(), gives);
        let stage = if hop.layers.is_empty() { None } else { Some(self.stage(key)?) };
        Ok(Share {
            contract,
            takes,
            stage: stage.map(|stage| stage as _),
            answers,
            onward,
            emulation: self.emulation(plan, index),
        })
    }

    fn stage(&mut self, key: PartKey) -> Result<Arc<Part>, RunError> {
        if let Some(stage) = self.prepared.get(&key) {
            return Ok(stage.clone());
        }
        let (layers, takes, gives) = &key;
        let stage = Arc::new(self.subject.steps.part(layers, takes, gives)?);
        self.prepared.insert(key, stage.clone());
        Ok(stage)
    }

    /// How a tensor that a hop takes comes to it.
    fn coming(&self, plan: &Plan, index: usize, tensor: TensorId) -> Codec {
        let comes = index.checked_sub(1).map_or(&[][..], |below| &plan.crossings[below].sends);
        // The caller brings the inputs of the first hop as they are.
        comes.iter().find(|sent| sent.tensor == tensor).map_or(Codec::F32, |sent| self.codec(sent))
    }

    fn contract(&self, plan_id: PlanId, plan: &Plan, index: usize, takes: &[Codec]) -> Contract {
        let slot = |(tensor, codec): (&TensorId, &Codec)| {
            let spec = self.spec(*tensor);
            let early = codec.decodes_early(&spec);
            Slot { bytes_max: codec.bytes_max(&spec).0, codec: codec.to_string(), early, spec }
        };
        let above = plan.hops[index + 1..].iter().flat_map(|hop| &hop.answers);
        Contract {
            plan: plan_id,
            epoch: EPOCH,
            hop: index as u8,
            takes: plan.hops[index].takes.iter().zip(takes).map(slot).collect(),
            returns: above.map(|tensor| self.spec(*tensor)).collect(),
            answers_in: answers_in(plan, index),
        }
    }

    fn spec(&self, tensor: TensorId) -> TensorSpec {
        self.graph.tensors[tensor].spec.clone()
    }

    /// How a tensor is coded: names that the planner uses come from [`super::costs`], so they are known.
    fn codec(&self, sent: &Sent) -> Codec {
        let codec = sent.codec.parse().unwrap_or(Codec::F32);
        match self.subject.photos.iter().find(|(photo, _)| *photo == sent.tensor) {
            Some((_, pixels)) => with_pixels(codec, *pixels),
            None => with_book(codec, self.subject, sent.tensor),
        }
    }

    /// How long a hop's work shall take: what the plan says, where its tier is slower than this machine.
    fn emulation(&self, plan: &Plan, index: usize) -> Emulation {
        if self.topology.tiers[plan.hops[index].tier].slowdown == Slowdown::NONE {
            return Emulation::NONE;
        }
        let below = index.checked_sub(1).map(|below| plan.crossings[below].decode);
        let above = plan.crossings.get(index).map(|crossing| crossing.encode);
        Emulation {
            decode: below.unwrap_or_default(),
            compute: plan.hops[index].compute,
            encode: above.unwrap_or_default(),
        }
    }
}

/// How long it takes by the plan from when a hop has its tensors until the caller has the answer, with something to spare.
///
/// A hop counts the deadline from when a request comes to it: what it took to get there is also to be made up for.
fn answers_in(plan: &Plan, index: usize) -> Duration {
    let below = &plan.crossings[..index];
    let late = below.iter().map(|crossing| crossing.wire.saturating_sub(crossing.busy) + crossing.answer);
    let decode = below.last().map(|crossing| crossing.decode).unwrap_or_default();
    let computes = plan.hops[index..].iter().map(|hop| hop.compute);
    let above = plan.crossings[index..].iter();
    let above = above.map(|crossing| crossing.encode + crossing.wire + crossing.decode + crossing.answer);
    let predicted: Duration = late.chain([decode]).chain(computes).chain(above).sum();
    predicted + predicted / 2 + SPARE
}

fn open_socket(tier: &config::Tier) -> Result<ShapedSocket, RunError> {
    let address = tier.listen.unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let refused = |cause| RunError::Address { tier: tier.name.clone(), address, cause };
    ShapedSocket::new(bind(address).map_err(refused)?).map_err(refused)
}

/// A node that listens on all addresses is reached, and known to the emulated links, by that of the loopback.
fn reachable(peer: Peer) -> Peer {
    let ip = match peer.address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    Peer { address: SocketAddr::new(ip, peer.address.port()), ..peer }
}

/// The tiers that a tier has links with in both directions, and what it expects of each.
fn neighbours(topology: &Topology, tier: usize) -> Vec<(usize, Tuning)> {
    let neighbour = |other: usize| {
        let (up, down) = topology.direction(tier, other).zip(topology.direction(other, tier))?;
        Some((other, Tuning::for_link(up.bandwidth, up.delay.saturating_add(down.delay))))
    };
    (0..topology.tiers.len()).filter_map(neighbour).collect()
}

fn shaper(shape: &Shape, seed: u64) -> Result<Shaper, RunError> {
    let trace = match &shape.trace {
        Some(file) => {
            let text = String::from_utf8_lossy(&read(file)?).into_owned();
            let trace = Trace::parse(&text);
            Some(trace.map_err(|cause| RunError::Trace { file: file.clone(), cause })?)
        }
        None => None,
    };
    Ok(Shaper::new(shape, trace, seed))
}

/// Names a plan by what it does: the steps, where it is cut, and how tensors are coded, with which codebooks.
pub fn plan_id(subject: &Subject, plan: &Plan) -> PlanId {
    let mut hash = blake3::Hasher::new();
    hash.update(&subject.steps.hash());
    for books in subject.steps.codebooks() {
        hash.update(&books.hash);
    }
    for hop in &plan.hops {
        hash.update(format!("{} {:?};", hop.tier, hop.layers).as_bytes());
    }
    for crossing in &plan.crossings {
        for sent in &crossing.sends {
            hash.update(format!("{} {},", sent.tensor, sent.codec).as_bytes());
        }
        hash.update(b";");
    }
    PlanId(*hash.finalize().as_bytes())
}
