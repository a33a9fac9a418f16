//! The regret experiment: is the plan the best that could have been done? `cargo bench --bench regret`
//!
//! For each model, device and link, the model is planned over a device and a server, and then every cut is run for real
//! on the emulated topology, and beside them everything in one place. Only what cannot be the fastest is left out:
//! where what the emulation enforces (the device's time, bytes over bandwidth, delays) is more than the fastest took so
//! far. What is compared is measured: the latency of the plan against that of the fastest of all. The server is this
//! machine as it is; a device takes at least the time that its profile says.
//!
//! `cargo bench --bench regret -- [--json FILE] [--only PART] [--inputs-stay] [TARGET]...` takes pipelines or ONNX
//! files, by default those of `benches/regret/models`; with `--only` those whose name has PART in it; with
//! `--inputs-stay` nothing counts that sends inputs to the server. The tables are Markdown.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod cell;
mod grid;
mod table;

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use thalweg::run::{Subject, measure_steps};
use thalweg_devices::profile::Effort;
use thalweg_devices::{Shapes, this_machine};
use thalweg_modules::signature::Trust;
use thalweg_planner::LIVE_MAX;

type Failure = Box<dyn Error>;

/// More prefixes than a run takes: here the question is what planning is worth, not how little measuring is enough.
const EFFORT: Effort = Effort { prefixes_max: 48, ..Effort::QUICK };

struct Arguments {
    json: Option<PathBuf>,
    inputs_stay: bool,
    targets: Vec<PathBuf>,
}

fn main() -> Result<(), Failure> {
    let arguments = arguments()?;
    let reference = this_machine()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut cells = Vec::new();
    for target in &arguments.targets {
        let subject = Subject::load(target, &Shapes::new(), Trust::own())?;
        let times = measure_steps(&subject, EFFORT, LIVE_MAX, |_| None, |_, _| {})?;
        for device in grid::DEVICES {
            for link in grid::LINKS {
                let world = grid::World::new(&subject, &times, &reference, device, link, arguments.inputs_stay)?;
                let cell = runtime.block_on(cell::measure(&world))?;
                eprintln!("{}", table::line(&cell));
                cells.push(cell);
            }
        }
    }
    if let Some(file) = &arguments.json {
        fs::write(file, serde_json::to_string_pretty(&cells)?)?;
    }
    print!("{}", table::markdown(&cells));
    Ok(())
}

/// What stands after `--`; cargo adds `--bench`.
fn arguments() -> Result<Arguments, Failure> {
    let mut arguments = Arguments { json: None, inputs_stay: false, targets: Vec::new() };
    let (mut only, mut given) = (String::new(), std::env::args().skip(1));
    while let Some(argument) = given.next() {
        let mut value = || given.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--bench" => {}
            "--json" => arguments.json = Some(value()?.into()),
            "--inputs-stay" => arguments.inputs_stay = true,
            "--only" => only = value()?,
            _ => arguments.targets.push(argument.into()),
        }
    }
    if arguments.targets.is_empty() {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/regret/models");
        let files = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path()));
        arguments.targets = files.collect::<Result<_, _>>()?;
        arguments.targets.sort();
    }
    arguments.targets.retain(|target| target.to_string_lossy().contains(&only));
    Ok(arguments)
}
