//! What there is to know of a module before it runs.

use serde::Serialize;
use thalweg_modules::own;
use thalweg_modules::sandbox::{Description, Grants, Import, Limits, Machine, Port, Sandbox, SandboxError, Surface};
use thalweg_modules::signature::{PublicKey, SignatureError, Trust, signer};

use super::found::Found;

/// A module as its bytes, its signature, its sections and its own description show it.
#[derive(Debug, Serialize)]
pub struct Sheet {
    /// Its path, or its name where it comes with the program.
    pub module: String,
    /// Size of the component.
    pub bytes: u64,
    /// Hash of the component, with its signature.
    pub blake3: String,
    /// Who vouches for it.
    pub signed: Signed,
    /// The key of the signature, where there is one.
    pub key: Option<String>,
    /// What it asks for.
    pub imports: Vec<ImportRow>,
    /// What it gives.
    pub exports: Vec<String>,
    /// What it says of itself; none where it is refused.
    pub description: Option<DescriptionRow>,
    /// Why it is refused.
    pub refused: Option<String>,
}

/// Who vouches for a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Signed {
    /// It comes with the program.
    Own,
    /// Nobody.
    No,
    /// A key that is trusted.
    Trusted,
    /// Another key.
    Stranger,
    /// It was changed after it had been signed.
    Broken,
}

/// An import.
#[derive(Debug, Serialize)]
pub struct ImportRow {
    /// As the component names it.
    pub name: String,
    /// Whether every module gets it.
    pub by_default: bool,
}

/// A module's description.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the same as in the description")]
pub struct DescriptionRow {
    pub name: String,
    pub version: String,
    pub inputs: Vec<PortRow>,
    pub outputs: Vec<PortRow>,
    pub nanoseconds_per_byte: f64,
    pub settings_schema: serde_json::Value,
}

/// An input or output.
#[derive(Debug, Serialize)]
pub struct PortRow {
    /// Its name.
    pub name: String,
    /// Type and shape, such as `f32[1,?]`.
    pub spec: String,
}

impl Sheet {
    /// The sheet of a module, and why the sandbox would refuse it, if it would, where `trust` holds. A module that
    /// nobody trusted has signed is neither compiled nor run: of it there is what its sections say.
    pub fn of(found: &Found, trust: Trust, grants: &Grants) -> (Self, Result<(), SandboxError>) {
        let Found { name, component } = found;
        let surface = Surface::read(name, component);
        let (imports, exports) = surface.as_ref().map_or_else(
            |_| (Vec::new(), Vec::new()),
            |surface| (surface.imports.iter().map(ImportRow::from).collect(), surface.exports.clone()),
        );
        let signer = signer(name, component);
        let (signed, key) = signature(found, &signer, &trust);
        // What is no component at all, nobody needs to sign.
        let described = signer.map_err(SandboxError::from).and(surface).and_then(|_| describe(found, trust, grants));
        let mut sheet = Self {
            module: name.clone(),
            bytes: component.len() as u64,
            blake3: blake3::hash(component).to_hex().to_string(),
            signed,
            key,
            imports,
            exports,
            description: None,
            refused: None,
        };
        match described {
            Ok(description) => {
                sheet.description = Some(description);
                (sheet, Ok(()))
            }
            Err(error) => {
                sheet.refused = Some(error.to_string());
                (sheet, Err(error))
            }
        }
    }
}

fn signature(
    found: &Found,
    signer: &Result<Option<PublicKey>, SignatureError>,
    trust: &Trust,
) -> (Signed, Option<String>) {
    match signer {
        _ if own::holds(&found.component) => (Signed::Own, None),
        Ok(None) => (Signed::No, None),
        Ok(Some(key)) => {
            let trusted = matches!(trust, Trust::Keys(keys) if keys.contains(key));
            (if trusted { Signed::Trusted } else { Signed::Stranger }, Some(key.to_string()))
        }
        Err(SignatureError::Broken { key, .. }) => (Signed::Broken, Some(key.to_string())),
        Err(_) => (Signed::Broken, None),
    }
}

fn describe(found: &Found, trust: Trust, grants: &Grants) -> Result<DescriptionRow, SandboxError> {
    let sandbox = Sandbox::open(Machine::probe(), trust)?;
    let module = sandbox.load(&found.name, &found.component, grants, &Limits::RECOMMENDED)?;
    Ok(DescriptionRow::from(module.description()))
}

impl From<&Import> for ImportRow {
    fn from(import: &Import) -> Self {
        Self { name: import.name.clone(), by_default: import.by_default }
    }
}

impl From<&Port> for PortRow {
    fn from(port: &Port) -> Self {
        Self { name: port.name.clone(), spec: port.to_string() }
    }
}

impl From<&Description> for DescriptionRow {
    fn from(description: &Description) -> Self {
        let ports = |ports: &[Port]| ports.iter().map(PortRow::from).collect();
        Self {
            name: description.name.clone(),
            version: description.version.clone(),
            inputs: ports(&description.inputs),
            outputs: ports(&description.outputs),
            nanoseconds_per_byte: description.nanoseconds_per_byte,
            settings_schema: description.settings_schema.clone(),
        }
    }
}
