//! `thalweg node`, `key`, `invite`, `join` and `revoke`: nodes that are processes of their own, and who belongs together.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use thalweg_planner::parse_duration;

use crate::client::{Client, ORDER_TIME, join};
use crate::config::NodeFile;
use crate::daemon::{self, DaemonError, Order, Status};
use crate::identity::NodeId;
use crate::run::RunError;
use crate::trust::{Invitation, KeyFile, Role};

/// Which node.
#[derive(Debug, Args)]
pub(super) struct Home {
    /// The file of a node on this host, or its folder.
    #[arg(long, value_name = "FILE", default_value = "node.toml")]
    config: PathBuf,
}

impl Home {
    pub(super) fn read(&self) -> Result<NodeFile, RunError> {
        Ok(NodeFile::read(&self.config)?)
    }
}

#[derive(Debug, Args)]
pub(super) struct NodeArgs {
    #[command(flatten)]
    home: Home,
}

/// Threads that wait for the disk, or load parts: more of them make no disk faster, and each takes memory.
const BLOCKING_MAX: usize = 16;

/// Runs a node until the process is told to end.
pub(super) fn node(args: &NodeArgs, out: &mut dyn Write) -> Result<(), RunError> {
    let config = args.home.read()?;
    let program = std::env::current_exe().map_err(RunError::Runtime)?;
    let (name, role) = (config.name.clone(), config.role);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(BLOCKING_MAX)
        .enable_all()
        .build();
    let ready = |peer: crate::link::Peer| {
        // Whoever started the node may have gone.
        let _ = writeln!(out, "{name}: {role} {} listens on {}", peer.id, peer.address);
        let _ = out.flush();
    };
    Ok(runtime.map_err(RunError::Runtime)?.block_on(daemon::run(config, program, ready))?)
}

#[derive(Debug, Args)]
pub(super) struct KeyArgs {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Make a private key in a new file that only its owner may read, and print the public one.
    New {
        /// The file.
        file: PathBuf,
    },
    /// Print the public key that belongs to a private one.
    Show {
        /// The file.
        file: PathBuf,
    },
    /// Give a running node a new key in place of its own, which stays good until all have heard of the new one.
    Rotate(Home),
}

pub(super) fn key(args: &KeyArgs, out: &mut dyn Write) -> Result<(), RunError> {
    let id = match &args.command {
        KeyCommand::New { file } => KeyFile::new(file).make().map_err(DaemonError::from)?.id(),
        KeyCommand::Show { file } => KeyFile::new(file).read().map_err(DaemonError::from)?.id(),
        KeyCommand::Rotate(home) => ordered::<NodeId>(&home.read()?, &Order::Rotate)?,
    };
    Ok(writeln!(out, "{id}")?)
}

/// A role that can be given away.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Invited {
    Device,
    Edge,
    Cloud,
    Operator,
}

#[derive(Debug, Args)]
pub(super) struct InviteArgs {
    #[command(flatten)]
    home: Home,
    /// What the new node is to be.
    #[arg(long)]
    role: Invited,
    /// How long the invitation holds.
    #[arg(long, value_name = "TIME", default_value = "60 min", value_parser = parse_duration)]
    valid: Duration,
    /// Where the new node reaches this one, HOST:PORT. Without it: the `address` of the file.
    #[arg(long, value_name = "HOST:PORT")]
    address: Option<String>,
}

/// Has a running node invite one more.
pub(super) fn invite(args: &InviteArgs, out: &mut dyn Write) -> Result<(), RunError> {
    let config = args.home.read()?;
    let role = match args.role {
        Invited::Device => Role::Device,
        Invited::Edge => Role::Edge,
        Invited::Cloud => Role::Cloud,
        Invited::Operator => Role::Operator,
    };
    let address = args.address.clone().unwrap_or_else(|| config.address.unwrap_or(config.listen).to_string());
    let order = Order::Invite { role, valid_s: args.valid.as_secs(), address };
    Ok(writeln!(out, "{}", ordered::<String>(&config, &order)?)?)
}

#[derive(Debug, Args)]
pub(super) struct JoinArgs {
    /// What `thalweg invite` has printed.
    invitation: Invitation,
    #[command(flatten)]
    home: Home,
}

/// Makes the node of a file a member; it is started afterwards.
pub(super) fn join_cluster(args: &JoinArgs, out: &mut dyn Write) -> Result<(), RunError> {
    let config = args.home.read()?;
    let roster = block_on(join(&config, &args.invitation))??;
    let members = roster.members().map(|member| member.name.as_str()).collect::<Vec<_>>().join(", ");
    Ok(writeln!(out, "{} is a member of the cluster {}: {members}", config.name, roster.authority())?)
}

#[derive(Debug, Args)]
pub(super) struct RevokeArgs {
    /// The node: its name, or its key.
    node: String,
    #[command(flatten)]
    home: Home,
}

/// Has a running node tell all others that a key counts no more.
pub(super) fn revoke(args: &RevokeArgs, out: &mut dyn Write) -> Result<(), RunError> {
    let config = args.home.read()?;
    let id = match args.node.parse::<NodeId>() {
        Ok(id) => id,
        Err(_) => {
            let status: Status = ordered(&config, &Order::Status)?;
            let mut named = status.nodes.into_iter().filter(|node| node.name == args.node);
            let unknown = || RunError::NoSuchNode { name: args.node.clone() };
            match (named.next(), named.next()) {
                (Some(node), None) => node.id,
                _ => return Err(unknown()),
            }
        }
    };
    ordered::<()>(&config, &Order::Revoke { id })?;
    Ok(writeln!(out, "{id} is revoked")?)
}

/// Gives an order to the running node of a file, and waits for the answer.
pub(super) fn ordered<T: serde::de::DeserializeOwned>(config: &NodeFile, order: &Order) -> Result<T, RunError> {
    let asked = async {
        let client = Client::of(config)?;
        client.home(config).await?.order(order, ORDER_TIME).await
    };
    Ok(block_on(asked)??)
}

/// Runs something on a runtime of its own.
pub(super) fn block_on<T>(future: impl Future<Output = T>) -> Result<T, RunError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(RunError::Runtime)?;
    Ok(runtime.block_on(future))
}
