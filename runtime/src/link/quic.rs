//! QUIC: the only file, beside the emulated socket, that knows quinn.
//!
//! After the handshake the server says hello on a stream of its own: a client whose key is refused sees its connection
//! succeed all the same, and learns better only when it reads. Each request is one two-way stream. Streams are abandoned
//! by being dropped: what was not sent is not sent, and the peer is told.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{EndpointConfig, TokioRuntime, VarInt};
use rustls::pki_types::CertificateDer;
use thalweg_flow::{Frame, Hello, PREFIX_BYTES, VERSION, WireError, decode, encode, frame_length};
use tokio::time::timeout;

use super::settings::Settings;
use super::{LinkError, Peer, Tuning};
use crate::emulate::ShapedSocket;
use crate::identity::{Gate, Identity, NodeId};

/// Connections of an endpoint; from half of it on, peers must prove their address first.
const CONNECTIONS_MAX: usize = 1024;

/// Why a connection or stream is closed: there is one reason, and it is no error.
const DONE: VarInt = VarInt::from_u32(0);

/// A socket that speaks QUIC, in both roles.
#[derive(Debug)]
pub(crate) struct Endpoint {
    endpoint: quinn::Endpoint,
    identity: RwLock<Identity>,
    gate: Arc<dyn Gate>,
    usual: Settings,
    /// Those of the links to nodes of which something is known.
    links: BTreeMap<NodeId, Settings>,
    /// Connections that peers have begun, so that they can be ended when a key is revoked.
    begun: Mutex<Vec<Connection>>,
}

impl Endpoint {
    /// Opens `socket` to the nodes that `gate` lets in, for connections as `tuning` expects them, and those that begin
    /// here to nodes in `links` as is said there. Has to be called inside a tokio runtime.
    pub(crate) fn open(
        socket: Arc<ShapedSocket>,
        identity: Identity,
        gate: Arc<dyn Gate>,
        tuning: Tuning,
        links: BTreeMap<NodeId, Tuning>,
    ) -> Result<Self, LinkError> {
        // A peer that talks to a node that was killed and is back learns at once that its connection is no more.
        let mut config = EndpointConfig::new(Arc::new(identity.reset_key()));
        config.max_udp_payload_size(tuning.payload_max.0).map_err(setup)?;
        let usual = Settings::of(tuning)?;
        let links = links.into_iter().map(|(peer, tuning)| Ok((peer, Settings::of(tuning)?)));
        let links = links.collect::<Result<_, LinkError>>()?;
        let server = server(&identity, gate.clone(), &usual)?;
        let endpoint = quinn::Endpoint::new_with_abstract_socket(config, Some(server), socket, Arc::new(TokioRuntime));
        let (endpoint, identity) = (endpoint.map_err(setup)?, RwLock::new(identity));
        Ok(Self { endpoint, identity, gate, usual, links, begun: Mutex::default() })
    }

    /// From now on shows the key of `identity` in new connections; those that are open go on.
    pub(crate) fn rotate(&self, identity: Identity) -> Result<(), LinkError> {
        self.endpoint.set_server_config(Some(server(&identity, self.gate.clone(), &self.usual)?));
        *self.identity.write().unwrap_or_else(PoisonError::into_inner) = identity;
        Ok(())
    }

    /// Ends all connections that the node of this key has begun.
    pub(crate) fn hang_up(&self, peer: NodeId) {
        self.begun().iter().filter(|connection| connection.peer == peer).for_each(Connection::close);
    }

    fn note(&self, connection: &Connection) {
        let mut begun = self.begun();
        begun.retain(Connection::is_alive);
        begun.push(connection.clone());
    }

