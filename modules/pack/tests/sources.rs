//! What changes the hash of a guest's sources, and what does not.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use tempfile::TempDir;
use thalweg_pack::sources;

const FILES: [(&str, &str); 9] = [
    (
        "Cargo.toml",
        "[workspace.dependencies]\nguest = { path = \"modules/guest\" }\nserde = \"1.0\"\nquinn = \"0.11\"\n",
    ),
    (
        "Cargo.lock",
        "[[package]]\nname = \"serde\"\nversion = \"1.0.1\"\nchecksum = \"aa\"\ndependencies = [\"core\"]\n\
         [[package]]\nname = \"core\"\nversion = \"2.0.0\"\nchecksum = \"bb\"\n\
         [[package]]\nname = \"quinn\"\nversion = \"0.11.1\"\nchecksum = \"cc\"\n",
    ),
    ("modules/wit/module.wit", "package a:b;"),
    ("modules/guests/build", "cargo build"),
    ("modules/guest/Cargo.toml", "[target.'cfg(wasm)'.dependencies]\nserde.workspace = true\n"),
    ("modules/guest/src/lib.rs", "pub mod a;"),
    (
        "modules/guests/x/Cargo.toml",
        "[dependencies]\nguest.workspace = true\n[dev-dependencies]\nquinn.workspace = true\n",
    ),
    ("modules/guests/x/src/lib.rs", "fn x() {}"),
    ("modules/guests/y/src/lib.rs", "fn y() {}"),
];

/// The hash of guest `x` after one file was changed by replacing a piece of it.
fn after(file: &str, from: &str, to: &str) -> blake3::Hash {
    let root = TempDir::new().unwrap();
    for (path, text) in FILES {
        let text = if path == file { text.replace(from, to) } else { text.to_owned() };
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    sources(root.path(), Path::new("modules/guests/x")).unwrap()
}

#[test]
fn all_that_goes_into_a_guest_changes_its_hash_and_nothing_else_does() {
    let before = after("", "", "");
    let matters = [
        ("modules/guests/x/src/lib.rs", "x()", "z()"),
        ("modules/guest/src/lib.rs", "mod a", "mod b"),
        ("modules/wit/module.wit", "a:b", "a:c"),
        ("modules/guests/build", "build", "rustc"),
        ("Cargo.toml", "serde = \"1.0\"", "serde = { version = \"1.0\", features = [\"derive\"] }"),
        ("Cargo.lock", "1.0.1", "1.0.2"),
        ("Cargo.lock", "bb", "dd"),
    ];
    for (file, from, to) in matters {
        assert_ne!(after(file, from, to), before, "{file}: {from} became {to}");
    }
    let does_not = [
        ("modules/guests/y/src/lib.rs", "y()", "z()"),
        ("Cargo.toml", "quinn = \"0.11\"", "quinn = \"0.12\""),
        ("Cargo.lock", "cc", "dd"),
    ];
    for (file, from, to) in does_not {
        assert_eq!(after(file, from, to), before, "{file}: {from} became {to}");
    }
}

#[test]
fn a_dependency_that_is_declared_nowhere_is_an_error() {
    let root = TempDir::new().unwrap();
    for (path, text) in FILES {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text.replace("guest = {", "host = {")).unwrap();
    }
    let error = sources(root.path(), Path::new("modules/guests/x")).unwrap_err().to_string();
    assert!(error.ends_with("Cargo.toml: `guest` is not declared in the root manifest"), "{error}");
}
