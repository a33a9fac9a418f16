//! The modules that come with the program: all that are built, described as they describe themselves, and trusted as
//! they are and not otherwise.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use thalweg_modules::own;
use thalweg_modules::sandbox::{Grants, Limit, Limits, Machine, Sandbox};
use thalweg_modules::signature::{SignatureError, SigningKey, Trust, sign, signer};

fn guests() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/guests"))
}

#[test]
fn each_component_that_is_built_comes_with_the_program() {
    let built = fs::read_dir(guests().join("artifacts")).unwrap().map(|entry| entry.unwrap().path());
    let built: BTreeSet<_> = built.map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    let own: BTreeSet<_> = own::ALL.iter().map(|own| own.name.to_owned()).collect();
    assert_eq!(own, built, "the list in modules/src/own.rs");
    assert!(own::named("top-k").is_some() && own::named("top").is_none());
}

#[test]
fn names_versions_and_sentences_are_those_of_the_modules() {
    let limits = Limits { time_ms: Limit::of::<60_000>(), ..Limits::RECOMMENDED };
    let sandbox = Sandbox::open(Machine::probe(), Trust::Keys(BTreeSet::new())).unwrap();
    for own in &own::ALL {
        let module = sandbox.load(own.name, own.component, &Grants::default(), &limits).unwrap();
        let description = module.description();
        assert_eq!((description.name.as_str(), description.version.as_str()), (own.name, own.version));
        let manifest = fs::read_to_string(guests().join(own.name).join("Cargo.toml")).unwrap();
        assert!(manifest.contains(&format!("\ndescription = \"{}\"\n", own.does)), "{}: {manifest}", own.name);
    }
}

#[test]
fn a_changed_byte_is_not_part_of_the_program() {
    let nobody = Trust::Keys(BTreeSet::new());
    let own = own::named("mean-pool").unwrap();
    assert_eq!(nobody.check(own.name, own.component), Ok(()));
    let unsigned = SignatureError::Unsigned { module: own.name.to_owned() };
    for at in [0, own.component.len() / 2, own.component.len() - 1] {
        let mut altered = own.component.to_vec();
        altered[at] ^= 1;
        assert_eq!(nobody.check(own.name, &altered), Err(unsigned.clone()), "byte {at}");
    }
    let longer = [own.component, &[0]].concat();
    assert_eq!(nobody.check(own.name, &longer), Err(unsigned));
    // Signed by somebody it is that somebody's.
    let key = SigningKey::generate().unwrap().0;
    let signed = sign(own.component, &key);
    assert_eq!(signer(own.name, &signed), Ok(Some(key.public())));
    assert!(matches!(nobody.check(own.name, &signed), Err(SignatureError::Stranger { .. })));
}
