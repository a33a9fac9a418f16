//! What a guest is made of: its files, those of its neighbours that it depends on, the interface, the script that builds
//! it, and which version of which crate, with which features.
//!
//! The root manifest and the lock file as a whole are not in it: they change for reasons that no guest has.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use crate::PackError;
use crate::error::read;

/// What every guest is made of, beside what its manifest says.
const SHARED: [&str; 2] = ["modules/wit", "modules/guests/build"];

/// The BLAKE3 of what the guest in folder `guest` of the repository at `root` is made of.
pub fn sources(root: &Path, guest: &Path) -> Result<blake3::Hash, PackError> {
    let manifest = manifest(&root.join("Cargo.toml"))?;
    let lock = self::manifest(&root.join("Cargo.lock"))?;
    let mut parts = Parts { root, manifest: &manifest, lock: &lock, found: BTreeMap::new(), locked: BTreeSet::new() };
    for shared in SHARED {
        parts.files(Path::new(shared))?;
    }
    parts.member(guest)?;
    let mut hasher = blake3::Hasher::new();
    for (name, content) in &parts.found {
        for part in [name.as_bytes(), content] {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
    }
    Ok(hasher.finalize())
}

struct Parts<'a> {
    root: &'a Path,
    manifest: &'a Table,
    lock: &'a Table,
    /// Each part by its name: a path below the root, or a crate.
    found: BTreeMap<String, Vec<u8>>,
    /// Packages of the lock file that were followed.
    locked: BTreeSet<String>,
}

impl Parts<'_> {
    /// A member of the workspace, and what it depends on outside tests.
    fn member(&mut self, folder: &Path) -> Result<(), PackError> {
        let path = self.root.join(folder).join("Cargo.toml");
        if self.found.contains_key(&name(&folder.join("Cargo.toml"))) {
            return Ok(());
        }
        self.files(&folder.join("Cargo.toml"))?;
        self.files(&folder.join("src"))?;
        for dependency in dependencies(&manifest(&path)?) {
            let declared = self.manifest.get("workspace").and_then(|workspace| workspace.get("dependencies"));
            let Some(declared) = declared.and_then(|declared| declared.get(&dependency)) else {
                let reason = format!("`{dependency}` is not declared in the root manifest");
                return Err(PackError::Manifest { path, reason });
            };
            if let Some(folder) = declared.get("path").and_then(Value::as_str) {
                self.member(Path::new(folder))?;
            } else {
                self.found.insert(format!("declared {dependency}"), declared.to_string().into_bytes());
                self.locked(&dependency);
            }
        }
        Ok(())
    }

    /// A file, or all files of a folder.
    fn files(&mut self, path: &Path) -> Result<(), PackError> {
        let full = self.root.join(path);
        if !full.is_dir() {
            self.found.insert(name(path), read(&full)?);
            return Ok(());
        }
        let entries = fs::read_dir(&full).map_err(|error| PackError::file(&full, &error))?;
        for entry in entries {
            let entry = entry.map_err(|error| PackError::file(&full, &error))?;
            self.files(&path.join(entry.file_name()))?;
        }
        Ok(())
    }

    /// What the lock file says of a package and all that it needs. `wanted` is a name, or name and version.
    fn locked(&mut self, wanted: &str) {
        if !self.locked.insert(wanted.to_owned()) {
            return;
        }
        let packages = self.lock.get("package").and_then(Value::as_array).into_iter().flatten();
        let mut needed = Vec::new();
        for package in packages {
            let text = |key| package.get(key).and_then(Value::as_str).unwrap_or_default();
            let full = format!("{} {}", text("name"), text("version"));
            if wanted == text("name") || wanted == full {
                self.found.insert(format!("locked {full}"), text("checksum").as_bytes().to_vec());
                let list = package.get("dependencies").and_then(Value::as_array).into_iter().flatten();
                needed.extend(list.filter_map(Value::as_str).map(str::to_owned));
            }
        }
        needed.iter().for_each(|needed| self.locked(needed));
    }
}

/// The names in the tables of dependencies, also those of one target, without those of tests and build scripts.
fn dependencies(manifest: &Table) -> Vec<String> {
    let targets = manifest.get("target").and_then(Value::as_table).into_iter().flatten();
    let tables = targets.map(|(_, target)| target.get("dependencies"));
    let tables = tables.chain([manifest.get("dependencies")]).flatten().filter_map(Value::as_table);
    tables.flat_map(|table| table.keys().cloned()).collect()
}

fn manifest(path: &Path) -> Result<Table, PackError> {
    let wrong = |reason: String| PackError::Manifest { path: PathBuf::from(path), reason };
    let text = String::from_utf8(read(path)?).map_err(|error| wrong(error.to_string()))?;
    text.parse().map_err(|error: toml::de::Error| wrong(error.to_string()))
}

/// A path below the root as it is called on every system.
fn name(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "/")
}
