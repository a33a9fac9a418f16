//! Who a node is: an Ed25519 key, shown to peers as a raw public key (RFC 7250), and the peers it talks to, pinned by theirs.
//!
//! There is no certificate authority, no expiry and no clock in this. Both sides show a key and both check it, before a
//! byte of any request is read.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use ring::hmac;
use rustls::client::AlwaysResolvesClientRawPublicKeys;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring as provider, verify_tls12_signature, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme};
use serde::{Deserialize, Serialize};
use thalweg_modules::signature::{PublicKey, SignatureError, SigningKey};

/// The protocol and its major version, as the handshake names it.
const ALPN: &[u8] = b"thalweg/1";

/// What stands before the 32 bytes of an Ed25519 key in its SubjectPublicKeyInfo (RFC 8410, section 4).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A node's public key, which is its identity. Printed and read as 64 hexadecimal digits, also in files.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct NodeId(PublicKey);

impl NodeId {
    /// The key as RFC 8032 writes it.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Whether this node has signed these bytes in this context: see [`Identity::sign`].
    pub fn has_signed(&self, context: &[u8], bytes: &[u8], signature: &[u8; 64]) -> bool {
        self.0.has_signed(context, bytes, signature)
    }

    /// Of a raw public key as TLS shows it; none where it is no Ed25519 key.
    pub(crate) fn of_spki(spki: &[u8]) -> Option<Self> {
        let key: [u8; 32] = spki.strip_prefix(&SPKI_PREFIX)?.try_into().ok()?;
        Some(Self(key.into()))
    }

    fn to_spki(self) -> Vec<u8> {
        [SPKI_PREFIX.as_slice(), self.0.as_bytes()].concat()
    }
}

impl From<[u8; 32]> for NodeId {
    fn from(key: [u8; 32]) -> Self {
        Self(key.into())
    }
}

impl From<NodeId> for String {
    fn from(id: NodeId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for NodeId {
    type Error = IdentityError;

    fn try_from(text: String) -> Result<Self, IdentityError> {
        text.parse()
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "NodeId({self})")
    }
}

impl FromStr for NodeId {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let wrong = |_| IdentityError::NotAnId { text: text.chars().take(80).collect() };
        text.parse().map(Self).map_err(wrong)
    }
}

/// Who may connect to a node.
pub trait Gate: fmt::Debug + Send + Sync {
    /// Whether the holder of this key is let in. What it may do then is another question.
    fn lets_in(&self, id: NodeId) -> bool;

    /// Whether it is told who this node is. One that is let in only because it may have been invited is not.
    fn knows(&self, id: NodeId) -> bool {
        self.lets_in(id)
    }

    /// Whether it may have this node compute its share of a plan.
    fn may_infer(&self, id: NodeId) -> bool {
        self.knows(id)
    }
}

impl Gate for BTreeSet<NodeId> {
    fn lets_in(&self, id: NodeId) -> bool {
        self.contains(&id)
    }
}

/// What can be wrong with a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum IdentityError {
    /// The system gave no randomness.
    #[error("no key could be made: the system's random number generator failed")]
    NoRandomness,
    /// The private key cannot be read.
    #[error("this is not an Ed25519 private key in PKCS#8: {cause}")]
    NotAKey { cause: String },
    /// The text does not name a node.
    #[error("\"{text}\" is not the id of a node: write its public key as 64 hexadecimal digits")]
    NotAnId { text: String },
    /// The TLS library refuses the configuration.
    #[error("TLS cannot be set up with this key: {cause}")]
    Tls { cause: String },
}

fn not_a_key(error: SignatureError) -> IdentityError {
    let cause = match error {
        SignatureError::NotAKey { reason } => reason,
        other => other.to_string(),
    };
    IdentityError::NotAKey { cause }
}

/// A node's private key.
#[derive(Clone)]
pub struct Identity {
    id: NodeId,
    signing: Arc<SigningKey>,
    key: Arc<CertifiedKey>,
    /// What stateless resets are made with.
    resets: [u8; 32],
}

impl fmt::Debug for Identity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Identity({})", self.id)
    }
}

impl Identity {
    /// A new key, with its PKCS#8 form to be kept by who wants to be the same node again.
    pub fn generate() -> Result<(Self, Vec<u8>), IdentityError> {
        let (_, pkcs8) = SigningKey::generate().map_err(|_| IdentityError::NoRandomness)?;
        Ok((Self::from_pkcs8(&pkcs8)?, pkcs8))
    }

