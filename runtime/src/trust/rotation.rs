//! A key that hands over to another one.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use super::TrustError;
use super::member::as_text;
use crate::identity::{Identity, NodeId};

/// Keys that can follow each other before an operator has to admit the newest itself.
pub const ROTATIONS_IN_A_ROW_MAX: usize = 16;

/// What signatures of a rotation are over, before its bytes.
const CONTEXT: &[u8] = b"thalweg rotation 1";

/// A new key in the place of an old one: it gets its name, address and role. Both keys have agreed.
///
/// A node makes two of them. With the first one both keys are accepted, so that nothing is dropped while peers learn of
/// the new one. The second one retires the old key: then only the new one is accepted, and what the old one has signed
/// still counts. A key that others may have got is revoked, not retired: a revoked key hands over to nobody.
///
/// The new key of the authority is the authority. That of an operator may do what operators may, but what it signs
/// about members counts only after the authority itself has admitted it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// The key that hands over.
    pub old: NodeId,
    /// The key that follows.
    pub new: NodeId,
    /// The old one is accepted no more.
    pub retires: bool,
    /// The old key's signature.
    #[serde(with = "as_text")]
    pub signature_by_old: [u8; 64],
    /// The new key's signature.
    #[serde(with = "as_text")]
    pub signature_by_new: [u8; 64],
}

impl Rotation {
    /// Signs with both keys, in the cluster of this authority.
    pub fn sign(old: &Identity, new: &Identity, retires: bool, authority: NodeId) -> Self {
        let bytes = to_bytes(old.id(), new.id(), retires, authority);
        let [signature_by_old, signature_by_new] = [old, new].map(|identity| identity.sign(CONTEXT, &bytes));
        Self { old: old.id(), new: new.id(), retires, signature_by_old, signature_by_new }
    }

    pub(super) fn verify(&self, authority: NodeId) -> Result<(), TrustError> {
        if self.old == self.new {
            return Err(TrustError::RotatedToItself { id: self.old });
        }
        let bytes = to_bytes(self.old, self.new, self.retires, authority);
        for (by, signature) in [(self.old, &self.signature_by_old), (self.new, &self.signature_by_new)] {
            if !by.has_signed(CONTEXT, &bytes, signature) {
                return Err(TrustError::Forged { by, id: self.old });
            }
        }
        Ok(())
    }

    /// Orders what one key hands over: the greatest counts. A key that hands over to two new ones, which its owner does
    /// not do, decides by their order: alike everywhere.
    pub(super) fn rank(&self) -> impl Ord + use<> {
        (self.retires, Reverse(self.new), self.signature_by_old, self.signature_by_new)
    }
}

fn to_bytes(old: NodeId, new: NodeId, retires: bool, authority: NodeId) -> Vec<u8> {
    let keys = [authority, old, new];
    let mut bytes = keys.iter().flat_map(NodeId::as_bytes).copied().collect::<Vec<_>>();
    bytes.push(u8::from(retires));
    bytes
}
