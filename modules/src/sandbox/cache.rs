//! Compiled modules in a folder, so that a node that starts again need not compile them again.
//!
//! An entry is native code: whoever can write one could make the node run anything. So each is signed with the node's
//! own key, together with what it was compiled of and for, and what is not so signed is compiled anew. No entry is ever
//! taken away; the folder may be emptied at any time.

use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::io::{self, ErrorKind, Read};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use wasmtime::Engine;
use wasmtime::component::Component;

use super::running::innermost;
use crate::signature::SigningKey;

/// What is signed, before what was compiled, for what, and the code.
const CONTEXT: &[u8] = b"thalweg native code 1";

/// An entry begins with its signature; then comes the code.
const SIGNATURE: usize = 64;

/// No entry is as large: components have at most 4 MiB, and their code is some times as large.
const ENTRY_BYTES_MAX: u64 = 256 << 20;

/// A folder of compiled modules, and the key that signs them.
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
    key: SigningKey,
}

/// What an entry is found by.
struct Entry {
    /// BLAKE3 of the component.
    component: blake3::Hash,
    /// BLAKE3 of all that code depends on beside it: wasmtime's version and settings, the target, its vector
    /// instructions.
    settings: blake3::Hash,
}

impl Cache {
    /// Entries in this folder, which has to exist, signed with the node's own key.
    pub fn new(folder: impl Into<PathBuf>, key: SigningKey) -> Self {
        Self { folder: folder.into(), key }
    }

    /// The component, from its entry if there is a good one, else compiled, and kept. What is wrong with an entry or
    /// the folder is logged; it is never a reason not to load a module.
    pub(super) fn component(&self, engine: &Engine, module: &str, component: &[u8]) -> wasmtime::Result<Component> {
        let entry = Entry::of(engine, component);
        let file = self.file(&entry);
        match self.kept(engine, &entry) {
            Ok(Some(component)) => return Ok(component),
            Ok(None) => {}
            Err(reason) => tracing::warn!(module, "{}: compiled anew, because {reason}", file.display()),
        }
        let component = Component::from_binary(engine, component)?;
        if let Err(error) = self.keep(&entry, &component) {
            tracing::warn!(module, "{}: the compiled module cannot be kept: {error}", file.display());
        }
        Ok(component)
    }

    fn file(&self, entry: &Entry) -> PathBuf {
        let (component, settings) = (entry.component.to_hex(), entry.settings.to_hex());
        self.folder.join(format!("{component}-{}.native", &settings[..16]))
    }

    /// What an entry holds; none where there is none. The error says why it is not loaded.
    fn kept(&self, engine: &Engine, entry: &Entry) -> Result<Option<Component>, String> {
        let bytes = match self.read(entry) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        let (signature, code) = bytes.split_at_checked(SIGNATURE).ok_or("it is cut short")?;
        if !self.key.public().has_signed(CONTEXT, &entry.message(code), signature) {
            return Err(
                "this node's key has not signed it for this component and program, or it was changed".to_owned()
            );
        }
        // What the line above has let through was signed by `keep`, which signs what `Component::serialize` gave.
        #[allow(unsafe_code, reason = "`deserialize` trusts the bytes, which are checked just above")]
        let component = unsafe { Component::deserialize(engine, code) };
        component.map(Some).map_err(|error| innermost(&error))
    }

    fn read(&self, entry: &Entry) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(self.file(entry))?.take(ENTRY_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Writes an entry as a whole: whoever looks for it finds all of it, or what was there before.
    fn keep(&self, entry: &Entry, component: &Component) -> Result<(), String> {
        static WRITTEN: AtomicU64 = AtomicU64::new(0);
        let code = component.serialize().map_err(|error| innermost(&error))?;
        let signature = self.key.sign(CONTEXT, &entry.message(&code));
        let file = self.file(entry);
        let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
        let beside = file.with_extension(format!("{}-{number}", std::process::id()));
        let written = fs::write(&beside, [signature, code].concat()).and_then(|()| fs::rename(&beside, &file));
        written.map_err(|error| {
            // What is left of it is of no use, and the error that counts is the first one.
            let _ = fs::remove_file(&beside);
            error.to_string()
        })
    }
}

impl Entry {
    fn of(engine: &Engine, component: &[u8]) -> Self {
        let mut settings = Hashing(blake3::Hasher::new());
        engine.precompile_compatibility_hash().hash(&mut settings);
        Self { component: blake3::hash(component), settings: settings.0.finalize() }
    }

