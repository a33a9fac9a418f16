//! Puts plans on nodes: one node a tier, all in this process, joined by real QUIC over the loopback.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use thalweg_codec::Codec;
use thalweg_devices::link::Shape;
use thalweg_devices::{Model, Stage};
use thalweg_flow::{Contract, PlanId, Slot};
use thalweg_planner::{Graph, Plan, Slowdown, TensorId, TensorSpec, Topology, UNCODED};

use super::costs::with_pixels;
use super::error::RunError;
use super::load::{Subject, read};
use crate::clock::Clock;
use crate::config;
use crate::emulate::{ShapedSocket, Shaper, Trace, bind};
use crate::identity::{Identity, NodeId};
use crate::link::{PayloadMax, Peer, Tuning};
use crate::node::{Node, NodeConfig};
use crate::share::{Onward, Pick, Share};
use crate::stage::Emulation;

/// The epoch of plans that are never replaced while they run.
pub const EPOCH: u32 = 1;

/// Nodes that are running, one a tier, and what is prepared on them.
pub struct Deployment<'a> {
    subject: &'a Subject,
    graph: &'a Graph,
    topology: &'a Topology,
    nodes: Vec<Node>,
    /// How neighbours reach each node.
    peers: Vec<Peer>,
    prepared: BTreeMap<PartKey, Arc<Stage>>,
}

/// What makes two parts the same: layers from and to, tensors taken and given.
type PartKey = (usize, usize, Vec<TensorId>, Vec<TensorId>);

