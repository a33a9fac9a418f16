//! The state folder of a node, and what lies in it.

use std::fs;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::DaemonError;
use crate::store::StoreError;
use crate::store::replace::replace;

/// A folder that belongs to one node.
#[derive(Debug, Clone)]
pub(crate) struct State(PathBuf);

impl State {
    /// The folder, wherever it is.
    pub(crate) fn at(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    /// The folder, made where it is not there.
    pub(crate) fn open(folder: &Path) -> Result<Self, DaemonError> {
        let state = Self::at(folder);
        for folder in [folder.to_owned(), state.deployments(), state.outboxes(), state.inboxes()] {
            fs::create_dir_all(&folder).map_err(|cause| DaemonError::State { path: folder, cause })?;
        }
        Ok(state)
    }

    /// The private key.
    pub(crate) fn key(&self) -> PathBuf {
        self.0.join("key")
    }

    /// The key that is to follow, while it does.
    pub(crate) fn next_key(&self) -> PathBuf {
        self.0.join("key.next")
    }

    /// Puts the key that follows in the place of the one before.
    pub(crate) fn take_next_key(&self) -> Result<(), DaemonError> {
        let key = self.key();
        fs::rename(self.next_key(), &key).map_err(|cause| DaemonError::State { path: key, cause })
    }

    /// Forgets a key that was to follow, if there is one.
    pub(crate) fn drop_next_key(&self) -> Result<(), DaemonError> {
        match fs::remove_file(self.next_key()) {
            Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
                Err(DaemonError::State { path: self.next_key(), cause })
            }
            _ => Ok(()),
        }
    }

    /// What stateless resets are made with, once that does not follow from the key any more.
    pub(crate) fn resets(&self) -> PathBuf {
        self.0.join("resets.json")
    }

    /// What is to be said once keys that have handed over may retire.
    pub(crate) fn retirements(&self) -> PathBuf {
        self.0.join("retirements.json")
    }

    pub(crate) fn roster(&self) -> PathBuf {
        self.0.join("roster.json")
    }

    pub(crate) fn invitations(&self) -> PathBuf {
        self.0.join("invitations.json")
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.0.join("store")
    }

    pub(crate) fn modules(&self) -> PathBuf {
        self.0.join("modules")
    }

    pub(crate) fn deployments(&self) -> PathBuf {
        self.0.join("deployments")
    }

    pub(crate) fn deployment(&self, name: &str) -> PathBuf {
        self.deployments().join(format!("{}.json", as_file(name)))
    }

    /// Results that wait to be delivered.
    pub(crate) fn outboxes(&self) -> PathBuf {
        self.0.join("outbox")
    }

    pub(crate) fn outbox(&self, deployment: &str) -> PathBuf {
        self.outboxes().join(as_file(deployment))
    }

    /// Results that others have delivered.
    pub(crate) fn inboxes(&self) -> PathBuf {
        self.0.join("inbox")
    }

    /// How often this node has started, this time included: a state that it tells is newer than those of before.
    pub(crate) fn incarnation(&self) -> Result<u64, DaemonError> {
        let before: u64 = read_json(&self.0.join("incarnation"))?.unwrap_or_default();
        let now = before.saturating_add(1);
        self.keep_incarnation(now)?;
        Ok(now)
    }

    pub(crate) fn keep_incarnation(&self, incarnation: u64) -> Result<(), DaemonError> {
        write_json(&self.0.join("incarnation"), &incarnation)
    }
}

/// The name of a deployment as one of a file: any is in hexadecimal digits.
pub(crate) fn as_file(name: &str) -> String {
    HEXLOWER.encode(name.as_bytes())
}

/// The name of a deployment, by that of a file; none where it is of none.
pub(crate) fn of_file(name: &str) -> Option<String> {
    String::from_utf8(HEXLOWER.decode(name.as_bytes()).ok()?).ok()
}

/// What lies in a file; none where it is not there.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, DaemonError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(DaemonError::State { path: path.to_owned(), cause }),
    };
    let damaged = |cause: serde_json::Error| DaemonError::Damaged { path: path.to_owned(), cause: cause.to_string() };
    serde_json::from_slice(&bytes).map(Some).map_err(damaged)
}

/// Writes a file, whole or not at all.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), DaemonError> {
    let text = serde_json::to_vec_pretty(value);
    let damaged = |cause: serde_json::Error| DaemonError::Damaged { path: path.to_owned(), cause: cause.to_string() };
    let text = text.map_err(damaged)?;
    Ok(replace(path, &text).map_err(|cause| StoreError::of_writing(path, text.len() as u64, cause))?)
}
