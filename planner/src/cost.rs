//! What one layer and one tensor cost: every formula and every constant of the cost model, which `lib.rs` tells in
//! prose.
//!
//! The searches and [`evaluate`](crate::evaluate()) all take their times from here, so they cannot disagree.

use std::time::Duration;

use crate::{Bytes, Coding, Direction, Graph, Layer, OpClass, TensorId, Tier};

/// What one request or answer on a link carries beside its tensors: names, plan, deadline, tensor specs, in one frame.
pub(crate) const MESSAGE_HEADER: Bytes = Bytes(128);

/// What QUIC puts into one UDP datagram once it has found the path's MTU: 1,500 of Ethernet less 40 of IPv6 and 8 of
/// UDP. It is the default upper bound of quinn's MTU discovery, for IPv4 too.
const DATAGRAM_BYTES: u64 = 1452;
/// RFC 9000, section 17.3.1: flags, a connection id of 8 bytes as quinn issues it, a packet number of 2.
const SHORT_HEADER_BYTES: u64 = 1 + 8 + 2;
/// RFC 9001, section 5.3: the tag of each of its AEADs.
const AEAD_TAG_BYTES: u64 = 16;
/// RFC 9000, section 19.8: type, stream id of 2 bytes, offset of 4, length of 2.
const STREAM_FRAME_BYTES: u64 = 1 + 2 + 4 + 2;
/// RFC 768.
const UDP_HEADER_BYTES: u64 = 8;
/// RFC 791, without options.
const IPV4_HEADER_BYTES: u64 = 20;

/// What is left of a datagram for the stream.
const PAYLOAD_BYTES: u64 = DATAGRAM_BYTES - SHORT_HEADER_BYTES - AEAD_TAG_BYTES - STREAM_FRAME_BYTES;
/// What each datagram adds to its payload on the link.
const OVERHEAD_BYTES: u64 = DATAGRAM_BYTES - PAYLOAD_BYTES + UDP_HEADER_BYTES + IPV4_HEADER_BYTES;
/// A message without payload on the link.
pub(crate) const EMPTY_MESSAGE: Bytes = Bytes(MESSAGE_HEADER.0 + OVERHEAD_BYTES);

/// What this payload adds to a message on the link: itself, and its share of what datagrams add.
///
/// Whole datagrams would make a message of several tensors cost less than its tensors one by one; this is linear, never
/// too little, and too much by less than one datagram's headers.
pub(crate) fn on_the_wire(payload: Bytes) -> Bytes {
    let whole = u128::from(payload.0) * u128::from(PAYLOAD_BYTES + OVERHEAD_BYTES);
    Bytes(u64::try_from(whole.div_ceil(PAYLOAD_BYTES.into())).unwrap_or(u64::MAX))
}

/// How long a link is busy with this payload.
pub(crate) fn carry(direction: &Direction, payload: Bytes) -> Duration {
    direction.bandwidth.time_for(on_the_wire(payload))
}

/// How long a link is busy with a message beside its payload.
pub(crate) fn empty_message(direction: &Direction) -> Duration {
    direction.bandwidth.time_for(EMPTY_MESSAGE)
}

/// How long it takes to encode or decode on this tier what takes `reference` on the reference machine.
///
/// Codecs read and write more than they compute, so they are as slow here as what is bound by memory.
pub(crate) fn coding(tier: &Tier, reference: Duration) -> Duration {
    tier.slowdown.scale(OpClass::MemoryBound, reference)
}

/// How long this layer takes on this tier.
pub(crate) fn compute(layer: &Layer, tier: &Tier) -> Duration {
    tier.slowdown.scale(layer.class, layer.reference)
}

/// A share of a time, in whole nanoseconds; the whole time when the share is 1.
pub(crate) fn share(time: Duration, share: f64) -> Duration {
    if share == 1.0 {
        return time;
    }
    Duration::from_nanos((time.as_nanos() as f64 * share).round() as u64)
}

/// In whole nanoseconds; what would take longer than a `Duration` can hold stays at its largest value.
pub(crate) fn sum(times: impl IntoIterator<Item = Duration>) -> Duration {
    times.into_iter().fold(Duration::ZERO, Duration::saturating_add)
}

/// The first coding of this name that the tensor offers.
pub(crate) fn offer<'a>(graph: &'a Graph, tensor: TensorId, codec: &str) -> Option<&'a Coding> {
    graph.tensors[tensor].codings.iter().find(|coding| coding.codec == codec)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Bandwidth;

    #[test]
    fn each_datagram_adds_its_headers() {
        assert_eq!((PAYLOAD_BYTES, OVERHEAD_BYTES, EMPTY_MESSAGE), (1416, 64, Bytes(192)));
        assert_eq!(on_the_wire(Bytes(0)), Bytes(0));
        assert_eq!(on_the_wire(Bytes(1416)), Bytes(1416 + 64));
        assert_eq!(on_the_wire(Bytes(1417)), Bytes(1417 + 65));
        assert_eq!(on_the_wire(Bytes(u64::MAX)), Bytes(u64::MAX));
    }

    #[test]
    fn a_link_is_busy_with_its_bits() {
        let direction = Direction::new(Bandwidth(8_000_000), Duration::from_millis(20));
        assert_eq!(carry(&direction, Bytes(14_160)), Duration::from_micros(14_800));
        assert_eq!(empty_message(&direction), Duration::from_micros(192));
    }
}
