//! EfficientNet-Lite0 on labelled photos: two cuts beside their neighbours, and what each idea brings.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use thalweg::calibrate::Shown;
use thalweg_codec::Pixels;
use thalweg_codec::features::fit::{Options, Restore, Rotation};
use thalweg_devices::Model;
use thalweg_modules::{Layout, Normalise};
use thalweg_planner::Tensor;

use crate::cut::{self, Cut};
use crate::fitting;
use crate::measure::{Sent, levels, mean, send, times, uncoded};
use crate::neighbours::Way;
use crate::table::{self, Table};
use crate::{Failure, data};

/// What EfficientNet-Lite0 was trained on: (level - 127) / 128.
const PIXELS: Pixels = Pixels { mean: [127.0; 3], scale: [128.0; 3] };
const NORMALISE: Normalise = Normalise { mean: PIXELS.mean, scale: PIXELS.scale, layout: Layout::Nchw };
/// The layer before a cut, the bytes that are wanted there, and the bytes that would be better still.
const CUTS: [(&str, f64, f64); 2] = [("Conv_32", 2900.0, 2300.0), ("Conv_66", 2000.0, 1600.0)];
/// What is asked of the bytes above: at most this loss of top-1 in percentage points, at least this agreement in
/// percent.
const LOSS_MAX: f64 = 1.0;
const AGREEMENT_MIN: f64 = 90.0;
/// Ideas are compared on each second photo: a mean of divergences needs fewer than a share of agreements.
const IDEAS_EVERY: usize = 2;

/// The photos that are measured on.
struct Photos {
    inputs: Vec<Vec<Tensor>>,
    labels: Vec<Label>,
    /// What the uncut model says.
    logits: Vec<Vec<f32>>,
}

/// What is known of a photo.
struct Label {
    /// What it shows; photos of the same object follow each other.
    object: String,
    /// The classes that are right.
    classes: Vec<usize>,
}

/// Prints the tables.
pub(crate) fn measure(only_cuts: bool) -> Result<(), Failure> {
    let model = data::example("efficientnet_lite0/efficientnet_lite0_op13.onnx", &[])?;
    if only_cuts {
        cut::list(&model, &model.describe(), 2).iter().for_each(|line| println!("{line}"));
        return Ok(());
    }
    println!("## Photos: EfficientNet-Lite0\n");
    let (Some(natural), Some(labelled)) = (data::shared("data/natural"), data::shared("data/labelled")) else {
        return Ok(());
    };
    let fitting = data::inputs(&data::pictures(&natural, 1)?, &NORMALISE, &model.inputs()[0].spec)?;
    let photos = Photos::read(&model, &labelled)?;
    let right = 100.0 * photos.right(&photos.logits);
    println!(
        "Fitted to {} photos, measured on {} others. Uncompressed top-1: {right:.2} %.\n",
        fitting.len(),
        photos.inputs.len()
    );
    let whole = Cut::at_input(&model)?;
    let mut pictures = Vec::new();
    for format in ["jpeg", "webp"] {
        for quality in [95, 90, 85, 75] {
            let way = Way::named(&format!("{format}/{quality}"), PIXELS)?;
            pictures.push(photos.row(&whole, &photos.inputs, &way)?.cells);
        }
    }
    for (layer, wanted, better) in CUTS {
        at(&model, layer, [wanted, better], &fitting, &photos, &pictures)?;
    }
    Ok(())
}

fn at(
    model: &Model,
    layer: &str,
    [wanted, better]: [f64; 2],
    fitting: &[Vec<Tensor>],
    photos: &Photos,
    pictures: &[[String; 7]],
) -> Result<(), Failure> {
    let cut = Cut::after(model, &model.describe(), layer)?;
    println!("### {}, {:.0} % of the multiply-adds before it\n", cut.title(), 100.0 * cut.before);
    let live = cut.live(&photos.inputs)?;
    let shown = fitting::shown(model, &cut, fitting, &photos.inputs)?;
    let books = shown.books(Options::DEFAULT)?;
    let features = |level| Way::features(&books, level);
    let near = levels(&live, features, 0.85 * better, 1.2 * wanted)?;

    let mut table =
        Table::new(&["", "bytes", "bits an element", "top-1, points", "agreement", "encode ms", "decode ms"]);
    let mut ways = vec![Way::named("f32", PIXELS)?, Way::named("lossless", PIXELS)?, Way::named("f16", PIXELS)?];
    ways.extend([Way::PerTensor, Way::named("int8", PIXELS)?, Way::Zstd]);
    ways.extend(near.iter().rev().map(|level| features(*level)));
    let mut least: Option<f64> = None;
    for way in &ways {
        let row = photos.row(&cut, &live, way)?;
        if matches!(way, Way::Features(..)) && row.gain >= -LOSS_MAX && row.agreement >= AGREEMENT_MIN {
            least = Some(least.map_or(row.bytes, |least| least.min(row.bytes)));
        }
        table.row(&row.cells);
    }
    pictures.iter().for_each(|cells| table.row(cells));
    println!("{}", table.text());
    let found = least.map_or("no level that was measured".to_owned(), |bytes| format!("{} B", table::bytes(bytes)));
    println!(
        "Fewest bytes with at most {LOSS_MAX} point of top-1 lost and at least {AGREEMENT_MIN} % agreement: {found} \
         (wanted: {}, better still: {}).\n",
        table::bytes(wanted),
        table::bytes(better)
    );
    ideas(&cut, &live, &shown, photos, 0.9 * better)
}

