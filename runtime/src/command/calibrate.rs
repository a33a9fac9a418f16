//! `thalweg calibrate`: fits codebooks to samples and measures them on others.

use std::io::Write;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread::available_parallelism;
use std::time::Duration;

use clap::Args;
use thalweg_codec::features::fit;
use thalweg_modules::signature::Trust;
use thalweg_planner::{Separator, TensorSpec};

use super::prepare::load;
use super::{check_writable, parse_shape, write_file, write_json};
use crate::calibrate::{
    Judge, Judged, Kept, Labels, Options, Phase, Places, SampleFile, Split, cut, judge_for, named, rivals,
    sample_files, worthwhile,
};
use crate::codebook::Codebooks;
use crate::config::Runs;
use crate::run::{RunError, Subject, read};
use crate::show::{Progress, books_table, rate_chart};

#[derive(Debug, Args)]
pub(super) struct CalibrateArgs {
    /// An ONNX file, or a pipeline file or its folder.
    target: PathBuf,
    /// Fix the shape of an input, such as x=1,3,224,224. May be given for each input.
    #[arg(long = "shape", value_name = "NAME=SIZES", value_parser = parse_shape)]
    shapes: Vec<(String, Vec<usize>)>,
    /// Of a pipeline with several steps: the one whose model is calibrated, on what the steps before it make of the samples.
    #[arg(long, value_name = "NAME")]
    step: Option<String>,
    /// Samples to fit to: photos, .npy files, or a folder for each sample with a file for each input. Every third is
    /// held out and measured. Without it, what the file has already is shown.
    #[arg(long, value_name = "FOLDER")]
    samples: Option<PathBuf>,
    /// Measure on these samples instead, and fit to all of --samples.
    #[arg(long, value_name = "FOLDER", requires = "samples")]
    measure: Option<PathBuf>,
    /// Which classes are right for which measured sample: a JSON object such as {"photo.jpg": 3}.
    #[arg(long, value_name = "FILE.json", requires = "samples")]
    labels: Option<PathBuf>,
    /// The file to write, and to go on with. Without it: beside the pipeline, called after the model.
    #[arg(short, long, value_name = "FILE.codebook")]
    output: Option<PathBuf>,
    /// Replace a file of another model, other samples or other settings.
    #[arg(long)]
    fresh: bool,
    /// Cut after this layer or tensor, instead of where it seems worth it. May be given several times.
    #[arg(long = "at", value_name = "NAME")]
    at: Vec<String>,
    /// Cut only where at most this many tensors cross.
    #[arg(long, value_name = "COUNT", default_value_t = 2)]
    live_max: usize,
    /// At most so many cuts, spread over the compute of the model.
    #[arg(long, value_name = "COUNT", default_value = "8")]
    cuts_max: NonZero<usize>,
    /// How answers are compared. Without it: argmax for a list of scores, else error.
    #[arg(long)]
    judge: Option<Judged>,
    /// How long each cut is probed for what its answer is sensitive to.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    effort: u32,
    /// At most so many samples are measured, evenly spread.
    #[arg(long, value_name = "COUNT", default_value = "200")]
    measured_max: NonZero<usize>,
    /// Draw what each level takes and costs, beside JPEG and WebP of the input, into this SVG file.
    #[arg(long, value_name = "FILE.svg")]
    report: Option<PathBuf>,
    /// Print JSON instead of tables.
    #[arg(long)]
    json: bool,
}

