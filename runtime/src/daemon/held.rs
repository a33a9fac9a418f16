//! What is deployed on this node, and what of it has to outlast the process.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::DaemonError;
use super::source::Source;
use super::state::{State, read_json, write_json};
use crate::deployment::{Manifest, Signed};
use crate::store::Store;

/// A deployment as far as this node has a part in it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Held {
    /// By epoch: what was prepared.
    pub(crate) manifests: BTreeMap<u32, (Signed, Arc<Manifest>)>,
    /// The epoch that serves; none before the first was activated.
    pub(crate) active: Option<u32>,
    /// Where requests are made; none on other nodes.
    pub(crate) source: Option<Arc<Source>>,
    /// Since when it is known that the source sends requests over a later epoch, in which this node has no part.
    pub(crate) left: Option<Duration>,
}

/// What is kept of a deployment: the manifests lie in the store.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kept {
    pub(crate) name: String,
    pub(crate) active: Option<u32>,
    pub(crate) manifests: Vec<Signed>,
}

impl Held {
    /// Writes down what is deployed, so that it is there after a restart.
    pub(crate) fn keep(&self, state: &State, name: &str) -> Result<(), DaemonError> {
        let path = state.deployment(name);
        if self.manifests.is_empty() {
            return match fs::remove_file(&path) {
                Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => Err(DaemonError::State { path, cause }),
                _ => Ok(()),
            };
        }
        let manifests = self.manifests.values().map(|(signed, _)| signed.clone()).collect();
        write_json(&path, &Kept { name: name.to_owned(), active: self.active, manifests })
    }
}

/// What was deployed when this node ended.
pub(crate) fn kept(state: &State) -> Result<Vec<Kept>, DaemonError> {
    let folder = state.deployments();
    let failed = |cause| DaemonError::State { path: folder.clone(), cause };
    let mut all = Vec::new();
    for entry in fs::read_dir(&folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            all.extend(read_json::<Kept>(&path)?);
        }
    }
    Ok(all)
}

/// The manifest that lies in the store.
pub(crate) fn read_manifest(store: &Store, signed: &Signed) -> Result<Manifest, DaemonError> {
    let bytes = store.read(&signed.file)?;
    serde_json::from_slice(&bytes).map_err(|cause| DaemonError::Damaged {
        path: store.folder().join(signed.file.hash.to_string()),
        cause: cause.to_string(),
    })
}