impl<'a> Deployment<'a> {
    /// Starts a node for each tier and shapes the links between them. Has to be called inside a tokio runtime.
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
        let (mut nodes, mut sockets) = (Vec::new(), Vec::new());
        for (index, (tier, identity)) in places.tiers.iter().zip(identities).enumerate() {
            let socket = Arc::new(open_socket(tier)?);
            let below = index.checked_sub(1).map(|below| ids[below]);
            let config = NodeConfig {
                name: tier.name.clone(),
                identity,
                allowed: below.into_iter().collect::<BTreeSet<_>>(),
                socket: socket.clone(),
                tuning: tuning(topology, places, index),
                clock,
            };
            nodes.push(Node::start(config)?);
            sockets.push(socket);
        }
        let peers: Vec<Peer> = nodes.iter().map(|node| reachable(node.peer())).collect();
        for (index, link) in places.links.iter().enumerate() {
            if let Some(profile) = &link.profile {
                // Both directions are drawn from the link's seed, but not the same numbers.
                sockets[index].shape(peers[index + 1].address, shaper(&profile.up, link.seed.wrapping_mul(2))?);
                let down = link.seed.wrapping_mul(2).wrapping_add(1);
                sockets[index + 1].shape(peers[index].address, shaper(&profile.down, down)?);
            }
        }
        Ok(Self { subject, graph, topology, nodes, peers, prepared: BTreeMap::new() })
    }

    /// The node where requests are made.
    pub fn device(&self) -> &Node {
        &self.nodes[0]
    }

    /// Prepares every part of `plan` and installs it. Parts that another plan has prepared are shared.
    pub fn install(&mut self, plan: &Plan) -> Result<PlanId, RunError> {
        let id = plan_id(&self.subject.model, plan);
        for hop in 0..plan.hops.len() {
            let share = self.share(id, plan, hop)?;
            self.nodes[hop].install(share);
        }
        Ok(id)
    }

    /// Connects neighbouring nodes, so that no request waits for a handshake.
    pub async fn join(&self) -> Result<(), RunError> {
        for (node, above) in self.nodes.iter().zip(&self.peers[1..]) {
            node.join(*above).await?;
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
        let leaves = crossing.into_iter().flat_map(|crossing| &crossing.tensors).chain(&answers);
        let made: BTreeSet<TensorId> = leaves.filter(|tensor| !hop.takes.contains(tensor)).copied().collect();
        let gives: Vec<TensorId> = made.into_iter().collect();
        let pick = |tensor: &TensorId| match hop.takes.iter().position(|taken| taken == tensor) {
            Some(taken) => Pick::Taken(taken),
            None => Pick::Made(gives.binary_search(tensor).unwrap_or_else(|place| place)),
        };
        let onward = crossing.map(|crossing| Onward {
            peer: self.peers[index + 1],
            codec: self.codec(&crossing.codec, &crossing.tensors),
            crossing: crossing.tensors.iter().map(pick).collect(),
        });
        let answers = answers.iter().map(pick).collect();
        let contract = self.contract(id, plan, index);
        let layers = hop.layers.clone();
        let key = (layers.start, layers.end, hop.takes.clone(), gives);
        let stage = if layers.is_empty() { None } else { Some(self.stage(key)?) };
        Ok(Share {
            contract,
            stage: stage.map(|stage| stage as _),
            answers,
            onward,
            emulation: self.emulation(plan, index),
        })
    }

    fn stage(&mut self, key: PartKey) -> Result<Arc<Stage>, RunError> {
        if let Some(stage) = self.prepared.get(&key) {
            return Ok(stage.clone());
        }
        let (start, end, takes, gives) = &key;
        let stage = Arc::new(self.subject.model.partition(*start..*end, takes, gives)?.prepare()?);
        self.prepared.insert(key, stage.clone());
        Ok(stage)
    }

    fn contract(&self, plan_id: PlanId, plan: &Plan, index: usize) -> Contract {
        let codec = index.checked_sub(1).map_or(UNCODED, |below| &plan.crossings[below].codec);
        let parsed = self.codec(codec, &plan.hops[index].takes);
        let slot = |tensor: &TensorId| {
            let spec = self.spec(*tensor);
            Slot { bytes_max: parsed.bytes_max(&spec).0, spec }
        };
        let above = plan.hops[index + 1..].iter().flat_map(|hop| &hop.answers);
        Contract {
            plan: plan_id,
            epoch: EPOCH,
            hop: index as u8,
            codec: codec.to_owned(),
            takes: plan.hops[index].takes.iter().map(slot).collect(),
            returns: above.map(|tensor| self.spec(*tensor)).collect(),
        }
    }

    fn spec(&self, tensor: TensorId) -> TensorSpec {
        self.graph.tensors[tensor].spec.clone()
    }

    /// The codec of a crossing: names that the planner uses come from [`super::costs`], so they are known.
    fn codec(&self, name: &str, tensors: &[TensorId]) -> Codec {
        let codec = name.parse().unwrap_or(Codec::F32);
        let photo = self.subject.photos.iter().find(|(photo, _)| tensors.contains(photo));
        photo.map_or(codec, |(_, pixels)| with_pixels(codec, *pixels))
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

/// What a node expects of the link above it. Large packets only where no link is emulated: those carry Ethernet's.
fn tuning(topology: &Topology, places: &config::Topology, index: usize) -> Tuning {
    let link = topology.links.get(index);
    let tuning = link.map(|link| Tuning::for_link(link.up.bandwidth, link.up.delay + link.down.delay));
    let emulated = places.links.iter().any(|link| link.profile.is_some());
    let payload_max = if emulated { PayloadMax::ETHERNET } else { PayloadMax::LARGE };
    Tuning { payload_max, ..tuning.unwrap_or_default() }
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

/// Names a plan by what it does: the model, where it is cut, and how tensors are coded.
pub fn plan_id(model: &Model, plan: &Plan) -> PlanId {
    let mut hash = blake3::Hasher::new();
    hash.update(&model.hash());
    for hop in &plan.hops {
        hash.update(format!("{} {:?};", hop.tier, hop.layers).as_bytes());
    }
    for crossing in &plan.crossings {
        hash.update(format!("{:?} {};", crossing.tensors, crossing.codec).as_bytes());
    }
    PlanId(*hash.finalize().as_bytes())
}
