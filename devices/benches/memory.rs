//! What models keep resident on the CPU, beside what they need: their weights, and the tensors that exist at once at most.
//!
//! `cargo bench -p thalweg-devices --bench memory` prints a row a model: a process writes it as a part, and another one reads its
//! files, prepares it and runs it; then gives back what it has freed, as a node does, and runs it again. `--json` prints the same
//! as JSON. Models are `FILE.onnx`, or `FILE.onnx@INPUT=SIZES;INPUT=SIZES`, in place of those of the repository. Linux only.
#![allow(clippy::print_stdout)]
#![cfg_attr(target_os = "linux", expect(unsafe_code, reason = "the C library has no safe interface to its allocator"))]

#[allow(dead_code, unused_imports, reason = "another bench uses more of it")]
mod subject;

use std::path::Path;
use std::process::Command;
use std::{env, fs, process};

use serde::{Deserialize, Serialize};
use subject::{Failed, MODELS, Subject, noise};
use thalweg_devices::{PartFile, Partition};
use thalweg_planner::Tensor;

/// Runs before and after what was freed is given back.
const RUNS: usize = 10;

const MIB: f64 = (1 << 20) as f64;

#[derive(Serialize, Deserialize)]
struct Row {
    model: String,
    /// Weights, as large as they are where the part is ready to run, and the tensors that exist at once.
    needs_mib: f64,
    /// All that is resident where its part runs, and what of it is the program itself.
    resident_mib: f64,
    program_mib: f64,
    /// What it had most, while it loaded the part.
    most_mib: f64,
}

fn main() -> Result<(), Failed> {
    let (mut json, mut models) = (false, Vec::new());
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let told = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--write", folder, model] => Some(serde_json::to_string(&write(folder.as_ref(), model)?)?),
        ["--run", folder] => Some(serde_json::to_string(&run(folder.as_ref())?)?),
        _ => None,
    };
    if let Some(told) = told {
        println!("{told}");
        return Ok(());
    }
    for argument in arguments {
        if argument == "--json" { json = true } else { models.push(argument) }
    }
    if models.is_empty() {
        models.extend(MODELS.map(subject::of_repository));
    }
    let rows = models.iter().map(|model| measure(model)).collect::<Result<Vec<Row>, Failed>>()?;
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

fn measure(text: &str) -> Result<Row, Failed> {
    let folder = env::temp_dir().join(format!("thalweg-memory-{}", process::id()));
    fs::create_dir_all(&folder)?;
    let path = folder.to_string_lossy().into_owned();
    let measured = apart(&["--write", &path, text]).and_then(|wrote| Ok((wrote, apart(&["--run", &path])?)));
    fs::remove_dir_all(&folder)?;
    let ((model, needs_mib), [resident_mib, program_mib, most_mib]) = measured?;
    Ok(Row { model, needs_mib, resident_mib, program_mib, most_mib })
}

/// What this program tells in a process of its own.
fn apart<T: for<'a> Deserialize<'a>>(arguments: &[&str]) -> Result<T, Failed> {
    let output = Command::new(env::current_exe()?).args(arguments).output()?;
    let failed = |_| format!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout).map_err(failed)?)
}

/// Writes a model as a part: its name, and what it needs.
fn write(folder: &Path, text: &str) -> Result<(String, f64), Failed> {
    let Subject { name, model, .. } = Subject::load(text)?;
    let graph = model.describe();
    let layers: Vec<usize> = (0..graph.layers.len()).collect();
    for PartFile { name, bytes } in model.whole_part()?.to_files()? {
        fs::write(folder.join(name), bytes)?;
    }
    Ok((name, graph.memory_of(&layers, &graph.inputs, &graph.outputs).0 as f64 / MIB))
}

/// Runs a part: what is resident then, what of it is the program, and what was most.
fn run(folder: &Path) -> Result<[f64; 3], Failed> {
    let file = |entry: std::io::Result<fs::DirEntry>| -> Result<PartFile, Failed> {
        let entry = entry?;
        Ok(PartFile { name: entry.file_name().to_string_lossy().into_owned(), bytes: fs::read(entry.path())? })
    };
    let files = fs::read_dir(folder)?.map(file).collect::<Result<Vec<_>, _>>()?;
    let stage = Partition::from_files(&files)?.prepare()?;
    drop(files);
    let inputs: Vec<Tensor> = stage.takes().map(noise).collect();
    for _ in 0..RUNS {
        stage.run(&inputs)?;
    }
    give_back();
    for _ in 0..RUNS {
        stage.run(&inputs)?;
    }
    let [resident_mib, program_mib, most_mib] = ["VmRSS:", "RssFile:", "VmHWM:"].map(status_mib);
    Ok([resident_mib?, program_mib?, most_mib?])
}

fn status_mib(key: &str) -> Result<f64, Failed> {
    let status = fs::read_to_string("/proc/self/status")?;
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
