//! Why a guest could not be packed.

use std::path::{Path, PathBuf};

/// Why a guest could not be packed, or its sources not be told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackError {
    /// A file that cannot be read or written.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// A manifest without what guests need.
    #[error("{}: {reason}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A core module that makes no component.
    #[error("the compiled guest makes no component: {reason}; it must use `thalweg_guest::export!` once")]
    Encode {
        /// What is wrong.
        reason: String,
    },
    /// Bytes that are no component.
    #[error("this is no component: {reason}; build it anew with modules/guests/build")]
    Component {
        /// What is wrong.
        reason: String,
    },
}

impl PackError {
    pub(crate) fn file(path: &Path, error: &std::io::Error) -> Self {
        Self::File { path: path.to_owned(), reason: error.to_string() }
    }
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, PackError> {
    std::fs::read(path).map_err(|error| PackError::file(path, &error))
}