/// The ideas, each on top of those before it where it does not say otherwise.
fn settings() -> [(&'static str, Options); 7] {
    let base = Options::DEFAULT;
    [
        ("channels as they are", Options { rotation: Rotation::Identity, spatial: false, ..base }),
        ("principal components", Options { rotation: Rotation::Principal, spatial: false, ..base }),
        ("and neighbouring positions as frequencies", Options { rotation: Rotation::Principal, ..base }),
        ("and weighted by sensitivity (the default)", base),
        ("the default and rate-distortion-optimised rounding, λ = 0.05", Options { lambda: 0.05, ..base }),
        ("the same and centroids", Options { lambda: 0.05, restore: Restore::Centroid, ..base }),
        ("the default, restored without bias", Options { restore: Restore::Unbiased, ..base }),
    ]
}

/// What each idea brings, in bytes at the same divergence: that of the default at the second level from `from` bytes.
fn ideas(cut: &Cut, live: &[Vec<Tensor>], shown: &Shown, photos: &Photos, from: f64) -> Result<(), Failure> {
    let few: Vec<Vec<Tensor>> = live.iter().step_by(IDEAS_EVERY).cloned().collect();
    let curve = |options: Options, from: f64, enough: &dyn Fn(&[Point]) -> bool| -> Result<Vec<Point>, Failure> {
        let books = shown.books(options)?;
        let features = |level| Way::features(&books, level);
        let mut points = Vec::new();
        for level in levels(&few, features, from, f64::INFINITY)? {
            let sent = send(cut, &few, &features(level), logits)?;
            points.push(Point { bytes: sent.bytes, divergence: photos.divergence(&sent) });
            eprintln!("{options:?}: level {level} {:?}", points.last());
            if enough(&points) {
                break;
            }
        }
        Ok(points)
    };
    let default = curve(Options::DEFAULT, from, &|points| points.len() == 2)?;
    let Some(reference) = default.last() else { return Ok(()) };
    let wanted = reference.divergence;
    let below = |points: &[Point]| points.last().is_some_and(|point| point.divergence <= wanted);
    println!(
        "What each idea brings: bytes at a mean divergence of {wanted:.4} nats (Kullback and Leibler, of the softmax \
         of the coded from that of the uncoded) on {} photos, between levels interpolated in logarithms.\n",
        few.len()
    );
    let mut table = Table::new(&["", "bytes", "beside the default"]);
    for (name, options) in settings() {
        let bytes = match options == Options::DEFAULT {
            true => Some(reference.bytes),
            false => crossing(&curve(options, 0.7 * from, &below)?, wanted),
        };
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "not in reach".to_owned());
        let beside = bytes.map(|bytes| format!("{:+.1} %", 100.0 * (bytes / reference.bytes - 1.0)));
        table.row(&[name.to_owned(), or_none(bytes.map(table::bytes)), or_none(beside)]);
    }
    println!("{}", table.text());
    Ok(())
}

/// A level of a curve.
#[derive(Debug)]
struct Point {
    bytes: f64,
    divergence: f64,
}

/// The bytes where a curve has this divergence, on straight lines between the logarithms of neighbouring points.
fn crossing(curve: &[Point], divergence: f64) -> Option<f64> {
    let mut pairs = curve.windows(2).map(|pair| (&pair[0], &pair[1]));
    let (one, other) = pairs.find(|(one, other)| one.divergence >= divergence && divergence >= other.divergence)?;
    let share = (divergence / one.divergence).ln() / (other.divergence / one.divergence).ln();
    Some((one.bytes.ln() + share * (other.bytes / one.bytes).ln()).exp())
}

/// What a way to send shows.
struct Row {
    cells: [String; 7],
    bytes: f64,
    gain: f64,
    agreement: f64,
}

impl Photos {
    fn read(model: &Model, folder: &Path) -> Result<Self, Failure> {
        let labels = labels(&folder.join("labels.json"))?;
        let files: Vec<PathBuf> = labels.keys().map(|file| folder.join("img").join(file)).collect();
        let inputs = data::inputs(&files, &NORMALISE, &model.inputs()[0].spec)?;
        let logits = uncoded(&Cut::at_input(model)?, &inputs, logits)?;
        Ok(Self { inputs, labels: labels.into_values().collect(), logits })
    }

