//! What the feature codec keeps of four models' answers, beside its neighbours: `cargo bench --workspace --bench marks`
//!
//! `-- [PART]...` measures only these parts, `-- --cuts` lists where the models of the parts can be cut. Codebooks are
//! fitted to some samples and everything is measured on others. The tables are Markdown; `docs/codec.md` holds them.
//! What is not in the repository is looked for in a folder `shared` beside it, and a part that lacks it says so.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod boxes;
mod cut;
mod data;
mod descent;
mod detect;
mod embeddings;
mod fitting;
mod measure;
mod neighbours;
mod photos;
mod regions;
mod scenes;
mod table;
mod text;

use std::error::Error;

use thalweg::calibrate::in_parallel;

type Failure = Box<dyn Error + Send + Sync>;

/// Measures one part, or lists its cuts.
type Part = fn(bool) -> Result<(), Failure>;

const PARTS: [(&str, Part); 4] = [
    ("photos", photos::measure),
    ("boxes", boxes::measure),
    ("text", text::measure),
    ("embeddings", embeddings::measure),
];

fn main() -> Result<(), Failure> {
    // Cargo adds `--bench`.
    let given: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let only_cuts = given.iter().any(|argument| argument == "--cuts");
    let named: Vec<&String> = given.iter().filter(|argument| *argument != "--cuts").collect();
    if let Some(unknown) = named.iter().find(|name| PARTS.iter().all(|(part, _)| part != **name)) {
        let parts: Vec<&str> = PARTS.iter().map(|(part, _)| *part).collect();
        return Err(format!("there is no part {unknown}: write {} or nothing for all", parts.join(", ")).into());
    }
    for (name, part) in PARTS {
        if named.is_empty() || named.iter().any(|named| *named == name) {
            part(only_cuts)?;
        }
    }
    Ok(())
}

/// The machine that the tables in `docs` are from has two cores.
const THREADS: usize = 2;

/// Does the same to everything on [`THREADS`] threads; the results stand in the order of what they are of.
fn both_cores<T: Sync, R: Send>(
    all: &[T],
    make: impl Fn(usize, &T) -> Result<R, Failure> + Sync,
) -> Result<Vec<R>, Failure> {
    in_parallel(all.len(), THREADS, |at| make(at, &all[at]), |_| {})
}
