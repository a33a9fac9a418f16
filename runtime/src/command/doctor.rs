//! `thalweg doctor`: looks at a node and its surroundings, and says what to do where something is wrong.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clap::Args;
use serde::Serialize;

use super::node::{Home, block_on};
use super::write_json;
use crate::client::{Client, ORDER_TIME};
use crate::config::NodeFile;
use crate::daemon::{Measured, Order, State, Status};
use crate::emulate::buffers;
use crate::memory::available;
use crate::run::RunError;
use crate::trust::{KeyFile, Roster};

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    home: Home,
    /// Print JSON instead of lines.
    #[arg(long)]
    json: bool,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Finding {
    what: String,
    /// `good`, `odd`, or `bad`.
    state: &'static str,
    found: String,
    /// What to do; nothing where it is good.
    advice: String,
}

/// A machine that thinks it is earlier than this has lost its clock: when this program was written, in Unix time.
const WRITTEN: Duration = Duration::from_secs(1_795_000_000);
/// Memory below which even a small part does not fit.
const MEMORY_LEAST: u64 = 64 << 20;

pub(super) fn doctor(args: &DoctorArgs, out: &mut dyn Write) -> Result<(), RunError> {
    let config = args.home.read()?;
    let mut findings =
        vec![clock(), key(&config), members(&config), memory(&config), gpu(&config), udp_buffers(&config)];
    findings.extend(onnxruntime(&config));
    findings.extend(block_on(network(&config))?);
    if args.json {
        write_json(out, &findings)?;
    } else {
        for Finding { what, state, found, advice } in &findings {
            let advice = if advice.is_empty() { String::new() } else { format!("; {advice}") };
            writeln!(out, "  {state:<5}{what:<22}{found}{advice}")?;
        }
    }
    match findings.iter().filter(|finding| finding.state == "bad").count() {
        0 => Ok(()),
        count => Err(RunError::Sick { count }),
    }
}

fn good(what: &str, found: impl Into<String>) -> Finding {
    Finding { what: what.to_owned(), state: "good", found: found.into(), advice: String::new() }
}

fn wrong(what: &str, state: &'static str, found: impl Into<String>, advice: &str) -> Finding {
    Finding { what: what.to_owned(), state, found: found.into(), advice: advice.to_owned() }
}

fn clock() -> Finding {
    match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
        Ok(now) if now >= WRITTEN => good("clock", "set"),
        _ => {
            wrong("clock", "odd", "not set", "nodes do not need it, but times in logs are wrong: start a time service")
        }
    }
}

fn key(config: &NodeFile) -> Finding {
    match KeyFile::new(State::at(&config.state).key()).read() {
        Ok(identity) => good("key", identity.id().to_string()),
        Err(error) => wrong("key", "bad", error.to_string(), "start the node once, or join a cluster, to make it"),
    }
}

fn members(config: &NodeFile) -> Finding {
    match Roster::load(&State::at(&config.state).roster()) {
        Ok(Some(roster)) => {
            good("cluster", format!("{} with {} members", roster.authority(), roster.members().count()))
        }
        Ok(None) => wrong("cluster", "odd", "none", "the node founds one when it starts, unless it joins one before"),
        Err(error) => wrong("cluster", "bad", error.to_string(), "join again with a new state folder"),
    }
}

fn memory(config: &NodeFile) -> Finding {
    let free = available();
    let (found, allowed) = (format!("{} MiB free", free >> 20), config.memory.map_or(free, |memory| memory.0));
    if free < MEMORY_LEAST {
        return wrong("memory", "bad", found, "end other programs: parts need their weights and 60 MiB");
    }
    if allowed > free {
        return wrong("memory", "odd", found, "`memory` in node.toml is more than that: plans may not fit");
    }
    good("memory", found)
}

fn gpu(config: &NodeFile) -> Finding {
    let adapter = config.adapter.as_str();
    match config.backends().adapter() {
        _ if adapter == "none" => good("GPU", "none is wanted"),
        Ok(name) => good("GPU", name),
        Err(cause) if adapter.is_empty() => good("GPU", format!("{cause}; models run on the CPU")),
        Err(cause) => wrong("GPU", "odd", cause, "models run on the CPU: change `adapter` or `precision` in node.toml"),
    }
}

/// Nothing where no library is wanted.
fn onnxruntime(config: &NodeFile) -> Option<Finding> {
    let advice = "models run without it: change `onnxruntime` or `provider` in node.toml";
    Some(match config.backends().library()? {
        Ok(name) => good("onnxruntime", name),
        Err(cause) => wrong("onnxruntime", "odd", cause, advice),
    })
}

