//! `thalweg run`: the main job.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde::de::IgnoredAny;
use thalweg_modules::{numpy, outline};
use thalweg_planner::Tensor;

use super::given::Given;
use super::prepare::{Prepared, prepare};
use super::{Beside, Target, check_writable, write_file, write_json};
use crate::run::report::Report;
use crate::run::study::replanned;
use crate::run::{Choice, Deployment, RunError, Speed, Subject, choose, emulated, measure, planned_report, run_report};
use crate::show::{Progress, table, timeline};

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    on: Beside,
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
    /// Draw the boxes of the answer onto the photo, into this PNG file, as the pipeline's [draw] says.
    #[arg(long, value_name = "FILE.png")]
    draw: Option<PathBuf>,
    /// Write each answer into this folder: texts as .json or .txt, others as .npy.
    #[arg(long, value_name = "FOLDER")]
    answers: Option<PathBuf>,
    /// How often each placement is run; the median counts.
    #[arg(long, value_name = "COUNT", default_value_t = 5, value_parser = clap::value_parser!(u16).range(3..))]
    rounds: u16,
}

/// What requests that are under way get before the nodes end.
const GRACE: Duration = Duration::from_secs(1);

pub(super) fn run(args: &RunArgs, out: &mut dyn Write) -> Result<(), RunError> {
    args.plot.as_deref().map_or(Ok(()), check_writable)?;
    args.draw.as_deref().map_or(Ok(()), check_writable)?;
    let prepared = prepare((&args.target, &args.on), args.topology.as_deref(), None, Speed::Shown)?;
    check(args, &prepared.subject)?;
    let choice = choose(&prepared.graph, &prepared.topology, &prepared.objective, args.given.plan(&prepared)?)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(RunError::Runtime)?;
    let (report, answers) = runtime.block_on(run_placements(&prepared, &choice, args.rounds.into()))?;
    if let Some(file) = &args.draw {
        draw(&prepared.subject, &answers, file)?;
    }
    if let Some(folder) = &args.answers {
        save(&prepared.subject, &answers, folder)?;
    }
    if let Some(file) = &args.plot {
        write_file(file, timeline(&report))?;
    }
    if args.json { write_json(out, &report) } else { Ok(write!(out, "{}", table(&report))?) }
}

async fn run_placements(
    prepared: &Prepared,
    choice: &Choice,
    rounds_max: usize,
) -> Result<(Report, Vec<Tensor>), RunError> {
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
    let computed_on = subject.steps.backends().beside_cpu().map(|_| deployment.computed_on(&choice.plan));
    deployment.stop(GRACE).await;
    let emulated = emulated(places, reference);
    let mut report = planned_report(subject, graph, topology, objective, choice, emulated);
    let answers = run_report(&mut report, subject, graph, choice, measured)?;
    report.plan.set_computed_on(computed_on.unwrap_or_default());
    report.replanned = replanned(graph, topology, objective, &choice.plan, &report.plan.tiers);
    Ok((report, answers))
}

/// Refuses what could not be drawn or written once everything was run.
fn check(args: &RunArgs, subject: &Subject) -> Result<(), RunError> {
    if args.draw.is_some() && subject.drawn.is_none() {
        return Err(RunError::NothingToDraw { name: subject.name.clone() });
    }
    let Some(folder) = &args.answers else { return Ok(()) };
    fs::create_dir_all(folder).map_err(|cause| RunError::Unwritable { file: folder.clone(), cause })?;
    let mut names: Vec<String> = subject.steps.outputs().iter().map(|port| stem(&port.name)).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(RunError::SameFile { file: folder.join(&pair[0]) }),
        None => Ok(()),
    }
}

fn draw(subject: &Subject, answers: &[Tensor], file: &Path) -> Result<(), RunError> {
    let drawn = subject.drawn.as_ref().and_then(|drawn| Some((&drawn.photo, answers.get(drawn.boxes)?)));
    let (photo, boxes) = drawn.ok_or_else(|| RunError::NothingToDraw { name: subject.name.clone() })?;
    write_file(file, outline::outlined(photo, boxes)?)
}

/// Each answer in a file of its name: a text as it was written, anything else as an array.
fn save(subject: &Subject, answers: &[Tensor], folder: &Path) -> Result<(), RunError> {
    for (port, answer) in subject.steps.outputs().iter().zip(answers) {
        let text = subject.steps.text(port, answer);
        let is_json = |text: &str| serde_json::from_str::<IgnoredAny>(text).is_ok();
        let (end, bytes) = match text {
            Some(text) => (if is_json(text) { "json" } else { "txt" }, text.as_bytes().to_vec()),
            None => {
                let (name, spec) = (port.name.clone(), answer.spec().clone());
                ("npy", numpy::write(answer).ok_or(RunError::NotNumpy { name, spec })?)
            }
        };
        write_file(&folder.join(stem(&port.name)).with_added_extension(end), bytes)?;
    }
    Ok(())
}

/// What an answer's file is called.
fn stem(name: &str) -> String {
    name.replace(['/', ':', '\\'], "_")
}
