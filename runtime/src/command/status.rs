//! `thalweg status`: how a node, its cluster and what is deployed are.

use std::io::Write;
use std::time::Duration;

use clap::Args;

use super::node::{Home, block_on, ordered};
use super::write_json;
use crate::client::{Client, ORDER_TIME};
use crate::daemon::{DaemonError, Order, Status};
use crate::run::RunError;
use crate::show::status_table;

/// How often the view is drawn anew.
const WATCH_EVERY: Duration = Duration::from_millis(500);
/// Clears a terminal and goes to its upper left corner (ECMA-48: ED, CUP).
const CLEAR: &str = "\u{1b}[2J\u{1b}[H";

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    home: Home,
    /// Show it again and again until interrupted.
    #[arg(long)]
    watch: bool,
    /// Print JSON instead of tables; with --watch a line each time.
    #[arg(long)]
    json: bool,
}

pub(super) fn status(args: &StatusArgs, out: &mut dyn Write) -> Result<(), RunError> {
    let config = args.home.read()?;
    if !args.watch {
        let status: Status = ordered(&config, &Order::Status)?;
        return if args.json { write_json(out, &status) } else { Ok(write!(out, "{}", status_table(&status))?) };
    }
    block_on(async {
        let spoken = Client::of(&config)?.home(&config).await?;
        loop {
            let status: Status = spoken.order(&Order::Status, ORDER_TIME).await?;
            if args.json {
                let line = serde_json::to_string(&status).map_err(|_| DaemonError::Misunderstood)?;
                writeln!(out, "{line}")?;
            } else {
                write!(out, "{CLEAR}{}", status_table(&status))?;
            }
            out.flush()?;
            tokio::time::sleep(WATCH_EVERY).await;
        }
    })?
}
