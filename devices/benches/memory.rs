//! What models keep resident on the CPU, beside what they need: their weights, and the tensors that exist at once at most.
//!
//! `cargo bench -p thalweg-devices --bench memory` prints a row a model, each in a process of its own: a part is read from files,
//! prepared, and run; then the process gives back what it has freed, as a node does, and runs it again. `--json` prints the same as
//! JSON. Models are `FILE.onnx`, or `FILE.onnx@INPUT=SIZES;INPUT=SIZES`, in place of those of the repository. Linux only.
#![allow(clippy::print_stdout)]
#![cfg_attr(target_os = "linux", expect(unsafe_code, reason = "the C library has no safe interface to its allocator"))]

#[allow(dead_code, unused_imports, reason = "another bench uses more of it")]
mod subject;

use std::process::Command;

use serde::{Deserialize, Serialize};
use subject::{Failed, MODELS, Subject};
use thalweg_devices::Partition;

/// Runs before and after what was freed is given back.
const RUNS: usize = 10;

const MIB: f64 = (1 << 20) as f64;

#[derive(Serialize, Deserialize)]
struct Row {
    model: String,
    /// Weights, as large as they are where the part is ready to run, and the tensors that exist at once.
    needs_mib: f64,
    /// All that is resident, and what of it is the program itself.
    resident_mib: f64,
    program_mib: f64,
    /// What it had most, while it loaded the part.
    most_mib: f64,
}

fn main() -> Result<(), Failed> {
    let (mut json, mut only, mut models) = (false, None, Vec::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--json" => json = true,
            "--only" => only = arguments.next(),
            "--bench" => {}
            _ => models.push(argument),
        }
    }
    if let Some(model) = only {
        println!("{}", serde_json::to_string(&measure(&model)?)?);
        return Ok(());
    }
    if models.is_empty() {
        models.extend(MODELS.map(subject::of_repository));
    }
    let rows = models.iter().map(|model| apart(model)).collect::<Result<Vec<Row>, Failed>>()?;
    if json {
        println!("{:#}", serde_json::to_value(&rows)?);
        return Ok(());
    }
    println!("model                          needs MiB  resident MiB  beyond  program  most while loading");
    for Row { model, needs_mib, program_mib, resident_mib, most_mib } in &rows {
        let beyond = resident_mib - needs_mib;
        println!("{model:30} {needs_mib:9.1} {resident_mib:13.1} {beyond:7.1} {program_mib:8.1} {most_mib:19.1}");
    }
    Ok(())
}

fn apart(model: &str) -> Result<Row, Failed> {
    let output = Command::new(std::env::current_exe()?).args(["--only", model]).output()?;
    let told = String::from_utf8(output.stdout)?;
    serde_json::from_str(&told).map_err(|_| format!("{model}: {}", String::from_utf8_lossy(&output.stderr)).into())
}

fn measure(text: &str) -> Result<Row, Failed> {
    let (name, inputs, needs, files) = {
        let Subject { name, model, inputs } = Subject::load(text)?;
        let graph = model.describe();
        let layers: Vec<usize> = (0..graph.layers.len()).collect();
        let needs = graph.memory_of(&layers, &graph.inputs, &graph.outputs);
        (name, inputs, needs, model.whole_part()?.to_files()?)
    };
    let stage = Partition::from_files(&files)?.prepare()?;
    drop(files);
    for _ in 0..RUNS {
        stage.run(&inputs)?;
    }
    give_back();
    for _ in 0..RUNS {
        stage.run(&inputs)?;
    }
    let [resident_mib, program_mib, most_mib] = ["VmRSS:", "RssFile:", "VmHWM:"].map(status_mib);
    let needs_mib = needs.0 as f64 / MIB;
    Ok(Row { model: name, needs_mib, resident_mib: resident_mib?, program_mib: program_mib?, most_mib: most_mib? })
}

fn status_mib(key: &str) -> Result<f64, Failed> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let kib = status.lines().find_map(|line| line.strip_prefix(key)?.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    Ok(kib.ok_or_else(|| format!("the system does not tell {key}"))? / 1024.0)
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn give_back() {
    unsafe extern "C" {
        fn malloc_trim(pad: usize) -> i32;
    }
    // SAFETY: it takes a number, may be called at any time, and gives back only what is free.
    unsafe {
        malloc_trim(0);
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn give_back() {}
