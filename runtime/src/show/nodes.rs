//! Nodes, links and deployments as tables.

use thalweg_planner::{Bandwidth, Bytes};

use super::figures::{NONE, backends, ms, number, per_cent, short};
use super::grid::{INDENT, grid};
use crate::daemon::{DeliveryShown, DeploymentShown, InboxShown, LinkShown, NodeShown, RequestsShown, Status};
use crate::deployment::DeployReport;

/// Characters of a name in a table.
const NAME: usize = 24;
/// Characters of what a plan decides.
const DECISION: usize = 60;

/// How a node is: members, links, deployments, and where the time of requests goes.
pub fn status_table(status: &Status) -> String {
    let Status { name, role, id, version, up_s, incarnation, memory_max, nodes, links, deployments, inbox } = status;
    let memory = memory_max.map_or(String::new(), |bytes| format!(", at most {} resident", Bytes(bytes)));
    let key: String = id.to_string().chars().take(8).collect();
    let mut blocks = vec![format!(
        "{INDENT}{} ({role}, key {key}…), version {version}, up {up_s} s, start {incarnation}{memory}\n",
        short(name, NAME)
    )];
    blocks.push(grid(&["node", "role", "address", "state"], &[0, 1, 2, 3], nodes.iter().map(node).collect()));
    if !links.is_empty() {
        let header = ["link to", "state", "round trip", "jitter", "carries", "loss"];
        blocks.push(grid(&header, &[0, 1], links.iter().map(link).collect()));
    }
    blocks.extend(deployments.iter().map(deployment));
    blocks.extend(inbox.as_ref().map(delivered_here));
    blocks.join("\n")
}

fn node(node: &NodeShown) -> Vec<String> {
    vec![short(&node.name, NAME), node.role.to_string(), node.address.clone(), node.liveness.clone()]
}

fn link(link: &LinkShown) -> Vec<String> {
    let state = if link.up { "up" } else { "down" };
    vec![
        short(&link.to, NAME),
        state.to_owned(),
        ms(link.round_trip_ms),
        ms(link.jitter_ms),
        Bandwidth(link.bandwidth).to_string(),
        per_cent(link.loss),
    ]
}

fn deployment(of: &DeploymentShown) -> String {
    let epoch = of.epoch.map_or("not serving yet".to_owned(), |epoch| format!("epoch {epoch}"));
    let computed_on =
        if of.computed_on.is_empty() { String::new() } else { format!(", computed on {}", backends(&of.computed_on)) };
    let head = format!(
        "{INDENT}{}: {epoch}, requests are made at {}, {} kept here{computed_on}\n",
        short(&of.name, NAME),
        short(&of.source, NAME),
        Bytes(of.bytes)
    );
    let requests = of.requests.as_ref().map_or(String::new(), requests);
    head + &of.delivery.as_ref().map_or(String::new(), delivery) + &requests
}

fn delivery(of: &DeliveryShown) -> String {
    let DeliveryShown { to, waiting, delivered, not_stored, damaged, bytes, hindered } = of;
    let mut text = format!(
        "{INDENT}results for {}: {waiting} wait, {delivered} delivered, {not_stored} not stored, {damaged} damaged; {} on disk\n",
        short(to, NAME),
        Bytes(*bytes)
    );
    if let Some(cause) = hindered {
        text += &format!("{INDENT}they wait because: {cause}\n");
    }
    text
}

fn delivered_here(of: &InboxShown) -> String {
    let senders = of.senders.iter().map(|(deployment, from)| format!("{deployment} from {from}")).collect::<Vec<_>>();
    format!("{INDENT}results here: {}; {} of {}\n", senders.join(", "), Bytes(of.bytes), Bytes(of.room))
}

fn requests(of: &RequestsShown) -> String {
    let counts = of.counts;
    let latency = of.p50_ms.zip(of.p99_ms);
    let latency = latency.map_or(String::new(), |(p50, p99)| format!("; p50 {}, p99 {}", ms(p50), ms(p99)));
    let mut text = format!(
        "{INDENT}{} requests: {} answered ({} locally), {} refused{latency}; {} changes of plan\n",
        counts.requests, counts.answered, counts.local, counts.refused, counts.switches
    );
    text += &format!("{INDENT}serves for {} s because: {}\n", number(of.since_s, 1), of.why);
    let rows = of.alternatives.iter().map(|alternative| {
        vec![
            if alternative.serves { "serves" } else { "" }.to_owned(),
            alternative.plan.clone(),
            alternative.predicted_ms.map_or(NONE.to_owned(), ms),
            short(&alternative.decision, DECISION),
            alternative.barred.clone().unwrap_or_default(),
        ]
    });
    text += &grid(&["", "plan", "predicted", "decides", "barred by"], &[0, 1, 3, 4], rows.collect());
    if !of.times.is_empty() {
        let rows = of.times.iter().map(|time| vec![time.hop.to_string(), time.kind.clone(), ms(time.ms)]);
        text += &grid(&["hop", "does", "median"], &[0, 1], rows.collect());
    }
    text
}

/// What became of a deployment.
pub fn deployed_table(report: &DeployReport) -> String {
    let DeployReport { name, epoch, state, remarks, source, plans, nodes, took_s } = report;
    let mut text = format!(
        "{INDENT}{}: epoch {epoch} is {state}, requests are made at {}; {} s\n",
        short(name, NAME),
        short(source, NAME),
        number(*took_s, 1)
    );
    for remark in remarks {
        text += &format!("{INDENT}{remark}\n");
    }
    let rows = plans.iter().map(|plan| vec![short(&plan.decision, DECISION), ms(plan.predicted_ms)]);
    text += "\n";
    text += &grid(&["plan", "predicted"], &[0], rows.collect());
    let rows = nodes.iter().map(|node| {
        vec![
            short(&node.name, NAME),
            number(node.slowdown, 2),
            Bytes(node.bytes).to_string(),
            Bytes(node.fetched_bytes).to_string(),
            ms(node.took_ms as f64),
        ]
    });
    text += "\n";
    text + &grid(&["node", "times as slow", "holds", "of which new", "took"], &[0], rows.collect())
}
