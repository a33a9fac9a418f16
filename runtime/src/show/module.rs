//! Task modules: what one is, what it takes, and which come with the program.

use thalweg_modules::own::Own;
use thalweg_planner::Bytes;

use super::figures::{count, lines, ms, number, short, wrapped};
use super::grid::{INDENT, WIDTH, fitted, grid};
use crate::module::{DescriptionRow, PortRow, Sheet, Signed, Timing};

/// The longest name or path that is shown in full.
const NAME_CHARS: usize = 80;

/// How wide a sentence about a module is, beside its name, version and size.
const SENTENCE_CHARS: usize = 60;

/// What a module is, in lines of at most 100 columns, but for its schema.
pub fn sheet_table(sheet: &Sheet) -> String {
    let described = sheet.description.as_ref();
    let mut facts = vec![("module", short(&sheet.module, NAME_CHARS))];
    if let Some(description) = described {
        facts.push(("name", format!("{} {}", description.name, description.version)));
    }
    facts.push(("size", Bytes(sheet.bytes).to_string()));
    facts.push(("BLAKE3", sheet.blake3.clone()));
    facts.push(("signed by", signed(sheet)));
    if let Some(description) = described {
        facts.push(("takes", format!("{} ns a byte of input, it says", number(description.nanoseconds_per_byte, 1))));
    }
    let mut blocks = vec![aligned(&facts)];
    if !sheet.imports.is_empty() {
        let granted = |by_default| if by_default { "yes" } else { "no" }.to_owned();
        let row = |width| {
            let rows = sheet.imports.iter().map(|import| vec![short(&import.name, width), granted(import.by_default)]);
            grid(&["asks for", "granted by default"], &[0, 1], rows.collect())
        };
        blocks.push(fitted(NAME_CHARS, 8, row));
    }
    if !sheet.exports.is_empty() {
        let exports = sheet.exports.iter().map(|export| short(export, NAME_CHARS));
        let exports = lines(exports, ", ", WIDTH - INDENT.len() - "gives  ".len()).join("\n         ");
        blocks.push(aligned(&[("gives", exports)]));
    }
    blocks.extend(described.map(description_table));
    blocks.join("\n")
}

fn description_table(description: &DescriptionRow) -> String {
    let ports = |title, ports: &[PortRow]| match ports {
        [] => String::new(),
        ports => {
            let rows = ports.iter().map(|port| vec![port.name.clone(), port.spec.clone()]).collect();
            grid(&[title, "type and shape"], &[0, 1], rows) + "\n"
        }
    };
    let schema = format!("{:#}", description.settings_schema);
    // A line that is cut would not be JSON any more, and whoever writes settings needs all of them.
    let schema: String = schema.lines().map(|line| format!("{INDENT}{}\n", short(line, usize::MAX))).collect();
    let (inputs, outputs) = (ports("input", &description.inputs), ports("output", &description.outputs));
    format!("{inputs}{outputs}{INDENT}schema of its settings\n{schema}")
}

fn signed(sheet: &Sheet) -> String {
    let key = sheet.key.as_deref().unwrap_or("an unknown key");
    match sheet.signed {
        Signed::Own => "nobody: it comes with the program".to_owned(),
        Signed::No => "nobody".to_owned(),
        Signed::Trusted => format!("{key}, who is trusted"),
        Signed::Stranger => format!("{key}, who is not trusted"),
        Signed::Broken => format!("{key}, but changed since then"),
    }
}

/// What a module takes, in lines of at most 100 columns.
pub fn timing_table(timing: &Timing) -> String {
    let specs = |specs: &[String]| match specs {
        [] => "nothing".to_owned(),
        specs => short(&specs.join(", "), NAME_CHARS),
    };
    aligned(&[
        ("module", format!("{} {}", timing.name, timing.version)),
        ("in", specs(&timing.inputs)),
        ("out", specs(&timing.outputs)),
        (
            "call",
            format!(
                "{} median, {} at the 99th percentile of {}",
                time(timing.call_ms_median),
                time(timing.call_ms_p99),
                count(timing.calls, "call")
            ),
        ),
        ("start", format!("{} an instance with its settings", time(timing.start_ms))),
        ("load", format!("{} to check and compile it", ms(timing.load_ms))),
        ("memory", format!("{} at most", Bytes(timing.memory_bytes))),
        (
            "copied",
            format!(
                "{} in {} of the host, each call",
                Bytes(timing.copied_bytes),
                count(timing.host_calls as usize, "call")
            ),
        ),
    ])
}

/// Milliseconds with three significant digits; microseconds where they are few.
fn time(value: f64) -> String {
    match value {
        few if few < 0.009_995 => format!("{} µs", number(few * 1e3, 2)),
        few if few < 0.9995 => format!("{} µs", number(few * 1e3, 0)),
        value => ms(value),
    }
}

/// The modules that come with the program, a row each, in lines of at most 100 columns.
pub fn own_table(all: &[Own]) -> String {
    let row = |own: &Own| {
        let size = Bytes(own.component.len() as u64).to_string();
        vec![own.name.to_owned(), own.version.to_owned(), size, wrapped(own.does, SENTENCE_CHARS).join("\n")]
    };
    grid(&["name", "version", "size", "what it does"], &[0, 1, 3], all.iter().map(row).collect())
}

/// A line a fact, the texts below each other.
fn aligned(facts: &[(&str, String)]) -> String {
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    facts.iter().map(|(name, text)| format!("{INDENT}{name:width$}  {text}\n")).collect()
}
