//! The house rules, held over the whole tree: what every source file, manifest and command in the README keeps to.
//!
//! Only files are read. Each rule is a function from a file to its faults; beside each stands a test in which it finds
//! one, so a rule that has gone blind is noticed. All faults of all files are listed at once.

mod scan;
mod shape;
mod words;
mod purity;
mod manifest;
mod readme;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use scan::Source;

use crate::models::root;

/// A rule that one source file keeps by itself.
type Rule = fn(&Source) -> Vec<Fault>;

const RULES: [Rule; 8] = [
    shape::header,
    shape::file_length,
    shape::function_length,
    words::names,
    words::loose_ends,
    purity::confined,
    purity::pure,
    purity::no_clock_of_day,
];

/// Folders of crates that decide and do nothing else. Clippy holds them to that with the same settings in each.
const PURE: [&str; 4] = ["planner", "runtime/flow", "runtime/codec", "modules/guests"];

#[test]
fn sources_keep_the_house_rules() {
    let sources: Vec<_> = files(".rs").into_iter().map(|path| Source::new(&path, read(&path))).collect();
    assert!(sources.len() > 50, "only {} sources were found below {}", sources.len(), root().display());
    let faults = sources.iter().flat_map(|source| RULES.iter().flat_map(|rule| rule(source)));
    none(faults.collect());
}

#[test]
fn manifests_keep_the_arrows_and_give_reasons() {
    let mut faults = manifest::reasons("Cargo.toml", &read("Cargo.toml"));
    for path in files("/Cargo.toml") {
        let text = read(&path);
        let declared = if manifest::is_root(&text) { manifest::reasons } else { manifest::declared_once };
        faults.extend(declared(&path, &text));
        faults.extend(manifest::arrows(&path, &text));
    }
    none(faults);
}

#[test]
fn what_the_readme_says_to_run_is_run() {
    none(readme::commands(&read("README.md"), &read(".ci/run")));
}

#[test]
fn pure_crates_are_held_alike() {
    let settings = PURE.map(|member| read(&format!("{member}/.clippy.toml")));
    assert!(
        settings.iter().all(|text| *text == settings[0]),
        "the .clippy.toml of {PURE:?} differ: make them the same"
    );
}

/// What is wrong at a place, and what to do about it.
struct Fault {
    path: String,
    line: usize,
    message: String,
}

impl Fault {
    /// `at` counts lines from zero, as iterators do.
    fn new(path: &str, at: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line: at + 1, message: message.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

fn none(faults: Vec<Fault>) {
    assert!(faults.is_empty(), "{} against the house rules:\n{}", faults.len(), listed(&faults));
}

fn listed(faults: &[Fault]) -> String {
    faults.iter().map(|fault| format!("{fault}\n")).collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Paths below the root that end in `ending`, sorted, with `/` between their parts. Hidden folders and build output are
/// left out.
fn files(ending: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        for path in entries(&folder) {
            let name = path.strip_prefix(root()).expect("below the root").to_string_lossy().replace('\\', "/");
            if path.is_dir() && !is_left_out(&path) {
                folders.push(path);
            } else if name.ends_with(ending) {
                found.push(name);
            }
        }
    }
    found.sort();
    found
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let listing = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    listing.map(|entry| entry.expect("a folder that can be listed").path()).collect()
}

fn is_left_out(folder: &Path) -> bool {
    let hidden = folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    hidden || folder.join("CACHEDIR.TAG").exists()
}

/// Tries a rule on one sample; `expect` lists what it finds.
#[cfg(test)]
fn check(rule: Rule, path: &str, text: &str, expect: &expect_test::Expect) {
    expect.assert_eq(&listed(&rule(&Source::new(path, text.to_owned()))));
}
