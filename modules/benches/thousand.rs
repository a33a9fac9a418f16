//! A thousand different modules on one node: how long until all are loaded, what memory they take, and what threads.
//!
//! The modules are those of the repository in turn, each with a section of its own: so no two have the same bytes, and
//! nothing of them is shared. One process compiles them and keeps them in a cache; another one starts from that cache,
//! as a node does that was restarted, and then starts an instance of each. Prints Markdown.
//!
//! `cargo bench -p thalweg-modules --bench thousand`, or with `-- COUNT` another number of modules.

#![allow(clippy::print_stdout, reason = "the figures")]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use thalweg_modules::own;
use thalweg_modules::sandbox::{Cache, Grants, Limit, Limits, Machine, Module, Sandbox};
use thalweg_modules::signature::{SigningKey, Trust};

#[allow(dead_code, clippy::unwrap_used, reason = "those of the tests, which use more of it")]
#[path = "../tests/guests/cases.rs"]
mod cases;

const COUNT: usize = 1000;

const LIMITS: Limits = Limits { time_ms: Limit::of::<60_000>(), ..Limits::RECOMMENDED };

/// What this process has, as Linux says it.
#[derive(Clone, Copy)]
struct Process {
    /// Memory that is resident.
    resident: u64,
    threads: u64,
}

impl Process {
    fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").expect("Linux");
        let number = |key| {
            let line = status.lines().find_map(|line| line.strip_prefix(key)).expect("a number");
            line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number")
        };
        Self { resident: number("VmRSS:") << 10, threads: number("Threads:") }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [count, folder, phase] = arguments.as_slice() {
        return run(count.parse().expect("a number"), Path::new(folder), phase == "compiled");
    }
    let count = arguments.first().map_or(COUNT, |count| count.parse().expect("a number of modules"));
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("cache")).expect("a folder");
    let (_, pkcs8) = SigningKey::generate().expect("random numbers");
    fs::write(folder.path().join("key"), pkcs8).expect("a file");
    println!("| {count} modules | time | each | resident | each | threads |\n|---|---|---|---|---|---|");
    for phase in ["compiled", "from the cache"] {
        let program = std::env::current_exe().expect("this program");
        let process = Command::new(program).arg(count.to_string()).arg(folder.path()).arg(phase).status();
        assert!(process.expect("a process").success());
    }
}

/// One process: loads all modules, which it compiles or finds compiled.
fn run(count: usize, folder: &Path, compiled: bool) {
    let key = SigningKey::from_pkcs8(&fs::read(folder.join("key")).expect("the key")).expect("a key");
    let started = Instant::now();
    let cache = Cache::new(folder.join("cache"), key);
    let sandbox = Sandbox::open_with_cache(Machine::probe(), Trust::Everyone, cache).expect("a sandbox");
    let before = Process::now();
    let modules: Vec<Module> = (0..count).map(|number| load(&sandbox, number)).collect();
    let what = if compiled { "compiled, and kept" } else { "loaded from the cache" };
    row(count, what, started, before);
    if compiled {
        return;
    }
    let settings: Vec<String> = own::ALL.iter().map(|own| cases::of(own.name).swap_remove(0).settings).collect();
    let (started, before) = (Instant::now(), Process::now());
    let start = |(module, settings): (&Module, &String)| module.start(&LIMITS, settings).expect("an instance");
    let instances: Vec<_> = modules.iter().zip(settings.iter().cycle()).map(start).collect();
    row(count, "an instance of each, configured", started, before);
    drop(instances);
}

/// The module of this number.
fn load(sandbox: &Sandbox, number: usize) -> Module {
    let own = &own::ALL[number % own::ALL.len()];
    // A custom section: its length, that of its name, a name, and eight bytes.
    let section = [b"\0\x0b\x02no".as_slice(), &(number as u64).to_le_bytes()].concat();
    let component = [own.component, &section].concat();
    sandbox.load(own.name, &component, &Grants::default(), &LIMITS).expect("a module")
}

fn row(count: usize, what: &str, started: Instant, before: Process) {
    let (seconds, now) = (started.elapsed().as_secs_f64(), Process::now());
    let mib = now.resident.saturating_sub(before.resident) as f64 / f64::from(1 << 20);
    let each = (seconds * 1e3 / count as f64, mib * 1024.0 / count as f64);
    println!(
        "| {what} | {seconds:.2} s | {:.2} ms | {mib:.0} MiB more | {:.0} KiB | {} before, {} after |",
        each.0, each.1, before.threads, now.threads
    );
}
