//! `thalweg ask`: sends requests to a deployment, through the node on this host where they are made.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;
use thalweg_modules::{Normalise, Photo, numpy, random};
use thalweg_planner::{Tensor, TensorSpec, parse_duration};

use super::node::{Home, block_on};
use super::write_json;
use crate::client::{Client, ORDER_TIME};
use crate::daemon::{DaemonError, Described, Order};
use crate::deployment::{InputOf, PhotoOf};
use crate::module::rank;
use crate::node::Trace;
use crate::run::{InputMisfit, RunError, read};

#[derive(Debug, Args)]
pub(super) struct AskArgs {
    /// The deployment.
    deployment: String,
    #[command(flatten)]
    home: Home,
    /// What goes into an input, NAME=FILE or, where there is one input, FILE: a JPEG or PNG photo, a .npy file, or the bytes
    /// of any file. Inputs that are not given are random numbers.
    #[arg(long = "input", value_name = "NAME=FILE")]
    inputs: Vec<String>,
    /// How long a request may take. Without it: as the pipeline says.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    deadline: Option<Duration>,
    /// How many requests are sent, one after the other.
    #[arg(long, default_value_t = 1)]
    count: usize,
    /// Print JSON instead of lines.
    #[arg(long)]
    json: bool,
}

/// What came of the requests.
#[derive(Debug, Default, Serialize)]
struct Report {
    answered: usize,
    refused: BTreeMap<String, usize>,
    p50_ms: Option<f64>,
    p99_ms: Option<f64>,
    /// The last answer: each output with its largest elements.
    answer: Vec<OutputRow>,
    /// By which all nodes log it.
    trace: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct OutputRow {
    name: String,
    spec: String,
    /// Index and value, the largest first.
    largest: Vec<(usize, f32)>,
}

impl fmt::Display for OutputRow {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, spec, largest } = self;
        let largest = largest.iter().map(|(at, value)| format!("{at}: {value:.4}")).collect::<Vec<_>>().join("  ");
        write!(out, "{name} {spec}  {largest}")
    }
}

/// Elements that are shown of an output.
const SHOWN: usize = 5;

pub(super) fn ask(args: &AskArgs, out: &mut dyn Write) -> Result<(), RunError> {
    let config = args.home.read()?;
    let report: Report = block_on(async {
        let spoken = Client::of(&config)?.home(&config).await?;
        let order = Order::Describe { name: args.deployment.clone() };
        let described: Described = spoken.order(&order, ORDER_TIME).await?;
        let inputs = inputs(args, &described)?;
        let deadline = args.deadline.unwrap_or(Duration::from_millis(described.deadline_ms));
        let (mut report, mut latencies) = (Report::default(), Vec::new());
        for _ in 0..args.count.max(1) {
            let start = Instant::now();
            match spoken.ask(&args.deployment, inputs.clone(), deadline).await {
                Ok((answer, outputs)) => {
                    latencies.push(start.elapsed());
                    report.answer = rows(&described, outputs);
                    report.trace = Some(Trace(answer.trace).to_string());
                }
                Err(DaemonError::Refused(refusal)) => *report.refused.entry(refusal.to_string()).or_default() += 1,
                Err(error) => return Err(RunError::from(error)),
            }
        }
        latencies.sort_unstable();
        let at = |share| (!latencies.is_empty()).then(|| rank(&latencies, share).as_secs_f64() * 1e3);
        report.answered = latencies.len();
        report.p50_ms = at(0.5);
        report.p99_ms = at(0.99);
        Ok(report)
    })??;
    if args.json {
        write_json(out, &report)?;
    } else {
        show(&report, out)?;
    }
    match report.refused.into_iter().next() {
        Some((reason, _)) if report.answered == 0 => Err(RunError::AllRefused { reason }),
        _ => Ok(()),
    }
}

fn show(report: &Report, out: &mut dyn Write) -> Result<(), RunError> {
    for row in &report.answer {
        writeln!(out, "  {row}")?;
    }
    if let (Some(p50), Some(p99)) = (report.p50_ms, report.p99_ms) {
        let trace = report.trace.as_deref().unwrap_or_default();
        writeln!(out, "  {} answered, p50 {p50:.1} ms, p99 {p99:.1} ms, trace id {trace}", report.answered)?;
    }
    for (reason, count) in &report.refused {
        writeln!(out, "  {count} refused: {reason}")?;
    }
    Ok(())
}

