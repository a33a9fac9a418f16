//! The file of a node's private key.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::{TrustError, kept};
use crate::identity::Identity;
use crate::store::replace::make;

/// Largest file that may hold a key; one of Ed25519 in PKCS#8 has 83 bytes.
const FILE_BYTES_MAX: u64 = 4096;

/// A private key in PKCS#8, in a file that its owner alone may read (mode 0600). It is made once and never overwritten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFile(PathBuf);

impl KeyFile {
    /// The key in this file, which need not be there yet.
    pub fn new(file: impl Into<PathBuf>) -> Self {
        Self(file.into())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Makes a new key. If there is a file already it stays as it is, also when two processes do this at once; after a
    /// crash there is a whole key or none.
    pub fn make(&self) -> Result<Identity, TrustError> {
        let (identity, pkcs8) =
            Identity::generate().map_err(|cause| TrustError::Key { file: self.0.clone(), cause })?;
        make(&self.0, &pkcs8).map_err(|cause| match cause.kind() {
            ErrorKind::AlreadyExists => TrustError::KeyExists { file: self.0.clone() },
            _ => TrustError::Unwritable { file: self.0.clone(), cause },
        })?;
        Ok(identity)
    }

    /// Reads the key; refuses it if others can read it too.
    pub fn read(&self) -> Result<Identity, TrustError> {
        let unreadable = |cause| TrustError::Unreadable { file: self.0.clone(), cause };
        let file = File::open(&self.0).map_err(unreadable)?;
        self.check_mode(&file)?;
        let pkcs8 = kept::bounded(file, FILE_BYTES_MAX).map_err(unreadable)?;
        Identity::from_pkcs8(&pkcs8).map_err(|cause| TrustError::Key { file: self.0.clone(), cause })
    }

    /// Reads the key, or makes it if there is no file.
    pub fn read_or_make(&self) -> Result<Identity, TrustError> {
        match self.read() {
            Err(TrustError::Unreadable { cause, .. }) if cause.kind() == ErrorKind::NotFound => self.make(),
            read => read,
        }
    }

    /// Looks at the open file, not at its name, which another file could get in between.
    #[cfg(unix)]
    fn check_mode(&self, file: &File) -> Result<(), TrustError> {
        use std::os::unix::fs::PermissionsExt as _;
        let found = file.metadata().map_err(|cause| TrustError::Unreadable { file: self.0.clone(), cause })?;
        if !found.is_file() {
            let cause = io::Error::new(ErrorKind::InvalidInput, "it is not a file");
            return Err(TrustError::Unreadable { file: self.0.clone(), cause });
        }
        let mode = found.permissions().mode() & 0o7777;
        if mode & 0o077 == 0 { Ok(()) } else { Err(TrustError::Exposed { file: self.0.clone(), mode }) }
    }

    #[cfg(not(unix))]
    fn check_mode(&self, _file: &File) -> Result<(), TrustError> {
        Ok(())
    }
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::store::replace::replace;

    fn key_file() -> (tempfile::TempDir, KeyFile) {
        let folder = tempfile::tempdir().unwrap();
        let file = KeyFile::new(folder.path().join("node.key"));
        (folder, file)
    }

    #[test]
    fn a_key_is_made_once_and_read_back() {
        let (folder, file) = key_file();
        let made = file.read_or_make().unwrap();
        assert_eq!(fs::metadata(file.path()).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(file.make(), Err(TrustError::KeyExists { .. })));
        assert_eq!(file.read_or_make().unwrap().id(), made.id());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "a copy of the key was left lying");
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let (_folder, file) = key_file();
        file.make().unwrap();
        for mode in [0o640, 0o604, 0o620, 0o601] {
            fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
            let error = file.read_or_make().unwrap_err();
            assert!(matches!(error, TrustError::Exposed { mode: found, .. } if found == mode), "{error}");
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o400)).unwrap();
        file.read().unwrap();
    }

    #[test]
    fn what_is_no_key_is_refused_and_left_as_it_is() {
        let (folder, file) = key_file();
        for content in [vec![], b"no key".to_vec(), vec![0x30; 83], vec![0; 5000]] {
            replace(file.path(), &content).unwrap();
            let error = file.read_or_make().unwrap_err();
            assert!(matches!(error, TrustError::Key { .. } | TrustError::Unreadable { .. }), "{error}");
            assert_eq!(fs::read(file.path()).unwrap(), content);
        }
        assert!(matches!(
            KeyFile::new(folder.path()).read(),
            Err(TrustError::Unreadable { .. } | TrustError::Exposed { .. })
        ));
        let nowhere = KeyFile::new(folder.path().join("none/node.key"));
        assert!(matches!(nowhere.read_or_make(), Err(TrustError::Unwritable { .. })));
    }
}
