//! The command line's end of a connection to a node.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use thalweg_flow::{Answer, Call, Reply};
use thalweg_planner::Tensor;

use crate::calls::{JSON_BYTES_MAX, PIECE_TIME_MAX, ask, call, json};
use crate::config::NodeFile;
use crate::daemon::{DaemonError, Order, State, Told};
use crate::emulate::{ShapedSocket, bind};
use crate::identity::{Identity, NodeId};
use crate::link::{Connection, Endpoint, Peer, Tuning};
use crate::store::{CHUNK_BYTES, FileEntry, Hash};
use crate::trust::{Invitation, KeyFile, Member, Roster};

/// How long an order may take of which nothing else is said.
pub const ORDER_TIME: Duration = Duration::from_secs(30);
/// Files that are asked for at a time.
const FILES_MAX: usize = 256;

/// A way to speak to nodes, under one key.
pub struct Client {
    endpoint: Endpoint,
    identity: Identity,
}

impl Client {
    /// Speaks under the key of a node that this host has the state folder of. Has to be called inside a tokio runtime.
    pub fn of(node: &NodeFile) -> Result<Self, DaemonError> {
        Self::open(KeyFile::new(State::at(&node.state).key()).read()?)
    }

    fn open(identity: Identity) -> Result<Self, DaemonError> {
        let address = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
        let failed = |cause| DaemonError::Listen { address, cause };
        // Hosts without IPv6 speak IPv4 alone.
        let socket = bind(address).or_else(|_| bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)))).map_err(failed)?;
        let socket = Arc::new(ShapedSocket::new(socket).map_err(failed)?);
        let nobody = Arc::new(BTreeSet::<NodeId>::new());
        let endpoint = Endpoint::open(socket, identity.clone(), nobody, Tuning::default(), BTreeMap::new())?;
        Ok(Self { endpoint, identity })
    }

    /// The key.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Connects to a node.
    pub async fn to(&self, peer: Peer) -> Result<Spoken, DaemonError> {
        Ok(Spoken(self.endpoint.connect(peer).await?))
    }

    /// Connects to the node that runs on this host with this file.
    pub async fn home(&self, node: &NodeFile) -> Result<Spoken, DaemonError> {
        let ip = match node.listen.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        self.to(Peer { id: self.identity.id(), address: SocketAddr::new(ip, node.listen.port()) }).await
    }
}

/// Joins the cluster that an invitation is of, and writes down who is in it.
pub async fn join(node: &NodeFile, invitation: &Invitation) -> Result<Roster, DaemonError> {
    let roster_file = State::at(&node.state).roster();
    std::fs::create_dir_all(&node.state).map_err(|cause| DaemonError::State { path: node.state.clone(), cause })?;
    if roster_file.exists() {
        return Err(DaemonError::AlreadyJoined { folder: node.state.clone() });
    }
    let client = Client::open(KeyFile::new(State::at(&node.state).key()).read_or_make()?)?;
    let no_host = |cause: String| DaemonError::NoHost { address: invitation.address().to_owned(), cause };
    let mut addresses = invitation.address().to_socket_addrs().map_err(|cause| no_host(cause.to_string()))?;
    let address = addresses.next().ok_or_else(|| no_host("it has no address".into()))?;
    let spoken = client.to(Peer { id: invitation.inviter(), address }).await?;
    let member = Member {
        id: client.identity.id(),
        name: node.name.clone(),
        role: node.role,
        address: node.address.unwrap_or(node.listen),
        version: 0,
        revoked: false,
    };
    let record = json(&member)?;
    let secret = *invitation.secret().as_bytes();
    let bytes = record.len() as u64;
    let (_, told) = call(&spoken.0, Call::Join { secret, bytes }, record, JSON_BYTES_MAX, ORDER_TIME).await?;
    let told: Told = serde_json::from_slice(&told).map_err(|_| DaemonError::Misunderstood)?;
    let mut roster = Roster::join(told.authority);
    let (_, refused) = roster.merge_all(told.records, told.rotations, told.addresses);
    if let Some(error) = refused {
        return Err(error.into());
    }
    roster.role_of(client.identity.id()).ok_or(DaemonError::NoMember { id: client.identity.id() })?;
    roster.save(&roster_file)?;
    Ok(roster)
}

/// A connection to a node.
#[derive(Clone)]
pub struct Spoken(Connection);

impl Spoken {
    /// Gives an order, and waits at most `time` for its answer.
    pub async fn order<T: DeserializeOwned>(&self, order: &Order, time: Duration) -> Result<T, DaemonError> {
        let text = json(order)?;
        let (_, answer) = call(&self.0, Call::Order { bytes: text.len() as u64 }, text, JSON_BYTES_MAX, time).await?;
        serde_json::from_slice(&answer).map_err(|_| DaemonError::Misunderstood)
    }

    /// Puts into the node's store what it lacks of these files; how many bytes that were.
    pub async fn put(&self, files: &[(FileEntry, Vec<u8>)]) -> Result<u64, DaemonError> {
        let mut sent = 0;
        // As many at a time as fit an order.
        for some in files.chunks(FILES_MAX) {
            let entries = some.iter().map(|(file, _)| file.clone()).collect();
            let missing: BTreeSet<Hash> = self.order(&Order::Missing { files: entries }, ORDER_TIME).await?;
            let pieces = some.iter().flat_map(|(file, bytes)| file.chunks.iter().zip(bytes.chunks(CHUNK_BYTES)));
            for (hash, piece) in pieces.filter(|(hash, _)| missing.contains(hash)) {
                let put = Call::Put { hash: *hash.as_bytes(), bytes: piece.len() as u64 };
                match call(&self.0, put, piece.to_vec(), 0, PIECE_TIME_MAX).await? {
                    (Reply::Done { .. }, _) => sent += piece.len() as u64,
                    _ => return Err(DaemonError::Misunderstood),
                }
            }
        }
        Ok(sent)
    }

    /// Sends a request to a deployment, and waits for its answer.
    pub async fn ask(
        &self,
        deployment: &str,
        inputs: Vec<Tensor>,
        time: Duration,
    ) -> Result<(Answer, Vec<Vec<u8>>), DaemonError> {
        ask(&self.0, deployment, inputs, time).await
    }
}
