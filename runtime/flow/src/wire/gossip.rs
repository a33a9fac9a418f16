//! What nodes tell each other of all nodes: what they know, and what the other does not.
//!
//! ```text
//! asker → asked    Ask     what the asker knows
//! asked → asker    Tell    what the asked one knows of the same nodes, and what the asker did not
//! asker → asked    Rest    what the asked one did not know
//! ```
//! When a node has got [`GossipFrame::Tell`] or [`GossipFrame::Rest`] it has proof that the link carries both ways.

use bincode::{Decode, Encode};

/// A node's public key.
pub type NodeKey = [u8; 32];

/// A step of an exchange.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum GossipFrame {
    /// The asker's knowledge.
    Ask(Digest),
    /// The asked one's knowledge, and what it knows better.
    Tell(Digest, Vec<NodeState>),
    /// What the asker knows better.
    Rest(Vec<NodeState>),
}

/// Of whom a node wants to hear, and how much of each it knows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct Digest(pub Vec<Known>);

/// How much is known of a node: all zero where nothing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Known {
    /// Which node.
    pub id: NodeKey,
    /// Its newest known incarnation.
    pub incarnation: u64,
    /// Its newest known version in that incarnation.
    pub version: u64,
    /// The version of its newest known body in that incarnation; zero where there is none.
    pub body: u64,
}

/// A sign of life of a node, signed by itself, and perhaps what it says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct NodeState {
    /// Which node.
    pub id: NodeKey,
    /// How often it has started: a higher one replaces all of a lower one.
    pub incarnation: u64,
    /// Raised at each of its ticks, from a random number above zero on.
    pub version: u64,
    /// The node's signature of [`NodeState::signed_bytes`].
    pub signature: [u8; 64],
    /// What it says of itself, where the receiver does not have it.
    pub body: Option<Body>,
}

impl NodeState {
    /// What the signature is over: a mark that it is no body, the key, the incarnation and the version, little-endian.
    pub fn signed_bytes(&self) -> Vec<u8> {
        signed_bytes(0, &self.id, self.incarnation, self.version, &[])
    }
}

/// What a node says of itself. To this crate it is bytes.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Body {
    /// The node's version when it said so.
    pub version: u64,
    /// What it says.
    pub bytes: Vec<u8>,
    /// The node's signature of [`Body::signed_bytes`].
    pub signature: [u8; 64],
}

impl Body {
    /// What the signature is over: a mark that it is a body, the key and incarnation of the node whose it is, the
    /// version, little-endian, and the bytes.
    pub fn signed_bytes(&self, id: &NodeKey, incarnation: u64) -> Vec<u8> {
        signed_bytes(1, id, incarnation, self.version, &self.bytes)
    }
}

fn signed_bytes(mark: u8, id: &NodeKey, incarnation: u64, version: u64, rest: &[u8]) -> Vec<u8> {
    [&[mark], id.as_slice(), &incarnation.to_le_bytes(), &version.to_le_bytes(), rest].concat()
}
