//! `thalweg results`: what nodes have delivered of a deployment, a page at a time.

use std::io::Write;

use clap::Args;

use super::ask::row;
use super::node::{Home, block_on};
use super::write_json;
use crate::client::{Client, ORDER_TIME};
use crate::daemon::{Order, Results, Status};
use crate::run::RunError;

#[derive(Debug, Args)]
pub(super) struct ResultsArgs {
    /// The deployment.
    deployment: String,
    #[command(flatten)]
    home: Home,
    /// The node that has them, which shows them to operators alone. Without it: the one on this host.
    #[arg(long, value_name = "NAME")]
    at: Option<String>,
    /// The node that has delivered them: its name or its key. Without it: the only one.
    #[arg(long, value_name = "NODE")]
    from: Option<String>,
    /// Only those after this number: the last one of the page before.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    after: u64,
    /// Take away those up to this number, for good, in place of showing any.
    #[arg(long, value_name = "NUMBER", conflicts_with = "after")]
    forget: Option<u64>,
    /// Print JSON instead of lines, with all bytes in hexadecimal digits.
    #[arg(long)]
    json: bool,
}

pub(super) fn results(args: &ResultsArgs, out: &mut dyn Write) -> Result<(), RunError> {
    let config = args.home.read()?;
    let (name, from) = (args.deployment.clone(), args.from.clone());
    let results: Option<Results> = block_on(async {
        let client = Client::of(&config)?;
        let mut spoken = client.home(&config).await?;
        if let Some(at) = &args.at {
            let status: Status = spoken.order(&Order::Status, ORDER_TIME).await?;
            let node = status.nodes.into_iter().find(|node| node.name == *at);
            let node = node.ok_or_else(|| RunError::NoSuchNode { name: at.clone() })?;
            spoken = client.to(node.peer()?).await?;
        }
        match args.forget {
            Some(through) => {
                spoken.order::<()>(&Order::Forget { name, from, through }, ORDER_TIME).await?;
                Ok::<_, RunError>(None)
            }
            None => Ok(Some(spoken.order(&Order::Results { name, from, after: args.after }, ORDER_TIME).await?)),
        }
    })??;
    match results {
        None => Ok(()),
        Some(results) if args.json => write_json(out, &results),
        Some(results) => show(&results, out),
    }
}

fn show(results: &Results, out: &mut dyn Write) -> Result<(), RunError> {
    for sender in &results.senders {
        writeln!(out, "  {}: {} to {}, key {}", sender.name, sender.oldest, sender.newest, sender.id)?;
    }
    for result in &results.results {
        let local = if result.local { ", alone" } else { "" };
        let coarse = if result.coarse { ", coarse" } else { "" };
        writeln!(out, "  {} (epoch {}{local}{coarse})", result.number, result.epoch)?;
        for output in &result.outputs {
            writeln!(out, "    {}", row(&output.name, &output.spec, output.tensor().as_ref()))?;
        }
    }
    if results.damaged > 0 {
        writeln!(out, "  {} are damaged", results.damaged)?;
    }
    if results.through < results.newest {
        writeln!(out, "  more: --after {}", results.through)?;
    }
    if results.senders.len() > 1 && results.results.is_empty() {
        writeln!(out, "  say which with --from")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::daemon::SenderShown;
    use crate::identity::NodeId;

    fn text(results: &Results) -> String {
        let mut out = Vec::new();
        show(results, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn more_is_said_to_follow_of_one_node_among_several() {
        let sender = |key| SenderShown { name: "door".into(), id: NodeId::from([key; 32]), oldest: 1, newest: 9 };
        let senders = vec![sender(1), sender(2)];
        let one = Results { senders: senders.clone(), through: 5, newest: 9, damaged: 5, ..Results::default() };
        assert!(text(&one).contains("more: --after 5"), "{}", text(&one));
        let all = Results { through: 9, ..one };
        assert!(!text(&all).contains("more"), "{}", text(&all));
        let none = Results { senders, ..Results::default() };
        assert!(text(&none).contains("--from") && !text(&none).contains("more"), "{}", text(&none));
    }
}
