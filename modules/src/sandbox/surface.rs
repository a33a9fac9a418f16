//! What a component asks for and what it gives, as its sections say. Nothing of it is compiled or run.

use wasmparser::{ComponentTypeRef, Encoding, Parser, Payload};

use super::error::SandboxError;
use super::host::printable;
use super::screen::screen;
use super::{Grants, is_granted};

/// What a component imports and exports, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surface {
    /// What it asks for. Types, which give it nothing, are left out.
    pub imports: Vec<Import>,
    /// The names of what it gives.
    pub exports: Vec<String>,
}

/// What a component asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// As the component names it.
    pub name: String,
    /// Whether every module gets it.
    pub by_default: bool,
}

impl Surface {
    /// Reads the sections of a component, whoever has signed it. Refuses what is none, and what is too large to be
    /// compiled.
    /// `module` is what errors call it.
    pub fn read(module: &str, component: &[u8]) -> Result<Self, SandboxError> {
        screen(module, component)?;
        let invalid = |reason: String| SandboxError::Invalid { module: module.to_owned(), reason };
        let broken = |error: wasmparser::BinaryReaderError| invalid(error.to_string());
        let mut surface = Self { imports: Vec::new(), exports: Vec::new() };
        let mut depth = 0u32;
        for payload in Parser::new(0).parse_all(component) {
            match payload.map_err(broken)? {
                Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                    return Err(SandboxError::CoreModule { module: module.to_owned() });
                }
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(imports) if depth == 0 => {
                    for import in imports {
                        let import = import.map_err(broken)?;
                        if !matches!(import.ty, ComponentTypeRef::Type(_)) {
                            let by_default = is_granted(import.name.name, &Grants::default());
                            surface.imports.push(Import { name: printable(import.name.name), by_default });
                        }
                    }
                }
                Payload::ComponentExportSection(exports) if depth == 0 => {
                    for export in exports {
                        surface.exports.push(printable(export.map_err(broken)?.name.name));
                    }
                }
                _ => {}
            }
        }
        Ok(surface)
    }
}
