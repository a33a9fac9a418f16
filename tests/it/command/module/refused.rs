//! Modules, keys, settings and inputs that cannot be used: what is said.

use std::fs;

use thalweg_modules::own;

use super::{Folder, TWO_LABELS, copy, key, module, path, tested};
use crate::command::Ran;
use crate::command::onnx::one_node;

/// What is told of a module that is refused: its sheet all the same, then the error. Returns the sheet.
#[track_caller]
fn refused(ran: Ran, facts: &[&str]) -> String {
    assert_eq!(ran.code, 2, "{}{}", ran.errors, ran.out);
    let missing: Vec<_> = facts.iter().filter(|fact| !ran.errors.contains(**fact)).collect();
    assert!(missing.is_empty(), "{missing:?} is not told in: {}", ran.errors);
    assert!(ran.errors.starts_with("error: ") && ran.errors.len() < 1200, "{}", ran.errors);
    ran.out
}

#[test]
fn files_that_are_no_modules() {
    let folder = Folder::new();
    module(&["check", "top"]).bad(2, &["no module top", "which are crop, ", "top-k"]);
    let none = path(&folder, "none.wasm");
    for arguments in
        [&["check", &none][..], &["bench", &none], &["sign", &none, "--key", &none], &["pack", &none, "-o", "x"]]
    {
        module(arguments).bad(2, &["none.wasm: cannot read it"]);
    }
    let text = folder.write("text.wasm", "hello, world");
    let text = text.to_str().expect("plain letters");
    let sheet = refused(module(&["check", text]), &["text.wasm is no component", "does not begin as WebAssembly"]);
    assert!(sheet.contains("BLAKE3") && sheet.contains("12 B"), "{sheet}");
    module(&["bench", text, "--allow-unsigned"]).bad(2, &["text.wasm", "no component"]);
    let core = folder.write("core.wasm", b"\0asm\x01\0\0\0");
    let core = core.to_str().expect("plain letters");
    refused(module(&["check", core]), &["core.wasm is a core module", "thalweg module pack"]);
    let (private, _) = key(&folder, "key");
    module(&["sign", core, "--key", &private]).bad(2, &["core.wasm is a core module"]);
    let empty = folder.write("empty.wasm", b"\0asm\x0d\0\x01\0");
    let empty = empty.to_str().expect("plain letters");
    refused(module(&["check", empty, "--allow-unsigned"]), &["empty.wasm is not a module of thalweg:module@0.1.0"]);
}

#[test]
fn modules_whom_nobody_vouches_for() {
    let folder = Folder::new();
    let file = copy(&folder);
    let sheet = refused(module(&["check", &file]), &["copy.wasm is not signed", "thalweg module sign"]);
    assert!(sheet.contains("signed by  nobody\n") && sheet.contains("thalweg:module/tensors@0.1.0"), "{sheet}");
    assert!(!sheet.contains("1.0.0"), "what is not trusted is not asked to describe itself: {sheet}");
    module(&["bench", &file]).bad(2, &["copy.wasm is not signed"]);

    let (private, public) = key(&folder, "key");
    let (_, other) = key(&folder, "other");
    module(&["sign", &file, "--key", &private]).good();
    let sheet = refused(module(&["check", &file, "--trust", &other]), &[&public, "whom nobody here trusts"]);
    assert!(sheet.contains(&format!("signed by  {public}, who is not trusted\n")), "{sheet}");
    let mut altered = fs::read(&file).expect("the signed module");
    altered[100] ^= 1;
    fs::write(&file, altered).expect("the altered module");
    for trust in [&["--trust", public.as_str()][..], &["--allow-unsigned"]] {
        refused(module(&[&["check", file.as_str()], trust].concat()), &["was changed after", &public]);
    }
    // A module of the program with one byte more or less is none of the program.
    let own = own::named("rules").expect("it comes with the program").component;
    let other = folder.write("rules.wasm", &own[..own.len() - 1]);
    refused(module(&["check", other.to_str().expect("plain letters")]), &["rules.wasm"]);
}

#[test]
fn settings_and_inputs_that_do_not_fit() {
    let folder = Folder::new();
    let bench = |more: &[&str]| module(&[&["bench", "top-k"], more].concat());
    let two = ["--settings", TWO_LABELS];
    let input = |input: &'static str| [two[0], two[1], "--input", input];
    bench(&["--settings", "{", "--input", "f32[2]"]).bad(2, &["the settings of module top-k are not JSON"]);
    bench(&["--input", "f32[2]"]).bad(2, &["module top-k failed: its settings do not fit", "labels"]);
    bench(&["--settings", "@none.json"]).bad(2, &["none.json: cannot read it"]);
    let latin = folder.write("latin.json", b"\"\xe4\"");
    bench(&["--settings", &format!("@{}", latin.display())]).bad(2, &["latin.json: cannot read it"]);
    bench(&two).bad(2, &["input scores of module top-k takes f32[...], whose sizes are open", "--input"]);
    bench(&input("i64[2]")).bad(2, &["input scores of module top-k takes f32[...], not i64[2]"]);
    bench(&input("f32[3]")).bad(2, &["module top-k failed: its input cannot be worked on", "2 labels"]);
    bench(&input("f32[99999999999]")).bad(2, &["takes 400 GB", "check its shape"]);
    bench(&input("none.npy")).bad(2, &["none.npy: cannot read it"]);
    bench(&input("@none.jpg")).bad(2, &["none.jpg: cannot read it"]);
    bench(&input("noise")).bad(2, &["\"noise\" is no input", "f32[1,1000]"]);
    let twice = [&input("f32[2]")[..], &["--input", "f32[2]"]].concat();
    bench(&twice).bad(2, &["2 inputs are given, but module top-k takes scores f32[...]"]);
    bench(&["--trust", "abc"]).bad(2, &["\"abc\" is no public key", "64 hexadecimal digits"]);
}

