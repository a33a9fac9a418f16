//! A new module: a crate that builds and has a test, outside this repository and without it.
//!
//! Nothing of Thalweg is published yet, so a crate elsewhere cannot depend on the guest crate by its version. The
//! program carries its sources, and the interface, and writes them beside the crate.

use std::fs;
use std::path::{Path, PathBuf};

use crate::run::RunError;

macro_rules! carried {
    ($($path:literal from $from:literal),* $(,)?) => {
        [$(($path, include_str!(concat!("../../../modules/", $from)))),*]
    };
}

/// What is written as it is in the repository.
const CARRIED: [(&str, &str); 8] = carried![
    "guest/Cargo.toml" from "guest/Cargo.toml",
    "guest/src/lib.rs" from "guest/src/lib.rs",
    "guest/src/dtype.rs" from "guest/src/dtype.rs",
    "guest/src/hosted.rs" from "guest/src/hosted.rs",
    "guest/src/models.rs" from "guest/src/models.rs",
    "guest/src/native.rs" from "guest/src/native.rs",
    "guest/src/tensor.rs" from "guest/src/tensor.rs",
    "wit/module.wit" from "wit/module.wit",
];

/// The module itself. In the repository it is a test, so it is known to work.
const MODULE: &str = include_str!("../../../modules/tests/scale.rs");
const MANIFEST: &str = include_str!("fresh/manifest.toml");
const README: &str = include_str!("fresh/readme.md");

const NAME_CHARS_MAX: usize = 48;

/// Writes the crate of a module called `name` into `folder`, which may be there if it is empty. Returns the files.
pub fn begin(name: &str, folder: &Path) -> Result<Vec<PathBuf>, RunError> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || name.len() > NAME_CHARS_MAX || !name.bytes().all(plain) {
        let most = NAME_CHARS_MAX;
        return Err(RunError::ModuleName { name: name.chars().take(80).collect(), most });
    }
    if fs::read_dir(folder).map_or_else(|_| folder.exists(), |mut entries| entries.next().is_some()) {
        return Err(RunError::Occupied { path: folder.to_owned() });
    }
    let core = format!("thalweg_module_{}", name.replace('-', "_"));
    let own = [
        ("Cargo.toml", MANIFEST.replace("NAME", name)),
        ("README.md", README.replace("CORE", &core).replace("NAME", name)),
        (".gitignore", "/target\n".to_owned()),
        ("src/lib.rs", MODULE.replace("\"scale\"", &format!("{name:?}"))),
    ];
    let carried = CARRIED.iter().map(|(path, text)| (*path, (*text).to_owned()));
    own.into_iter().chain(carried).map(|(path, text)| write(folder.join(path), &text)).collect()
}

fn write(file: PathBuf, text: &str) -> Result<PathBuf, RunError> {
    let written = file.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&file, text));
    match written {
        Ok(()) => Ok(file),
        Err(cause) => Err(RunError::Unwritable { file, cause }),
    }
}
