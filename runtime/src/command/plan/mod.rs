//! `thalweg plan`: the plan without running it, and what else the planner can be asked.

mod study;

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use thalweg_planner::SavedPlan;

use super::given::Given;
use super::prepare::{Prepared, prepare};
use super::{Beside, Target, check_writable, write_file, write_json};
use crate::run::{Drafts, EPOCH, RunError, Speed, choose, planned_report};
use crate::show::{table, timeline};
use study::Study;

#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    on: Beside,
    /// The topology file. Without it: the pipeline's.
    #[arg(long, value_name = "FILE")]
    topology: Option<PathBuf>,
    /// A profile that `thalweg profile` has written for this model, instead of measuring now.
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
    #[command(flatten)]
    given: Given,
    #[command(flatten)]
    study: Study,
    /// Write the plan into this file, for --plan.
    #[arg(long, value_name = "FILE.json")]
    save: Option<PathBuf>,
    /// Print JSON instead of tables.
    #[arg(long)]
    json: bool,
    /// Draw the predicted way of a request over the tiers into this SVG file; with --sweep or --pareto, their chart.
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
}

pub(super) fn plan(args: &PlanArgs, out: &mut dyn Write) -> Result<(), RunError> {
    for file in [&args.plot, &args.save].into_iter().flatten() {
        check_writable(file)?;
    }
    args.study.check()?;
    let prepared =
        prepare((&args.target, &args.on), args.topology.as_deref(), args.profile.as_deref(), Speed::Profiled)?;
    let plot = args.plot.as_deref();
    if args.study.is_apart() {
        return args.study.answer(&prepared, plot, args.json, out);
    }
    let Prepared { subject, graph, topology, objective, .. } = &prepared;
    let choice = choose(graph, topology, objective, args.given.plan(&prepared)?)?;
    let mut report = planned_report(subject, graph, topology, objective, &choice, Vec::new());
    report.explanation = args.study.explanation(&prepared, &choice.plan)?;
    if let Some(file) = plot {
        write_file(file, timeline(&report))?;
    }
    if let Some(file) = &args.save {
        let saved = SavedPlan::new(graph, topology, objective.answer_at, &subject.steps.hash_text(), &choice.plan);
        let mut text = Vec::new();
        write_json(&mut text, &saved)?;
        write_file(file, &text)?;
    }
    if subject.steps.backends().beside_cpu().is_some() {
        let computed_on = Drafts::new(subject, graph, topology, &choice.plan, EPOCH).computed_on()?;
        report.plan.set_computed_on(computed_on);
    }
    if args.json { write_json(out, &report) } else { Ok(write!(out, "{}", table(&report))?) }
}
