//! What it brings to code features of a video as differences: `cargo bench --workspace --bench video`
//!
//! A window moves over photos as a camera would, and EfficientNet-Lite0 is cut at two places. Codebooks are fitted to
//! other photos, without probing what the output is sensitive to. The tables are Markdown; `docs/codec.md` holds them.
//! Photos are looked for in a folder `shared` beside the repository.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use thalweg_codec::features::fit::{Basis, Options, fit};
use thalweg_codec::features::{FrameDecoder, FrameEncoder, FrameKind};
use thalweg_codec::{Features, LEVELS};
use thalweg_devices::{Model, Shapes, Stage};
use thalweg_modules::{Layout, Normalise, Photo};
use thalweg_planner::{DType, Tensor, TensorSpec};

type Failure = Box<dyn Error + Send + Sync>;

/// What EfficientNet-Lite0 was trained on: (level - 127) / 128.
const NORMALISE: Normalise = Normalise { mean: [127.0; 3], scale: [128.0; 3], layout: Layout::Nchw };
/// The layer before a cut, and bytes of a single frame that a level is chosen by.
const CUTS: [(&str, f64); 2] = [("Conv_32", 2900.0), ("Conv_66", 2000.0)];
/// Of the photos that books are fitted to, one in so many is taken.
const EVERY: usize = 3;
/// Sides of what a window moves over, and of the window.
const WIDE: usize = 448;
const SIDE: usize = 224;
const FRAMES: usize = 24;

/// How a camera moves: for a frame, where its window begins, down and across, and how large it is.
type Motion = fn(f32) -> [f32; 3];

const MOTIONS: [(&str, Motion); 6] = [
    ("stands", |_| [100.0, 100.0, 1.0]),
    ("pans, 1 pixel a frame", |frame| [100.0, 60.0 + frame, 1.0]),
    ("pans, 4 pixels a frame", |frame| [100.0, 60.0 + 4.0 * frame, 1.0]),
    ("pans, 16 pixels (a position of the first cut)", |frame| [100.0, (16.0 * frame) % 224.0, 1.0]),
    ("zooms, 1 % a frame", |frame| [60.0 + frame, 60.0 + frame, 1.3 * 0.99_f32.powf(frame)]),
    ("shakes by 3 pixels", |frame| [100.0 + 3.0 * (1.7 * frame).sin(), 100.0 + 3.0 * (2.3 * frame).cos(), 1.0]),
];

fn main() -> Result<(), Failure> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let [natural, photos] = ["natural", "photos"].map(|name| root.join("../shared/data").join(name));
    if !natural.exists() || !photos.exists() {
        println!("Skipped: this needs data/natural and data/photos in a folder `shared` beside the repository.");
        return Ok(());
    }
    let file = root.join("examples/models/efficientnet_lite0/efficientnet_lite0_op13.onnx");
    let model = Model::load(&file, &Shapes::new())?;
    let wide = TensorSpec::new(DType::F32, [1, 3, WIDE, WIDE]);
    let fitting = pictures(&natural, EVERY)?.into_iter().map(|file| read(&file, &model.inputs()[0].spec));
    let fitting = fitting.collect::<Result<Vec<_>, _>>()?;
    let scenes = pictures(&photos, 1)?.iter().map(|file| read(file, &wide)).collect::<Result<Vec<_>, _>>()?;
    for (layer, wanted) in CUTS {
        at(&model, layer, wanted, &fitting, &scenes)?;
    }
    Ok(())
}

fn at(model: &Model, layer: &str, wanted: f64, fitting: &[Tensor], scenes: &[Tensor]) -> Result<(), Failure> {
    let (stage, spec) = head(model, layer)?;
    let samples = fitting.iter().map(|input| features(&stage, input)?.to_f32().ok_or_else(|| "no f32".into()));
    let samples = samples.collect::<Result<Vec<Vec<f32>>, Failure>>()?;
    let basis = Basis::fit(&spec, &samples).ok_or("features that are not finite")?;
    let book = fit(&[basis], &[None], &[samples], Options::DEFAULT).ok_or("a matrix without an inverse")?.remove(0);
    let book = Arc::new(book);
    let first = scenes.iter().map(|scene| features(&stage, &window(scene, MOTIONS[0].1(0.0), 0)?));
    let first = first.collect::<Result<Vec<_>, Failure>>()?;
    let mut nearest: Option<(f64, Arc<Features>)> = None;
    for level in 1..=LEVELS {
        let at = Arc::new(Features::new(book.clone(), level).ok_or("a level that no book has")?);
        let mut bytes = 0;
        for tensor in &first {
            let mut frame = Vec::new();
            FrameEncoder::new(at.clone()).encode(tensor, &mut frame)?;
            bytes += frame.len();
        }
        let off = (bytes as f64 / first.len() as f64 / wanted).ln().abs();
        if nearest.as_ref().is_none_or(|(least, _)| off < *least) {
            nearest = Some((off, at));
        }
    }
    let (_, at) = nearest.ok_or("there are no levels")?;
    println!("### After {layer}: {spec}, features/{}\n", at.level());
    println!("| the camera | single frames, bytes | a stream, bytes | saved | deltas | encode ms | decode ms |");
    println!("|---|---|---|---|---|---|---|");
    for (name, motion) in MOTIONS {
        let shown = stream(&stage, &at, scenes, motion)?;
        let count = shown.count as f64;
        let ms = |time: Duration| format!("{:.2}", time.as_secs_f64() * 1e3 / count);
        println!(
            "| {name} | {:.0} | {:.0} | {:.0} % | {:.0} % | {} | {} |",
            shown.apart as f64 / count,
            shown.together as f64 / count,
            100.0 * (1.0 - shown.together as f64 / shown.apart as f64),
            100.0 * shown.deltas as f64 / count,
            ms(shown.encode),
            ms(shown.decode),
        );
    }
    println!();
    Ok(())
}

