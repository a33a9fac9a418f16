//! Keys, and what they sign.

use std::fmt;
use std::str::FromStr;

use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use super::SignatureError;

/// Whose signature it is. Printed and read as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// The key as RFC 8032 writes it.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether the holder of the key has signed these bytes in this context: see [`SigningKey::sign`].
    pub fn has_signed(&self, context: &[u8], bytes: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(&message(context, bytes), signature).is_ok()
    }
}

impl From<[u8; 32]> for PublicKey {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "PublicKey({self})")
    }
}

impl FromStr for PublicKey {
    type Err = SignatureError;

    fn from_str(text: &str) -> Result<Self, SignatureError> {
        let wrong = || SignatureError::NotAPublicKey { text: text.chars().take(80).collect() };
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
        let bytes: Option<Vec<u8>> = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
        let bytes = bytes.filter(|_| rest.is_empty()).and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(wrong)
    }
}

/// A private key.
pub struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    /// A new key, with its PKCS#8 form to be kept.
    pub fn generate() -> Result<(Self, Vec<u8>), SignatureError> {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| SignatureError::NoRandomness)?;
        Ok((Self::from_pkcs8(pkcs8.as_ref())?, pkcs8.as_ref().to_vec()))
    }

    /// A key that was kept.
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, SignatureError> {
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8);
        pair.map(Self).map_err(|cause| SignatureError::NotAKey { reason: cause.to_string() })
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.public_key().as_ref());
        PublicKey(bytes)
    }

    /// The 64 bytes of a signature. The context says what is signed, so that no signature of one thing stands for one of
    /// another; it is fixed in the program and never made of input.
    pub fn sign(&self, context: &[u8], bytes: &[u8]) -> Vec<u8> {
        self.0.sign(&message(context, bytes)).as_ref().to_vec()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "SigningKey({})", self.public())
    }
}

/// What is signed: the context, and the hash of the bytes.
fn message(context: &[u8], bytes: &[u8]) -> Vec<u8> {
    [context, blake3::hash(bytes).as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_written_and_read() {
        let (key, pkcs8) = SigningKey::generate().expect("random numbers");
        let again = SigningKey::from_pkcs8(&pkcs8).expect("what was written");
        assert_eq!(again.public(), key.public());
        assert_eq!(key.public().to_string().parse(), Ok(key.public()));
        assert!(matches!(SigningKey::from_pkcs8(&pkcs8[1..]), Err(SignatureError::NotAKey { .. })));
    }

    #[test]
    fn other_texts_are_no_keys() {
        for text in ["", "00", &"0".repeat(63), &"0".repeat(65), &"0g".repeat(32), &"ä".repeat(32)] {
            assert!(matches!(text.parse::<PublicKey>(), Err(SignatureError::NotAPublicKey { .. })), "{text}");
        }
    }
}
