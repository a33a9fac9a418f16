//! `thalweg deploy`: plans a pipeline over the nodes that are there, and puts it on them.

mod watch;

use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};

use clap::Args;
use thalweg_planner::{Bandwidth, Bytes, Direction, Link, Plan, Slowdown, Tier, Topology, parse_duration};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::node::{Home, block_on};
use super::prepare::{Priced, price};
use super::{Target, write_json};
use crate::calls::json;
use crate::client::{Client, ORDER_TIME, Spoken};
use crate::config::NodeFile;
use crate::daemon::{DaemonError, LinkMeasured, Measured, NodeShown, Order, Prepared, Status};
use crate::deployment::{DeployReport, NodeRow, Packed, PlanRow, RunsOf, Signed, alternatives, pack, whole};
use crate::identity::NodeId;
use crate::run::RunError;
use crate::show::deployed_table;
use crate::store::FileEntry;
use crate::trust::Role;
use watch::Served;

#[derive(Debug, Args)]
pub(super) struct DeployArgs {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    home: Home,
    /// What the deployment is called. Without it: as the pipeline.
    #[arg(long)]
    name: Option<String>,
    /// The node where requests are made. Without it: the only device.
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Only these nodes beside the source. May be given several times; without it: all edges and clouds that are alive.
    #[arg(long = "node", value_name = "NAME")]
    nodes: Vec<String>,
    /// How long it may take. When it is not done by then it has failed, and what served before goes on.
    #[arg(long, value_name = "TIME", default_value = "10 min", value_parser = parse_duration)]
    within: Duration,
    /// Stay, look each TIME, a second at least, whether other plans are better by enough on the nodes and links that are
    /// there by then, and deploy these. Requests do not notice. How fast nodes compute is measured once.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    watch: Option<Duration>,
    /// Print JSON instead of tables: with --watch one document for each deployment.
    #[arg(long)]
    json: bool,
}

pub(super) fn deploy(args: &DeployArgs, out: &mut dyn Write) -> Result<(), RunError> {
    let config = args.home.read()?;
    let priced = price(&args.target)?;
    block_on(async {
        let mut served = deploy_once(args, &config, &priced, None, out).await?;
        while let Some(every) = args.watch {
            tokio::time::sleep(every.max(WATCH_MIN)).await;
            match deploy_once(args, &config, &priced, served.as_ref(), out).await {
                Ok(newer) => served = newer.or(served),
                // The nodes may be there again next time.
                Err(error) => tracing::warn!(%error, "no other plans this time; those before go on"),
            }
        }
        Ok(())
    })?
}

/// Deploys, unless what was deployed before is good enough by now: what the nodes have then.
async fn deploy_once(
    args: &DeployArgs,
    config: &NodeFile,
    priced: &Priced,
    before: Option<&Served>,
    out: &mut dyn Write,
) -> Result<Option<Served>, RunError> {
    let started = Instant::now();
    let began = timeout(args.within, Deploying::begin(args, config, priced)).await;
    let deploying = began.map_err(|_| DaemonError::Silent { address: "the cluster".into(), time: args.within })??;
    let served = deploying.served();
    if let Some(before) = before {
        let gain = before.gain(&priced.graph, &deploying.topology, &served.nodes, &deploying.plans[0]);
        tracing::info!(before = ?gain.before, best = ?gain.after, deploys = gain.is_enough(), "looked for better plans");
        if !gain.is_enough() {
            return Ok(None);
        }
    }
    let report = deploying.run(args.within.saturating_sub(started.elapsed())).await?;
    if args.json {
        write_json(out, &report)?;
    } else {
        write!(out, "{}", deployed_table(&report))?;
    }
    match report.state {
        "failed" => Err(RunError::NotDeployed { name: report.name, epoch: report.epoch }),
        _ => Ok(Some(served)),
    }
}

/// Between two looks for better plans: measuring links takes about as long.
const WATCH_MIN: Duration = Duration::from_secs(1);

/// Orders whose end the whole deployment's time decides have no nearer one of their own.
const WITHIN_ALL: Duration = Duration::from_secs(24 * 3600);

