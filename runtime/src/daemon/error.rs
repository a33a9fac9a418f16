//! What can go wrong with a node that is a process of its own.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thalweg_flow::{Refusal, Text};
use thalweg_planner::{Bytes, print_duration};

use crate::deployment::{NotAResult, UnpackError};
use crate::identity::NodeId;
use crate::link::LinkError;
use crate::node::{NodeError, RequestError};
use crate::store::StoreError;
use crate::trial::TrialError;
use crate::trust::TrustError;

/// A node cannot start, or cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum DaemonError {
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Node(#[from] NodeError),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error("the part does not stand the trial that it has to pass before it is installed: {0}")]
    Trial(#[from] TrialError),
    #[error("{}: {cause}", path.display())]
    State { path: PathBuf, cause: io::Error },
    #[error("{}: it is damaged ({cause}): remove it, and deploy again what it was about", path.display())]
    Damaged { path: PathBuf, cause: String },
    #[error("it cannot listen on {address}: {cause}; free that address, or give the node another `listen`")]
    Listen { address: std::net::SocketAddr, cause: io::Error },
    #[error(
        "{} already belongs to a cluster: take another `state` folder, or remove this one to leave it",
        folder.display()
    )]
    AlreadyJoined { folder: PathBuf },
    #[error("{} cannot be found: {cause}", address)]
    NoHost { address: String, cause: String },
    #[error("{address} does not answer within {}", print_duration(*time))]
    Silent { address: String, time: Duration },
    #[error("it refused: {}", .0.reason)]
    Refused(Refusal),
    #[error("it answered what does not belong here")]
    Misunderstood,
    #[error("node {id} is no member of this cluster")]
    NoMember { id: NodeId },
    #[error("no deployment is called \"{name}\" here; there is {known}")]
    NoDeployment { name: String, known: String },
    #[error("epoch {epoch} of \"{name}\" is not prepared here")]
    NotPrepared { name: String, epoch: u32 },
    #[error("epoch {epoch} of \"{name}\" comes after epoch {newest}, which is here already: deploy again")]
    OldEpoch { name: String, epoch: u32, newest: u32 },
    #[error("\"{name}\" is deployed here already, for requests of another node: give this one another --name")]
    OtherSource { name: String },
    #[error(
        "the outbox of \"{deployment}\" is full, {room} wait to be delivered: bring the link back, or give it more \
         room with `outbox` in node.toml"
    )]
    OutboxFull { deployment: String, room: Bytes },
    #[error(
        "the inbox is full, with {room} of results: take some away with `thalweg results --forget`, or give it more \
         room with `inbox` in node.toml"
    )]
    InboxFull { room: Bytes },
    #[error(
        "the inbox has {share} of results of the node that delivers, and no more is for one: take some away with \
         `thalweg results --forget`, or give it more room with `inbox` in node.toml"
    )]
    InboxShare { share: Bytes },
    #[error(
        "there are no more places for results of other deployments: {most} are for one node, {all} for all; remove \
         those that are over from the folder `inbox` of the `state` here, while the node is stopped"
    )]
    InboxSenders { all: usize, most: usize },
    #[error("the link to {to} is down")]
    LinkDown { to: String },
    #[error("results of {bytes} are too long to be stored and delivered: answer less")]
    LongResult { bytes: Bytes },
    #[error("the result was not stored: {0}")]
    Result(#[from] NotAResult),
    #[error("no results of \"{deployment}\" from {from} are here; there are those of {known}")]
    NoResults { deployment: String, from: String, known: String },
    #[error("results of \"{deployment}\" are here from several nodes: name one of them with --from by its key: {of}")]
    ManySenders { deployment: String, of: String },
    #[error("the manifest is not signed by who may deploy")]
    NotSigned,
    #[error("piece {hash} of a file is nowhere to be had: {tried} nodes were asked")]
    Nowhere { hash: crate::store::Hash, tried: usize },
    #[error("what was asked is no order: {cause}")]
    NoOrder { cause: String },
    #[error("{name}: {cause}")]
    OfNode { name: String, cause: Box<DaemonError> },
    #[error("who has asked for it waits no more")]
    GivenUp,
    #[error("this node has ended")]
    Ended,
}

impl DaemonError {
    /// What a peer is told.
    pub(crate) fn told(&self) -> Text {
        self.to_string().as_str().into()
    }
}
