//! `thalweg module`: good input does what it says, and each fault is told.

mod fresh;
mod refused;

use serde_json::Value;
use thalweg_modules::own;

use super::onnx::one_node;
use super::{Folder, Ran, thalweg};
use crate::models::root;

const TWO_LABELS: &str = r#"{"labels": ["cat", "dog"]}"#;

/// `thalweg module ARGUMENTS…`.
fn module(arguments: &[&str]) -> Ran {
    thalweg(["module"].iter().chain(arguments))
}

/// A path in plain letters.
fn path(folder: &Folder, file: &str) -> String {
    folder.path(file).to_str().expect("a path in plain letters").to_owned()
}

/// A file that holds `top-k` and one section more, so that it is no part of the program.
fn copy(folder: &Folder) -> String {
    let own = own::named("top-k").expect("it comes with the program");
    folder.write("copy.wasm", [own.component, b"\0\x02\x01x"].concat());
    path(folder, "copy.wasm")
}

/// A module that only tests run.
fn tested(name: &str) -> String {
    root().join(format!("modules/tests/models/{name}.wasm")).to_str().expect("a path in plain letters").to_owned()
}

/// A new private key and its public half.
fn key(folder: &Folder, file: &str) -> (String, String) {
    let file = path(folder, file);
    let public = module(&["key", "new", &file]).good().trim().to_owned();
    (file, public)
}

#[test]
fn the_modules_that_come_with_the_program_are_listed() {
    let table = module(&["list"]).good();
    let rows = module(&["list", "--json"]).json();
    let rows = rows.as_array().expect("a list");
    assert!(rows.len() == own::ALL.len() && table.lines().all(|line| line.chars().count() <= 100), "{table}");
    for row in rows {
        let text = |key: &str| row[key].as_str().unwrap_or_else(|| panic!("{row}")).to_owned();
        let (name, does) = (text("name"), text("does"));
        let beginning: String = does.chars().take(30).collect();
        assert!(table.contains(&name) && table.contains(&beginning), "{row} in {table}");
        assert!(row["bytes"].as_u64() > Some(100_000), "{row}");
    }
}

#[test]
fn a_module_of_the_program_is_checked_by_name() {
    let sheet = module(&["check", "top-k", "--json"]).json();
    assert_eq!((&sheet["signed"], &sheet["refused"]), (&Value::from("own"), &Value::Null));
    assert_eq!(sheet["description"]["inputs"][0]["spec"], "f32[...]");
    assert_eq!(sheet["exports"], serde_json::json!(["describe", "configure", "run"]));
    assert!(
        sheet["imports"].as_array().is_some_and(|imports| imports.iter().all(|import| import["by_default"] == true))
    );
    let table = module(&["check", "top-k"]).good();
    let hash = sheet["blake3"].as_str().expect("a hash");
    for part in ["top-k 1.0.0", hash, "comes with the program", "f32[...]", "describe, configure, run", "\"labels\": {"]
    {
        assert!(table.contains(part), "{part} is not in {table}");
    }
}

#[test]
fn a_module_is_timed_on_what_is_given() {
    let folder = Folder::new();
    folder.write("settings.json", TWO_LABELS);
    let settings = format!("@{}", path(&folder, "settings.json"));
    let timing = module(&["bench", "top-k", "--settings", &settings, "--input", "f32[1,2]", "--json"]).json();
    assert_eq!(timing["inputs"], serde_json::json!(["f32[1,2]"]));
    assert_eq!(timing["outputs"][0], "i64[2]");
    let number = |key: &str| timing[key].as_f64().unwrap_or_else(|| panic!("{key} in {timing}"));
    for key in ["load_ms", "start_ms", "call_ms_median", "host_calls"] {
        assert!(number(key) > 0.0, "{key} in {timing}");
    }
    assert!(number("call_ms_p99") >= number("call_ms_median") && number("calls") >= 5.0, "{timing}");
    // It has a page at least, reads its two scores, and gives out two classes and two shares.
    assert!(number("memory_bytes") >= 65536.0 && number("copied_bytes") >= (2 * (4 + 8 + 4)) as f64, "{timing}");

    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }";
    let array = [b"\x93NUMPY\x01\0".as_slice(), &(header.len() as u16).to_le_bytes(), header.as_bytes(), &[0; 8]];
    folder.write("scores.npy", array.concat());
    let scores = path(&folder, "scores.npy");
    let table = module(&["bench", "top-k", "--settings", TWO_LABELS, "--input", &scores]).good();
    for part in ["top-k 1.0.0", "f32[2]", "99th percentile", "to check and compile it", "of the host"] {
        assert!(table.contains(part), "{part} is not in {table}");
    }
}

