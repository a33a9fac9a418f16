//! A UDP socket for quinn that sends packets to chosen peers over emulated links.

use std::collections::HashMap;
use std::future::poll_fn;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, Runtime, TokioRuntime, UdpPoller};
use socket2::{Domain, Protocol, Socket, Type};

use super::flight::{Flight, Packet};
use super::shaper::{Counters, Shaper, Verdict};

/// What the kernel is asked to hold for us in each direction. With Linux's default of 208 KiB even loopback loses about
/// 1 % of the packets of a bulk transfer.
const BUFFER: usize = 4 * 1024 * 1024;

/// The most bytes that the kernel hands over at once, as one datagram or as several.
const DATAGRAM_MAX: usize = 65_535;

/// Binds a UDP socket with large buffers, without blocking calls, as quinn wants it. An IPv6 one takes IPv4 as well.
///
/// Warns, with the name of the setting, when the kernel gives much less than was asked for.
///
/// # Errors
/// What the operating system says, for instance that the address is in use.
pub fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // Some systems refuse a size above their limit, Linux cuts it down: either way what counts is what is read back.
    let _ = socket.set_recv_buffer_size(BUFFER);
    let _ = socket.set_send_buffer_size(BUFFER);
    warn_if_small(socket.recv_buffer_size()?, "receive", "net.core.rmem_max");
    warn_if_small(socket.send_buffer_size()?, "send", "net.core.wmem_max");
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Bytes that the kernel gives the smaller buffer of a UDP socket, and what it was asked for.
pub(crate) fn buffers(ip: IpAddr) -> io::Result<(usize, usize)> {
    let socket = Socket::new(Domain::for_address(SocketAddr::new(ip, 0)), Type::DGRAM, Some(Protocol::UDP))?;
    let _ = socket.set_recv_buffer_size(BUFFER);
    let _ = socket.set_send_buffer_size(BUFFER);
    Ok((socket.recv_buffer_size()?.min(socket.send_buffer_size()?), BUFFER))
}

/// Linux reports twice what it gives, to count its own book-keeping: below [`BUFFER`] means less than half of it.
fn warn_if_small(bytes: usize, which: &str, setting: &str) {
    if bytes < BUFFER {
        tracing::warn!(
            bytes,
            asked = BUFFER,
            "the {which} buffer of the UDP socket is small and packets may be lost: raise it with `sysctl -w {setting}={BUFFER}`"
        );
    }
}

/// A UDP socket that shapes what it sends to the peers that [`shape`](Self::shape) named.
///
/// All other packets, and all that is received, go straight through the socket inside; while no peer is shaped,
/// with segmentation offload. Dropping it loses the packets that are still on their way.
#[derive(Debug)]
pub struct ShapedSocket {
    inner: Arc<dyn AsyncUdpSocket>,
    flight: Flight,
    shapers: Mutex<HashMap<SocketAddr, Shaper>>,
    /// Whether there is any shaper.
    shaping: AtomicBool,
    /// When the shapers' clock was zero.
    start: Instant,
}

impl ShapedSocket {
    /// Wraps a bound socket. Has to be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the socket cannot be watched or cloned, or the thread that sends shaped packets cannot be started.
    pub fn new(socket: UdpSocket) -> io::Result<Self> {
        let flight = Flight::start(socket.try_clone()?)?;
        let inner = TokioRuntime.wrap_udp_socket(socket)?;
        let shapers = Mutex::default();
        Ok(Self { inner, flight, shapers, shaping: AtomicBool::new(false), start: Instant::now() })
    }

    /// From now on packets to `peer` go over `shaper`, in place of the one that they went over before.
    ///
    /// The shaper's clock starts when the socket is made, so the outages of all links of a socket stay in step.
    pub fn shape(&self, peer: SocketAddr, shaper: Shaper) {
        self.shapers().insert(canonical(peer), shaper);
        self.shaping.store(true, Ordering::Release);
    }

    /// What the shaper of `peer` has done so far; none when `peer` is not shaped.
    pub fn counters(&self, peer: SocketAddr) -> Option<Counters> {
        self.shapers().get(&canonical(peer)).map(Shaper::counters)
    }

    fn shapers(&self) -> MutexGuard<'_, HashMap<SocketAddr, Shaper>> {
        self.shapers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_shaping(&self) -> bool {
        self.shaping.load(Ordering::Acquire)
    }

    /// Hands the datagrams of `transmit` to `shaper`, and those that will arrive to the thread that sends them.
    fn send_shaped(&self, shaper: &mut Shaper, transmit: &Transmit<'_>) {
        let size = transmit.segment_size.unwrap_or(transmit.contents.len()).max(1);
        for contents in transmit.contents.chunks(size) {
            let wire_bytes = contents.len() + header_bytes(transmit.destination);
            if !self.flight.has_room() {
                shaper.refuse(wire_bytes);
                continue;
            }
            let Verdict::Deliver { at, twice } = shaper.offer(self.start.elapsed(), wire_bytes) else { continue };
            // What is due when no clock can tell is never delivered.
            let Some(due) = self.start.checked_add(at) else { continue };
            let packet = Packet {
                destination: transmit.destination,
                source: transmit.src_ip,
                ecn: transmit.ecn,
                contents: contents.into(),
            };
            if twice {
                self.flight.launch(due, packet.clone());
            }
            self.flight.launch(due, packet);
        }
    }
}