/// A deployment that is planned and packed.
struct Deploying {
    client: Client,
    home: Spoken,
    home_id: NodeId,
    /// The source, then the others.
    nodes: Vec<(NodeShown, Spoken)>,
    slowdowns: Vec<f64>,
    topology: Topology,
    plans: Vec<Plan>,
    packed: Packed,
    name: String,
    epoch: u32,
    started: Instant,
}

impl Deploying {
    async fn begin(args: &DeployArgs, config: &NodeFile, priced: &Priced) -> Result<Self, RunError> {
        let started = Instant::now();
        let Priced { subject, graph, objective, .. } = priced;
        let client = Client::of(config)?;
        let home = client.home(config).await?;
        let status: Status = home.order(&Order::Status, ORDER_TIME).await?;
        let name = args.name.clone().unwrap_or_else(|| subject.name.clone());
        let mut nodes = Vec::new();
        for node in chosen(args, &status)? {
            let spoken = client.to(node.peer()?).await?;
            nodes.push((node, spoken));
        }
        let sink = subject.pipeline.as_ref().and_then(|pipeline| pipeline.deliver_to.as_ref());
        let sink = sink.map(|name| sink_of(name, &status, nodes[0].0.id)).transpose()?;
        let epoch = 1 + newest_epoch(&nodes, &name).await?;
        let (part, files) = whole(subject)?;
        let text = json(&part)?;
        let part_file = FileEntry::of(&text);
        home.put(&files).await?;
        home.put(&[(part_file.clone(), text)]).await?;
        let models = part.pieces.iter().filter(|piece| matches!(piece.runs, RunsOf::Model(_)));
        let models: Vec<&str> = models.map(|piece| piece.step.as_str()).collect();
        let reference_us = reference_us(graph, subject, &models);
        let ids: Vec<NodeId> = nodes.iter().map(|(node, _)| node.id).collect();
        // Links before files travel over them.
        let links = measure_all(&nodes, None, &ids, status.id).await?;
        let measured = measure_all(&nodes, Some(part_file), &[], status.id).await?;
        let measured: Vec<Measured> =
            measured.into_iter().zip(links).map(|(of, links)| Measured { links: links.links, ..of }).collect();
        let slowdown = |measured: &Measured| measured.models_us.iter().sum::<u64>() as f64 / reference_us.max(1) as f64;
        let slowdowns: Vec<f64> = measured.iter().map(|measured| slowdown(measured).max(1e-3)).collect();
        let topology = topology(&nodes, &measured, &slowdowns);
        let plans = alternatives(graph, &topology, objective)?;
        let mut packed = pack(&name, epoch, subject, (graph, &topology), &ids, &plans)?;
        if let Some(sink) = sink {
            packed.deliver_to(sink);
        }
        let home_id = status.id;
        Ok(Self { client, home, home_id, nodes, slowdowns, topology, plans, packed, name, epoch, started })
    }

    /// What the nodes have when it serves.
    fn served(&self) -> Served {
        Served { nodes: self.nodes.iter().map(|(node, _)| node.id).collect(), plans: self.plans.clone() }
    }

    /// Prepares all nodes and lets them serve, or leaves everything as it was.
    async fn run(self, time: Duration) -> Result<DeployReport, RunError> {
        let prepared = timeout(time, self.prepare()).await;
        let failed = match &prepared {
            Ok(Ok(prepared)) => match self.activate(prepared).await {
                Ok(remarks) => return Ok(self.report("serving", remarks, Some(prepared))),
                Err(error) => error.to_string(),
            },
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it was not done in time".to_owned(),
        };
        if self.abort().await {
            let remark = format!("it serves, though not all nodes have said so: {failed}");
            return Ok(self.report("serving", vec![remark], prepared.ok().and_then(Result::ok).as_ref()));
        }
        Ok(self.report("failed", vec![failed], None))
    }

