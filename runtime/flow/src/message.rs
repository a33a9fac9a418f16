//! What a message takes on a link, as the cost model of [`thalweg_planner`] has it: a header, and for each datagram
//! its own.
//!
//! A bandwidth that is estimated from transfers, and a time that is predicted from a bandwidth, both count bytes so.

use std::time::Duration;

use thalweg_planner::{Bandwidth, Bytes};

/// The header of a message and of its first datagram: h + o of the cost model.
const EMPTY_MESSAGE_BYTES: u64 = 128 + OVERHEAD_BYTES;
/// Bytes of a stream in one datagram: p of the cost model.
const PAYLOAD_BYTES: u64 = 1416;
/// What each datagram adds: o of the cost model.
const OVERHEAD_BYTES: u64 = 64;

/// Bytes on the link of a message with this payload, headers included.
pub(crate) fn bytes(payload: Bytes) -> Bytes {
    let whole = u128::from(payload.0) * u128::from(PAYLOAD_BYTES + OVERHEAD_BYTES);
    let carried = u64::try_from(whole.div_ceil(PAYLOAD_BYTES.into())).unwrap_or(u64::MAX);
    Bytes(carried.saturating_add(EMPTY_MESSAGE_BYTES))
}

/// The bandwidth at which a message with this payload is on its way for `took`; at least one bit a second, and the
/// largest bandwidth for no time at all.
pub(crate) fn rate(payload: Bytes, took: Duration) -> Bandwidth {
    let bits_nanos = u128::from(bytes(payload).0) * 8_000_000_000;
    let rate = bits_nanos.checked_div(took.as_nanos()).unwrap_or(u128::MAX);
    Bandwidth(u64::try_from(rate).unwrap_or(u64::MAX).max(1))
}