    fn begun(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose it is.
    #[cfg(test)]
    pub(crate) fn id(&self) -> NodeId {
        self.identity.read().unwrap_or_else(PoisonError::into_inner).id()
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> Result<SocketAddr, LinkError> {
        self.endpoint.local_addr().map_err(setup)
    }

    /// Connects and waits for the hello.
    pub(crate) async fn connect(&self, peer: Peer) -> Result<Connection, LinkError> {
        let address = peer.address;
        let silent = |_| LinkError::Unreachable { address, cause: "it does not answer".into() };
        let connect_max = self.settings(peer.id).connect_max;
        let (connection, frame) = timeout(connect_max, self.shake_hands(peer)).await.map_err(silent)??;
        match frame {
            Frame::Hello(Hello { version: VERSION, .. }) => Ok(Connection { connection, peer: peer.id }),
            Frame::Hello(hello) => Err(LinkError::OtherVersion { address, theirs: hello.version, ours: VERSION }),
            _ => Err(LinkError::Misunderstood { cause: "its first word is not hello".into() }),
        }
    }

    fn settings(&self, peer: NodeId) -> &Settings {
        self.links.get(&peer).unwrap_or(&self.usual)
    }

    /// A connection and the first word on it.
    async fn shake_hands(&self, peer: Peer) -> Result<(quinn::Connection, Frame), LinkError> {
        let unreachable = |error: String| LinkError::Unreachable { address: peer.address, cause: error };
        let tls = self.identity.read().unwrap_or_else(PoisonError::into_inner).client_tls(peer.id).map_err(setup)?;
        let tls = QuicClientConfig::try_from(tls).map_err(setup)?;
        let mut client = quinn::ClientConfig::new(Arc::new(tls));
        client.transport_config(self.settings(peer.id).transport.clone());
        // The name is not sent and not checked: the key is.
        let connecting = self.endpoint.connect_with(client, peer.address, "thalweg").map_err(setup)?;
        let connection = connecting.await.map_err(|error| unreachable(error.to_string()))?;
        let mut stream = connection.accept_uni().await.map_err(|error| unreachable(error.to_string()))?;
        match read_frame(&mut stream).await {
            Ok(frame) => Ok((connection, frame)),
            Err(LinkError::Broken { cause }) => Err(unreachable(cause)),
            Err(error) => Err(error),
        }
    }

    /// The next peer that wants to connect; none once the endpoint is closed.
    pub(crate) async fn accept(&self) -> Option<Arrival> {
        loop {
            let incoming = self.endpoint.accept().await?;
            let open = self.endpoint.open_connections();
            if open >= CONNECTIONS_MAX {
                incoming.refuse();
            } else if open >= CONNECTIONS_MAX / 2 && !incoming.remote_address_validated() {
                // It fails only for an address that was validated already.
                let _ = incoming.retry();
            } else {
                return Some(Arrival { incoming });
            }
        }
    }

    /// Ends all connections at once. What is still on its way to a peer is lost.
    pub(crate) fn close(&self) {
        self.endpoint.close(DONE, b"");
    }

    /// Waits until the peers know that it is closed, or have had time enough to.
    pub(crate) async fn closed(&self) {
        self.endpoint.wait_idle().await;
    }
}

/// A peer that wants to connect and has not shown its key yet.
pub(crate) struct Arrival {
    incoming: quinn::Incoming,
}

impl Arrival {
    /// Checks its key, and says hello if it is let in, as `hello` says for the node of this key.
    pub(crate) async fn greet(
        self,
        endpoint: &Endpoint,
        hello: impl FnOnce(NodeId) -> Hello,
    ) -> Result<Connection, LinkError> {
        let connection = self.incoming.await.map_err(broken)?;
        let peer = identity_of(&connection).ok_or_else(|| setup("the peer's key is not the one that was checked"))?;
        let (hello, connection) = (hello(peer), Connection { connection, peer });
        endpoint.note(&connection);
        let mut stream = connection.connection.open_uni().await.map_err(broken)?;
        let mut bytes = Vec::new();
        encode(&Frame::Hello(hello), &mut bytes).map_err(misunderstood)?;
        stream.write_chunk(bytes.into()).await.map_err(broken)?;
        stream.finish().map_err(broken)?;
        Ok(connection)
    }
}

/// Whose key was checked in the handshake.
fn identity_of(connection: &quinn::Connection) -> Option<NodeId> {
    let shown = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    NodeId::of_spki(shown.first()?)
}

/// A peer that has shown its key, and speaks our version.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    connection: quinn::Connection,
    peer: NodeId,
}

impl Connection {
    /// Who is at the other end.
    pub(crate) fn peer(&self) -> NodeId {
        self.peer
    }

    /// Where the other end sends from.
    pub(crate) fn address(&self) -> SocketAddr {
        self.connection.remote_address()
    }

    /// What QUIC has seen of the path, since the connection began.
    pub(crate) fn path(&self) -> PathSeen {
        let stats = self.connection.stats();
        PathSeen { sent: stats.path.sent_packets, lost: stats.path.lost_packets, came: stats.udp_rx.datagrams }
    }

    /// Ends it.
    pub(crate) fn close(&self) {
        self.connection.close(DONE, b"");
    }

    /// Whether it can still be used, as far as is known.
    pub(crate) fn is_alive(&self) -> bool {
        self.connection.close_reason().is_none()
    }

    /// How long a packet and its acknowledgement take at present, on average.
    pub(crate) fn round_trip(&self) -> Duration {
        self.connection.rtt()
    }

    /// Begins a request. The peer sees nothing of it before it is written to.
    pub(crate) async fn open(&self) -> Result<Exchange, LinkError> {
        let (send, recv) = self.connection.open_bi().await.map_err(broken)?;
        Ok(Exchange { send, recv, finished: false })
    }

    /// The next request of the peer.
    pub(crate) async fn accept(&self) -> Result<Exchange, LinkError> {
        let (send, recv) = self.connection.accept_bi().await.map_err(broken)?;
        Ok(Exchange { send, recv, finished: false })
    }
}

/// What QUIC has seen of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PathSeen {
    /// Packets that were sent.
    pub(crate) sent: u64,
    /// Those of them that are taken for lost.
    pub(crate) lost: u64,
    /// Packets that came.
    pub(crate) came: u64,
}

