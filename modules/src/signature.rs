//! Who vouches for a module: an Ed25519 signature (RFC 8032) over the BLAKE3 hash of its component.
//!
//! The signature is a custom section at the end of the component, so that a module stays one file and whoever reads
//! WebAssembly skips it. It is over all bytes before it, with a context, so that no signature of something else can
//! stand for one of a module.

mod error;
mod key;

use std::collections::BTreeSet;

use crate::own;

pub use error::SignatureError;
pub use key::{PublicKey, SigningKey};

/// What the section begins with: that it is a custom one, how long it is, and its name with its length.
const HEAD: &[u8; 20] = b"\x00\x72\x11thalweg.signature";
/// What is signed, before the hash.
const CONTEXT: &[u8] = b"thalweg module 1";
/// A public key.
const KEY: usize = 32;
/// A public key and a signature.
const CONTENT: usize = KEY + 64;
const _: () = assert!(HEAD[1] as usize == HEAD.len() - 2 + CONTENT, "the length of what follows");

/// Whose modules a node runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Those that one of these keys has signed.
    Keys(BTreeSet<PublicKey>),
    /// All, for development: whoever chooses it has to say so to the operator.
    Everyone,
}

impl Trust {
    /// Nobody's but those that come with the program.
    pub fn own() -> Self {
        Self::Keys(BTreeSet::new())
    }

    /// Refuses a component that nobody who is trusted has signed; `module` is what errors call it.
    ///
    /// A signature that is there has to be right even where everyone is trusted. The modules of [`own`] need none:
    /// whoever runs the program trusts it, and they are a part of it. All their bytes are compared, so a copy that
    /// differs in one of them is a component like any other.
    pub fn check(&self, module: &str, component: &[u8]) -> Result<(), SignatureError> {
        if own::holds(component) {
            return Ok(());
        }
        match (self, signer(module, component)?) {
            (Self::Everyone, _) => Ok(()),
            (Self::Keys(keys), Some(key)) if keys.contains(&key) => Ok(()),
            (Self::Keys(_), Some(key)) => Err(SignatureError::Stranger { module: module.to_owned(), key }),
            (Self::Keys(_), None) => Err(SignatureError::Unsigned { module: module.to_owned() }),
        }
    }
}

/// The component with a signature at its end, in place of one that it had.
pub fn sign(component: &[u8], key: &SigningKey) -> Vec<u8> {
    let component = split(component).map_or(component, |(component, _)| component);
    let signature = key.sign(CONTEXT, component);
    [component, HEAD, key.public().as_bytes(), &signature].concat()
}

/// Who has signed a component; none where nobody has. `module` is what errors call it.
pub fn signer(module: &str, component: &[u8]) -> Result<Option<PublicKey>, SignatureError> {
    let Some((component, content)) = split(component) else { return Ok(None) };
    let (key, signature) = content.split_at(KEY);
    let mut bytes = [0; KEY];
    bytes.copy_from_slice(key);
    let key = PublicKey::from(bytes);
    match key.has_signed(CONTEXT, component, signature) {
        true => Ok(Some(key)),
        false => Err(SignatureError::Broken { module: module.to_owned(), key }),
    }
}

/// The bytes before the section, and what it holds; none where it is not there.
fn split(component: &[u8]) -> Option<(&[u8], &[u8; CONTENT])> {
    let (rest, content) = component.split_last_chunk()?;
    Some((rest.strip_suffix(HEAD)?, content))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> [SigningKey; 2] {
        [(); 2].map(|()| SigningKey::generate().expect("random numbers").0)
    }

    #[test]
    fn a_node_runs_what_its_keys_have_signed() {
        let [ours, other] = keys();
        let trust = Trust::Keys(BTreeSet::from([ours.public()]));
        let component = b"\0asm any bytes";
        let unsigned = SignatureError::Unsigned { module: "m".to_owned() };
        assert_eq!(trust.check("m", component), Err(unsigned));
        assert_eq!(Trust::Everyone.check("m", component), Ok(()));
        let signed = sign(component, &other);
        let stranger = SignatureError::Stranger { module: "m".to_owned(), key: other.public() };
        assert_eq!(trust.check("m", &signed), Err(stranger));
        let again = sign(&signed, &ours);
        assert_eq!((again.len(), trust.check("m", &again)), (signed.len(), Ok(())), "the former signature is gone");
    }

    #[test]
    fn no_byte_can_be_changed() {
        let [key, other] = keys();
        let trust = Trust::Keys(BTreeSet::from([key.public(), other.public()]));
        let signed = sign(b"\0asm any bytes", &key);
        for at in 0..signed.len() {
            let mut altered = signed.clone();
            altered[at] ^= 1;
            assert!(trust.check("m", &altered).is_err(), "byte {at}");
        }
        let mut anothers = signed.clone();
        let from = anothers.len() - CONTENT;
        anothers[from..from + KEY].copy_from_slice(other.public().as_bytes());
        let broken = SignatureError::Broken { module: "m".to_owned(), key: other.public() };
        assert_eq!(Trust::Everyone.check("m", &anothers), Err(broken));
        assert!(trust.check("m", &signed[1..]).is_err());
    }

    #[test]
    fn a_signature_of_something_else_is_none_of_a_module() {
        let [key, _] = keys();
        let component = b"\0asm any bytes";
        let signature = key.sign(b"thalweg other 1", component);
        let forged = [component.as_slice(), HEAD, key.public().as_bytes(), &signature].concat();
        let broken = SignatureError::Broken { module: "m".to_owned(), key: key.public() };
        assert_eq!(signer("m", &forged), Err(broken));
    }

    #[test]
    fn readers_of_webassembly_skip_the_section() {
        let [key, _] = keys();
        let component = wat::parse_str("(component)").expect("an empty component");
        let signed = sign(&component, &key);
        let names = wasmparser::Parser::new(0).parse_all(&signed).filter_map(|payload| match payload {
            Ok(wasmparser::Payload::CustomSection(section)) => Some((section.name(), section.data().len())),
            Ok(_) => None,
            Err(error) => panic!("{error}"),
        });
        assert_eq!(names.collect::<Vec<_>>(), [("thalweg.signature", CONTENT)]);
    }
}
