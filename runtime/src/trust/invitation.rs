//! An invitation as text, for whoever shall join.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64URL_NOPAD;

use super::TrustError;
use crate::identity::NodeId;

/// What an invitation begins with: what it is, and its version.
const HEAD: &str = "thalweg1:";

/// Longest host name and port (RFC 1035, section 2.3.4).
const ADDRESS_BYTES_MAX: usize = 253 + 6;

/// What only the inviter and the invited know: 128 random bits, more than can be guessed. Not shown by `{:?}`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub(super) [u8; 16]);

impl From<[u8; 16]> for Secret {
    fn from(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl Secret {
    /// To be sent to the inviter, over a connection on which it has shown its key.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Secret(..)")
    }
}

/// Whom to ask, by which key to know it, and the secret that opens. As text: `thalweg1:`, 64 characters of Base64 (RFC
/// 4648, section 5, without padding) for key and secret, `@host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    inviter: NodeId,
    secret: Secret,
    address: String,
}

impl Invitation {
    /// An invitation of a node that is reached at `host:port`; the host may be a name, and an IPv6 address stands in
    /// brackets.
    pub fn new(inviter: NodeId, secret: Secret, address: &str) -> Result<Self, TrustError> {
        let wrong = |reason| TrustError::NotAnInvitation { reason };
        let (host, port) = address.rsplit_once(':').ok_or(wrong("it ends with no port"))?;
        port.parse::<u16>().ok().filter(|port| *port != 0).ok_or(wrong("it ends with no port"))?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_[]:%".contains(&byte);
        let bracketed = host.starts_with('[') && host.ends_with(']');
        let is_host =
            !host.is_empty() && host.bytes().all(plain) && (bracketed || !host.contains(['[', ']', ':', '%']));
        if !is_host || address.len() > ADDRESS_BYTES_MAX {
            return Err(wrong("what follows the @ is no host and port"));
        }
        Ok(Self { inviter, secret, address: address.to_owned() })
    }

    /// The key of the node that invites.
    pub fn inviter(&self) -> NodeId {
        self.inviter
    }

    /// What to show it.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// Where it is: a host, which may be a name, and a port.
    pub fn address(&self) -> &str {
        &self.address
    }
}

/// With the secret: to be shown to the invited only.
impl fmt::Display for Invitation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [self.inviter.as_bytes().as_slice(), &self.secret.0].concat();
        write!(out, "{HEAD}{}@{}", BASE64URL_NOPAD.encode(&bytes), self.address)
    }
}

impl FromStr for Invitation {
    type Err = TrustError;

    fn from_str(text: &str) -> Result<Self, TrustError> {
        let wrong = |reason| TrustError::NotAnInvitation { reason };
        let rest = text.trim().strip_prefix(HEAD).ok_or(wrong("it does not begin with thalweg1:"))?;
        let (code, address) = rest.split_once('@').ok_or(wrong("it has no @ before an address"))?;
        let bytes = BASE64URL_NOPAD.decode(code.as_bytes()).ok().and_then(|bytes| <[u8; 48]>::try_from(bytes).ok());
        let bytes = bytes.ok_or(wrong("what stands before the @ is not 64 characters of Base64"))?;
        let (mut key, mut secret) = ([0; 32], [0; 16]);
        key.copy_from_slice(&bytes[..32]);
        secret.copy_from_slice(&bytes[32..]);
        Self::new(key.into(), Secret(secret), address)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use expect_test::expect;

    use super::*;

    fn invitation(address: &str) -> Result<Invitation, TrustError> {
        Invitation::new([0xfb; 32].into(), Secret([0xff; 16]), address)
    }

    #[test]
    fn an_invitation_is_one_short_line() {
        expect!["thalweg1:-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v_____________________@edge.local:4433"]
            .assert_eq(&invitation("edge.local:4433").unwrap().to_string());
    }

    #[test]
    fn it_reads_back_as_it_prints() {
        for address in ["edge.local:4433", "10.0.0.1:1", "[::1]:65535", "[fe80::1%2]:9", "my_box-1:80"] {
            let made = invitation(address).unwrap();
            assert_eq!(format!(" {made}\n").parse::<Invitation>().unwrap(), made);
            assert_eq!((made.address(), made.secret().as_bytes()), (address, &[0xff; 16]));
        }
    }

    #[test]
    fn other_texts_are_none() {
        let good = invitation("a:1").unwrap().to_string();
        let texts = ["", "thalweg1:", "thalweg2:aaaa@a:1", "thalweg1:aaaa@a:1", &good[1..], &good[..good.len() - 2]];
        for text in
            texts.into_iter().chain([good.replace('@', "="), good.replace("-_", "+/")].iter().map(String::as_str))
        {
            assert!(matches!(text.parse::<Invitation>(), Err(TrustError::NotAnInvitation { .. })), "{text}");
        }
        let long = format!("{}:1", "a".repeat(ADDRESS_BYTES_MAX));
        for address in
            ["", "a", "a:", ":1", "a:0", "a:65536", "a b:1", "a@b:1", "::1:1", "[::1:1", "a\n:1", "ä:1", &long]
        {
            assert!(invitation(address).is_err(), "{address}");
        }
    }

    #[test]
    fn the_secret_is_not_printed_by_chance() {
        assert!(!format!("{:?}", invitation("a:1").unwrap()).contains("255"));
    }
}