/// The two directions of one request.
#[derive(Debug)]
pub(crate) struct Exchange {
    send: quinn::SendStream,
    recv: quinn::RecvStream,
    finished: bool,
}

impl Exchange {
    /// The next frame, of bounded size. What has not been sent of a request that is refused is not sent any more.
    pub(crate) async fn read_frame(&mut self) -> Result<Frame, LinkError> {
        let frame = read_frame(&mut self.recv).await?;
        if matches!(frame, Frame::Refuse(_)) {
            // It fails only where the stream has ended already.
            let _ = self.send.reset(DONE);
        }
        Ok(frame)
    }

    /// The next bytes, at most `bytes_max`; none at the end. Nothing is lost when this is not awaited to the end.
    pub(crate) async fn read_piece(&mut self, bytes_max: usize) -> Result<Option<Piece>, LinkError> {
        let chunk = self.recv.read_chunk(bytes_max, true).await.map_err(broken)?;
        Ok(chunk.map(|chunk| Piece { chunk }))
    }

    /// Sends a frame and the tensors after it, and nothing more. Returns when all of it is given to the link, which is not
    /// yet when it is delivered.
    pub(crate) async fn send(&mut self, frame: &Frame, tensors: Vec<Vec<u8>>) -> Result<(), LinkError> {
        self.finish(std::iter::once(encoded(frame)?).chain(tensors)).await
    }

    /// Sends a frame after which more is to come.
    pub(crate) async fn begin(&mut self, frame: &Frame) -> Result<(), LinkError> {
        self.write([encoded(frame)?]).await
    }

    /// Sends what belongs to a frame that is sent already, and nothing more.
    pub(crate) async fn finish(&mut self, bytes: impl IntoIterator<Item = Vec<u8>>) -> Result<(), LinkError> {
        self.write(bytes).await?;
        self.finished = true;
        self.send.finish().map_err(broken)
    }

    async fn write(&mut self, bytes: impl IntoIterator<Item = Vec<u8>>) -> Result<(), LinkError> {
        let mut chunks: Vec<_> = bytes.into_iter().filter(|bytes| !bytes.is_empty()).map(Into::into).collect();
        self.send.write_all_chunks(chunks.as_mut_slice()).await.map_err(|error| match error {
            quinn::WriteError::Stopped(_) => LinkError::Stopped,
            error => broken(error),
        })
    }

    /// Tells the peer that no more of what it sends is wanted. What has come is dropped.
    pub(crate) fn want_no_more(&mut self) {
        // It fails only where the stream has ended already.
        let _ = self.recv.stop(DONE);
    }

    /// Completes when the peer has all that was sent, or wants no more of it, or is gone.
    pub(crate) fn released(&self) -> impl Future<Output = ()> + Send + 'static {
        let stopped = self.send.stopped();
        async move {
            // Whichever it is, there is nothing more to do for this peer.
            let _ = stopped.await;
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if !self.finished {
            // It fails only where the stream has ended already.
            let _ = self.send.reset(DONE);
        }
    }
}

/// Bytes as they came off the link.
pub(crate) struct Piece {
    chunk: quinn::Chunk,
}

impl Deref for Piece {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.chunk.bytes
    }
}

fn encoded(frame: &Frame) -> Result<Vec<u8>, LinkError> {
    let mut bytes = Vec::new();
    encode(frame, &mut bytes).map_err(misunderstood)?;
    Ok(bytes)
}

async fn read_frame(stream: &mut quinn::RecvStream) -> Result<Frame, LinkError> {
    let mut prefix = [0; PREFIX_BYTES];
    stream.read_exact(&mut prefix).await.map_err(broken)?;
    let mut body = vec![0; frame_length(prefix).map_err(misunderstood)?];
    stream.read_exact(&mut body).await.map_err(broken)?;
    decode(&body).map_err(misunderstood)
}

fn server(identity: &Identity, gate: Arc<dyn Gate>, usual: &Settings) -> Result<quinn::ServerConfig, LinkError> {
    let tls = QuicServerConfig::try_from(identity.server_tls(gate).map_err(setup)?).map_err(setup)?;
    let mut server = quinn::ServerConfig::with_crypto(Arc::new(tls));
    server.transport_config(usual.transport.clone()).max_incoming(CONNECTIONS_MAX);
    Ok(server)
}

pub(super) fn setup(cause: impl ToString) -> LinkError {
    LinkError::Setup { cause: cause.to_string() }
}

fn broken(cause: impl ToString) -> LinkError {
    LinkError::Broken { cause: cause.to_string() }
}

fn misunderstood(error: WireError) -> LinkError {
    LinkError::Misunderstood { cause: error.to_string() }
}
