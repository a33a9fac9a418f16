//! Bytes that nobody meant: changed and cut models, photos, pipelines, topologies and profiles are errors, in bounded
//! time and memory, and never a panic of ours.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::{Folder, HERE, SILERO, SQUEEZENET, model, of, on};
use crate::models::{root, shared};

/// What one model or file may take, on a busy machine.
const TIME_MAX: Duration = Duration::from_secs(10);
/// Address space of a process that reads hostile models, in KiB: what the engine maps for itself, and a GiB.
const ADDRESSES_MAX_KIB: u64 = 1_600_000;
/// Where our own code lies: a panic there is a fault of ours.
const OURS: [&str; 5] = ["devices/", "modules/", "planner/", "runtime/", "tests/"];

/// Reproducible random numbers: SplitMix64 (Steele, Lea and Flood, 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end.max(1) as u64) as usize
    }

    /// One or two changes: bytes that become others, rarely pieces that are lost, doubled or turned, or a missing end.
    ///
    /// Half of them hit near texts, because that is where a model's structure is; the rest of it is weights.
    fn mutate(&mut self, bytes: &mut Vec<u8>, near_texts: &[usize]) {
        const EDGES: [u8; 6] = [0, 1, 0x7f, 0x80, 0xfe, 0xff];
        for _ in 0..=self.below(2) {
            let near = near_texts.get(self.below(2 * near_texts.len()));
            let at = match near {
                Some(near) => (near + self.below(16)).min(bytes.len()),
                None => self.below(bytes.len()),
            };
            let end = (at + 1 + self.below(24)).min(bytes.len());
            match self.below(24) {
                0..10 => bytes[at..end.min(at + 1)].fill(self.below(256) as u8),
                10..20 => bytes[at..end.min(at + 1)].fill(EDGES[self.below(EDGES.len())]),
                20 => drop(bytes.drain(at..end)),
                21 => bytes.splice(at..at, bytes[at..end].to_vec()).for_each(drop),
                _ if self.below(4) == 0 => bytes.truncate(at),
                _ => bytes[at..end].reverse(),
            }
        }
    }
}

/// Places shortly before and in texts of at least four letters.
fn near_texts(bytes: &[u8]) -> Vec<usize> {
    let text = |four: &[u8]| four.iter().all(u8::is_ascii_graphic);
    let starts = bytes.windows(4).enumerate().filter(|(_, four)| text(four));
    starts.map(|(at, _)| at.saturating_sub(8)).collect()
}

/// Runs `command` on `count` mutations of `bytes`, each with a seed that is told when it fails.
fn survive(name: &str, bytes: &[u8], count: u64, command: impl Fn(&[u8]) -> super::Ran) {
    let near_texts = near_texts(bytes);
    let mut accepted = 0;
    for seed in 0..count {
        let mut changed = bytes.to_vec();
        Random(seed).mutate(&mut changed, &near_texts);
        // A panic, or an end without one, is told with the last seed that stands here.
        eprintln!("{name}, seed {seed}");
        let started = Instant::now();
        let ran = command(&changed);
        let took = started.elapsed();
        assert!(took < TIME_MAX, "{name}, seed {seed} takes {took:?}: {}", ran.errors);
        accepted += u64::from(ran.code == 0);
        let panicked = ran.errors.split_once("it panicked").map(|(_, place)| place);
        let place = panicked.map(|place| place.strip_prefix(" at ").unwrap_or("somewhere"));
        let ours = place.is_some_and(|place| place == "somewhere" || OURS.iter().any(|own| place.starts_with(own)));
        assert!(!ours, "{name}, seed {seed}: {}", ran.errors);
        assert_eq!(ran.code == 0, ran.errors.is_empty(), "{name}, seed {seed}: {}", ran.errors);
    }
    assert!(accepted < count, "{name}: no mutation was noticed");
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).expect("a file of the tests")
}

/// Runs the test `name` of this file in a process that gets no more than [`ADDRESSES_MAX_KIB`] of memory.
fn bounded(name: &str) {
    let limited = format!("ulimit -v {ADDRESSES_MAX_KIB} && exec \"$0\" \"$@\"");
    let own = std::env::current_exe().expect("the path of the tests");
    let name = format!("command::hostile::{name}");
    let ran = Command::new("sh").arg("-c").arg(limited).arg(own).args(["--ignored", "--exact", &name]).output();
    let ran = ran.expect("a shell");
    let (out, errors) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{} {out} {}", ran.status, &errors[errors.len().saturating_sub(4000)..]);
    assert!(out.contains("1 passed"), "{name} was not run: {out}");
}

