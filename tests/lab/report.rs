//! What a row has shown, and whether its marks are kept.

use std::fmt;
use std::fs;

use crate::Settings;
use crate::load::Seen;

/// One mark.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    what: String,
    kept: bool,
    /// Whether it hangs on how fast this machine is just now.
    timed: bool,
    measured: String,
}

/// What came of a row.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    name: &'static str,
    fault: &'static str,
    marks: Vec<Mark>,
    seen: Vec<(String, Seen)>,
    figures: Vec<(String, String)>,
}

impl Outcome {
    /// Of a row that has not shown anything yet.
    pub(crate) fn new(name: &'static str, fault: &'static str) -> Self {
        Self { name, fault, marks: Vec::new(), seen: Vec::new(), figures: Vec::new() }
    }

    /// Notes whether a mark is kept, and what was measured.
    pub(crate) fn check(&mut self, what: impl Into<String>, kept: bool, measured: impl fmt::Display) {
        self.marks.push(Mark { what: what.into(), kept, timed: false, measured: measured.to_string() });
    }

    /// As [`Outcome::check`], of something that hangs on how fast this machine is just now: brief rows, which run beside
    /// whatever else a machine does, report it and do not fail by it.
    pub(crate) fn timed(&mut self, what: impl Into<String>, kept: bool, measured: impl fmt::Display) {
        self.marks.push(Mark { what: what.into(), kept, timed: true, measured: measured.to_string() });
    }

    /// Notes a figure without a mark.
    pub(crate) fn figure(&mut self, what: impl Into<String>, measured: impl fmt::Display) {
        self.figures.push((what.into(), measured.to_string()));
    }

    /// Notes what became of requests in a phase, none of which may be lost or wrong.
    pub(crate) fn requests(&mut self, phase: impl Into<String>, seen: Seen) {
        let phase = phase.into();
        self.check(format!("{phase}: lost 0, wrong 0"), seen.is_clean(), &seen);
        self.timed(format!("{phase}: late 0"), seen.late == 0, seen.late);
        self.seen.push((phase, seen));
    }

    /// Whether all marks are; with `timed`, also those that hang on the machine.
    pub(crate) fn kept(&self, timed: bool) -> bool {
        self.marks.iter().all(|mark| mark.kept || (mark.timed && !timed))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "\n{}: {}", self.name, self.fault)?;
        for Mark { what, kept, timed, measured } in &self.marks {
            let word = match (kept, timed) {
                (true, _) => "kept  ",
                (false, true) => "missed",
                (false, false) => "FAILED",
            };
            writeln!(out, "  {word}  {what}: {measured}")?;
        }
        self.figures.iter().try_for_each(|(what, measured)| writeln!(out, "          {what}: {measured}"))
    }
}

/// Writes the files that were asked for.
pub(crate) fn write(outcomes: &[Outcome], settings: &Settings) {
    if let Some(file) = &settings.report {
        fs::write(file, table(outcomes, settings)).expect("the report can be written");
    }
    if let Some(file) = &settings.json {
        let text = serde_json::to_string_pretty(&json(outcomes)).expect("JSON of strings and numbers");
        fs::write(file, text).expect("the JSON can be written");
    }
}

fn table(outcomes: &[Outcome], settings: &Settings) -> String {
    let kind = if settings.long { "long" } else { "short" };
    let mut text = format!(
        "Written by the laboratory, {kind} rows, seed {}.\n\n| row | mark | measured |\n|---|---|---|\n",
        settings.seed
    );
    for outcome in outcomes {
        for Mark { what, kept, measured, .. } in &outcome.marks {
            let missed = if *kept { "" } else { "**missed**: " };
            text += &format!("| {} | {what} | {missed}{measured} |\n", outcome.fault);
        }
        for (what, measured) in &outcome.figures {
            text += &format!("| {} | ({what}) | {measured} |\n", outcome.fault);
        }
    }
    text
}

fn json(outcomes: &[Outcome]) -> serde_json::Value {
    let row = |outcome: &Outcome| {
        let marks: Vec<_> = outcome
            .marks
            .iter()
            .map(|mark| serde_json::json!({ "mark": mark.what, "kept": mark.kept, "measured": mark.measured }))
            .collect();
        let figures: serde_json::Map<_, _> =
            outcome.figures.iter().map(|(what, measured)| (what.clone(), measured.clone().into())).collect();
        let phases: serde_json::Map<_, _> =
            outcome.seen.iter().map(|(phase, seen)| (phase.clone(), seen.to_json())).collect();
        serde_json::json!({
            "row": outcome.name, "fault": outcome.fault, "marks": marks, "figures": figures, "requests": phases,
        })
    };
    outcomes.iter().map(row).collect()
}