pub(super) fn calibrate(args: &CalibrateArgs, out: &mut dyn Write) -> Result<(), RunError> {
    args.report.as_deref().map_or(Ok(()), check_writable)?;
    let subject = load(&args.target, &args.shapes.iter().cloned().collect(), Trust::own())?;
    let (model, graph) = subject.model(args.step.as_deref())?;
    let file = args.output.clone().unwrap_or_else(|| beside(&args.target, args.step.as_deref(), &subject));
    let (books, notes) = match &args.samples {
        Some(folder) => made(args, &subject, folder, &file)?,
        None if !file.exists() => return Err(RunError::NothingKept { file }),
        None => (Kept::read(&file, model)?, Vec::new()),
    };
    if let Some(report) = &args.report {
        write_file(report, rate_chart(&subject.name, &books, graph))?;
    }
    if args.json {
        return write_json(out, &books);
    }
    writeln!(out, "{}: {}", subject.name, file.display())?;
    for note in notes {
        writeln!(out, "  {note}")?;
    }
    Ok(write!(out, "{}", books_table(&books, graph))?)
}

/// The file for a model's codebooks: beside the pipeline, or beside the model where there is none.
fn beside(target: &Path, step: Option<&str>, subject: &Subject) -> PathBuf {
    let Some(pipeline) = &subject.pipeline else { return target.with_extension("codebook") };
    let named = pipeline.steps.iter().find(|known| step.is_none_or(|step| known.name == step));
    let stem = match named.map(|step| &step.runs) {
        Some(Runs::Model { file, .. }) => file.file_stem(),
        _ => None,
    };
    pipeline.file.with_file_name(stem.unwrap_or_default()).with_added_extension("codebook")
}

/// The codebooks of all cuts that were asked for, and what people should know of how they came about.
fn made(
    args: &CalibrateArgs,
    subject: &Subject,
    folder: &Path,
    file: &Path,
) -> Result<(Codebooks, Vec<String>), RunError> {
    check_writable(file)?;
    let (model, graph) = subject.model(args.step.as_deref())?;
    let step = args.step.as_deref();
    let samples = sample_files(folder, subject, step)?;
    let split = match &args.measure {
        Some(measured) => Split::apart(samples, sample_files(measured, subject, step)?),
        None => Split::thirds(samples),
    };
    let (fitted, held) = (split.fitting.all().len(), split.held.all().len());
    if fitted == 0 || held == 0 {
        return Err(RunError::TooFewSamples { folder: folder.to_owned(), fitted, held });
    }
    let names = split.held.all().iter().map(|sample| sample.name.as_str());
    let labels = args.labels.as_deref().map(|file| Labels::read(file, names)).transpose()?;
    let outputs: Vec<TensorSpec> = model.outputs().iter().map(|port| port.spec.clone()).collect();
    let judge = judge_for(args.judge, &outputs, labels)?;
    let places = places(args, subject)?;
    let options = Options {
        effort: Duration::from_secs(args.effort.into()),
        measured_max: args.measured_max.get(),
        threads: available_parallelism().map_or(1, NonZero::get),
        fit: fit::Options::DEFAULT,
    };
    let wanted = Codebooks {
        hash: [0; 32],
        model: model.hash_text(),
        samples: fingerprint(args, subject, &split, judge.name())?,
        fitted,
        measured: held.min(options.measured_max),
        judge: judge.name().to_owned(),
        accuracy: None,
        rivals: Vec::new(),
        cuts: Vec::new(),
    };
    let mut kept = Kept::open(file, model, wanted, args.fresh)?;
    let notes = notes(&places, &split, &kept);
    measure_rivals(args, subject, &split, judge.as_ref(), &options, &mut kept)?;
    let missing: Vec<&Separator> = places.cuts.iter().filter(|place| !kept.has(place.at)).collect();
    for (at, place) in missing.iter().enumerate() {
        let after = place.at.checked_sub(1).map_or("the input", |last| graph.layers[last].name.as_str());
        let bars = Bars { what: format!("cut {} of {}, after {after}", at + 1, missing.len()), ..Bars::default() };
        let watch = |step, done, total| bars.show(step, done, total);
        kept.keep(cut((model, graph), place, &split.fitting, &split.held, judge.as_ref(), &options, &watch)?)?;
    }
    Ok((kept.books().clone(), notes))
}

