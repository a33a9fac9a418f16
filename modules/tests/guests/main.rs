//! The guests of this repository: their components were made of the sources beside them, and answer what the same code
//! answers natively, refusals among it.

#![allow(clippy::unwrap_used)]

mod cases;
mod chains;
mod natively;
mod refusals;

use std::fs;
use std::path::Path;
use std::time::Duration;

use thalweg_guest as guest;
use thalweg_modules::sandbox::{Failure, Grants, Instance, Limit, Limits, Machine, Module, Sandbox, SandboxError};
use thalweg_modules::signature::Trust;
use thalweg_planner::{DType, Tensor, TensorSpec};

use cases::root;
use natively::{MODULES, hosted};

/// Debug builds check what they copy, on machines that do other things too.
const LIMITS: Limits = Limits { time_ms: Limit::of::<60_000>(), ..Limits::RECOMMENDED };

fn component(name: &str) -> Vec<u8> {
    fs::read(root().join(format!("modules/guests/artifacts/{name}.wasm"))).unwrap()
}

fn load(sandbox: &Sandbox, name: &str) -> Module {
    sandbox.load(name, &component(name), &Grants::default(), &LIMITS).unwrap()
}

fn sandbox() -> Sandbox {
    Sandbox::open(Machine::probe(), Trust::Everyone).unwrap()
}

fn run(instance: &mut Instance, inputs: &[guest::Tensor]) -> Result<Vec<Tensor>, SandboxError> {
    instance.run(&inputs.iter().map(hosted).collect::<Vec<_>>(), Duration::MAX)
}

/// The names of the folders with a guest.
fn guests() -> Vec<String> {
    let folders = fs::read_dir(root().join("modules/guests")).unwrap().map(|entry| entry.unwrap().path());
    let guests = folders.filter(|folder| folder.join("Cargo.toml").exists());
    guests.map(|folder| folder.file_name().unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn every_component_was_made_of_the_sources_beside_it() {
    for name in guests() {
        let packed = thalweg_pack::packed(&component(&name)).unwrap();
        let sources = thalweg_pack::sources(&root(), &Path::new("modules/guests").join(&name)).unwrap();
        assert_eq!(
            packed,
            Some(sources),
            "{name} has changed: run modules/guests/build {name} and commit the component"
        );
    }
}

#[test]
fn every_guest_is_run_here() {
    let mut run: Vec<&str> = MODULES.iter().map(|(name, _)| *name).collect();
    let mut found = guests();
    run.sort_unstable();
    found.sort_unstable();
    assert_eq!(run, found, "write cases for each");
}

#[test]
fn modules_answer_in_the_sandbox_what_they_answer_natively() {
    let sandbox = sandbox();
    for (name, configure) in MODULES {
        let module = load(&sandbox, name);
        assert_eq!(module.description().name, *name);
        for case in cases::of(name) {
            let what = format!("{name}: {}", case.what);
            let native = configure(&case.settings).unwrap()(&case.inputs).unwrap();
            let mut instance = module.start(&LIMITS, &case.settings).unwrap();
            // An instance that ran before answers the same.
            for _ in 0..2 {
                let answers = run(&mut instance, &case.inputs).unwrap_or_else(|error| panic!("{what}: {error}"));
                assert_eq!(answers.len(), native.len(), "{what}");
                for (at, (answer, native)) in answers.iter().zip(&native).enumerate() {
                    let native = hosted(native);
                    assert_eq!(answer.spec(), native.spec(), "{what}, output {at}");
                    let apart = answer.data().iter().zip(native.data()).filter(|(a, b)| a != b).count();
                    assert_eq!(apart, 0, "{what}, output {at}: so many bytes differ");
                }
            }
        }
    }
}

#[test]
fn settings_are_refused_in_the_sandbox_as_natively() {
    let sandbox = sandbox();
    for (name, configure) in MODULES {
        let module = load(&sandbox, name);
        let of_module = refusals::settings().into_iter().filter(|(of, ..)| of == name);
        let mut refused = 0;
        for (_, settings, expected) in of_module {
            let native = configure(&settings).err().unwrap_or_else(|| panic!("{name} takes {settings}"));
            assert!(matches!(&native, guest::Failure::Settings(text) if text.contains(expected)), "{name}: {native:?}");
            check_failed(name, module.start(&LIMITS, &settings).err(), &native);
            refused += 1;
        }
        assert!(refused > 0, "{name} refuses no settings: write some");
    }
}

#[test]
fn inputs_are_refused_in_the_sandbox_as_natively() {
    let sandbox = sandbox();
    for (name, configure) in MODULES {
        let case = &cases::of(name)[0];
        let native_run = configure(&case.settings).unwrap();
        let mut instance = load(&sandbox, name).start(&LIMITS, &case.settings).unwrap();
        let of_module = refusals::inputs().into_iter().filter(|(of, ..)| of == name);
        let mut refused = 0;
        for (_, inputs, expected) in of_module {
            let native = native_run(&inputs).err().unwrap_or_else(|| panic!("{name} takes what is not {expected}"));
            assert!(matches!(&native, guest::Failure::Input(text) if text.contains(expected)), "{name}: {native:?}");
            check_failed(name, run(&mut instance, &inputs).err(), &native);
            refused += 1;
        }
        assert!(refused > 0, "{name} refuses no inputs: write some");
        assert!(run(&mut instance, &case.inputs).is_ok(), "{name} refused an input and does not run the next one");
        assert!(!instance.is_spent());
    }
}

/// The same failure, in the words of the sandbox.
fn check_failed(name: &str, hosted: Option<SandboxError>, native: &guest::Failure) {
    let failed = match (&hosted, native) {
        (Some(SandboxError::Failed { failure, .. }), guest::Failure::Settings(text)) => {
            *failure == Failure::Settings(text.clone())
        }
        (Some(SandboxError::Failed { failure, .. }), guest::Failure::Input(text)) => {
            *failure == Failure::Input(text.clone())
        }
        _ => false,
    };
    assert!(failed, "{name}\nin the sandbox: {hosted:?}\nnatively: {native:?}");
}

#[test]
fn what_does_not_pass_a_port_does_not_reach_the_module() {
    let module = load(&sandbox(), "top-k");
    assert_eq!(module.description().inputs[0].to_string(), "f32[...]");
    assert_eq!(module.description().outputs[1].to_string(), "f32[?]");
    assert!(matches!(module.start(&LIMITS, "{").err(), Some(SandboxError::SettingsText { .. })));

    let mut instance = module.start(&LIMITS, r#"{"labels": ["cat", "dog"]}"#).unwrap();
    let bytes = Tensor::new(TensorSpec::new(DType::U8, [1]), vec![0]).unwrap();
    let wrong = instance.run(&[bytes], Duration::MAX).unwrap_err();
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
