//! A module that `thalweg module new` has begun: what is written, and, where this machine can compile it, that it
//! works.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{Folder, key, module, path};
use crate::models::root;

const WASM: &str = "wasm32-unknown-unknown";

/// Paths of all files below a folder.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(folder).expect("below it").to_string_lossy().replace('\\', "/"));
            }
        }
    }
    found.sort();
    found
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

#[test]
fn what_is_written_is_the_guest_crate_of_the_repository() {
    let folder = Folder::new();
    let crate_ = folder.path("my-scale");
    let said = module(&["new", "my-scale", "--at", &path(&folder, "my-scale")]).good();
    assert!(said.contains("my-scale") && said.contains("README.md"), "{said}");
    let modules = root().join("modules");
    for (written, kept) in [("guest/src", "guest/src"), ("wit", "wit")] {
        let names = files(&modules.join(kept));
        assert_eq!(files(&crate_.join(written)), names, "all files of modules/{kept}");
        for name in names {
            let both = [crate_.join(written), modules.join(kept)].map(|folder| read(&folder.join(&name)));
            assert_eq!(both[0], both[1], "{name}");
        }
    }
    assert_eq!(read(&crate_.join("guest/Cargo.toml")), read(&modules.join("guest/Cargo.toml")));
    let module = read(&crate_.join("src/lib.rs"));
    assert_eq!(module, read(&modules.join("tests/scale.rs")).replace("\"scale\"", "\"my-scale\""));
    assert_ne!(module, read(&modules.join("tests/scale.rs")));
    assert!(read(&crate_.join("README.md")).contains("release/thalweg_module_my_scale.wasm -o my-scale.wasm"));
    // The same versions, features and edition as here.
    let manifest = read(&crate_.join("Cargo.toml"));
    assert!(manifest.contains("name = \"thalweg-module-my-scale\""), "{manifest}");
    let root = read(&root().join("Cargo.toml"));
    for key in
        ["version", "edition", "rust-version", "license", "publish", "serde", "serde_json", "thiserror", "wit-bindgen"]
    {
        let declared = |text: &str| {
            let workspace = text.split_once("[workspace.package]").expect("a workspace").1;
            let line = workspace.lines().find(|line| line.starts_with(&format!("{key} = ")));
            line.unwrap_or_else(|| panic!("{key} in {text}")).to_owned()
        };
        assert_eq!(declared(&manifest), declared(&root));
    }
}

/// What a program prints, if it runs.
fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// How cargo compiles for the sandbox on this machine, as in modules/guests/build; none where it cannot.
fn for_wasm(cargo: &mut Command) -> Option<()> {
    let sysroot = said("rustc", &["--print", "sysroot"])?;
    let library = Path::new(&sysroot).join("lib/rustlib");
    cargo.args(["build", "--quiet", "--release", "--target", WASM]);
    if library.join(WASM).is_dir() {
        return Some(());
    }
    let debian = "/usr/bin/rustc";
    let sources = Path::new(&said(debian, &["--print", "sysroot"])?).join("lib/rustlib/src/rust/library");
    let version = said("rustc", &["-vV"])?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "))?;
    cargo.args(["-Zbuild-std=std,panic_abort"]).env("RUSTC", debian).env("RUSTC_BOOTSTRAP", "1");
    cargo.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", library.join(host).join("bin/rust-lld"));
    sources.is_dir().then_some(())
}

fn run(command: &mut Command) {
    let output = command.output().expect("cargo");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_new_module_is_compiled_packed_signed_and_run() {
    let folder = Folder::new();
    let crate_ = folder.path("scale");
    let cargo = || {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
        cargo.current_dir(&crate_);
        cargo
    };
    let mut build = cargo();
    if for_wasm(&mut build).is_none() {
        eprintln!("Skipped: this machine has no standard library for {WASM}.");
        return;
    }
    module(&["new", "scale", "--at", &path(&folder, "scale")]).good();
    // The versions that are here already.
    fs::copy(root().join("Cargo.lock"), crate_.join("Cargo.lock")).expect("the lock file");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("new-module");
    run(cargo().args(["test", "--quiet", "--target-dir"]).arg(&target));
    run(build.arg("--target-dir").arg(&target));
    let core = target.join(WASM).join("release/thalweg_module_scale.wasm");
    let packed = path(&folder, "scale.wasm");
    let said = module(&["pack", core.to_str().expect("plain letters"), "-o", &packed]).good();
    assert!(said.contains("scale.wasm: ") && said.contains("kB"), "{said}");
    let (private, public) = key(&folder, "key");
    module(&["sign", &packed, "--key", &private]).good();
    let sheet = module(&["check", &packed, "--trust", &public, "--json"]).json();
    assert_eq!((sheet["description"]["name"].as_str(), sheet["signed"].as_str()), (Some("scale"), Some("trusted")));
    let settings = ["--trust", &public, "--settings", r#"{"factor": 2}"#];
    let timing = module(&[&["bench", &packed, "--input", "f32[2,3]", "--json"], &settings[..]].concat()).json();
    assert_eq!((&timing["outputs"][0], &timing["copied_bytes"]), (&"f32[2,3]".into(), &48.into()), "{timing}");
}
