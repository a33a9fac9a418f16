//! How connections over a link are set up: windows, keep-alive, what is sent before anything is acknowledged.

use std::sync::Arc;
use std::time::Duration;

use quinn::congestion::CubicConfig;
use quinn::{IdleTimeout, MtuDiscoveryConfig, TransportConfig};

use super::quic::setup;
use super::{LinkError, Tuning};

/// A peer that says nothing for so long is gone. Requests do not wait for this: they have deadlines.
pub(super) const IDLE_MAX: Duration = Duration::from_secs(15);

/// Several of these fit into [`IDLE_MAX`], so that one lost packet does not end a connection.
const KEEP_ALIVE: Duration = Duration::from_secs(4);

/// Requests and calls of one peer that may be open at a time. More wait on the peer's side: QUIC bounds the streams of each
/// connection by it, whether they are read or not, and a stream makes room for another one only when both directions of
/// it are over.
pub(crate) const REQUESTS_MAX: u32 = 256;

/// What a peer may send on a stream and in all before this node has read it: a gigabit over 60 ms, and four such streams.
const STREAM_WINDOW: u32 = 8 << 20;
const CONNECTION_WINDOW: u32 = 32 << 20;

/// How connections over a link are set up.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) transport: Arc<TransportConfig>,
    pub(super) connect_max: Duration,
}

impl Settings {
    pub(super) fn of(tuning: Tuning) -> Result<Self, LinkError> {
        Ok(Self { transport: Arc::new(transport(tuning)?), connect_max: tuning.connect_max })
    }
}

fn transport(tuning: Tuning) -> Result<TransportConfig, LinkError> {
    let mut congestion = CubicConfig::default();
    congestion.initial_window(tuning.first_flight.0);
    let mut discovery = MtuDiscoveryConfig::default();
    discovery.upper_bound(tuning.payload_max.0);
    let mut transport = TransportConfig::default();
    transport
        .keep_alive_interval(Some(KEEP_ALIVE))
        .max_idle_timeout(Some(IdleTimeout::try_from(IDLE_MAX).map_err(setup)?))
        .max_concurrent_bidi_streams(REQUESTS_MAX.into())
        .max_concurrent_uni_streams(1u32.into())
        .stream_receive_window(STREAM_WINDOW.into())
        .receive_window(CONNECTION_WINDOW.into())
        .send_window(CONNECTION_WINDOW.into())
        .datagram_receive_buffer_size(None)
        .congestion_controller_factory(Arc::new(congestion))
        .mtu_discovery_config(Some(discovery));
    Ok(transport)
}