#[test]
fn changed_models_never_break_loading() {
    bounded("load_changed_models");
}

#[test]
#[ignore = "run by the test above, with bounded memory"]
fn load_changed_models() {
    let folder = Folder::new();
    let counts = [(Some(model(SQUEEZENET)), 250), (Some(model(SILERO)), 80), (mnist(), 80)];
    for (path, count) in counts {
        let Some(path) = path else { continue };
        // No cut has no tensors, so that what loads is described but not run.
        let load = |bytes: &[u8]| of("verify", &folder.write("changed.onnx", bytes), &["--live-max", "0"]);
        survive(&path.display().to_string(), &read(&path), count, load);
    }
}

#[test]
fn changed_models_never_break_planning() {
    bounded("plan_changed_models");
}

#[test]
#[ignore = "run by the test above, with bounded memory"]
fn plan_changed_models() {
    let folder = Folder::new();
    let topology = folder.write("topology.toml", HERE);
    for path in [Some(model(SILERO)), mnist()].into_iter().flatten() {
        let plan = |bytes: &[u8]| on("plan", &folder.write("changed.onnx", bytes), &topology, &["--live-max", "1"]);
        survive(&path.display().to_string(), &read(&path), 20, plan);
    }
}

fn mnist() -> Option<PathBuf> {
    shared("models/mnist_cnn/mnist_cnn_op13.onnx")
}

#[test]
fn changed_files_never_break_the_command() {
    let folder = Folder::new();
    let example = root().join("examples/classify");
    let tiny = folder.write("tiny.onnx", super::onnx::one_node("Relu", &[1, 3, 8, 8]));
    let shaped = fs::read_to_string(example.join("topology.toml")).expect("the example's topology");
    let plan = |target: &Path, file: &Path| on("plan", target, file, &[]);
    survive("topology.toml", shaped.as_bytes(), 80, |bytes| plan(&tiny, &folder.write("topology.toml", bytes)));

    let here = folder.write("here.toml", HERE);
    let photo = read(&example.join("photo.jpg"));
    folder.write("photo.jpg", &photo);
    folder.write("labels.txt", "a\nb\n");
    let pipeline = "name = \"tiny\"\nmodel = \"tiny.onnx\"\ncodecs = [\"f32\", \"jpeg/90\", \"webp/90\"]\ndeadline = \"5 s\"\n[[input]]\n\
                    name = \"x\"\nshape = [1, 3, 8, 8]\nimage = \"photo.jpg\"\nmean = 127\nscale = 128\nlayout = \"nchw\"\n";
    let as_pipeline = |bytes: &[u8]| plan(&folder.write("pipeline.toml", bytes), &here);
    survive("pipeline.toml", pipeline.as_bytes(), 80, as_pipeline);

    let pipeline = folder.write("pipeline.toml", pipeline);
    let as_photo = |bytes: &[u8]| {
        folder.write("photo.jpg", bytes);
        plan(&pipeline, &here)
    };
    survive("photo.jpg", &photo, 60, as_photo);
}

#[test]
fn changed_profiles_never_break_planning() {
    let folder = Folder::new();
    let profile = of("profile", &model(SILERO), &[]).good();
    let topology = folder.write("topology.toml", format!("{HERE}profile = \"machine.toml\"\n"));
    let plan = |bytes: &[u8]| {
        let machine = folder.write("machine.toml", bytes);
        on("plan", &model(SILERO), &topology, &["--profile", machine.to_str().expect("a path in plain letters")])
    };
    survive("machine.toml", profile.as_bytes(), 60, plan);
    // Prefixes in the wrong order, and times of centuries.
    let mut backwards: Vec<&str> = profile.split("[[timed.prefix]]").collect();
    backwards[1..].reverse();
    plan(backwards.join("[[timed.prefix]]\n").as_bytes());
    for (from, to) in [(" us\"", " min\""), (" ms\"", "00000000000 min\""), ("MAC/s\"", "00000 MAC/s\"")] {
        plan(profile.replace(from, to).as_bytes());
    }
}