#[test]
fn models_that_are_not_granted_or_do_not_fit() {
    let folder = Folder::new();
    let cascade = tested("cascade");
    let sheet = refused(
        module(&["check", &cascade, "--allow-unsigned"]),
        &["cascade.wasm imports thalweg:module/models@0.1.0, which was not granted", "--model NAME=FILE.onnx"],
    );
    let asks = |line: &str| line.contains("thalweg:module/models@0.1.0") && line.ends_with("  no");
    assert!(sheet.lines().any(asks), "{sheet}");

    folder.write("softmax.onnx", one_node("Softmax", &[1, 2]));
    let model = |part: &str, file: &str| format!("{part}={}", path(&folder, file));
    let bench = |models: &[String], input: &str| {
        let mut arguments = vec!["bench", cascade.as_str(), "--allow-unsigned", "--input", input];
        arguments.extend(models.iter().flat_map(|model| ["--model", model]));
        module(&arguments)
    };
    let [small, large] = ["small", "large"].map(|part| model(part, "softmax.onnx"));
    bench(&[], "f32[1,2]").bad(2, &["which was not granted"]);
    bench(std::slice::from_ref(&large), "f32[1,2]").bad(2, &["part small was not granted, but large"]);
    bench(&[small.clone(), large.clone()], "f32[1,3]").bad(2, &["a part of a model failed", "f32[1,2]", "f32[1,3]"]);
    bench(&[small.clone(), small.clone()], "f32[1,2]").bad(2, &["two models are called small"]);
    bench(&[small, model("large", "none.onnx")], "f32[1,2]").bad(2, &["none.onnx: cannot read the model"]);
    bench(&["small".to_owned()], "f32[1,2]").bad(2, &["\"small\" is no model", "small=small.onnx"]);
}

#[test]
fn keys_that_are_none_and_files_that_are_there() {
    let folder = Folder::new();
    let (private, public) = key(&folder, "key");
    let before = fs::read(&private).expect("the key");
    module(&["key", "new", &private]).bad(2, &["key: it is there already, and nothing is overwritten"]);
    assert_eq!(fs::read(&private).expect("the key"), before);
    module(&["key", "new", &path(&folder, "no/key")]).bad(2, &["key: cannot write it"]);
    module(&["key", "show", &path(&folder, "none")]).bad(2, &["none: cannot read it"]);
    let text = folder.write("text", &public);
    let text = text.to_str().expect("plain letters");
    module(&["key", "show", text]).bad(2, &["text: this is no Ed25519 private key in PKCS#8", "key new"]);
    module(&["sign", &copy(&folder), "--key", text]).bad(2, &["text: this is no Ed25519 private key"]);
    let nowhere = path(&folder, "no/signed.wasm");
    module(&["sign", &copy(&folder), "--key", &private, "-o", &nowhere]).bad(2, &["signed.wasm: cannot write it"]);
}

#[test]
fn what_makes_no_component() {
    let folder = Folder::new();
    let out = path(&folder, "out.wasm");
    let own = own::named("top-k").expect("it comes with the program").component;
    for (name, bytes) in [("text", b"hello, world".as_slice()), ("component", own), ("core", b"\0asm\x01\0\0\0")] {
        let file = folder.write(name, bytes);
        let file = file.to_str().expect("plain letters");
        module(&["pack", file, "-o", &out]).bad(2, &[name, "makes no component", "thalweg_guest::export!"]);
    }
    assert!(!folder.path("out.wasm").exists());
}

#[test]
fn names_and_folders_that_no_module_begins_with() {
    let folder = Folder::new();
    for name in ["", "Scale", "a b", "../up", "ä", &"a".repeat(49)] {
        module(&["new", "--at", &path(&folder, "new"), "--", name])
            .bad(2, &["is no name of a module", "a-z, 0-9 and -"]);
    }
    let file = copy(&folder);
    module(&["new", "scale", "--at", &file]).bad(2, &["copy.wasm: it is there already"]);
    module(&["new", "scale", "--at", &path(&folder, "")]).bad(2, &["it is there already, and nothing is overwritten"]);
    module(&["new", "scale", "--at", &path(&folder, "copy.wasm/in")]).bad(2, &["Cargo.toml: cannot write it"]);
    assert_eq!(fs::read_dir(folder.path("")).expect("the folder").count(), 1);
}
