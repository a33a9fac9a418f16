//! The program `thalweg`.

use std::io::{stderr, stdout};
use std::process::ExitCode;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

fn main() -> ExitCode {
    thalweg::memory::share_one_arena();
    let wanted = std::env::var("THALWEG_LOG").ok().and_then(|text| text.parse::<Targets>().ok());
    // The engine warns of what only its own developers can act on.
    let quiet = || Targets::new().with_default(tracing::Level::WARN).with_target("tract", tracing::Level::ERROR);
    let lines = tracing_subscriber::fmt::layer().with_writer(stderr);
    tracing_subscriber::registry().with(lines).with(wanted.unwrap_or_else(quiet)).init();
    ExitCode::from(thalweg::command::command(std::env::args_os(), &mut stdout().lock(), &mut stderr()))
}
