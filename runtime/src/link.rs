//! How bytes get from node to node: who the peer is, how the link is tuned, and what can go wrong on it.

mod settings;
mod quic;

use std::net::SocketAddr;
use std::time::Duration;

use thalweg_planner::{Bandwidth, Bytes};

use crate::identity::NodeId;

pub(crate) use quic::{Connection, Endpoint, Exchange, Piece};
pub(crate) use settings::REQUESTS_MAX;

/// A node to connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Peer {
    /// Its key.
    pub id: NodeId,
    /// Where it listens.
    pub address: SocketAddr,
}

/// What a node expects of its links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuning {
    /// What is sent before the first acknowledgement. QUIC's own 14.7 kB make the first request on a long link take several
    /// round trips; the product of bandwidth and round trip, where it is known, makes it take one.
    pub first_flight: Bytes,
    /// The largest UDP payload that is tried on the path.
    pub payload_max: PayloadMax,
    /// A peer that has not said hello after so long is not there.
    pub connect_max: Duration,
}

/// For a link that nothing is known about.
impl Default for Tuning {
    fn default() -> Self {
        Self {
            first_flight: Tuning::FIRST_FLIGHT_MIN,
            payload_max: PayloadMax::ETHERNET,
            connect_max: Tuning::CONNECT_MAX,
        }
    }
}

impl Tuning {
    /// The initial window of RFC 9002, section 7.2.
    const FIRST_FLIGHT_MIN: Bytes = Bytes(14_720);

    /// The most that is sent blindly, whatever is expected: what a link's queue can plausibly hold.
    const FIRST_FLIGHT_MAX: Bytes = Bytes(4 << 20);

    /// Ten round trips over a slow satellite link.
    const CONNECT_MAX: Duration = Duration::from_secs(8);

    /// What a handshake puts on a link, with what is sent again because the first answer is late: of 1,252 bytes each, some
    /// eight packets and twice as many repeated.
    const HANDSHAKE: Bytes = Bytes(32_000);

    /// For a link of this bandwidth and round trip.
    pub fn for_link(bandwidth: Bandwidth, round_trip: Duration) -> Self {
        let product = Bytes((bandwidth.0 as f64 / 8.0 * round_trip.as_secs_f64()) as u64);
        let first_flight = product.clamp(Self::FIRST_FLIGHT_MIN, Self::FIRST_FLIGHT_MAX);
        let connect_max = Self::CONNECT_MAX.saturating_add(bandwidth.time_for(Self::HANDSHAKE));
        Self { first_flight, connect_max, ..Self::default() }
    }
}

/// Bytes of UDP payload in a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayloadMax(u16);

impl PayloadMax {
    /// What fits an Ethernet frame over IPv6.
    pub const ETHERNET: Self = Self(1452);

    /// For loopback and jumbo frames. Ten segments, which are sent in one call, must stay below 64 KiB together: larger
    /// ones fail without a word.
    pub const LARGE: Self = Self(6000);
}

/// What can go wrong between two nodes.
#[derive(Debug, Clone, thiserror::Error)]
#[allow(missing_docs)]
pub enum LinkError {
    /// The endpoint could not be opened.
    #[error("QUIC cannot be set up: {cause}")]
    Setup { cause: String },
    /// No connection came about. A peer that refuses our key looks like this too.
    #[error("{address} cannot be reached, or one of the two nodes does not know the key of the other: {cause}")]
    Unreachable { address: SocketAddr, cause: String },
    /// The peer speaks another version.
    #[error("{address} speaks version {theirs} of the protocol, and this node {ours}: update the older one")]
    OtherVersion { address: SocketAddr, theirs: u16, ours: u16 },
    /// The connection or the stream broke.
    #[error("the link broke: {cause}")]
    Broken { cause: String },
    /// The peer does not want the rest.
    #[error("the peer wants no more")]
    Stopped,
    /// The peer said something that does not belong here.
    #[error("the peer is not understood: {cause}")]
    Misunderstood { cause: String },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_fat_link_starts_with_what_it_holds() {
        let flight =
            |mbit: u64, ms| Tuning::for_link(Bandwidth(mbit * 1_000_000), Duration::from_millis(ms)).first_flight;
        assert_eq!(flight(100, 60), Bytes(750_000));
        assert_eq!(flight(1, 10), Tuning::FIRST_FLIGHT_MIN);
        assert_eq!(flight(100_000, 600), Tuning::FIRST_FLIGHT_MAX);
    }
}