    async fn prepare(&self) -> Result<BTreeMap<NodeId, Prepared>, DaemonError> {
        self.home.put(&self.packed.files).await?;
        let mut preparing = JoinSet::new();
        for (node, spoken) in &self.nodes {
            let Some(manifest) = self.packed.manifests.get(&node.id) else { continue };
            let text = json(manifest)?;
            let file = FileEntry::of(&text);
            self.home.put(&[(file.clone(), text)]).await?;
            let signed = Signed::sign(file, self.client.identity());
            let order = Order::Prepare { signed, holders: vec![self.home_id] };
            let (spoken, id, name) = (spoken.clone(), node.id, node.name.clone());
            preparing.spawn(async move {
                let prepared = spoken.order::<Prepared>(&order, WITHIN_ALL).await;
                (id, prepared.map_err(|cause| DaemonError::OfNode { name, cause: Box::new(cause) }))
            });
        }
        let mut all = BTreeMap::new();
        while let Some(prepared) = preparing.join_next().await {
            let (id, prepared) = prepared.map_err(|_| DaemonError::Ended)?;
            all.insert(id, prepared?);
        }
        Ok(all)
    }

    /// The source first: from then on requests go over what all nodes have prepared. Others only take away what came
    /// before; one that does not hear of it keeps both.
    async fn activate(&self, prepared: &BTreeMap<NodeId, Prepared>) -> Result<Vec<String>, DaemonError> {
        let order = Order::Activate { name: self.name.clone(), epoch: self.epoch };
        let mut remarks = Vec::new();
        for (place, (node, spoken)) in self.nodes.iter().enumerate() {
            if !prepared.contains_key(&node.id) {
                continue;
            }
            match spoken.order::<()>(&order, ORDER_TIME).await {
                Err(error) if place == 0 => return Err(error),
                Err(error) => remarks.push(format!("{}: keeps the epoch before as well: {error}", node.name)),
                Ok(()) => {}
            }
        }
        Ok(remarks)
    }

    /// Takes away what was prepared, unless the source, which is asked first, sends requests over it: whether it does.
    async fn abort(&self) -> bool {
        let order = Order::Abort { name: self.name.clone(), epoch: self.epoch };
        for (place, (node, spoken)) in self.nodes.iter().enumerate() {
            match spoken.order::<bool>(&order, ORDER_TIME).await {
                Ok(serves) if place == 0 && serves => return true,
                Ok(_) => {}
                Err(error) => tracing::warn!(node = node.name, %error, "what was prepared could not be taken away"),
            }
        }
        false
    }

    fn report(
        &self,
        state: &'static str,
        remarks: Vec<String>,
        prepared: Option<&BTreeMap<NodeId, Prepared>>,
    ) -> DeployReport {
        let plan = |plan: &Plan| PlanRow {
            decision: crate::run::study::decision(&self.topology, plan),
            predicted_ms: plan.latency.as_secs_f64() * 1e3,
        };
        let node = |((node, _), slowdown): (&(NodeShown, Spoken), &f64)| {
            let prepared = prepared.and_then(|prepared| prepared.get(&node.id));
            NodeRow {
                name: node.name.clone(),
                slowdown: *slowdown,
                bytes: prepared.map_or(0, |prepared| prepared.bytes),
                fetched_bytes: prepared.map_or(0, |prepared| prepared.fetched_bytes),
                took_ms: prepared.map_or(0, |prepared| prepared.took_ms),
            }
        };
        DeployReport {
            name: self.name.clone(),
            epoch: self.epoch,
            state,
            remarks,
            source: self.nodes[0].0.name.clone(),
            plans: self.plans.iter().map(plan).collect(),
            nodes: self.nodes.iter().zip(&self.slowdowns).map(node).collect(),
            took_s: self.started.elapsed().as_secs_f64(),
        }
    }
}

/// The node that answers are delivered to.
fn sink_of(name: &str, status: &Status, source: NodeId) -> Result<NodeId, RunError> {
    let found = status.nodes.iter().find(|node| node.name == name && node.id != source);
    Ok(found.ok_or_else(|| RunError::NoSink { name: name.to_owned() })?.id)
}

