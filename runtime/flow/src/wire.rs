//! What nodes say to each other, and how it stands on the wire: frames of a length and a body.
//!
//! The only file, with those below it, that knows bincode. A frame is four bytes of length, little-endian, and a body of
//! at most [`FRAME_BYTES_MAX`]. Tensors follow their frame as bare bytes, as many as the frame announces.
//!
//! ```text
//! server → client   one way        Hello
//! client → server   one request    Open, coded tensors
//! server → client   its answer     Answer, outputs    or    Refuse
//! client → server   one call       Call, bytes
//! server → client   its reply      Reply, bytes       or    Refuse
//!
//! client → server   one request    Call::Ask
//! server → client   a place        Reply::Continue    or    Refuse
//! client → server   its inputs     tensors
//! server → client   its answer     Answer, outputs    or    Refuse
//! ```

mod call;
mod gossip;

use std::fmt;
use std::time::Duration;

use bincode::de::Decoder;
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::{Decode, Encode};

use crate::{Coarse, Span, SpanKind};

pub use call::{Call, Reply};
pub use gossip::{Body, Digest, GossipFrame, Known, NodeKey, NodeState};

/// Version of the frames. A node that hears another one hangs up.
pub const VERSION: u16 = 6;

/// Largest body of a frame, and most memory that decoding one can ask for. An answer over 16 hops with 7 spans each
/// needs about 6 KiB of it.
pub const FRAME_BYTES_MAX: usize = 64 * 1024;

/// Bytes of the length before each body.
pub const PREFIX_BYTES: usize = 4;

/// Longest text for people in a frame; what is longer is cut.
const TEXT_BYTES_MAX: usize = 1024;

/// Everything that is said.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Frame {
    /// The server's first word, on a stream of its own: the client's key was accepted.
    Hello(Hello),
    /// A request begins; its coded tensors follow.
    Open(Open),
    /// The request is answered; the outputs follow.
    Answer(Answer),
    /// The request, or the call, is not answered.
    Refuse(Refusal),
    /// A node asks another for something else than its share of a plan.
    Call(Call),
    /// The call is answered; its bytes follow.
    Reply(Reply),
}

/// Who the server is.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Hello {
    /// Its [`VERSION`].
    pub version: u16,
    /// Its name, for people: its identity is its key.
    pub name: Text,
}

/// What comes, and what it is bound to.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Open {
    /// The trace id of the request: the same on all tiers, and for all tries of it.
    pub trace: u64,
    /// The plan it belongs to.
    pub plan: PlanId,
    /// The epoch of that plan.
    pub epoch: u32,
    /// Index of the hop that shall take it.
    pub hop: u8,
    /// Microseconds left when it was sent. The receiver counts them from the arrival of this frame, so the nodes need
    /// no common clock, and a node below gives up no later than the ones above.
    pub remaining_us: u64,
    /// The tensors that follow.
    pub tensors: Vec<Coded>,
}

/// A coded tensor that follows its frame.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Coded {
    /// Its codec.
    pub codec: String,
    /// Bytes that it takes.
    pub bytes: u64,
}

/// What comes back, and how it was made.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Answer {
    /// The trace id of the request.
    pub trace: u64,
    /// When the last byte of the request had come, in microseconds on the clock of the node that answers. Together with
    /// `sent_us` and the asker's own two times these are the four that an estimate of the clocks' offset needs (RFC 5905,
    /// section 8).
    pub received_us: u64,
    /// When it began to send this answer, on the same clock.
    pub sent_us: u64,
    /// What happened on this hop and the ones above.
    pub spans: Vec<Span>,
    /// Tensors of which this hop and the ones above have not awaited all, to answer in time.
    pub coarse: Vec<Coarse>,
    /// Bytes of each output that follows, uncoded: those of this hop first, then those of the hops above.
    pub sizes: Vec<u64>,
}

/// A request that is not answered: where, and why.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, thiserror::Error)]
#[error("hop {hop} refused: {reason}")]
pub struct Refusal {
    /// Index of the hop that refused.
    pub hop: u8,
    /// Its reason.
    pub reason: Reason,
}

