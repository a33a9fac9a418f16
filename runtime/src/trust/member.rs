//! A member of a cluster, and the signature that makes it one.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::{Role, TrustError};
use crate::identity::{Identity, NodeId};

/// Longest name of a member.
pub const NAME_BYTES_MAX: usize = 64;

/// What a signature of a member is over, before its bytes.
const CONTEXT: &[u8] = b"thalweg member 1";

/// What is said of one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Its key.
    pub id: NodeId,
    /// For people: 1 to [`NAME_BYTES_MAX`] bytes of printable text. Two members may have the same.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Where it can be reached, by the time this was signed.
    pub address: SocketAddr,
    /// Of what one signer says of one key the highest version counts.
    pub version: u32,
    /// The key counts no more. This cannot be taken back.
    pub revoked: bool,
}

impl Member {
    /// Whether the name is one.
    pub(super) fn check(&self) -> Result<(), TrustError> {
        let printable = !self.name.trim().is_empty() && !self.name.chars().any(is_unprintable);
        let short = self.name.len() <= NAME_BYTES_MAX;
        let shown = || self.name.chars().filter(|character| !is_unprintable(*character)).take(80).collect();
        if printable && short { Ok(()) } else { Err(TrustError::NotAName { name: shown() }) }
    }

    /// What is signed: all fields in order, numbers little-endian, the name after its length, and before all of them
    /// the cluster, so that an operator of two clusters does not speak for one in the other. No two members have the
    /// same bytes. The flow label of an IPv6 address is none of its own and left out.
    fn to_bytes(&self, authority: NodeId) -> Vec<u8> {
        let mut bytes = [authority.as_bytes().as_slice(), self.id.as_bytes()].concat();
        bytes.extend([self.role as u8, u8::from(self.revoked)]);
        bytes.extend(self.version.to_le_bytes());
        bytes.extend((self.name.len() as u64).to_le_bytes());
        bytes.extend(self.name.as_bytes());
        bytes.extend(address_bytes(self.address));
        bytes
    }
}

/// An address as it is signed: its kind, its octets, its port, and of IPv6 its scope.
pub(super) fn address_bytes(address: SocketAddr) -> Vec<u8> {
    let mut bytes = match address.ip() {
        IpAddr::V4(ip) => [&[4], ip.octets().as_slice()].concat(),
        IpAddr::V6(ip) => [&[6], ip.octets().as_slice()].concat(),
    };
    bytes.extend(address.port().to_le_bytes());
    if let SocketAddr::V6(address) = address {
        bytes.extend(address.scope_id().to_le_bytes());
    }
    bytes
}

/// Control characters, and what makes text look like other text: invisible ones and those that turn its direction.
fn is_unprintable(character: char) -> bool {
    let hidden = matches!(character, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    character.is_control() || hidden
}

/// A member, and who says so. It counts only in a [`Roster`](super::Roster), which checks it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedMember {
    /// What is said.
    pub member: Member,
    /// Who says so.
    pub by: NodeId,
    /// Its signature.
    #[serde(with = "as_text")]
    pub signature: [u8; 64],
}

impl SignedMember {
    /// Signs, whoever signs: rosters decide whether it counts.
    pub(super) fn sign(member: Member, authority: NodeId, by: &Identity) -> Self {
        let signature = by.sign(CONTEXT, &member.to_bytes(authority));
        Self { member, by: by.id(), signature }
    }

    pub(super) fn verify(&self, authority: NodeId) -> Result<(), TrustError> {
        let signed = self.by.has_signed(CONTEXT, &self.member.to_bytes(authority), &self.signature);
        if signed { Ok(()) } else { Err(TrustError::Forged { by: self.by, id: self.member.id }) }
    }

    /// Orders what one signer says of one key, of one kind: the greatest counts. Who was made an operator stays one, so
    /// that what it has revoked stays revoked whatever comes first. Between two of the same version anything may
    /// decide, if it decides alike everywhere.
    pub(super) fn rank(&self) -> impl Ord + use<> {
        let member = &self.member;
        (
            member.role == Role::Operator,
            member.version,
            member.role,
            member.name.clone(),
            member.address,
            self.signature,
        )
    }
}

/// Signatures in files: 128 hexadecimal digits.
pub(super) mod as_text {
    use data_encoding::HEXLOWER;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(in super::super) fn serialize<S: Serializer>(signature: &[u8; 64], out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&HEXLOWER.encode(signature))
    }

    pub(in super::super) fn deserialize<'a, D: Deserializer<'a>>(input: D) -> Result<[u8; 64], D::Error> {
        let bytes = HEXLOWER.decode(String::deserialize(input)?.as_bytes()).ok();
        let signature = bytes.and_then(|bytes| bytes.try_into().ok());
        signature.ok_or_else(|| D::Error::custom("a signature is written as 128 hexadecimal digits in small letters"))
    }
}
