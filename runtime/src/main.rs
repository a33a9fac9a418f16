//! The program `thalweg`.

use std::io::{stderr, stdout};
use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    thalweg::memory::share_one_arena();
    let filter = EnvFilter::try_from_env("THALWEG_LOG").unwrap_or_else(|_| EnvFilter::new("warn,tract=error"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).init();
    ExitCode::from(thalweg::command::command(std::env::args_os(), &mut stdout().lock(), &mut stderr()))
}
