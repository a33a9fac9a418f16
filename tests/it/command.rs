//! The command line from the outside: what it prints, what it refuses, and that no bytes can break it.

mod works;
mod steps;
mod study;
mod shown;
mod refused_model;
mod refused_file;
mod refused_run;
mod onnx;
mod calibrate;
mod module;
mod hostile;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::models::root;

const SQUEEZENET: &str = "onnx_light/light_squeezenet.onnx";
const SILERO: &str = "silero_vad/silero_vad_16k_sequence.onnx";
const PPOCR: &str = "ppocr/ch_PP-OCRv4_det_infer.onnx";

/// One tier: this machine.
const HERE: &str = "name = \"here\"\n[[tier]]\nname = \"here\"\n";

/// What one command line has done.
struct Ran {
    code: u8,
    out: String,
    errors: String,
}

/// Runs `thalweg` with these arguments, in this process.
fn thalweg<A: Into<OsString>>(arguments: impl IntoIterator<Item = A>) -> Ran {
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    let arguments = std::iter::once("thalweg".into()).chain(arguments.into_iter().map(Into::into));
    let code = thalweg::command::command(arguments, &mut out, &mut errors);
    let text = |bytes| String::from_utf8(bytes).expect("the program writes text");
    Ran { code, out: text(out), errors: text(errors) }
}

impl Ran {
    /// The output of a command that must have succeeded.
    fn good(self) -> String {
        assert_eq!((self.code, self.errors.as_str()), (0, ""), "it printed {}", self.out);
        self.out
    }

    /// The output of a command that must have succeeded, as JSON.
    fn json(self) -> Value {
        let out = self.good();
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error} in {out}"))
    }

    /// The message of a command that must have ended with `code`, printed nothing else, and told all of `facts`.
    #[track_caller]
    fn bad(self, code: u8, facts: &[&str]) -> String {
        let Self { code: ended, out, errors } = self;
        assert_eq!(ended, code, "{errors}{out}");
        assert_eq!(out, "", "results are printed although the command failed: {errors}");
        assert!(errors.starts_with("error: ") && errors.ends_with('\n'), "{errors}");
        let missing: Vec<_> = facts.iter().filter(|fact| !errors.contains(**fact)).collect();
        assert!(missing.is_empty(), "{missing:?} is not told in: {errors}");
        assert!(errors.len() < 1200 && !errors.contains("panicked"), "nobody wants to read: {errors}");
        errors
    }
}

/// A model of the repository.
fn model(file: &str) -> PathBuf {
    root().join("examples/models").join(file)
}

/// A folder with files of one test.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder for a test"))
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    fn write(&self, file: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(file);
        fs::write(&path, bytes).expect("a file for a test");
        path
    }
}

/// `thalweg COMMAND TARGET --topology TOPOLOGY MORE…`.
fn on(command: &str, target: &Path, topology: &Path, more: &[&str]) -> Ran {
    let start = [command.into(), target.into(), "--topology".into(), topology.into()];
    thalweg(start.into_iter().chain(more.iter().map(OsString::from)))
}

/// `thalweg COMMAND TARGET MORE…`.
fn of(command: &str, target: &Path, more: &[&str]) -> Ran {
    thalweg([command.into(), target.into()].into_iter().chain(more.iter().map(OsString::from)))
}