fn udp_buffers(config: &NodeFile) -> Finding {
    match buffers(config.listen.ip()) {
        Ok((got, asked)) if got < asked => {
            let advice =
                format!("packets may be lost: run `sysctl -w net.core.rmem_max={asked} net.core.wmem_max={asked}`");
            wrong("UDP buffers", "odd", format!("{} KiB of {} KiB", got >> 10, asked >> 10), &advice)
        }
        Ok((got, _)) => good("UDP buffers", format!("{} KiB", got >> 10)),
        Err(error) => wrong("UDP buffers", "bad", error.to_string(), "no UDP socket can be opened here"),
    }
}

/// Whether the node runs, whether it reaches the others and they it, and what version each is.
async fn network(config: &NodeFile) -> Vec<Finding> {
    let asked = async {
        let client = Client::of(config)?;
        let home = client.home(config).await?;
        let status: Status = home.order(&Order::Status, ORDER_TIME).await?;
        Ok::<_, crate::daemon::DaemonError>((client, home, status))
    };
    let (client, home, status) = match asked.await {
        Ok(asked) => asked,
        Err(error) => {
            let advice = "start it with `thalweg node`, and look whether a firewall stops UDP on its port";
            return vec![wrong("node", "bad", error.to_string(), advice)];
        }
    };
    let mut findings = vec![good("node", format!("runs for {} s, version {}", status.up_s, status.version))];
    let others: Vec<_> = status.nodes.iter().filter(|node| node.id != status.id).collect();
    let order = Order::Measure { part: None, links: others.iter().map(|node| node.id).collect(), holders: Vec::new() };
    let there = home.order::<Measured>(&order, ORDER_TIME * 4).await.map(|measured| measured.links).unwrap_or_default();
    // A node that does not answer keeps no other one waiting.
    let (client, config, status) = (Arc::new(client), Arc::new(config.clone()), Arc::new(status.clone()));
    let hears = others.iter().map(|node| {
        let (client, config, status, node) = (client.clone(), config.clone(), status.clone(), (*node).clone());
        async move { back(&client, &config, &status, &node).await }
    });
    let hears = side_by_side(hears).await;
    for (node, hears) in others.into_iter().zip(hears) {
        let what = format!("link to {}", node.name);
        match there.iter().find(|link| link.to == node.id).filter(|link| link.up) {
            Some(link) => {
                let (ms, mbit) = (link.delay_ns as f64 / 5e5, link.bandwidth as f64 / 1e6);
                findings.push(good(&what, format!("round trip {ms:.1} ms, {mbit:.1} Mbit/s")));
            }
            None => {
                let advice = format!("let UDP pass to {} in both directions, and see that it runs", node.address);
                findings.push(wrong(&what, "bad", "nothing comes back", &advice));
                continue;
            }
        }
        findings.extend(hears);
    }
    findings
}

/// Does all of these at once; what came of each, in their order, and nothing of one that has panicked.
async fn side_by_side<T: Send + 'static>(
    all: impl Iterator<Item = impl Future<Output = Option<T>> + Send + 'static>,
) -> Vec<Option<T>> {
    let begun: Vec<_> = all.map(tokio::spawn).collect();
    let mut came = Vec::new();
    for one in begun {
        came.push(one.await.ok().flatten());
    }
    came
}

/// Whether another node reaches this one, as far as it tells.
async fn back(client: &Client, config: &NodeFile, status: &Status, node: &crate::daemon::NodeShown) -> Option<Finding> {
    let spoken = client.to(node.peer().ok()?).await.ok()?;
    let other: Status = spoken.order(&Order::Status, ORDER_TIME).await.ok()?;
    if other.version != status.version {
        let advice = "update the older one: nodes of one cluster speak one version";
        return Some(wrong(&format!("version of {}", node.name), "odd", other.version, advice));
    }
    let what = format!("link from {}", node.name);
    let seen = other.nodes.iter().find(|seen| seen.id == status.id)?;
    Some(match seen.liveness.as_str() {
        "alive" => good(&what, "hears this node"),
        other => {
            let advice = format!("it does not hear this node at {}: see `address` in node.toml", config.listen);
            wrong(&what, "odd", other.to_owned(), &advice)
        }
    })
}

#[cfg(test)]
mod tests {
    use tokio::sync::Barrier;

    use super::*;

    #[tokio::test]
    async fn none_waits_for_another_one_and_their_order_stays() {
        // Each goes on when all three have begun.
        let all_begun = Arc::new(Barrier::new(3));
        let asked = (0..3).map(|number| {
            let all_begun = all_begun.clone();
            async move {
                all_begun.wait().await;
                (number != 1).then_some(number)
            }
        });
        assert_eq!(side_by_side(asked).await, [Some(0), None, Some(2)]);
    }
}