    /// What is signed: so an entry in the place of another one, or for other settings, is none.
    fn message(&self, code: &[u8]) -> Vec<u8> {
        [self.component, self.settings, blake3::hash(code)].map(|hash| *hash.as_bytes()).concat()
    }
}

/// BLAKE3 as a hasher: the standard library promises no hash that stays the same.
struct Hashing(blake3::Hasher);

impl Hasher for Hashing {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        self.0.finalize().as_bytes().first_chunk().map_or(0, |first| u64::from_le_bytes(*first))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::{Machine, config};
    use super::*;

    struct Kept {
        engine: Engine,
        cache: Cache,
        folder: tempfile::TempDir,
    }

    fn key() -> SigningKey {
        SigningKey::generate().unwrap().0
    }

    fn engine(reserved_bytes: u64) -> Engine {
        let machine = Machine { reserved_bytes, instances_max: 1, ..Machine::new(1 << 30, 1 << 39) };
        Engine::new(&config(&machine)).unwrap()
    }

    fn component(text: &str) -> Vec<u8> {
        wat::parse_str(format!("(component {text})")).unwrap()
    }

    impl Kept {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            Self { engine: engine(256 << 20), cache: Cache::new(folder.path(), key()), folder }
        }

        fn load(&self, component: &[u8]) {
            self.cache.component(&self.engine, "m", component).unwrap();
        }

        fn kept(&self, component: &[u8]) -> Result<bool, String> {
            let kept = self.cache.kept(&self.engine, &Entry::of(&self.engine, component));
            kept.map(|component| component.is_some())
        }

        fn file(&self, component: &[u8]) -> PathBuf {
            self.cache.file(&Entry::of(&self.engine, component))
        }
    }

    #[test]
    fn what_was_compiled_is_found_again() {
        let kept = Kept::new();
        let module = component("(core module (func))");
        assert_eq!(kept.kept(&module), Ok(false));
        kept.load(&module);
        assert_eq!(kept.kept(&module), Ok(true));
        let names = fs::read_dir(kept.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        assert_eq!(names.collect::<Vec<_>>(), [kept.file(&module)], "nothing else is left there");
    }

    #[test]
    fn an_altered_entry_is_not_loaded_and_written_anew() {
        let kept = Kept::new();
        let module = component("(core module (func))");
        kept.load(&module);
        let file = kept.file(&module);
        let whole = fs::read(&file).unwrap();
        let flipped = [0, SIGNATURE - 1, SIGNATURE, whole.len() / 2, whole.len() - 1].map(|at| {
            let mut altered = whole.clone();
            altered[at] ^= 1;
            altered
        });
        let cut = [0, 1, SIGNATURE, whole.len() - 1].map(|len| whole[..len].to_vec());
        let longer = [whole.clone(), vec![0]].concat();
        for altered in flipped.into_iter().chain(cut).chain([longer]) {
            fs::write(&file, altered).unwrap();
            assert!(kept.kept(&module).is_err());
            kept.load(&module);
            assert_eq!(kept.kept(&module), Ok(true));
        }
    }

    #[test]
    fn an_entry_of_another_key_is_not_loaded() {
        let ours = Kept::new();
        let theirs = Kept { cache: Cache::new(ours.folder.path(), key()), ..Kept::new() };
        let module = component("");
        theirs.load(&module);
        assert!(ours.kept(&module).is_err());
        ours.load(&module);
        assert_eq!((ours.kept(&module), theirs.kept(&module).is_err()), (Ok(true), true));
    }

    #[test]
    fn an_entry_of_another_component_in_its_place_is_not_loaded() {
        let kept = Kept::new();
        let [module, other] = ["(core module (func))", "(core module)"].map(component);
        kept.load(&module);
        kept.load(&other);
        fs::copy(kept.file(&other), kept.file(&module)).unwrap();
        assert!(kept.kept(&module).is_err());
        assert_eq!(kept.kept(&other), Ok(true));
    }

    #[test]
    fn an_entry_for_other_settings_is_neither_found_nor_loaded() {
        let kept = Kept::new();
        let module = component("");
        kept.load(&module);
        let checked = kept.file(&module);
        let unchecked = Kept { engine: engine(4 << 30), ..kept };
        assert_eq!(unchecked.kept(&module), Ok(false));
        fs::copy(checked, unchecked.file(&module)).unwrap();
        assert!(unchecked.kept(&module).is_err());
    }

    #[test]
    fn without_the_folder_modules_are_compiled() {
        let kept = Kept::new();
        fs::remove_dir(kept.folder.path()).unwrap();
        kept.load(&component(""));
        assert_eq!(kept.kept(&component("")), Ok(false));
    }
}