fn inputs(args: &AskArgs, described: &Described) -> Result<Vec<Tensor>, RunError> {
    let mut given: BTreeMap<&str, &Path> = BTreeMap::new();
    for text in &args.inputs {
        let (name, file) = match (text.split_once('='), &described.inputs[..]) {
            (Some((name, file)), _) if described.inputs.iter().any(|input| input.name == name) => (name, file),
            (_, [only]) => (only.name.as_str(), text.as_str()),
            _ => {
                let known = described.inputs.iter().map(|input| input.name.as_str()).collect::<Vec<_>>().join(", ");
                return Err(RunError::ForNoInput { given: text.clone(), known });
            }
        };
        given.insert(name, Path::new(file));
    }
    let tensor = |input: &InputOf| match given.get(input.name.as_str()) {
        Some(file) => from_file(input, file),
        None => Ok(random::random(&input.spec, 1, None)?),
    };
    described.inputs.iter().map(tensor).collect()
}

fn from_file(input: &InputOf, file: &Path) -> Result<Tensor, RunError> {
    let bytes = read(file)?;
    let name = file.display().to_string();
    let tensor = match input.photo {
        Some(PhotoOf { mean, scale, layout }) => {
            let normalise = Normalise { mean, scale, layout };
            normalise.tensor(&Photo::decode(&bytes, &name)?, &input.spec)?
        }
        None if file.extension().is_some_and(|extension| extension == "npy") => {
            numpy::read(&bytes, &name, Some(&input.spec))?
        }
        None => Tensor::from_bytes(bytes),
    };
    if tensor.spec() == &input.spec {
        return Ok(tensor);
    }
    let (file, wants, got) = (file.to_owned(), input.spec.clone(), tensor.spec().clone());
    Err(RunError::InputMisfit(Box::new(InputMisfit { file, wants, got })))
}

fn rows(described: &Described, outputs: Vec<Vec<u8>>) -> Vec<OutputRow> {
    let row = |(of, bytes): (&crate::deployment::OutputOf, Vec<u8>)| {
        row(&of.name, &of.spec, Tensor::new(of.spec.clone(), bytes).ok().as_ref())
    };
    described.outputs.iter().zip(outputs).map(row).collect()
}

/// An output with its largest elements; none where it has no numbers.
pub(super) fn row(name: &str, spec: &TensorSpec, tensor: Option<&Tensor>) -> OutputRow {
    let values = tensor.and_then(Tensor::to_f32).unwrap_or_default();
    let mut largest: Vec<(usize, f32)> = values.into_iter().enumerate().collect();
    largest.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    largest.truncate(SHOWN);
    OutputRow { name: name.to_owned(), spec: spec.to_string(), largest }
}

#[cfg(test)]
mod tests {
    use thalweg_modules::Layout;
    use thalweg_planner::DType;

    use super::*;

    #[test]
    fn a_photo_fills_inputs_whichever_way_their_pixels_stand() {
        let photo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/classify/photo.jpg");
        let filled = |shape: [usize; 4], layout| {
            let photo_of = PhotoOf { mean: [127.0; 3], scale: [128.0, 64.0, 32.0], layout };
            let spec = TensorSpec::new(DType::F32, shape);
            let tensor = from_file(&InputOf { name: "x".into(), spec, photo: Some(photo_of) }, &photo).expect("filled");
            tensor.to_f32().expect("numbers")
        };
        let (height, width) = (20, 30);
        let planes = filled([1, 3, height, width], Layout::Nchw);
        let pixels = filled([1, height, width, 3], Layout::Nhwc);
        let turned = (0..planes.len()).map(|at| planes[at % 3 * height * width + at / 3]);
        assert!(pixels.iter().copied().eq(turned));
        assert!(pixels.iter().any(|number| *number != pixels[0]), "it is a photo of something");
    }
}
