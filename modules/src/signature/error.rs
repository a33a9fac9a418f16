//! Why a module is not trusted, or a key not read.

use super::PublicKey;

/// Why a module is not trusted, or a key not read. Each message says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Nobody has signed the module.
    #[error(
        "module {module} is not signed: sign it with `thalweg module sign`, or allow unsigned modules to develop one"
    )]
    Unsigned {
        /// The module.
        module: String,
    },
    /// Somebody has signed it whom this node does not trust.
    #[error(
        "module {module} is signed by {key}, whom nobody here trusts: add the key to those that are trusted if you do"
    )]
    Stranger {
        /// The module.
        module: String,
        /// Whose signature it is.
        key: PublicKey,
    },
    /// The signature is not one of these bytes.
    #[error("module {module} was changed after {key} had signed it: get it anew, or sign it again if you changed it")]
    Broken {
        /// The module.
        module: String,
        /// Whose signature it should be.
        key: PublicKey,
    },
    /// The text does not name a key.
    #[error("\"{text}\" is no public key: write its 64 hexadecimal digits, as `thalweg module key show` prints them")]
    NotAPublicKey {
        /// The text, or its beginning.
        text: String,
    },
    /// The private key cannot be read.
    #[error("this is no Ed25519 private key in PKCS#8: {reason}")]
    NotAKey {
        /// What is wrong.
        reason: String,
    },
    /// The system gave no randomness.
    #[error("no key could be made: the system's random number generator failed")]
    NoRandomness,
}
