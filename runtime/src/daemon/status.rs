//! How a node is, for people and their programs.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thalweg_flow::{Explanation, PlanId, SpanKind, Why};

use super::DaemonError;
use super::outbox::DeliveryShown;
use super::source::{Counts, Source};
use super::start::Inner;
use crate::identity::NodeId;
use crate::link::Peer;
use crate::memory::resident_bytes_max;
use crate::module::rank;
use crate::trust::{Member, Role};

/// How a node is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Its name.
    pub name: String,
    /// Its key.
    pub id: NodeId,
    /// What it is.
    pub role: Role,
    /// Version of the program.
    pub version: String,
    /// Seconds since it started.
    pub up_s: u64,
    /// How often it has started.
    pub incarnation: u64,
    /// The most memory that it has had resident, in bytes.
    pub memory_max: Option<u64>,
    /// All members that it knows.
    pub nodes: Vec<NodeShown>,
    /// Links from this node.
    pub links: Vec<LinkShown>,
    /// What is deployed on it.
    pub deployments: Vec<DeploymentShown>,
    /// What was delivered to it; none where nothing was.
    pub inbox: Option<InboxShown>,
}

/// A member.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeShown {
    /// Its name.
    pub name: String,
    /// Its key.
    pub id: NodeId,
    /// What it is.
    pub role: Role,
    /// Where it is.
    pub address: String,
    /// `alive`, `suspect`, `down`, or `unknown` before anything was heard.
    pub liveness: String,
}

impl NodeShown {
    /// Where to connect to it.
    pub fn peer(&self) -> Result<Peer, DaemonError> {
        let address = self.address.parse().map_err(|_| DaemonError::Misunderstood)?;
        Ok(Peer { id: self.id, address })
    }
}

/// A link from the node that tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinkShown {
    /// To whom.
    pub to: String,
    /// Whether it carries anything.
    pub up: bool,
    /// Round trip, smoothed.
    pub round_trip_ms: f64,
    /// How much that varies.
    pub jitter_ms: f64,
    /// Bits a second.
    pub bandwidth: u64,
    /// Share of packets.
    pub loss: f64,
}

/// A deployment on the node that tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeploymentShown {
    /// Its name.
    pub name: String,
    /// The epoch that serves.
    pub epoch: Option<u32>,
    /// Epochs that are prepared.
    pub prepared: Vec<u32>,
    /// Where its requests are made.
    pub source: String,
    /// Bytes of the files that are kept for it here.
    pub bytes: u64,
    /// What computes its models here, for people: "cpu", names of adapters, and how much the CPU has all the same.
    pub computed_on: BTreeSet<String>,
    /// Of requests, where they are made here.
    pub requests: Option<RequestsShown>,
    /// Of their results, where these are delivered to another node.
    pub delivery: Option<DeliveryShown>,
}

/// Results that other nodes have delivered here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InboxShown {
    /// Bytes of them.
    pub bytes: u64,
    /// Bytes that there is room for.
    pub room: u64,
    /// Of which deployment, and by whom.
    pub senders: Vec<(String, String)>,
}

/// Requests of a deployment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RequestsShown {
    /// What became of them.
    #[serde(flatten)]
    pub counts: Counts,
    /// Half of the latest took no longer.
    pub p50_ms: Option<f64>,
    /// 99 of 100 of the latest took no longer.
    pub p99_ms: Option<f64>,
    /// Since when the plan serves that does, in seconds.
    pub since_s: f64,
    /// Why it does.
    pub why: String,
    /// All plans.
    pub alternatives: Vec<AlternativeShown>,
    /// Where the time of requests over the plan that serves goes: hop, what it does, median milliseconds.
    pub times: Vec<TimeShown>,
}

/// One of the plans.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlternativeShown {
    /// Its name.
    pub plan: String,
    /// What it decides.
    pub decision: String,
    /// Whether requests go over it.
    pub serves: bool,
    /// What it is believed to take now; none where it cannot be had.
    pub predicted_ms: Option<f64>,
    /// What keeps it from serving.
    pub barred: Option<String>,
}

/// One kind of time on one hop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimeShown {
    /// Index of the hop.
    pub hop: u8,
    /// What happens.
    pub kind: String,
    /// Median.
    pub ms: f64,
}

