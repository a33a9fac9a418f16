//! `thalweg plan --explain`, `--sweep` and `--pareto`.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use thalweg_planner::{Measure, Plan};

use super::super::prepare::Prepared;
use super::super::{check_writable, write_file, write_json};
use crate::run::RunError;
use crate::run::study::{ExplainedRow, Knob, explained, frontier, sweep};
use crate::show::{Progress, frontier_chart, frontier_table, sweep_chart, sweep_table};

#[derive(Debug, Args)]
pub(super) struct Study {
    /// Say why: where else the model could be cut, what binds, and what would have to change for another decision.
    #[arg(long, conflicts_with_all = ["file", "cuts"])]
    explain: bool,
    /// Plan over a range instead: bandwidth=100kbit/s..1Gbit/s, rtt=1ms..300ms or device=0.1..10 (times its speed);
    /// what is meant is the first link and the tier of the input, others are named as in rtt@edge-cloud=… and
    /// device@edge=….
    #[arg(long, value_name = "RANGE", conflicts_with_all = ["explain", "pareto", "file", "cuts", "save"])]
    sweep: Option<Knob>,
    /// Write the sweep into this file, a line a value.
    #[arg(long, value_name = "FILE.csv", requires = "sweep")]
    csv: Option<PathBuf>,
    /// Print the plans of which none is better in both of two measures instead, such as latency,energy.
    #[arg(
        long,
        value_name = "TWO",
        value_parser = parse_measures,
        conflicts_with_all = ["explain", "file", "cuts", "save"]
    )]
    pareto: Option<[Measure; 2]>,
}

fn parse_measures(text: &str) -> Result<[Measure; 2], String> {
    let measure = |name: &str| Measure::ALL.into_iter().find(|measure| measure.name() == name.trim());
    let two = text.split_once(',').and_then(|(one, other)| Some([measure(one)?, measure(other)?]));
    let names = || Measure::ALL.map(Measure::name).join(", ");
    let help = || format!("\"{text}\" are not two measures: write two of {} with a comma between them", names());
    two.filter(|[one, other]| one != other).ok_or_else(help)
}

impl Study {
    /// Whether files that will be written can be.
    pub(super) fn check(&self) -> Result<(), RunError> {
        self.csv.as_deref().map_or(Ok(()), check_writable)
    }

    /// Whether it is asked for instead of a plan, not beside it.
    pub(super) fn is_apart(&self) -> bool {
        self.sweep.is_some() || self.pareto.is_some()
    }

    /// The explanation of a plan, if it is asked for.
    pub(super) fn explanation(&self, prepared: &Prepared, plan: &Plan) -> Result<Option<ExplainedRow>, RunError> {
        if !self.explain {
            return Ok(None);
        }
        let Prepared { graph, topology, objective, .. } = prepared;
        let progress = Progress::start("planning again in changed worlds");
        let row = explained(graph, topology, objective, plan, |done, total| progress.set(done, total));
        progress.finish();
        row.map(Some)
    }

    /// Sweeps, or finds the frontier.
    pub(super) fn answer(
        &self,
        prepared: &Prepared,
        plot: Option<&Path>,
        json: bool,
        out: &mut dyn Write,
    ) -> Result<(), RunError> {
        let Prepared { subject, graph, topology, objective, .. } = prepared;
        if let Some(measures) = self.pareto {
            let row = frontier(graph, topology, objective, measures)?;
            plot.map_or(Ok(()), |file| write_file(file, frontier_chart(&subject.name, &row)))?;
            return if json { write_json(out, &row) } else { Ok(write!(out, "{}", frontier_table(&row))?) };
        }
        let Some(knob) = &self.sweep else { return Ok(()) };
        let progress = Progress::start("planning over the range");
        let row = sweep(graph, topology, objective, knob, |done, total| progress.set(done, total));
        progress.finish();
        let row = row?;
        self.csv.as_deref().map_or(Ok(()), |file| write_file(file, row.csv()))?;
        plot.map_or(Ok(()), |file| write_file(file, sweep_chart(&subject.name, &row)))?;
        if json { write_json(out, &row) } else { Ok(write!(out, "{}", sweep_table(&row))?) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frontier_is_between_two_different_measures() {
        assert_eq!(parse_measures("latency, energy"), Ok([Measure::Latency, Measure::Energy]));
        for text in ["latency", "latency,latency", "latency,speed", ""] {
            assert!(parse_measures(text).is_err(), "{text}");
        }
    }
}
