//! The fault laboratory: a device, an edge and a cloud as processes of their own, on emulated links, under load, while
//! something goes wrong.
//!
//! ```text
//! cargo test --release --workspace --test lab                    every row, briefly
//! cargo test --release --workspace --test lab -- --long          every row, for as long as it says
//! cargo test --release --workspace --test lab -- cut overload    some rows
//!     --seed NUMBER      what random faults are drawn from
//!     --report FILE.md   and as a table, for docs/faults.md
//!     --json FILE.json   and as JSON
//! ```
//! This program is also the one that it runs: called with a command of `thalweg` it is `thalweg`. So what is tried is
//! what was just built, whichever way it was built.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a program that people look at")]

mod load;
mod report;
mod rows;
mod site;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use report::Outcome;
use rows::Row;

/// How rows are run.
#[derive(Debug, Clone, Default)]
struct Settings {
    long: bool,
    seed: u64,
    only: Vec<String>,
    report: Option<PathBuf>,
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let is_thalweg =
        arguments.get(1).is_some_and(|first| ["node", "deploy", "try-part"].iter().any(|known| first == known));
    if is_thalweg {
        thalweg::memory::share_one_arena();
        tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
        let code = thalweg::command::command(arguments, &mut std::io::stdout(), &mut std::io::stderr());
        return code.into();
    }
    let settings = match settings(arguments.into_iter().skip(1)) {
        Ok(settings) => settings,
        Err(wrong) => {
            eprintln!("{wrong}");
            return 2.into();
        }
    };
    let rows =
        rows::ALL.iter().filter(|row| settings.only.is_empty() || settings.only.iter().any(|name| name == row.name));
    let outcomes: Vec<Outcome> = rows.map(|row| run(row, &settings)).collect();
    report::write(&outcomes, &settings);
    let failed = outcomes.iter().filter(|outcome| !outcome.kept(settings.long)).count();
    println!("\n{} rows, {failed} of them do not keep their mark", outcomes.len());
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(row: &Row, settings: &Settings) -> Outcome {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let mut outcome = Outcome::new(row.name, row.fault);
    if let Err(error) = runtime.block_on((row.run)(settings.clone(), &mut outcome)) {
        outcome.check("the row can be run", false, error);
    }
    println!("{outcome}");
    outcome
}

fn settings(arguments: impl Iterator<Item = OsString>) -> Result<Settings, String> {
    let mut settings = Settings { seed: 1, ..Settings::default() };
    let mut arguments = arguments.map(|argument| argument.to_string_lossy().into_owned());
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--long" => settings.long = true,
            "--seed" => settings.seed = value()?.parse().map_err(|_| "a seed is a number".to_owned())?,
            "--report" => settings.report = Some(value()?.into()),
            "--json" => settings.json = Some(value()?.into()),
            row if rows::ALL.iter().any(|known| known.name == row) => settings.only.push(argument),
            // What the test runner of Rust is asked to is not for this one.
            option if option.starts_with("--") => {}
            _ => {
                let known = rows::ALL.iter().map(|row| row.name).collect::<Vec<_>>().join(", ");
                return Err(format!("{argument} is no row: there are {known}"));
            }
        }
    }
    Ok(settings)
}