#[test]
fn a_file_goes_in_as_its_bytes() {
    let photo = format!("@{}", root().join("examples/classify/photo.jpg").display());
    let settings = r#"{"width": 224, "height": 224}"#;
    let timing = module(&["bench", "decode-image", "--settings", settings, "--input", &photo, "--json"]).json();
    assert_eq!(timing["outputs"][0], "f32[1,3,224,224]", "{timing}");
}

#[test]
fn a_module_that_somebody_signed_runs_for_who_trusts_them() {
    let folder = Folder::new();
    let file = copy(&folder);
    let (private, public) = key(&folder, "key");
    assert_eq!(public.len(), 64);
    assert_eq!(module(&["key", "show", &private]).good().trim(), public);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&private).expect("the key").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "others may read it");
    }
    let signed = path(&folder, "signed.wasm");
    let said = module(&["sign", &file, "--key", &private, "-o", &signed]).good();
    assert!(said.contains(&public), "{said}");
    let sheet = module(&["check", &signed, "--trust", &public, "--json"]).json();
    assert_eq!((sheet["signed"].as_str(), sheet["key"].as_str()), (Some("trusted"), Some(public.as_str())));
    // Without -o the file itself is signed, and what it had before is gone.
    let before = std::fs::read(&signed).expect("the signed module");
    let (other, other_public) = key(&folder, "other");
    module(&["sign", &signed, "--key", &other]).good();
    let sheet = module(&["check", &signed, "--trust", &public, "--trust", &other_public, "--json"]).json();
    assert_eq!(sheet["key"].as_str(), Some(other_public.as_str()));
    assert_eq!(std::fs::metadata(&signed).expect("the signed module").len(), before.len() as u64);
    let arguments =
        ["bench", &signed, "--trust", &other_public, "--settings", TWO_LABELS, "--input", "f32[2]", "--json"];
    assert_eq!(module(&arguments).json()["name"], "top-k");
}

#[test]
fn who_develops_a_module_need_not_sign_it() {
    let folder = Folder::new();
    let sheet = module(&["check", &copy(&folder), "--allow-unsigned", "--json"]).json();
    assert_eq!((sheet["signed"].as_str(), sheet["description"]["name"].as_str()), (Some("no"), Some("top-k")));
}

#[test]
fn a_module_runs_the_models_that_it_is_granted() {
    let folder = Folder::new();
    let cascade = tested("cascade");
    let granted = ["small", "large"].map(|part| {
        let file = format!("{part}.onnx");
        folder.write(&file, one_node("Softmax", &[1, 2]));
        format!("{part}={}", path(&folder, &file))
    });
    let with = |command: &str, more: &[&str]| {
        let models = ["--allow-unsigned", "--json", "--model", &granted[0], "--model", &granted[1]];
        module(&[&[command, &cascade][..], &models, more].concat()).json()
    };
    let sheet = with("check", &[]);
    assert_eq!((&sheet["refused"], &sheet["description"]["name"]), (&Value::Null, &Value::from("cascade")));
    let timing = with("bench", &["--input", "f32[1,2]"]);
    assert_eq!(timing["outputs"], serde_json::json!(["f32[1,2]", "i64[1]"]));
    // The same model through the interface that WASI standardises, by the names of its own input and output.
    let standard = tested("wasi-nn");
    let arguments = ["bench", &standard, "--allow-unsigned", "--json", "--model", &granted[0]];
    let more = ["--settings", r#"{"small": "x"}"#, "--input", "f32[1,2]"];
    let timing = module(&[&arguments[..], &more].concat()).json();
    assert_eq!(timing["outputs"], serde_json::json!(["f32[1,2]"]));
}
