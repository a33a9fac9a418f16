//! Who may know what: each big dependency is named in few files, and crates that decide name nothing of the world.

use super::scan::{Source, identifiers};
use super::{Fault, PURE};

/// A dependency, and the beginnings of the paths that may name it.
const CONFINED: [(&str, &[&str]); 5] = [
    ("tract", &["devices/"]),
    (
        "quinn",
        &[
            "runtime/src/link",
            "runtime/src/emulate/socket.rs",
            "runtime/src/emulate/flight.rs",
            "runtime/benches/",
            "tests/emulation.rs",
        ],
    ),
    ("ort", &["devices/src/onnxruntime"]),
    ("bincode", &["runtime/flow/src/wire"]),
    ("wasmtime", &["modules/src/sandbox"]),
];

/// What pure crates do not name, and what they do instead.
const WORLD: [(&str, &str); 5] = [
    ("Instant", "take `now` as an argument"),
    ("SystemTime", "take `now` as an argument"),
    ("HashMap", "its order differs from run to run: use BTreeMap"),
    ("HashSet", "its order differs from run to run: use BTreeSet"),
    ("tokio", "it belongs to the runtime"),
];

/// The clock of day may be wrong by years: nothing depends on it. One command looks whether it is.
const CLOCK_OF_DAY: (&str, &str) = ("SystemTime", "runtime/src/command/doctor.rs");

/// Modules of the standard library that pure crates do not use.
const WORLD_MODULES: [&str; 5] = ["fs", "net", "env", "process", "thread"];

/// Big dependencies can be replaced, because few files know them.
pub(super) fn confined(source: &Source) -> Vec<Fault> {
    let foreign = CONFINED.iter().filter(|(_, homes)| !homes.iter().any(|home| source.path.starts_with(home)));
    let faults = foreign.flat_map(|(name, homes)| {
        let uses = source.code.lines().enumerate().filter(move |(_, line)| uses_crate(line, name));
        uses.map(move |(at, _)| source.fault(at, format!("names `{name}`: only {} may", homes.join(", "))))
    });
    faults.collect()
}

/// Pure crates read no clock, file, socket or environment, and nothing whose order is chance. Their benchmarks may.
pub(super) fn pure(source: &Source) -> Vec<Fault> {
    let source_of = |folder: &str| source.path.strip_prefix(folder).is_some_and(|path| path.contains("/src/"));
    if !PURE.iter().any(|folder| source_of(folder)) {
        return vec![];
    }
    let code = source.code.lines().enumerate();
    let found =
        code.flat_map(|(at, line)| identifiers(line).filter_map(move |found| Some((at, found.1, advice(found)?))));
    found.map(|(at, name, advice)| source.fault(at, format!("names `{name}` in a pure crate: {advice}"))).collect()
}

/// Nothing reads the clock of day.
pub(super) fn no_clock_of_day(source: &Source) -> Vec<Fault> {
    let (name, home) = CLOCK_OF_DAY;
    let lines = source.code.lines().enumerate().filter(|(_, line)| identifiers(line).any(|(_, word, _)| word == name));
    let faults = lines.map(|(at, _)| source.fault(at, format!("names `{name}`: only {home} may, take spans of time")));
    if source.path == home { vec![] } else { faults.collect() }
}

fn advice((before, name, after): (&str, &str, &str)) -> Option<&'static str> {
    let module = after.starts_with("::") || before.ends_with("std::");
    if module && WORLD_MODULES.contains(&name) {
        return Some("it belongs to the runtime, take what it says as an argument");
    }
    WORLD.iter().find(|(word, _)| *word == name).map(|(_, advice)| *advice)
}

/// Whether a line reaches into the crate, or into one of its family such as `quinn_proto` for `quinn`.
fn uses_crate(line: &str, name: &str) -> bool {
    let of_family = |word: &str| word.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'));
    let imported = line.trim_start().starts_with("use ");
    identifiers(line).any(|(_, word, after)| of_family(word) && (imported || after.starts_with("::")))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::super::check;
    use super::*;

    #[test]
    fn a_dependency_away_from_home_is_found() {
        let text =
            "//! Not tract::Model.\nuse tract_onnx;\nlet tract_version = quinn_proto::VERSION;\nbincode::decode();\n";
        check(
            confined,
            "planner/src/a.rs",
            text,
            &expect![[r#"
                planner/src/a.rs:2: names `tract`: only devices/ may
                planner/src/a.rs:3: names `quinn`: only runtime/src/link, runtime/src/emulate/socket.rs, runtime/src/emulate/flight.rs, runtime/benches/, tests/emulation.rs may
                planner/src/a.rs:4: names `bincode`: only runtime/flow/src/wire may
            "#]],
        );
        check(confined, "devices/src/onnx.rs", "use tract_onnx::prelude::Graph;\n", &expect![""]);
    }

    #[test]
    fn a_look_at_the_clock_of_day_is_found() {
        let text = "let now = SystemTime::now();\n";
        check(
            no_clock_of_day,
            "runtime/src/node.rs",
            text,
            &expect![[r#"
                runtime/src/node.rs:1: names `SystemTime`: only runtime/src/command/doctor.rs may, take spans of time
            "#]],
        );
        check(no_clock_of_day, "runtime/src/command/doctor.rs", text, &expect![""]);
    }

    #[test]
    fn the_world_in_a_pure_crate_is_found() {
        let text = "use std::{env, time::Instant};\nlet a = fs::read(\"fs::read\");\nuse std::net;\nlet fs = env!(\"A\");\n\
                    let map = HashMap::new();\nlet home = env::var(\"HOME\");\n";
        check(
            pure,
            "runtime/codec/src/a.rs",
            text,
            &expect![[r#"
                runtime/codec/src/a.rs:1: names `Instant` in a pure crate: take `now` as an argument
                runtime/codec/src/a.rs:2: names `fs` in a pure crate: it belongs to the runtime, take what it says as an argument
                runtime/codec/src/a.rs:3: names `net` in a pure crate: it belongs to the runtime, take what it says as an argument
                runtime/codec/src/a.rs:5: names `HashMap` in a pure crate: its order differs from run to run: use BTreeMap
                runtime/codec/src/a.rs:6: names `env` in a pure crate: it belongs to the runtime, take what it says as an argument
            "#]],
        );
        check(pure, "runtime/src/a.rs", text, &expect![""]);
    }
}