/// The source, and then the nodes that help it.
fn chosen(args: &DeployArgs, status: &Status) -> Result<Vec<NodeShown>, RunError> {
    let named = |name: &String| {
        let found = status.nodes.iter().find(|node| node.name == *name);
        found.cloned().ok_or_else(|| RunError::NoSuchNode { name: name.clone() })
    };
    let devices: Vec<&NodeShown> = status.nodes.iter().filter(|node| node.role == Role::Device).collect();
    let source = match (&args.source, &devices[..]) {
        (Some(name), _) => named(name)?,
        (None, [only]) => (*only).clone(),
        (None, _) => {
            let known = devices.iter().map(|node| node.name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(RunError::WhichSource { known });
        }
    };
    let others: Vec<NodeShown> = if args.nodes.is_empty() {
        let helps = |node: &&NodeShown| matches!(node.role, Role::Edge | Role::Cloud) && node.liveness != "down";
        status.nodes.iter().filter(helps).cloned().collect()
    } else {
        args.nodes.iter().map(named).collect::<Result<_, _>>()?
    };
    Ok(std::iter::once(source.clone()).chain(others.into_iter().filter(|node| node.id != source.id)).collect())
}

/// The greatest epoch that any of the nodes knows of this deployment.
async fn newest_epoch(nodes: &[(NodeShown, Spoken)], name: &str) -> Result<u32, DaemonError> {
    let mut newest = 0;
    for (_, spoken) in nodes {
        let status: Status = spoken.order(&Order::Status, ORDER_TIME).await?;
        let of_name = status.deployments.iter().filter(|deployment| deployment.name == name);
        newest = of_name.flat_map(|deployment| deployment.prepared.iter().copied()).fold(newest, u32::max);
    }
    Ok(newest)
}

/// What the models take on this machine, in microseconds.
fn reference_us(graph: &thalweg_planner::Graph, subject: &crate::run::Subject, models: &[&str]) -> u64 {
    let of_models = subject.steps.all().iter().filter(|step| models.contains(&step.name.as_str()));
    let layers = of_models.flat_map(|step| graph.layers[step.layers()].iter());
    layers.map(|layer| u64::try_from(layer.reference.as_micros()).unwrap_or(u64::MAX)).sum()
}

/// Times the pipeline's models on each node, and the links between all of them.
async fn measure_all(
    nodes: &[(NodeShown, Spoken)],
    part: Option<FileEntry>,
    ids: &[NodeId],
    holder: NodeId,
) -> Result<Vec<Measured>, DaemonError> {
    let mut measuring = JoinSet::new();
    for (place, (node, spoken)) in nodes.iter().enumerate() {
        let links = ids.iter().copied().filter(|id| *id != node.id).collect();
        let order = Order::Measure { part: part.clone(), links, holders: vec![holder] };
        let (spoken, name) = (spoken.clone(), node.name.clone());
        measuring.spawn(async move {
            let measured = spoken.order::<Measured>(&order, WITHIN_ALL).await;
            (place, measured.map_err(|cause| DaemonError::OfNode { name, cause: Box::new(cause) }))
        });
    }
    let mut all: Vec<Option<Measured>> = vec![None; nodes.len()];
    while let Some(measured) = measuring.join_next().await {
        let (place, measured) = measured.map_err(|_| DaemonError::Ended)?;
        all[place] = Some(measured?);
    }
    Ok(all.into_iter().flatten().collect())
}

fn topology(nodes: &[(NodeShown, Spoken)], measured: &[Measured], slowdowns: &[f64]) -> Topology {
    let tier = |(((node, _), measured), slowdown): ((&(NodeShown, Spoken), &Measured), &f64)| Tier {
        name: node.name.clone(),
        memory: Bytes(measured.memory),
        slowdown: Slowdown::NONE.map(|factor| factor * slowdown),
        gpu: false,
        watts: 0.0,
        price_hour: 0.0,
    };
    let place = |id: NodeId| nodes.iter().position(|(node, _)| node.id == id);
    let link = |from: usize, link: &LinkMeasured| {
        let direction = Direction::new(Bandwidth(link.bandwidth.max(1)), Duration::from_nanos(link.delay_ns));
        Some(Link { from, to: place(link.to).filter(|_| link.up)?, direction })
    };
    let links =
        measured.iter().enumerate().flat_map(|(from, measured)| measured.links.iter().map(move |to| (from, to)));
    let links = links.filter_map(|(from, to)| link(from, to));
    Topology { tiers: nodes.iter().zip(measured).zip(slowdowns).map(tier).collect(), links: links.collect() }
}