fn places(args: &CalibrateArgs, subject: &Subject) -> Result<Places, RunError> {
    let (model, graph) = subject.model(args.step.as_deref())?;
    if !args.at.is_empty() {
        return named(model, graph, &args.at);
    }
    let stay = subject.pipeline.as_ref().is_some_and(|pipeline| pipeline.inputs_stay);
    let places = worthwhile(model, graph, args.live_max, args.cuts_max.get(), stay);
    if places.cuts.is_empty() {
        return Err(RunError::NoUsefulCut { model: subject.name.clone(), left_out: places.left_out });
    }
    Ok(places)
}

fn notes(places: &Places, split: &Split<SampleFile>, kept: &Kept) -> Vec<String> {
    let mut notes = Vec::new();
    let there = places.cuts.iter().filter(|place| kept.has(place.at)).count();
    if there > 0 {
        notes.push(format!("{there} of {} cuts were there already", places.cuts.len()));
    }
    if places.left_out > 0 {
        let why = "they send no less than a cut before them, or not less than the input, or are too many";
        notes.push(format!("{} cuts are left out: {why}", places.left_out));
    }
    if split.left_out > 0 {
        notes.push(format!("{} samples are not fitted to: they equal one that is measured", split.left_out));
    }
    notes
}

/// Pictures of the input, and the accuracy without coding, where the file has neither.
fn measure_rivals(
    args: &CalibrateArgs,
    subject: &Subject,
    split: &Split<SampleFile>,
    judge: &dyn Judge,
    options: &Options,
    kept: &mut Kept,
) -> Result<(), RunError> {
    let (model, _) = subject.model(args.step.as_deref())?;
    // What goes into a step is no photo of the pipeline's.
    let photos = if args.step.is_some() { &[][..] } else { &subject.photos };
    let has_pictures = photos.is_empty() || !kept.books().rivals.is_empty();
    let has_accuracy = args.labels.is_none() || kept.books().accuracy.is_some();
    if has_pictures && has_accuracy {
        return Ok(());
    }
    let progress = Progress::start("pictures of the input");
    let set = |done, total| progress.set(done, total);
    let (accuracy, rivals) = rivals(model, photos, &split.held, judge, options, &set)?;
    kept.note(|books| {
        books.accuracy = accuracy;
        books.rivals = rivals;
    })
}

/// Hash of all that figures depend on beside the model: samples, labels, how inputs are made, and settings.
fn fingerprint(
    args: &CalibrateArgs,
    subject: &Subject,
    split: &Split<SampleFile>,
    judge: &str,
) -> Result<String, RunError> {
    let mut hash = blake3::Hasher::new();
    for part in [split.fitting.all(), split.held.all()] {
        hash.update(&part.len().to_le_bytes());
        for sample in part {
            hash.update(blake3::hash(sample.name.as_bytes()).as_bytes());
            hash.update(&sample.content);
        }
    }
    if let Some(labels) = &args.labels {
        hash.update(blake3::hash(&read(labels)?).as_bytes());
    }
    let before = args.step.as_ref().map(|step| (step, subject.steps.hash()));
    let settings = (judge, args.effort, args.measured_max, fit::Options::DEFAULT, SampleFile::making(subject), before);
    hash.update(format!("{settings:?}").as_bytes());
    Ok(hash.finalize().to_hex().to_string())
}

/// A bar for each step of a cut.
#[derive(Default)]
struct Bars {
    what: String,
    shown: Mutex<Option<(Phase, Progress)>>,
}

impl Bars {
    fn show(&self, step: Phase, done: usize, total: usize) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.as_ref().is_none_or(|(other, _)| *other != step) {
            // The old bar goes away before the new one appears.
            *shown = None;
            let what = match step {
                Phase::Features => "features",
                Phase::Probing => "what the answer is sensitive to",
                Phase::Fitting => "codebook",
                Phase::Measuring => "levels",
            };
            *shown = Some((step, Progress::start(&format!("{}: {what}", self.what))));
        }
        if let Some((_, progress)) = shown.as_ref() {
            progress.set(done, total);
        }
    }
}
