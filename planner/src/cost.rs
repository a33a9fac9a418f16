//! What one crossing and one part cost: every formula and every constant of the cost model, which `lib.rs` tells in prose.
//!
//! The search and [`evaluate`](crate::evaluate()) both take their times from here, so they cannot disagree.

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

/// Bytes on the link for one message with this payload: its header, and what each datagram adds.
pub(crate) fn on_the_wire(payload: Bytes) -> Bytes {
    let message = payload.0.saturating_add(MESSAGE_HEADER.0);
    Bytes(message.saturating_add(message.div_ceil(PAYLOAD_BYTES).saturating_mul(OVERHEAD_BYTES)))
}

/// From the first bit of a message sent to its last bit received, on a link that is otherwise idle.
pub(crate) fn message(direction: &Direction, payload: Bytes) -> Duration {
    direction.bandwidth.time_for(on_the_wire(payload)).saturating_add(direction.delay)
}

/// All tensors of one crossing in one codec, in times of the reference machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Coded {
    pub(crate) bytes: Bytes,
    encode: Duration,
    decode: Duration,
}

impl Coded {
    /// These tensors in this codec, or the first of them that does not offer it.
    pub(crate) fn of(graph: &Graph, tensors: &[TensorId], codec: &str) -> Result<Self, TensorId> {
        let offered = |tensor: &TensorId| offer(graph, *tensor, codec).ok_or(*tensor);
        let codings: Vec<_> = tensors.iter().map(offered).collect::<Result<_, _>>()?;
        Ok(Self {
            bytes: codings.iter().map(|coding| coding.bytes).sum(),
            encode: sum(codings.iter().map(|coding| coding.encode)),
            decode: sum(codings.iter().map(|coding| coding.decode)),
        })
    }

    /// Codecs read and write more than they compute, so they are as slow here as what is bound by memory.
    pub(crate) fn encode(&self, tier: &Tier) -> Duration {
        tier.slowdown.scale(OpClass::MemoryBound, self.encode)
    }

    /// As for [`Self::encode`].
    pub(crate) fn decode(&self, tier: &Tier) -> Duration {
        tier.slowdown.scale(OpClass::MemoryBound, self.decode)
    }
}

/// The first coding of this name that the tensor offers.
fn offer<'a>(graph: &'a Graph, tensor: TensorId, codec: &str) -> Option<&'a Coding> {
    graph.tensors[tensor].codings.iter().find(|coding| coding.codec == codec)
}

/// How long each of these layers takes on this tier.
pub(crate) fn compute(layers: &[Layer], tier: &Tier) -> impl Iterator<Item = Duration> {
    layers.iter().map(|layer| tier.slowdown.scale(layer.class, layer.reference))
}

/// Uncoded bytes that come back over a link, by the cut there: of the outputs that layers from `0..=layers` on make.
pub(crate) fn answers(graph: &Graph) -> Vec<Bytes> {
    let lifetimes = graph.lifetimes();
    let mut answers = vec![Bytes(0); graph.layers.len() + 1];
    for output in graph.outputs_of(0..graph.layers.len()) {
        let bytes = graph.tensors[output].spec.bytes();
        let made_above = answers.iter_mut().take(lifetimes[output].from);
        made_above.for_each(|answer| answer.0 = answer.0.saturating_add(bytes.0));
    }
    answers
}

/// In whole nanoseconds; what would take longer than a `Duration` can hold stays at its largest value.
pub(crate) fn sum(times: impl IntoIterator<Item = Duration>) -> Duration {
    times.into_iter().fold(Duration::ZERO, Duration::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Bandwidth;

    #[test]
    fn each_datagram_adds_its_headers() {
        assert_eq!((PAYLOAD_BYTES, OVERHEAD_BYTES), (1416, 64));
        assert_eq!(on_the_wire(Bytes(0)), Bytes(128 + 64));
        assert_eq!(on_the_wire(Bytes(1416 - 128)), Bytes(1416 + 64));
        assert_eq!(on_the_wire(Bytes(1417 - 128)), Bytes(1417 + 2 * 64));
        assert_eq!(on_the_wire(Bytes(u64::MAX)), Bytes(u64::MAX));
    }

    #[test]
    fn a_message_takes_its_bits_and_the_delay() {
        let direction = Direction { bandwidth: Bandwidth(8_000_000), delay: Duration::from_millis(20) };
        assert_eq!(message(&direction, Bytes(1416 * 10 - 128)), Duration::from_micros(20_000 + 14_800));
    }
}
