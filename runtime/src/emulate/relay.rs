//! A link between processes: a UDP address that stands for another one, with an emulated link on the way there and
//! back.
//!
//! So nodes that run apart on one machine can be put on bad links without root, and the links can get worse while they
//! run. A client is known by its address; each has a socket of its own towards the target, as behind a router that
//! translates addresses. All clients share the link.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::flight::{Flight, Packet};
use super::shaper::{Counters, Shaper, Verdict};
use super::socket::{Listening, bind, header_bytes};

/// Clients that are told apart at a time; each takes a socket and a thread. One more, and the one that has been silent
/// for longest is forgotten.
const CLIENTS_MAX: usize = 64;

/// A damaged packet has one to so many wrong bits.
const WRONG_BITS_MAX: usize = 8;

/// How long a socket that reports an error is left alone.
const AFTER_ERROR: Duration = Duration::from_millis(1);

/// One of the two directions through a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the clients to the target.
    Up,
    /// From the target to the clients.
    Down,
}

/// What happened to packets on one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Passed {
    /// What the shapers of this way did, from the first one on.
    pub shaped: Counters,
    /// Packets that came while the way was cut. No shaper has seen them.
    pub cut: u64,
    /// Delivered with wrong bits.
    pub corrupted: u64,
}

/// A relay that is running. It ends when this is dropped, and its addresses are free again then.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    crossing: Arc<Crossing>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// Listens at `listen`, where a port of 0 is any free one, and passes packets to `target` over `up` and back over
    /// `down`. The clocks of the shapers start now.
    ///
    /// # Errors
    /// When an address is in use, or the system gives no socket or thread.
    pub fn start(listen: SocketAddr, target: SocketAddr, up: Shaper, down: Shaper) -> io::Result<Self> {
        let socket = bind(listen)?;
        let address = socket.local_addr()?;
        let crossing = Arc::new(Crossing {
            start: Instant::now(),
            target,
            lanes: [up, down].map(|shaper| Mutex::new(Lane::new(shaper))),
            back: Flight::start(socket.try_clone()?)?,
            clients: Mutex::default(),
        });
        // A runtime of its own: the link is as fast as it is, whatever else the process does.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let (stop, stopped) = oneshot::channel();
        let carried = crossing.clone();
        let carry = move || {
            runtime.block_on(async move {
                tokio::select! {
                    error = carry_up(carried, socket) => tracing::error!(%error, "a relay has ended"),
                    _ = stopped => {}
                }
            });
        };
        let thread = thread::Builder::new().name("thalweg-relay".to_owned()).spawn(carry)?;
        Ok(Self { address, crossing, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on packets on this way go over `shaper`. Those that are on it already arrive as it was decided for
    /// them, as on a former route; where they wait in a long queue that may be later than newer ones.
    pub fn shape(&self, way: Way, shaper: Shaper) {
        let mut lane = self.crossing.lane(way);
        lane.shaper = shaper.counting_on(lane.shaper.counters());
    }

    /// Cuts this way, or mends it. Of a way that is cut nothing arrives, also of what is on it already.
    pub fn cut(&self, way: Way, cut: bool) {
        self.crossing.lane(way).cut = cut;
        if cut {
            self.crossing.lose_all(way);
        }
    }

    /// From now on this `share` of the packets on this way, 0 to 1, arrive with one to eight wrong bits, at places that
    /// `seed` decides.
    pub fn corrupt(&self, way: Way, share: f64, seed: u64) {
        let mut lane = self.crossing.lane(way);
        (lane.corrupt, lane.random) = (share, Pcg64::seed_from_u64(seed));
    }

    /// What happened on this way so far.
    pub fn passed(&self, way: Way) -> Passed {
        let lane = self.crossing.lane(way);
        Passed { shaped: lane.shaper.counters(), ..lane.passed }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        drop(self.stop.take());
        // A thread that panicked is gone too.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the thread shares with those who change the link.
#[derive(Debug)]
struct Crossing {
    start: Instant,
    target: SocketAddr,
    /// Up and down.
    lanes: [Mutex<Lane>; 2],
    /// To the clients.
    back: Flight,
    clients: Mutex<BTreeMap<SocketAddr, Client>>,
}

/// One way of the link.
#[derive(Debug)]
struct Lane {
    shaper: Shaper,
    cut: bool,
    corrupt: f64,
    random: Pcg64,
    passed: Passed,
}

/// Who has sent something.
#[derive(Debug)]
struct Client {
    /// To the target.
    flight: Arc<Flight>,
    heard: Instant,
    replies: AbortHandle,
}

impl Lane {
    fn new(shaper: Shaper) -> Self {
        Self { shaper, cut: false, corrupt: 0.0, random: Pcg64::seed_from_u64(0), passed: Passed::default() }
    }

    /// The datagram as it arrives.
    fn damaged(&mut self, datagram: &[u8]) -> Arc<[u8]> {
        let mut contents: Arc<[u8]> = datagram.into();
        let bits = datagram.len() * 8;
        // Each packet takes its throw whatever the share is: a change of it does not shift the luck of the next ones.
        let hit = self.random.random::<f64>() < self.corrupt;
        if hit && let Some(bytes) = Arc::get_mut(&mut contents).filter(|bytes| !bytes.is_empty()) {
            // Seven apart, so that none is flipped twice, which would make it right again: bits come in eights.
            let first = self.random.random_range(0..bits);
            for index in 0..self.random.random_range(1..=WRONG_BITS_MAX) {
                let bit = (first + index * 7) % bits;
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            self.passed.corrupted += 1;
        }
        contents
    }
}

impl Crossing {
    fn lane(&self, way: Way) -> MutexGuard<'_, Lane> {
        self.lanes[way as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn clients(&self) -> MutexGuard<'_, BTreeMap<SocketAddr, Client>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lose_all(&self, way: Way) {
        match way {
            Way::Up => self.clients().values().for_each(|client| client.flight.lose_all()),
            Way::Down => self.back.lose_all(),
        }
    }

    /// Puts a datagram on the link. The lane stays locked until then, so that none slips through a cut.
    fn pass(&self, way: Way, flight: &Flight, destination: SocketAddr, datagram: &[u8]) {
        let mut lane = self.lane(way);
        if lane.cut {
            lane.passed.cut += 1;
            return;
        }
        let wire_bytes = datagram.len() + header_bytes(destination);
        if !flight.has_room() {
            lane.shaper.refuse(wire_bytes);
            return;
        }
        let Verdict::Deliver { at, twice } = lane.shaper.offer(self.start.elapsed(), wire_bytes) else { return };
        // What is due when no clock can tell is never delivered.
        let Some(due) = self.start.checked_add(at) else { return };
        let packet = Packet { destination, source: None, ecn: None, contents: lane.damaged(datagram) };
        if twice {
            flight.launch(due, packet.clone());
        }
        flight.launch(due, packet);
    }

    /// What sends to the target for this client; made when it is heard for the first time.
    fn flight_of(self: &Arc<Self>, address: SocketAddr) -> io::Result<Arc<Flight>> {
        let mut clients = self.clients();
        if let Some(client) = clients.get_mut(&address) {
            client.heard = Instant::now();
            return Ok(client.flight.clone());
        }
        if clients.len() >= CLIENTS_MAX {
            let silent = clients.iter().min_by_key(|(_, client)| client.heard).map(|(address, _)| *address);
            if let Some(forgotten) = silent.and_then(|silent| clients.remove(&silent)) {
                forgotten.replies.abort();
            }
        }
        let any: SocketAddr = match self.target {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = bind(any)?;
        let flight = Arc::new(Flight::start(socket.try_clone()?)?);
        let replies = carry_down(self.clone(), Listening::new(socket)?, address);
        let replies = tokio::spawn(replies).abort_handle();
        clients.insert(address, Client { flight: flight.clone(), heard: Instant::now(), replies });
        Ok(flight)
    }
}

/// Passes on what clients send. Ends only with an error that leaves no socket.
async fn carry_up(crossing: Arc<Crossing>, socket: UdpSocket) -> io::Error {
    let mut clients = match Listening::new(socket) {
        Ok(listening) => listening,
        Err(error) => return error,
    };
    loop {
        let pass = |datagram: &[u8], client| match crossing.flight_of(client) {
            Ok(flight) => crossing.pass(Way::Up, &flight, crossing.target, datagram),
            Err(error) => tracing::warn!(%client, %error, "a relay has no socket for a client: its packet is lost"),
        };
        pause_after(clients.next(pass).await).await;
    }
}

/// Passes on what the target sends to one client. What others send is not on this link.
async fn carry_down(crossing: Arc<Crossing>, mut replies: Listening, client: SocketAddr) {
    loop {
        let pass = |datagram: &[u8], from| {
            if from == crossing.target {
                crossing.pass(Way::Down, &crossing.back, client, datagram);
            }
        };
        pause_after(replies.next(pass).await).await;
    }
}

/// Some systems report an error where nobody listens at the target, which may change.
async fn pause_after(received: io::Result<()>) {
    if received.is_err() {
        tokio::time::sleep(AFTER_ERROR).await;
    }
}

#[cfg(test)]
mod tests;