/// How this node is.
pub(crate) fn status(inner: &Inner) -> Status {
    let now = inner.clock.now();
    let members: Vec<Member> = inner.cluster.roster().members().cloned().collect();
    // One that is changing its key is there once, under the new one.
    let members = members.into_iter().filter(|member| inner.cluster.current(member.id) == member.id);
    let nodes = members.map(|member| NodeShown {
        name: member.name,
        id: member.id,
        role: member.role,
        address: member.address.to_string(),
        liveness: if member.id == inner.cluster.id() {
            "alive".to_owned()
        } else {
            inner.gossip.liveness(member.id, now).to_owned()
        },
    });
    let links = inner.neighbours.all().into_iter().map(|(id, believed)| LinkShown {
        to: inner.cluster.name(id),
        up: believed.up && believed.known,
        round_trip_ms: ms(believed.link.round_trip_smoothed()),
        jitter_ms: ms(believed.link.jitter()),
        bandwidth: believed.link.bandwidth(now).0,
        loss: believed.link.loss(),
    });
    let (nodes, links) = (nodes.collect(), links.collect());
    let held = inner.held();
    let deployments = held.iter().filter_map(|(name, held)| {
        let (_, manifest) =
            held.active.and_then(|epoch| held.manifests.get(&epoch)).or(held.manifests.values().last())?;
        let plans = manifest.shares.iter().map(|share| share.plan);
        Some(DeploymentShown {
            name: name.clone(),
            epoch: held.active,
            prepared: held.manifests.keys().copied().collect(),
            source: inner.cluster.name(manifest.source),
            bytes: manifest.bytes(),
            computed_on: plans.flat_map(|plan| inner.node.computed_on(plan, manifest.epoch)).collect(),
            requests: held.source.as_deref().map(|source| requests(source, now)),
            delivery: inner.outboxes.of(name).map(|outbox| outbox.shown(|id| name_of(inner, id))),
        })
    });
    let deployments = deployments.collect();
    Status {
        name: inner.config.name.clone(),
        id: inner.cluster.id(),
        role: inner.config.role,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        up_s: now.as_secs(),
        incarnation: inner.incarnation,
        memory_max: resident_bytes_max(),
        nodes,
        links,
        deployments,
        inbox: inbox(inner),
    }
}

/// What people call a node, by any key that it has or had.
fn name_of(inner: &Inner, id: NodeId) -> String {
    inner.cluster.name(inner.cluster.current(id))
}

fn inbox(inner: &Inner) -> Option<InboxShown> {
    let senders = inner.inboxes.senders();
    let [bytes, room] = inner.inboxes.bytes();
    let senders: Vec<_> = senders.into_iter().map(|(deployment, id)| (deployment, name_of(inner, id))).collect();
    (!senders.is_empty()).then_some(InboxShown { bytes: bytes.0, room: room.0, senders })
}

fn requests(source: &Source, now: Duration) -> RequestsShown {
    let (explained, counts) = source.explain(now);
    let (latencies, times) = source.latest(explained.serving);
    let at = |share| (!latencies.is_empty()).then(|| ms(rank(&latencies, share)));
    RequestsShown {
        counts,
        p50_ms: at(0.5),
        p99_ms: at(0.99),
        since_s: now.saturating_sub(explained.since).as_secs_f64(),
        why: why(source, &explained),
        alternatives: alternatives(source, &explained),
        times: times.into_iter().map(|((hop, kind), time)| TimeShown { hop, kind: word(kind), ms: ms(time) }).collect(),
    }
}

fn alternatives(source: &Source, explained: &Explanation) -> Vec<AlternativeShown> {
    let shown = explained.standings.iter().map(|standing| AlternativeShown {
        plan: standing.plan.to_string(),
        decision: source.decision(standing.plan).to_owned(),
        serves: explained.serving == Some(standing.plan),
        predicted_ms: (standing.predicted < Duration::MAX).then(|| ms(standing.predicted)),
        barred: standing.bar.map(|bar| format!("{bar:?}")),
    });
    shown.collect()
}

/// Why a plan serves, in a sentence.
fn why(source: &Source, explained: &Explanation) -> String {
    let name = |plan: PlanId| format!("{plan} ({})", source.decision(plan));
    match explained.why {
        None => "no plan can serve".to_owned(),
        Some(Why::Best) => "it was predicted best at the start".to_owned(),
        Some(Why::Better { than, predicted, than_predicted }) => {
            format!("predicted at {:.1} ms, beside {:.1} ms of {}", ms(predicted), ms(than_predicted), name(than))
        }
        Some(Why::Barred { before, by }) => format!("{} could not serve any more: {by:?}", name(before)),
        Some(Why::Replaced { before }) => format!("it was deployed in place of {}", name(before)),
    }
}

fn word(kind: SpanKind) -> String {
    format!("{kind:?}").to_lowercase()
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
