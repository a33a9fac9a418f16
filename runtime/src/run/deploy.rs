//! Puts plans on nodes: one node a tier, all in this process, joined as the topology says by real QUIC over the
//! loopback.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use thalweg_devices::link::Shape;
use thalweg_flow::PlanId;
use thalweg_planner::{Graph, Plan, Topology};

use super::draft::{Draft, Drafts, PartKey};
use super::error::{RunError, read};
use super::load::Subject;
use crate::clock::Clock;
use crate::config;
use crate::emulate::{ShapedSocket, Shaper, Trace, bind};
use crate::identity::{Identity, NodeId};
use crate::link::{PayloadMax, Peer, Tuning};
use crate::node::{Node, NodeConfig};
use crate::share::{Onward, Share};
use crate::stage::Compute as _;
use crate::steps::Part;

/// The epoch of plans that are never replaced while they run.
pub const EPOCH: u32 = 1;

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
                // A tier is emulated as it was profiled: one thing at a time.
                threads: NonZero::<u32>::MIN,
                clock,
                clocks_apart: false,
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
        let drafts = Drafts::new(self.subject, self.graph, self.topology, plan, EPOCH);
        let id = drafts.id();
        for hop in 0..plan.hops.len() {
            let share = self.share(&drafts, plan, hop)?;
            self.nodes[plan.hops[hop].tier].install(share);
        }
        self.ways.extend(plan.hops.windows(2).map(|hops| (hops[0].tier, hops[1].tier)));
        Ok(id)
    }

    /// The backends that compute the models of each hop of a plan that is installed.
    pub fn computed_on(&self, plan: &Plan) -> Vec<BTreeSet<String>> {
        let drafts = Drafts::new(self.subject, self.graph, self.topology, plan, EPOCH);
        let prepared = |key: Option<PartKey>| self.prepared.get(&key?);
        drafts.parts().map(|key| prepared(key).map_or_else(BTreeSet::new, |part| part.computed_on())).collect()
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
    fn share(&mut self, drafts: &Drafts<'_>, plan: &Plan, index: usize) -> Result<Share, RunError> {
        let Draft { contract, takes, part, answers, crossing, emulation } = drafts.draft(index);
        let stage = part.map(|key| self.stage(key)).transpose()?;
        let onward = plan.hops.get(index + 1).zip(crossing);
        let onward = onward.map(|(next, crossing)| Onward {
            peer: self.peers[next.tier],
            crossing: crossing.into_iter().map(|(pick, codec, _)| (pick, codec)).collect(),
        });
        Ok(Share { contract, takes, stage: stage.map(|stage| stage as _), answers, onward, emulation })
    }

    fn stage(&mut self, key: PartKey) -> Result<Arc<Part>, RunError> {
        if let Some(stage) = self.prepared.get(&key) {
            return Ok(stage.clone());
        }
        let PartKey { layers, takes, gives } = &key;
        let stage = Arc::new(self.subject.steps.part(layers, takes, gives)?);
        self.prepared.insert(key, stage.clone());
        Ok(stage)
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
