//! Makes a component of a compiled guest, and says what sources a component was made of.
//!
//! A built module lies in the repository beside its sources. It carries the hash of all that went into it, so that a
//! test can tell when somebody changed the one and not the other.

mod sources;
mod error;

use std::path::Path;

use wasmparser::{Parser, Payload};
use wit_component::ComponentEncoder;

pub use error::PackError;
pub use sources::sources;

/// The custom section with the hash.
pub const SECTION: &str = "thalweg.sources";

/// The largest section whose length fits in two bytes: name and hash are far below.
const LENGTH_MAX: usize = 0x3fff;

/// A component of a core module that carries its interface, as `wit-bindgen` makes them.
pub fn component(core: &[u8]) -> Result<Vec<u8>, PackError> {
    let fail = |error: &dyn std::fmt::Display| PackError::Encode { reason: format!("{error:#}") };
    let encoder = ComponentEncoder::default().module(core).map_err(|error| fail(&error))?;
    encoder.validate(true).encode().map_err(|error| fail(&error))
}

/// A component with the hash of the sources that its core module was made of.
pub fn pack(core: &[u8], sources: &blake3::Hash) -> Result<Vec<u8>, PackError> {
    let mut packed = component(core)?;
    packed.extend(section(sources.as_bytes()));
    Ok(packed)
}

/// The hash that a component carries; none where it carries none.
pub fn packed(component: &[u8]) -> Result<Option<blake3::Hash>, PackError> {
    let mut depth = 0u32;
    for payload in Parser::new(0).parse_all(component) {
        match payload.map_err(|error| PackError::Component { reason: error.to_string() })? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::CustomSection(section) if depth == 0 && section.name() == SECTION => {
                let hash = blake3::Hash::from_slice(section.data());
                return hash.map(Some).map_err(|error| PackError::Component { reason: error.to_string() });
            }
            _ => {}
        }
    }
    Ok(None)
}

/// A custom section of the binary format: id 0, length, length of the name, name, content; lengths as LEB128.
fn section(content: &[u8]) -> Vec<u8> {
    let length = 1 + SECTION.len() + content.len();
    debug_assert!(length <= LENGTH_MAX && SECTION.len() < 0x80);
    let mut section = vec![0, (length & 0x7f) as u8 | 0x80, (length >> 7) as u8, SECTION.len() as u8];
    section.extend(SECTION.as_bytes());
    section.extend(content);
    section
}

/// Reads the core module at `core`, made of the guest at `guest` in the repository at `root`, and writes the component.
pub fn pack_file(root: &Path, guest: &Path, core: &Path, to: &Path) -> Result<blake3::Hash, PackError> {
    let hash = sources(root, guest)?;
    let bytes = error::read(core)?;
    let packed = pack(&bytes, &hash)?;
    std::fs::write(to, packed).map_err(|source| PackError::file(to, &source))?;
    Ok(hash)
}
