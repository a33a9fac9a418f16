//! The guests of this repository: their components were made of the sources beside them, and answer what the same code
//! answers natively.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thalweg_guest::Module as _;
use thalweg_module_top_k::TopK;
use thalweg_modules::sandbox::{Failure, Grants, Instance, Limits, Machine, Module, Sandbox, SandboxError};
use thalweg_modules::signature::Trust;
use thalweg_planner::{DType, Tensor, TensorSpec};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn component(name: &str) -> Vec<u8> {
    fs::read(root().join(format!("modules/guests/artifacts/{name}.wasm"))).unwrap()
}

fn load(name: &str) -> Module {
    let sandbox = Sandbox::open(Machine::probe(), Trust::Everyone).unwrap();
    sandbox.load(name, &component(name), &Grants::default(), &Limits::RECOMMENDED).unwrap()
}

#[test]
fn every_component_was_made_of_the_sources_beside_it() {
    let mut guests = 0;
    for entry in fs::read_dir(root().join("modules/guests")).unwrap() {
        let folder = entry.unwrap().path();
        if !folder.join("Cargo.toml").exists() {
            continue;
        }
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let packed = thalweg_pack::packed(&component(&name)).unwrap();
        let sources = thalweg_pack::sources(&root(), &Path::new("modules/guests").join(&name)).unwrap();
        assert_eq!(
            packed,
            Some(sources),
            "{name} has changed: run modules/guests/build {name} and commit the component"
        );
        guests += 1;
    }
    assert!(guests > 0, "no guests were found");
}

#[test]
fn a_module_answers_in_the_sandbox_what_it_answers_natively() {
    let settings = r#"{"k": 3, "labels": ["cat", "dog", "cup", "tea", "pot"]}"#;
    let scores = [0.3, -1.0, f32::NEG_INFINITY, 2.5, 2.5];
    let native = TopK::configure(settings).unwrap();
    let native = native.run(&[thalweg_guest::Tensor::from_f32(&[1, 5], &scores).unwrap()]).unwrap();

    let mut instance = load("top-k").start(&Limits::RECOMMENDED, settings).unwrap();
    for _ in 0..3 {
        let hosted = instance.run(&[Tensor::from_f32([1, 5], &scores).unwrap()], Duration::from_secs(10)).unwrap();
        assert_eq!(hosted.len(), native.len());
        for (hosted, native) in hosted.iter().zip(&native) {
            assert_eq!(hosted.data(), native.to_bytes().unwrap());
            assert_eq!(hosted.spec().dtype.to_string(), native.dtype().to_string());
            let shape: Vec<u64> = hosted.spec().shape.iter().map(|size| *size as u64).collect();
            assert_eq!(shape, native.shape());
        }
    }
}

#[test]
fn what_a_module_says_and_refuses_comes_through() {
    let module = load("top-k");
    assert_eq!((module.description().name.as_str(), module.description().version.as_str()), ("top-k", "1.0.0"));
    assert_eq!(module.description().inputs[0].to_string(), "f32[...]");
    assert_eq!(module.description().outputs[1].to_string(), "f32[?]");

    let refused = |settings| module.start(&Limits::RECOMMENDED, settings).err().unwrap();
    assert!(matches!(refused("{"), SandboxError::SettingsText { .. }));
    let unknown = refused(r#"{"labels": ["cat"], "kk": 3}"#).to_string();
    assert!(unknown.starts_with("module top-k failed: its settings do not fit: unknown field `kk`"), "{unknown}");

    let mut instance = module.start(&Limits::RECOMMENDED, r#"{"labels": ["cat", "dog"]}"#).unwrap();
    let mut run =
        |scores: &[f32]| instance.run(&[Tensor::from_f32([scores.len()], scores).unwrap()], Duration::from_secs(10));
    let failed = run(&[1.0, f32::NAN]).unwrap_err();
    assert!(matches!(failed, SandboxError::Failed { failure: Failure::Input(_), .. }), "{failed}");
    assert!(run(&[1.0, 2.0]).is_ok(), "a module that refused an input runs the next one");
    let bytes = Tensor::new(TensorSpec::new(DType::U8, [1]), vec![0]).unwrap();
    let wrong = instance.run(&[bytes], Duration::from_secs(10)).unwrap_err();
    assert!(matches!(wrong, SandboxError::Input { .. }), "{wrong}");
    assert!(!instance.is_spent());
}

#[test]
fn modules_and_instances_move_between_threads() {
    fn moves<T: Send>() {}
    fn is_shared<T: Send + Sync>() {}
    is_shared::<Sandbox>();
    is_shared::<Module>();
    moves::<Instance>();
}