impl AsyncUdpSocket for ShapedSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.inner).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        if self.is_shaping()
            && let Some(shaper) = self.shapers().get_mut(&canonical(transmit.destination))
        {
            self.send_shaped(shaper, transmit);
            return Ok(());
        }
        self.inner.try_send(transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        self.inner.poll_recv(cx, buffers, meta)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        if self.is_shaping() { 1 } else { self.inner.max_transmit_segments() }
    }

    fn max_receive_segments(&self) -> usize {
        self.inner.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.inner.may_fragment()
    }
}

/// A bound socket from which datagrams are taken, those apart that the kernel hands over as one.
#[derive(Debug)]
pub(super) struct Listening {
    inner: Arc<dyn AsyncUdpSocket>,
    buffer: Vec<u8>,
}

impl Listening {
    /// Has to be called inside a tokio runtime.
    pub(super) fn new(socket: UdpSocket) -> io::Result<Self> {
        let inner = TokioRuntime.wrap_udp_socket(socket)?;
        Ok(Self { inner, buffer: vec![0; DATAGRAM_MAX] })
    }

    /// Waits for the next datagrams, and hands over each with its sender's address.
    pub(super) async fn next(&mut self, mut each: impl FnMut(&[u8], SocketAddr)) -> io::Result<()> {
        let Self { inner, buffer } = self;
        let mut meta = [RecvMeta::default()];
        poll_fn(|cx| inner.poll_recv(cx, &mut [IoSliceMut::new(buffer)], &mut meta)).await?;
        let [RecvMeta { addr, len, stride, .. }] = meta;
        buffer.get(..len).unwrap_or_default().chunks(stride.max(1)).for_each(|datagram| each(datagram, addr));
        Ok(())
    }
}

/// The same address for a peer whether the socket is an IPv4 or a dual-stack IPv6 one.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// IP and UDP headers of a datagram: 20 or 40 bytes (RFC 791, RFC 8200) and 8 (RFC 768).
pub(super) fn header_bytes(destination: SocketAddr) -> usize {
    match destination.ip().to_canonical() {
        IpAddr::V4(_) => 28,
        IpAddr::V6(_) => 48,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use thalweg_devices::link::Shape;
    use thalweg_planner::Bandwidth;

    use super::*;

    fn shape() -> Shape {
        Shape::new(Bandwidth(100_000_000), Duration::from_millis(20))
    }

    /// Sends two segments to `peer` at once and returns the two datagrams that arrive there.
    async fn two_segments(socket: &Arc<ShapedSocket>, peer: &tokio::net::UdpSocket) -> [Vec<u8>; 2] {
        let transmit = Transmit {
            destination: peer.local_addr().unwrap(),
            ecn: None,
            contents: b"first/second",
            segment_size: Some(6),
            src_ip: None,
        };
        let mut poller = Arc::clone(socket).create_io_poller();
        poll_fn(|cx| poller.as_mut().poll_writable(cx)).await.unwrap();
        socket.try_send(&transmit).unwrap();
        let mut arrived = [vec![0; 64], vec![0; 64]];
        for datagram in &mut arrived {
            let length = peer.recv(datagram).await.unwrap();
            datagram.truncate(length);
        }
        arrived
    }

    #[tokio::test]
    async fn only_the_named_peer_is_shaped() {
        let socket = Arc::new(ShapedSocket::new(bind("127.0.0.1:0".parse().unwrap()).unwrap()).unwrap());
        let near = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let far = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let far_address = far.local_addr().unwrap();
        socket.shape(far_address, Shaper::new(&shape(), None, 1));
        assert_eq!(socket.max_transmit_segments(), 1);
        let start = Instant::now();
        assert_eq!(two_segments(&socket, &far).await, [b"first/".to_vec(), b"second".to_vec()]);
        assert!(start.elapsed() >= Duration::from_millis(19), "the delay was skipped");
        assert_eq!(socket.counters(far_address).map(|counters| (counters.packets, counters.bytes)), Some((2, 68)));
        assert_eq!(two_segments(&socket, &near).await, [b"first/".to_vec(), b"second".to_vec()]);
        assert_eq!(socket.counters(near.local_addr().unwrap()), None);
    }

    #[tokio::test]
    async fn a_dropped_socket_frees_its_address_at_once() {
        let socket = ShapedSocket::new(bind("[::1]:0".parse().unwrap()).unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        socket.shape(address, Shaper::new(&shape(), None, 1));
        let transmit =
            Transmit { destination: address, ecn: None, contents: b"late", segment_size: None, src_ip: None };
        socket.try_send(&transmit).unwrap();
        assert!(bind(address).is_err(), "the address was not in use");
        drop(socket);
        bind(address).unwrap();
    }
}
