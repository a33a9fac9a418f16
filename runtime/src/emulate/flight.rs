//! Packets on their way: held until they are due, then sent by one thread of their own.
//!
//! The timers of tokio tick in milliseconds, in which a link of 100 Mbit/s sends eight packets; a thread that waits on
//! a condition variable is woken within some tens of microseconds, without spinning on a core that the model needs.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use quinn::udp::{EcnCodepoint, Transmit, UdpSocketState};

/// Packets that may be on their way at once: 10 Gbit/s times 60 ms, and at most 100 MB of ordinary packets.
const HELD_MAX: usize = 65_536;

/// How much too early a packet may be sent. Linux wakes a thread up to 50 µs late (`man 2 PR_SET_TIMERSLACK`), so
/// to aim that much earlier puts packets around their time instead of behind it.
const EARLY: Duration = Duration::from_micros(50);

/// How often a packet is tried when the kernel's send buffer is full, and the pause between: 10 ms, then it is lost.
const TRIES: u32 = 100;
const TRY_AGAIN: Duration = Duration::from_micros(100);

/// How long the thread sleeps when nothing is on its way; it is woken when that changes.
const IDLE: Duration = Duration::from_secs(60);

/// A datagram with what the kernel has to know of it.
#[derive(Debug, Clone)]
pub(super) struct Packet {
    pub(super) destination: SocketAddr,
    pub(super) source: Option<IpAddr>,
    pub(super) ecn: Option<EcnCodepoint>,
    pub(super) contents: Arc<[u8]>,
}

/// The packets on their way. When it is dropped its thread ends, and what was on its way is lost.
#[derive(Debug)]
pub(super) struct Flight {
    air: Arc<Air>,
    thread: Option<JoinHandle<()>>,
}

impl Flight {
    /// Starts the thread, which sends from `socket`.
    pub(super) fn start(socket: UdpSocket) -> io::Result<Self> {
        let sender = Sender { state: UdpSocketState::new((&socket).into())?, socket };
        let air = Arc::new(Air::default());
        let carried = Arc::clone(&air);
        let thread = thread::Builder::new().name("thalweg-link".to_owned()).spawn(move || carry(&carried, &sender))?;
        Ok(Self { air, thread: Some(thread) })
    }

    /// Whether another two packets may be held.
    pub(super) fn has_room(&self) -> bool {
        self.air.lock().held.len() + 2 <= HELD_MAX
    }

    /// Sends `packet` at `due`, behind those that are due at the same moment already.
    pub(super) fn launch(&self, due: Instant, packet: Packet) {
        let mut sky = self.air.lock();
        let comes_first = sky.held.first_key_value().is_none_or(|((first, _), _)| due < *first);
        let number = sky.launched;
        sky.launched += 1;
        sky.held.insert((due, number), packet);
        drop(sky);
        if comes_first {
            self.air.changed.notify_one();
        }
    }

    /// Loses what is on its way.
    pub(super) fn lose_all(&self) {
        self.air.lock().held.clear();
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.air.lock().closed = true;
        self.air.changed.notify_one();
        // Waited for, so that the address is free again when the socket is gone. A thread that panicked is gone too.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the thread shares with those who launch packets.
#[derive(Debug, Default)]
struct Air {
    sky: Mutex<Sky>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Sky {
    /// By the time at which they are due, then by the order in which they were launched.
    held: BTreeMap<(Instant, u64), Packet>,
    launched: u64,
    closed: bool,
}

impl Air {
    fn lock(&self) -> MutexGuard<'_, Sky> {
        self.sky.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until packets are due and moves them into `due`; false when there will be no more.
    fn wait(&self, due: &mut Vec<Packet>) -> bool {
        let mut sky = self.lock();
        while !sky.closed {
            let now = Instant::now();
            while let Some(first) = sky.held.first_entry().filter(|first| first.key().0 <= now + EARLY) {
                due.push(first.remove());
            }
            if !due.is_empty() {
                return true;
            }
            let first = sky.held.first_key_value().map(|((due, _), _)| due.saturating_duration_since(now));
            let pause = first.map_or(IDLE, |ahead| ahead.saturating_sub(EARLY).min(IDLE));
            sky = self.changed.wait_timeout(sky, pause).unwrap_or_else(PoisonError::into_inner).0;
        }
        false
    }
}

/// The thread.
fn carry(air: &Air, sender: &Sender) {
    let mut due = Vec::new();
    while air.wait(&mut due) {
        due.drain(..).for_each(|packet| sender.send(&packet));
    }
}

struct Sender {
    socket: UdpSocket,
    state: UdpSocketState,
}

impl Sender {
    /// Sends `packet`, or loses it as a network would: quinn's `send` reports nothing but a full buffer.
    fn send(&self, packet: &Packet) {
        let transmit = Transmit {
            destination: packet.destination,
            ecn: packet.ecn,
            contents: &packet.contents,
            segment_size: None,
            src_ip: packet.source,
        };
        for _ in 0..TRIES {
            match self.state.send((&self.socket).into(), &transmit) {
                Ok(()) => return,
                Err(_) => thread::sleep(TRY_AGAIN),
            }
        }
        tracing::debug!(destination = %packet.destination, "the send buffer stayed full: a packet of an emulated link is lost");
    }
}
