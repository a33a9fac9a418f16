//! `thalweg plan`: the plan without running it.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::prepare::{Prepared, prepare};
use super::{Target, check_writable, write_file, write_json};
use crate::run::{RunError, Speed, choose, planned_report};
use crate::show::{table, timeline};

#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    target: Target,
    /// The topology file. Without it: the pipeline's.
    #[arg(long, value_name = "FILE")]
    topology: Option<PathBuf>,
    /// A profile that `thalweg profile` has written for this model, instead of measuring now.
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
    /// Print JSON instead of tables.
    #[arg(long)]
    json: bool,
    /// Draw the predicted way of a request over the tiers into this SVG file.
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
}

pub(super) fn plan(args: &PlanArgs, out: &mut dyn Write) -> Result<(), RunError> {
    args.plot.as_deref().map_or(Ok(()), check_writable)?;
    let prepared = prepare(&args.target, args.topology.as_deref(), args.profile.as_deref(), Speed::Profiled)?;
    let Prepared { subject, graph, topology, objective, .. } = &prepared;
    let choice = choose(graph, topology, objective)?;
    let report = planned_report(subject, graph, topology, objective, &choice, Vec::new());
    if let Some(file) = &args.plot {
        write_file(file, &timeline(&report))?;
    }
    if args.json { write_json(out, &report) } else { Ok(write!(out, "{}", table(&report))?) }
}