    /// The share of photos that are read right.
    fn right(&self, answers: &[Vec<f32>]) -> f64 {
        mean(self.rights(answers))
    }

    /// For each photo 1 where it is read right, 0 where not.
    fn rights<'a>(&'a self, answers: &'a [Vec<f32>]) -> impl Iterator<Item = f64> + 'a {
        answers.iter().zip(&self.labels).map(|(answer, label)| share(label.classes.contains(&best(answer))))
    }

    /// A row of the table beside the neighbours.
    fn row(&self, cut: &Cut, live: &[Vec<Tensor>], way: &Way) -> Result<Row, Failure> {
        let sent = send(cut, live, way, logits)?;
        let [encode, decode] = times(live, way)?;
        let bits = 8.0 * sent.bytes / cut.elements() as f64;
        let ([gain, error], agreement) = (self.gain(&sent), self.agreement(&sent));
        let cells = [
            way.title(),
            table::bytes(sent.bytes),
            format!("{bits:.2}"),
            format!("{gain:+.2} ± {error:.2}"),
            format!("{agreement:.1} %"),
            table::ms(encode),
            table::ms(decode),
        ];
        Ok(Row { cells, bytes: sent.bytes, gain, agreement })
    }

    /// By how many percentage points more photos are read right than without coding, and the standard error of that: over
    /// objects, because photos of the same one are not independent.
    fn gain(&self, sent: &Sent<Vec<f32>>) -> [f64; 2] {
        let gains: Vec<f64> =
            self.rights(&sent.answers).zip(self.rights(&self.logits)).map(|(with, without)| with - without).collect();
        let photos: Vec<(&Label, f64)> = self.labels.iter().zip(gains.iter().copied()).collect();
        let objects: Vec<f64> = photos
            .chunk_by(|(one, _), (other, _)| one.object == other.object)
            .map(|photos| photos.iter().map(|(_, gain)| gain).sum())
            .collect();
        let (middle, count) = (mean(objects.iter().copied()), objects.len() as f64);
        let squares: f64 = objects.iter().map(|gain| (gain - middle).powi(2)).sum();
        let error = (squares * count / (count - 1.0).max(1.0)).sqrt() / photos.len().max(1) as f64;
        [100.0 * mean(gains), 100.0 * error]
    }

    /// How many of a hundred photos have the class that they have without coding.
    fn agreement(&self, sent: &Sent<Vec<f32>>) -> f64 {
        100.0 * mean(sent.answers.iter().zip(&self.logits).map(|(one, other)| share(best(one) == best(other))))
    }

    /// Of the softmax of what was sent from that of the uncoded, in nats, of each [`IDEAS_EVERY`]th photo.
    fn divergence(&self, sent: &Sent<Vec<f32>>) -> f64 {
        let of = |(other, one): (&Vec<f32>, &Vec<f32>)| {
            let (one, other) = (log_softmax(one), log_softmax(other));
            one.iter().zip(&other).map(|(one, other)| one.exp() * (one - other)).sum::<f64>()
        };
        mean(sent.answers.iter().zip(self.logits.iter().step_by(IDEAS_EVERY)).map(of))
    }
}

fn logits(outputs: &[Tensor]) -> Result<Vec<f32>, Failure> {
    Ok(outputs[0].to_f32().ok_or("logits that are not f32")?)
}

fn log_softmax(logits: &[f32]) -> Vec<f64> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum = logits.iter().map(|logit| f64::from(logit - largest).exp()).sum::<f64>();
    logits.iter().map(|logit| f64::from(logit - largest) - sum.ln()).collect()
}

fn best(logits: &[f32]) -> usize {
    (0..logits.len()).max_by(|one, other| logits[*one].total_cmp(&logits[*other])).unwrap_or_default()
}

fn share(is: bool) -> f64 {
    f64::from(u8::from(is))
}

/// File names with what is known of each.
fn labels(file: &Path) -> Result<BTreeMap<String, Label>, Failure> {
    let photos: BTreeMap<String, Value> = serde_json::from_str(&fs::read_to_string(file)?)?;
    let label = |photo: &Value| -> Option<Label> {
        let classes = photo["classes"].as_array()?.iter().map(|class| Some(class.as_u64()? as usize));
        Some(Label { object: photo["stamp"].as_str()?.to_owned(), classes: classes.collect::<Option<_>>()? })
    };
    let read = |(file, photo): (String, Value)| match label(&photo) {
        Some(label) => Ok((file, label)),
        None => Err(format!("labels.json says nothing of the object and the classes of {file}").into()),
    };
    photos.into_iter().map(read).collect()
}
