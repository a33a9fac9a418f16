//! What nodes ask of each other beside their shares of plans.

use bincode::{Decode, Encode};

use super::{Coded, GossipFrame, Text};

/// Begins a stream, as [`Open`](super::Open) does for a share of a plan. Bytes that belong to it follow the frame.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Call {
    /// A stranger that was invited asks to be let in; nothing else is heard of one. A record of itself follows.
    Join {
        /// What the invitation says.
        secret: [u8; 16],
        /// Bytes of the record.
        bytes: u64,
    },
    /// A step of telling each other of all nodes.
    Gossip(GossipFrame),
    /// All that the caller knows of who is a member, as JSON, which follows; the reply is the same of this node.
    Members {
        /// Bytes of it.
        bytes: u64,
    },
    /// A measurement of the link; `bytes` of padding follow, which show what it carries.
    Probe {
        /// Bytes that follow.
        bytes: u64,
    },
    /// A piece of a file, by the BLAKE3 of its bytes, which are the reply.
    Fetch {
        /// Which.
        hash: [u8; 32],
    },
    /// A piece of a file to be kept.
    Put {
        /// BLAKE3 of its bytes.
        hash: [u8; 32],
        /// How many follow.
        bytes: u64,
    },
    /// A request to a deployment whose source this node is; tensors follow uncoded, once [`Reply::Continue`] has come:
    /// what is refused has cost no more than two frames. The reply to all of it is an [`Answer`](super::Answer).
    Ask {
        /// Name of the deployment.
        deployment: Text,
        /// Microseconds left when it was sent.
        remaining_us: u64,
        /// Its inputs.
        tensors: Vec<Coded>,
    },
    /// Anything that people ask for, as JSON, which follows; so is the reply.
    Order {
        /// Bytes of it.
        bytes: u64,
    },
    /// Results of a deployment whose source the caller is, to be kept; they follow, each as its length (u32,
    /// little-endian) and its bytes. They are taken if the newest that is kept of the caller has the mark `has`. The reply
    /// is the mark of the newest that is kept after that, on disk for good, as 32 bytes; [`Reply::NotHere`] where nothing
    /// is. Without results it only asks.
    Deliver {
        /// Name of the deployment.
        deployment: Text,
        /// What the caller believes to be the newest mark; none where nothing is kept.
        has: Option<[u8; 32]>,
        /// The mark before the first result.
        follows: [u8; 32],
        /// Bytes that follow.
        bytes: u64,
    },
}

/// The answer to a [`Call`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Reply {
    /// It is done; `bytes` follow.
    Done {
        /// How many.
        bytes: u64,
    },
    /// What was asked for is not here.
    NotHere,
    /// There is a place for the [`Call::Ask`]: its tensors may come.
    Continue,
    /// The next step of telling each other of all nodes.
    Gossip(GossipFrame),
    /// When a [`Call::Probe`] came, in microseconds on the clock of this node.
    Pong {
        /// Its frame, or the first of its padding.
        first_us: u64,
        /// Its last byte.
        last_us: u64,
        /// When this was sent.
        sent_us: u64,
        /// Bytes that came after the first of the padding, which say what the link carries.
        counted: u64,
    },
}