/// Why a node does not answer a request.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, thiserror::Error)]
#[allow(missing_docs)]
pub enum Reason {
    /// Nothing is installed under this plan.
    #[error("plan {plan} is not installed here: deploy it before asking for it")]
    UnknownPlan { plan: PlanId },
    /// The plan is installed, but in another epoch.
    #[error("plan {plan} is not installed in epoch {asked}, but in epoch {installed}: ask again in that one")]
    StaleEpoch { plan: PlanId, asked: u32, installed: u32 },
    /// The request is meant for another hop.
    #[error("a request for hop {asked} came to hop {here}: the path of the plan and the links differ")]
    WrongHop { asked: u8, here: u8 },
    /// A tensor is coded otherwise than the plan says.
    #[error("tensor {tensor} comes as {asked}, but the plan says {agreed}")]
    WrongCodec { tensor: u64, asked: Text, agreed: Text },
    /// There are more or fewer tensors than the plan says.
    #[error("{announced} tensors are announced, but the plan says {agreed}")]
    WrongCount { announced: u64, agreed: u64 },
    /// A tensor is larger, or an output of another size, than the plan allows.
    #[error("tensor {tensor} is announced with {announced} bytes, but the plan allows {agreed}")]
    WrongSize { tensor: u64, announced: u64, agreed: u64 },
    /// Fewer or more bytes came than were announced.
    #[error("{got} bytes came where {announced} were announced")]
    WrongLength { announced: u64, got: u64 },
    /// What came is not a frame that belongs here.
    #[error("what came is not understood: {text}")]
    Malformed { text: Text },
    /// There was no time left.
    #[error("its deadline passed")]
    DeadlinePassed,
    /// The model, or a codec, failed on this input.
    #[error("its part of the model failed on this input: {text}")]
    ModelFailed { text: Text },
    /// It would not be answered by its deadline, or there is no place for it.
    #[error("the node is too busy to answer in time, {waiting} requests wait: ask later, or allow more time")]
    Busy { waiting: u32 },
    /// The next node could not be reached.
    #[error("the next node cannot be reached: {text}")]
    UpstreamUnreachable { text: Text },
    /// The next node was reached and then lost.
    #[error("the next node was lost before it answered: {text}")]
    UpstreamLost { text: Text },
    /// The node is shutting down.
    #[error("the node is shutting down")]
    Stopping,
    /// The peer's role does not allow it.
    #[error("the role of this key does not allow it {operation}")]
    NotAllowed { operation: Text },
    /// A call could not be carried out.
    #[error("{text}")]
    CallFailed { text: Text },
}

/// A short text for people. Longer ones are cut, and control characters are not printed: it may come from a stranger.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct Text(String);

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        let fits = |(at, character): &(usize, char)| at + character.len_utf8() <= TEXT_BYTES_MAX;
        Self(text.char_indices().take_while(fits).map(|(_, character)| character).collect())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl fmt::Display for Text {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| write!(out, "{}", if character.is_control() { ' ' } else { character }))
    }
}

/// Names a plan: a hash over the model, its cuts and their codecs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct PlanId(pub [u8; 32]);

/// The first four hexadecimal digits: enough to tell the plans of one run apart.
impl fmt::Display for PlanId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:02x}{:02x}", self.0[0], self.0[1])
    }
}

/// Bytes that are no frame, or a frame that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum WireError {
    /// The length before the body is more than the limit.
    #[error("a frame of {length} bytes is announced, but {FRAME_BYTES_MAX} is the most")]
    TooLong { length: usize },
    /// The body is no frame.
    #[error("a frame does not decode: {text}")]
    Malformed { text: String },
    /// A frame is followed by more bytes within its length.
    #[error("a frame ends {left} bytes before its announced length")]
    TooShort { left: usize },
}

/// Appends `frame` to `out`, with its length before it.
pub fn encode(frame: &Frame, out: &mut Vec<u8>) -> Result<(), WireError> {
    let body = bincode::encode_to_vec(frame, bincode::config::standard())
        .map_err(|error| WireError::Malformed { text: error.to_string() })?;
    let length = u32::try_from(body.len()).ok().filter(|length| *length as usize <= FRAME_BYTES_MAX);
    let length = length.ok_or(WireError::TooLong { length: body.len() })?;
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&body);
    Ok(())
}

/// How many bytes of body follow this prefix.
pub fn frame_length(prefix: [u8; PREFIX_BYTES]) -> Result<usize, WireError> {
    let length = u32::from_le_bytes(prefix) as usize;
    if length <= FRAME_BYTES_MAX { Ok(length) } else { Err(WireError::TooLong { length }) }
}

/// Reads the body of a frame; all of `body` must belong to it.
pub fn decode(body: &[u8]) -> Result<Frame, WireError> {
    let config = bincode::config::standard().with_limit::<FRAME_BYTES_MAX>();
    let (frame, length) = bincode::decode_from_slice(body, config)
        .map_err(|error: DecodeError| WireError::Malformed { text: error.to_string() })?;
    if length == body.len() { Ok(frame) } else { Err(WireError::TooShort { left: body.len() - length }) }
}

/// A duration in whole microseconds, as frames carry it.
pub fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

impl Encode for Span {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        (self.hop, self.kind as u8, micros(self.start), micros(self.length), self.bytes).encode(encoder)
    }
}

impl<Context> Decode<Context> for Span {
    fn decode<D: Decoder<Context = Context>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let (hop, kind, start_us, length_us, bytes): (u8, u8, u64, u64, u64) = Decode::decode(decoder)?;
        let unknown = || DecodeError::OtherString(format!("a span of unknown kind {kind}"));
        let kind = SpanKind::ALL.into_iter().find(|known| *known as u8 == kind).ok_or_else(unknown)?;
        Ok(Self { hop, kind, start: Duration::from_micros(start_us), length: Duration::from_micros(length_us), bytes })
    }
}

bincode::impl_borrow_decode!(Span);

impl Encode for Coarse {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        (self.hop, self.tensor, self.share_ppm).encode(encoder)
    }
}

impl<Context> Decode<Context> for Coarse {
    fn decode<D: Decoder<Context = Context>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let (hop, tensor, share_ppm) = Decode::decode(decoder)?;
        Ok(Self { hop, tensor, share_ppm })
    }
}

bincode::impl_borrow_decode!(Coarse);

#[cfg(test)]
mod tests;
