//! `thalweg verify`: proves that a model can be cut.

use std::io::Write;

use clap::Args;
use serde::Serialize;
use thalweg_devices::{CutCheck, Model, check_cut, cuts};
use thalweg_planner::{Graph, Tensor};

use super::{Target, write_json};
use crate::run::{RunError, Subject};
use crate::show::Progress;
use crate::steps::Body;

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    target: Target,
    /// Print every cut as JSON.
    #[arg(long)]
    json: bool,
}

/// One cut, for programs.
#[derive(Serialize)]
struct CutRow {
    model: String,
    layers_below: usize,
    after: String,
    tensors: Vec<String>,
    bytes: u64,
    exact: bool,
    difference_max: f32,
}

pub(super) fn verify(args: &VerifyArgs, out: &mut dyn Write) -> Result<(), RunError> {
    let subject = args.target.load()?;
    let live_max = args.target.live_max;
    let mut models = Vec::new();
    for step in subject.steps.all() {
        if let Body::Model { model, graph, .. } = &step.body {
            let name = if step.name.is_empty() { &subject.name } else { &step.name };
            models.push((name, cut_everywhere(name, model, graph, &step.inputs, live_max)?));
        }
    }
    if models.iter().all(|(_, rows)| rows.is_empty()) {
        return Err(RunError::NoCut { model: subject.name, live_max });
    }
    for (name, rows) in models.iter().filter(|_| !args.json) {
        match &rows[..] {
            [] => writeln!(out, "{}", RunError::NoCut { model: (*name).clone(), live_max })?,
            rows => write_summary(out, &subject, name, rows)?,
        }
    }
    let rows: Vec<CutRow> = models.into_iter().flat_map(|(_, rows)| rows).collect();
    if args.json {
        write_json(out, &rows)?;
    }
    let wrong = rows.iter().filter(|row| !row.exact).count();
    if wrong == 0 { Ok(()) } else { Err(RunError::NotExact { model: subject.name, wrong, cuts: rows.len() }) }
}

/// Cuts a model wherever that can be done, with what went into it.
fn cut_everywhere(
    name: &str,
    model: &Model,
    graph: &Graph,
    inputs: &[Tensor],
    live_max: usize,
) -> Result<Vec<CutRow>, RunError> {
    let places = cuts(model, graph, live_max);
    if places.is_empty() {
        return Ok(Vec::new());
    }
    let whole = model.whole()?.run(inputs)?;
    let progress = Progress::start(&format!("cutting {name}"));
    let mut rows = Vec::with_capacity(places.len());
    let total = places.len();
    for (done, place) in places.into_iter().enumerate() {
        progress.set(done, total);
        rows.push(row(name, graph, check_cut(model, graph, place, inputs, &whole)?));
    }
    progress.finish();
    Ok(rows)
}

fn row(model: &str, graph: &Graph, check: CutCheck) -> CutRow {
    let tensors = || check.separator.live.iter().map(|tensor| &graph.tensors[*tensor]);
    CutRow {
        model: model.to_owned(),
        layers_below: check.separator.at,
        after: graph.layers[check.separator.at - 1].name.clone(),
        tensors: tensors().map(|tensor| tensor.name.clone()).collect(),
        bytes: tensors().map(|tensor| tensor.spec.bytes().0).sum(),
        exact: check.exact,
        difference_max: check.difference_max,
    }
}

fn write_summary(out: &mut dyn Write, subject: &Subject, name: &str, rows: &[CutRow]) -> Result<(), RunError> {
    for row in rows.iter().filter(|row| !row.exact) {
        let CutRow { layers_below, after, difference_max, .. } = row;
        writeln!(out, "cut {layers_below}, after {after}: differs by up to {difference_max:e}")?;
    }
    let inputs = if subject.pipeline.is_some() { "what goes into it in the pipeline" } else { "random input, seed 1" };
    let (exact, cuts) = (rows.iter().filter(|row| row.exact).count(), rows.len());
    let live_max = rows.iter().map(|row| row.tensors.len()).max().unwrap_or(0);
    writeln!(out, "{name}: {exact} of {cuts} cuts equal the whole bit for bit on {inputs}")?;
    let smallest = rows.iter().min_by_key(|row| row.bytes);
    if let Some(row) = smallest {
        let bytes = thalweg_planner::Bytes(row.bytes);
        writeln!(out, "up to {live_max} tensors cross; the smallest crossing is {bytes}, after {}", row.after)?;
    }
    Ok(())
}
