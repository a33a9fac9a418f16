//! Where a member is by now, as it says itself.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::TrustError;
use super::member::{address_bytes, as_text};
use crate::identity::{Identity, NodeId};

/// What a signature of an address is over, before its bytes.
const CONTEXT: &[u8] = b"thalweg address 1";

/// A member's own word that it is to be found elsewhere than where it was admitted: a lease that was renewed, another
/// port. It says nothing else: neither who the member is nor what it may do, and nothing of other keys. It counts as
/// long as its key is accepted: no more once that is revoked or retired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedAddress {
    /// The member, which has signed this.
    pub id: NodeId,
    /// Where it is.
    pub address: SocketAddr,
    /// The highest counts.
    pub version: u64,
    /// Its signature.
    #[serde(with = "as_text")]
    pub signature: [u8; 64],
}

impl SignedAddress {
    /// Signs as the member itself, in the cluster of this authority.
    pub fn sign(identity: &Identity, address: SocketAddr, version: u64, authority: NodeId) -> Self {
        let id = identity.id();
        let signature = identity.sign(CONTEXT, &to_bytes(authority, id, address, version));
        Self { id, address, version, signature }
    }

    pub(super) fn verify(&self, authority: NodeId) -> Result<(), TrustError> {
        let bytes = to_bytes(authority, self.id, self.address, self.version);
        let signed = self.id.has_signed(CONTEXT, &bytes, &self.signature);
        if signed { Ok(()) } else { Err(TrustError::Forged { by: self.id, id: self.id }) }
    }

    /// Orders what one member says: the greatest counts. Between two of the same version anything may decide, if it
    /// decides alike everywhere.
    pub(super) fn rank(&self) -> impl Ord + use<> {
        (self.version, self.address, self.signature)
    }
}

/// Numbers are little-endian. The flow label of an IPv6 address is none of its own and left out.
fn to_bytes(authority: NodeId, id: NodeId, address: SocketAddr, version: u64) -> Vec<u8> {
    let mut bytes = [authority.as_bytes().as_slice(), id.as_bytes()].concat();
    bytes.extend(version.to_le_bytes());
    bytes.extend(address_bytes(address));
    bytes
}
