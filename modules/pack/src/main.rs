//! `thalweg-pack ROOT GUEST CORE COMPONENT`: makes a component of the core module that was compiled of a guest.

#![allow(clippy::print_stdout, reason = "the command line")]

use std::path::Path;
use std::process::ExitCode;

use thalweg_pack::pack_file;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [root, guest, core, component] = arguments.as_slice() else {
        eprintln!("usage: thalweg-pack ROOT GUEST CORE COMPONENT");
        return ExitCode::FAILURE;
    };
    match pack_file(Path::new(root), Path::new(guest), Path::new(core), Path::new(component)) {
        Ok(hash) => {
            println!("{component}: sources {}", hash.to_hex());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