/// What the frames of some scenes took.
#[derive(Debug, Default)]
struct Shown {
    count: usize,
    apart: usize,
    together: usize,
    deltas: usize,
    encode: Duration,
    decode: Duration,
}

fn stream(stage: &Stage, at: &Arc<Features>, scenes: &[Tensor], motion: Motion) -> Result<Shown, Failure> {
    let mut shown = Shown::default();
    for scene in scenes {
        let (mut encoder, mut decoder) = (FrameEncoder::new(at.clone()), FrameDecoder::new(at.clone()));
        for number in 0..FRAMES {
            let tensor = features(stage, &window(scene, motion(number as f32), number as u64)?)?;
            let mut single = Vec::new();
            FrameEncoder::new(at.clone()).encode(&tensor, &mut single)?;
            let alone = FrameDecoder::new(at.clone()).decode(tensor.spec(), &single)?;
            let mut frame = Vec::with_capacity(single.len());
            let started = Instant::now();
            let kind = encoder.encode(&tensor, &mut frame)?;
            shown.encode += started.elapsed();
            let started = Instant::now();
            let decoded = decoder.decode(tensor.spec(), &frame)?;
            shown.decode += started.elapsed();
            if decoded != alone {
                return Err("a frame of a stream is another one than alone".into());
            }
            // The first frame is a key frame for both.
            if number > 0 {
                shown.count += 1;
                shown.apart += single.len();
                shown.together += frame.len();
                shown.deltas += usize::from(kind == FrameKind::Delta);
            }
        }
    }
    Ok(shown)
}

/// The layers up to this one, and what they make.
fn head(model: &Model, layer: &str) -> Result<(Stage, TensorSpec), Failure> {
    let graph = model.describe();
    let named = graph.layers.iter().position(|known| known.name == layer);
    let at = named.ok_or_else(|| format!("the model has no layer {layer}"))? + 1;
    let live = graph.live(at);
    let [tensor] = live[..] else { return Err(format!("after {layer} more than one tensor crosses").into()) };
    let layers: Vec<usize> = (0..at).collect();
    let stage = model.partition(&layers, &graph.inputs, &live)?.prepare()?;
    Ok((stage, graph.tensors[tensor].spec.clone()))
}

fn features(stage: &Stage, input: &Tensor) -> Result<Tensor, Failure> {
    Ok(stage.run(std::slice::from_ref(input))?.remove(0))
}

/// What a camera sees of a scene, between its pixels by bilinear weights, with the noise of a sensor: two levels of 255.
fn window(scene: &Tensor, [top, left, scale]: [f32; 3], seed: u64) -> Result<Tensor, Failure> {
    let pixels = scene.to_f32().ok_or("a photo that is not f32")?;
    let mut state = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut noise = move || {
        // Xorshift (Marsaglia, 2003). The sum of two numbers from -0.5 to 0.5 has a standard deviation of 0.41.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let [one, other] = [state >> 48, state >> 32 & 0xffff].map(|bits| bits as f32 / 65_536.0 - 0.5);
        (one + other) * 2.0 / 0.41 / 128.0
    };
    let mut values = Vec::with_capacity(3 * SIDE * SIDE);
    for (colour, row, column) in (0..3 * SIDE * SIDE).map(|at| (at / SIDE / SIDE, at / SIDE % SIDE, at % SIDE)) {
        let [down, across] =
            [top + scale * row as f32, left + scale * column as f32].map(|place| place.clamp(0.0, WIDE as f32 - 1.001));
        let (y, x) = (down as usize, across as usize);
        let pixel = |y: usize, x: usize| pixels[(colour * WIDE + y) * WIDE + x];
        let along = |y: usize| pixel(y, x) + (pixel(y, x + 1) - pixel(y, x)) * across.fract();
        values.push(along(y) + (along(y + 1) - along(y)) * down.fract() + noise());
    }
    Ok(Tensor::from_f32([1, 3, SIDE, SIDE], &values)?)
}

/// The pictures of a folder by name, each `every`th.
fn pictures(folder: &Path, every: usize) -> Result<Vec<PathBuf>, Failure> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "jpg" || extension == "png"));
    files.sort();
    Ok(files.into_iter().step_by(every).collect())
}

fn read(file: &Path, spec: &TensorSpec) -> Result<Tensor, Failure> {
    let photo = Photo::decode(&fs::read(file)?, &file.to_string_lossy())?;
    Ok(NORMALISE.tensor(&photo, spec)?)
}
