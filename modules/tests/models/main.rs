//! Modules that run parts of models: natively and in the sandbox, with grants and without.

#![allow(clippy::unwrap_used)]

mod nn;

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use thalweg_guest::{self as guest, Module as _, models};
use thalweg_module_cascade::Cascade;
use thalweg_modules::own;
use thalweg_modules::sandbox::{
    Exceeded, Failure, Grants, Limit, Limits, Machine, Models, Module, PortNames, Sandbox, SandboxError, Surface,
};
use thalweg_modules::signature::Trust;
use thalweg_planner::Tensor;

const IMPORT: &str = "thalweg:module/models@0.1.0";

/// Debug builds check what they copy, on machines that do other things too.
const LIMITS: Limits = Limits { time_ms: Limit::of::<60_000>(), ..Limits::RECOMMENDED };

/// What the parts of the tests compute: `small` is sure of pictures whose first number is positive, `large` of all.
fn answer(part: &str, first: f32) -> Result<[f32; 2], String> {
    match part {
        "small" if first > 0.0 => Ok([0.875, 0.125]),
        "small" => Ok([0.5, 0.5]),
        "large" => Ok([0.0625, 0.9375]),
        other => Err(format!("no part is called {other}")),
    }
}

/// Parts for the sandbox. They tell which one was asked, with what, and within what time.
#[derive(Default)]
struct Parts {
    asked: Mutex<Vec<(String, Tensor, Duration)>>,
    without: Option<&'static str>,
    slow: bool,
}

impl Models for Parts {
    fn ports(&self, _: &str) -> Option<PortNames> {
        Some(PortNames { inputs: vec!["picture".into()], outputs: vec!["shares".into()] })
    }

    fn infer(&self, part: &str, inputs: &[Tensor], time: Duration) -> Result<Vec<Tensor>, String> {
        let [picture] = inputs else { return Err(format!("{} inputs", inputs.len())) };
        self.asked.lock().unwrap().push((part.to_owned(), picture.clone(), time));
        if self.without == Some(part) {
            return Err(format!("no part is called \u{1b}{part}"));
        }
        if self.slow {
            std::thread::sleep(time);
        }
        let first = picture.to_f32().and_then(|numbers| numbers.first().copied()).ok_or("no numbers")?;
        Ok(vec![Tensor::from_f32([1, 2], &answer(part, first)?).unwrap()])
    }
}

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/models"))
}

fn component(name: &str) -> Vec<u8> {
    fs::read(folder().join(format!("{name}.wasm"))).unwrap()
}

fn load(name: &str, grants: &Grants) -> Result<Module, SandboxError> {
    Sandbox::open(Machine::probe(), Trust::Everyone).unwrap().load(name, &component(name), grants, &LIMITS)
}

fn cascade(parts: &Arc<Parts>) -> Module {
    load("cascade", &Grants { models: Some(Arc::clone(parts) as Arc<dyn Models>) }).unwrap()
}

fn run(parts: &Arc<Parts>, picture: &Tensor) -> Result<Vec<Tensor>, SandboxError> {
    cascade(parts).start(&LIMITS, "{}").unwrap().run(std::slice::from_ref(picture), Duration::MAX)
}

fn picture(first: f32) -> Tensor {
    Tensor::from_f32([1, 3], &[first, 2.0, 3.0]).unwrap()
}

#[test]
fn components_were_made_of_the_sources_beside_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for entry in fs::read_dir(folder()).unwrap() {
        let guest = entry.unwrap().path();
        if guest.join("Cargo.toml").exists() {
            let name = guest.file_name().unwrap().to_str().unwrap();
            let packed = thalweg_pack::packed(&component(name)).unwrap();
            let sources = thalweg_pack::sources(root, guest.strip_prefix(root).unwrap()).unwrap();
            let advice = "run modules/guests/build and commit the component";
            assert_eq!(packed, Some(sources), "{name} has changed: {advice}");
        }
    }
}

#[test]
fn only_who_runs_parts_asks_for_them() {
    let asks = |name: &str, component: &[u8]| {
        let imports = Surface::read(name, component).unwrap().imports;
        imports.iter().any(|import| import.name == IMPORT)
    };
    assert!(asks("cascade", &component("cascade")));
    assert!(!own::ALL.iter().any(|own| asks(own.name, own.component)));
    let wanted = SandboxError::NotGranted { module: "cascade".into(), import: IMPORT.into() };
    assert_eq!(load("cascade", &Grants::default()).err(), Some(wanted));
}

#[test]
fn parts_answer_in_the_sandbox_what_they_answer_natively() {
    for (first, asked) in [(1.0, &["small"][..]), (-1.0, &["small", "large"])] {
        let granted = |part: &str, inputs: &[&guest::Tensor]| {
            let shares = answer(part, inputs[0].to_f32()?[0]).map_err(guest::Failure::Model)?;
            Ok(vec![guest::Tensor::from_f32(&[1, 2], &shares)?])
        };
        let native = guest::Tensor::from_f32(&[1, 3], &picture(first).to_f32().unwrap()).unwrap();
        let native = models::granting(granted, || Cascade.run(&[native])).unwrap();

        let parts = Arc::new(Parts::default());
        let picture = picture(first);
        let hosted = run(&parts, &picture).unwrap();
        assert_eq!(hosted[0].to_f32().unwrap(), native[0].to_f32().unwrap());
        assert_eq!(hosted[1].data(), native[1].to_bytes().unwrap());

        let seen = parts.asked.lock().unwrap();
        assert_eq!(seen.iter().map(|(part, ..)| part.as_str()).collect::<Vec<_>>(), asked);
        for (_, given, time) in &*seen {
            assert_eq!(given.data().as_ptr(), picture.data().as_ptr(), "the picture was copied");
            assert!(*time <= Duration::from_secs(60));
        }
    }
}

#[test]
fn what_fails_is_told_natively_as_in_the_sandbox() {
    let parts = Arc::new(Parts { without: Some("large"), ..Parts::default() });
    let failed = |failure| SandboxError::Failed { module: "cascade".into(), failure };
    let wanted = failed(Failure::Model("no part is called \u{fffd}large".into()));
    assert_eq!(run(&parts, &picture(-1.0)), Err(wanted));

    let native = || Cascade.run(&[guest::Tensor::from_f32(&[1], &[1.0]).unwrap()]).unwrap_err();
    let refused = |text: &str| guest::Failure::Model(text.into());
    let small_is_not_there = |part: &str, _: &[&guest::Tensor]| Err(guest::Failure::Input(format!("no {part}")));
    assert_eq!(models::granting(small_is_not_there, native), refused("no small"));
    // What was granted is gone after it.
    assert_eq!(native(), refused("part small was not granted: use `models::granting`"));
}

#[test]
fn the_time_of_parts_is_the_time_of_the_module() {
    let parts = Arc::new(Parts { slow: true, ..Parts::default() });
    let mut instance = cascade(&parts).start(&LIMITS, "{}").unwrap();
    let time = Duration::from_millis(20);
    let wanted = SandboxError::Exceeded { module: "cascade".into(), exceeded: Exceeded::Time(time) };
    assert_eq!(instance.run(&[picture(1.0)], time), Err(wanted));
    assert!(instance.is_spent());
    assert!(parts.asked.lock().unwrap()[0].2 <= time);
}
