//! `thalweg run`: the main job.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::given::Given;
use super::prepare::{Prepared, prepare};
use super::{Target, check_writable, write_file, write_json};
use crate::run::report::Report;
use crate::run::study::replanned;
use crate::run::{Choice, Deployment, RunError, Speed, choose, emulated, measure, planned_report, run_report};
use crate::show::{Progress, table, timeline};

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    target: Target,
    /// The topology file. Without it: the pipeline's.
    #[arg(long, value_name = "FILE")]
    topology: Option<PathBuf>,
    #[command(flatten)]
    given: Given,
    /// Print JSON instead of tables.
    #[arg(long)]
    json: bool,
    /// Draw the request's way over the tiers into this SVG file.
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// How often each placement is run; the median counts.
    #[arg(long, value_name = "COUNT", default_value_t = 5, value_parser = clap::value_parser!(u16).range(3..))]
    rounds: u16,
}

/// What requests that are under way get before the nodes end.
const GRACE: Duration = Duration::from_secs(1);

pub(super) fn run(args: &RunArgs, out: &mut dyn Write) -> Result<(), RunError> {
    args.plot.as_deref().map_or(Ok(()), check_writable)?;
    let prepared = prepare(&args.target, args.topology.as_deref(), None, Speed::Shown)?;
    let choice = choose(&prepared.graph, &prepared.topology, &prepared.objective, args.given.plan(&prepared)?)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(RunError::Runtime)?;
    let report = runtime.block_on(run_placements(&prepared, &choice, args.rounds.into()))?;
    if let Some(file) = &args.plot {
        write_file(file, &timeline(&report))?;
    }
    if args.json { write_json(out, &report) } else { Ok(write!(out, "{}", table(&report))?) }
}

async fn run_placements(prepared: &Prepared, choice: &Choice, rounds_max: usize) -> Result<Report, RunError> {
    let Prepared { subject, reference, places, graph, topology, objective } = prepared;
    let plans = choice.placements();
    let mut deployment = Deployment::start(subject, graph, topology, places)?;
    let ids = plans.iter().map(|plan| deployment.install(plan)).collect::<Result<Vec<_>, _>>()?;
    // A baseline can be the very plan: it is run once, for both.
    let first = |index: usize| ids.iter().position(|id| *id == ids[index]).unwrap_or(index);
    let once: Vec<usize> = (0..ids.len()).filter(|index| first(*index) == *index).collect();
    let turns: Vec<_> = once.iter().map(|index| (ids[*index], plans[*index].latency)).collect();
    deployment.join().await?;
    let progress = Progress::start("running every placement");
    let report_progress = |done, total| progress.set(done, total);
    let measured = measure(&deployment, &turns, &subject.inputs, subject.deadline(), rounds_max, report_progress).await;
    progress.finish();
    let shown = |index| measured[once.binary_search(&first(index)).unwrap_or_default()].clone();
    let measured = (0..ids.len()).map(shown).collect();
    deployment.stop(GRACE).await;
    let emulated = emulated(places, reference);
    let mut report = planned_report(subject, graph, topology, objective, choice, emulated);
    run_report(&mut report, subject, graph, choice, measured)?;
    report.replanned = replanned(graph, topology, objective, &choice.plan, &report.plan.tiers);
    Ok(report)
}