    /// A key that was kept.
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, IdentityError> {
        let signing = SigningKey::from_pkcs8(pkcs8).map_err(not_a_key)?;
        let id = NodeId(signing.public());
        let shown = provider::sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(pkcs8))
            .map_err(|cause| IdentityError::NotAKey { cause: cause.to_string() })?;
        let key = CertifiedKey::new(vec![CertificateDer::from(id.to_spki())], shown);
        let seed = blake3::derive_key("thalweg 2026 secrets of a node", pkcs8);
        let resets = blake3::derive_key("thalweg 2026 stateless resets", &seed);
        Ok(Self { id, signing: Arc::new(signing), key: Arc::new(key), resets })
    }

    /// The key of stateless resets (RFC 9000, section 10.3), the same whenever this node starts.
    pub(crate) fn reset_key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.resets)
    }

    /// What that is made of: derived from the private key, until a key follows it.
    pub(crate) fn resets(&self) -> [u8; 32] {
        self.resets
    }

    /// The same key, of a node whose resets are those of a key that it had before.
    pub(crate) fn with_resets(self, resets: [u8; 32]) -> Self {
        Self { resets, ..self }
    }

    /// The public half.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// A signature of these bytes. The context says what they are, and no two kinds of things share one.
    pub fn sign(&self, context: &[u8], bytes: &[u8]) -> [u8; 64] {
        let mut signature = [0; 64];
        signature.copy_from_slice(&self.signing.sign(context, bytes));
        signature
    }

    /// TLS for who accepts connections from the nodes that `gate` lets in.
    ///
    /// Sessions are never resumed, here and in [`Identity::client_tls`]: each connection checks both keys again.
    pub(crate) fn server_tls(&self, gate: Arc<dyn Gate>) -> Result<ServerConfig, IdentityError> {
        let pinned = Arc::new(Pinned::new(gate));
        let mut config = ServerConfig::builder_with_provider(pinned.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(tls)?
            .with_client_cert_verifier(pinned)
            .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(self.key.clone())));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.send_tls13_tickets = 0;
        Ok(config)
    }

    /// TLS for who connects to the node `server` and to no other.
    pub(crate) fn client_tls(&self, server: NodeId) -> Result<ClientConfig, IdentityError> {
        let pinned = Arc::new(Pinned::new(Arc::new(BTreeSet::from([server]))));
        let mut config = ClientConfig::builder_with_provider(pinned.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(tls)?
            .dangerous()
            .with_custom_certificate_verifier(pinned)
            .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(self.key.clone())));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.enable_sni = false;
        config.resumption = rustls::client::Resumption::disabled();
        Ok(config)
    }
}

fn tls(cause: rustls::Error) -> IdentityError {
    IdentityError::Tls { cause: cause.to_string() }
}

/// Lets only keys pass that a gate lets in, on either side of a handshake.
#[derive(Debug)]
struct Pinned {
    gate: Arc<dyn Gate>,
    provider: Arc<CryptoProvider>,
}

impl Pinned {
    fn new(gate: Arc<dyn Gate>) -> Self {
        Self { gate, provider: Arc::new(provider::default_provider()) }
    }

    fn check(&self, spki: &CertificateDer<'_>) -> Result<(), rustls::Error> {
        let known = NodeId::of_spki(spki).is_some_and(|id| self.gate.lets_in(id));
        if known { Ok(()) } else { Err(CertificateError::ApplicationVerificationFailure.into()) }
    }

    fn check_signature(
        &self,
        message: &[u8],
        spki: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature_with_raw_key(message, &SubjectPublicKeyInfoDer::from(spki.as_ref()), signed, algorithms)
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.check(end_entity).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.check_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for Pinned {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.check(end_entity).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.check_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_kept_key_is_the_same_node_and_a_new_one_is_another() {
        let (identity, pkcs8) = Identity::generate().unwrap();
        assert_eq!(Identity::from_pkcs8(&pkcs8).unwrap().id(), identity.id());
        assert_ne!(Identity::generate().unwrap().0.id(), identity.id());
        assert!(matches!(Identity::from_pkcs8(&pkcs8[1..]), Err(IdentityError::NotAKey { .. })));
    }

    #[test]
    fn an_id_reads_back_as_it_prints() {
        let id = Identity::generate().unwrap().0.id();
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in ["", "12", "zz", &"a".repeat(63), &"a".repeat(65), &"ä".repeat(32)] {
            assert!(text.parse::<NodeId>().is_err(), "{text:?} was read as an id");
        }
    }

    #[test]
    fn the_key_that_tls_shows_is_the_id() {
        let (identity, _) = Identity::generate().unwrap();
        assert_eq!(NodeId::of_spki(&identity.key.cert[0]), Some(identity.id()));
        assert_eq!(identity.key.key.public_key().map(|spki| spki.to_vec()), Some(identity.id().to_spki()));
    }

    #[test]
    fn only_pinned_keys_pass() {
        let [one, other] = [(); 2].map(|()| Identity::generate().unwrap().0.id());
        let pinned = Pinned::new(Arc::new(BTreeSet::from([one])));
        assert!(pinned.check(&CertificateDer::from(one.to_spki())).is_ok());
        assert!(pinned.check(&CertificateDer::from(other.to_spki())).is_err());
        assert!(pinned.check(&CertificateDer::from(&one.to_spki()[1..])).is_err());
    }
}
