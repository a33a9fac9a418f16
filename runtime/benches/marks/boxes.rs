//! YOLOv3-tiny on photos: the boxes of the cut model beside those of the uncut one.

use thalweg_codec::Pixels;
use thalweg_codec::features::fit::Options;
use thalweg_devices::Model;
use thalweg_module_find_boxes::{Finder, Found};
use thalweg_modules::{Layout, Normalise};
use thalweg_planner::Tensor;

use crate::cut::{self, Cut};
use crate::detect::{average_precision, boxes, finder};
use crate::fitting;
use crate::measure::{levels, send, times, uncoded};
use crate::neighbours::Way;
use crate::table::{self, Table};
use crate::{Failure, data};

/// darknet divides by 255.
const PIXELS: Pixels = Pixels { mean: [0.0; 3], scale: [255.0; 3] };
const NORMALISE: Normalise = Normalise { mean: PIXELS.mean, scale: PIXELS.scale, layout: Layout::Nchw };
/// The layers before a cut: one tensor with more numbers than the picture holds, of leaky rectifiers or pools of them.
const CUTS: [&str; 3] = ["MaxPool_12", "LeakyRelu_14", "MaxPool_9"];
/// Each third photo is fitted to; all labelled ones are measured.
const FITTING_EVERY: usize = 3;
/// Boxes of the uncut model with more confidence are the truth: darknet shows those.
const TRUE_FROM: f32 = 0.25;
/// What is asked for: bits an element at most, and points of mean average precision that may be lost.
const BITS_MAX: f64 = 0.8;
const LOSS_MAX: f64 = 1.0;

/// Prints the tables.
pub(crate) fn measure(only_cuts: bool) -> Result<(), Failure> {
    println!("## Boxes: YOLOv3-tiny\n");
    let Some(file) = data::shared("models/yolov3_tiny/yolov3_tiny_op13_w16.onnx") else { return Ok(()) };
    let model = data::load(&file, &[])?;
    if only_cuts {
        cut::list(&model, &model.describe(), 2).iter().for_each(|line| println!("{line}"));
        return Ok(());
    }
    let (Some(natural), Some(labelled)) = (data::shared("data/natural"), data::shared("data/labelled/img")) else {
        return Ok(());
    };
    let spec = &model.inputs()[0].spec;
    let fitting = data::inputs(&data::pictures(&natural, FITTING_EVERY)?, &NORMALISE, spec)?;
    let photos = data::inputs(&data::pictures(&labelled, 1)?, &NORMALISE, spec)?;
    let whole = Cut::at_input(&model)?;
    let finder = finder()?;
    let found = uncoded(&whole, &photos, |outputs| boxes(outputs, &finder))?;
    let sure: Vec<Vec<Found>> = found
        .iter()
        .map(|found| found.iter().filter(|found| found.confidence > TRUE_FROM).cloned().collect())
        .collect();
    let classes: std::collections::BTreeSet<usize> = sure.iter().flatten().map(|found| found.class).collect();
    println!(
        "Fitted to {} photos, measured on {} others. The truth are the {} boxes of {} classes that the uncut model \
         is more than {TRUE_FROM} sure of; against itself it has a mean average precision of {:.2} %.\n",
        fitting.len(),
        photos.len(),
        sure.iter().map(Vec::len).sum::<usize>(),
        classes.len(),
        100.0 * average_precision(&sure, &found)
    );
    let truth = Truth { boxes: sure, finder };
    let ways = ["jpeg/95", "jpeg/75", "webp/95", "webp/75"].map(|name| Way::named(name, PIXELS));
    let pictures = ways.into_iter().map(|way| row(&whole, &photos, &way?, &truth)).collect::<Result<Vec<Row>, _>>()?;
    for layer in CUTS {
        at(&model, layer, &fitting, &photos, &truth, &pictures)?;
    }
    Ok(())
}

/// What the uncut model finds on each photo, and what finds it.
struct Truth {
    boxes: Vec<Vec<Found>>,
    finder: Finder,
}

/// What a way to send shows.
struct Row {
    cells: [String; 6],
    bits: f64,
    precision: f64,
}

fn at(
    model: &Model,
    layer: &str,
    fitting: &[Vec<Tensor>],
    photos: &[Vec<Tensor>],
    truth: &Truth,
    pictures: &[Row],
) -> Result<(), Failure> {
    let cut = Cut::after(model, &model.describe(), layer)?;
    println!("### {}, {:.0} % of the multiply-adds before it\n", cut.title(), 100.0 * cut.before);
    let live = cut.live(photos)?;
    let books = fitting::shown(model, &cut, fitting, photos)?.books(Options::DEFAULT)?;
    let features = |level| Way::features(&books, level);
    let bytes = |bits: f64| bits * cut.elements() as f64 / 8.0;
    let mut table = Table::new(&["", "bytes", "bits an element", "mAP at IoU 0.5", "encode ms", "decode ms"]);
    let mut ways = vec![Way::named("f16", PIXELS)?, Way::named("int8", PIXELS)?];
    ways.extend(levels(&live, features, bytes(0.5), bytes(3.2))?.iter().rev().step_by(2).map(|level| features(*level)));
    let mut least: Option<f64> = None;
    for way in ways {
        let row = row(&cut, &live, &way, truth)?;
        if matches!(way, Way::Features(..)) && row.precision >= 100.0 - LOSS_MAX {
            least = Some(least.map_or(row.bits, |least| least.min(row.bits)));
        }
        table.row(&row.cells);
    }
    pictures.iter().for_each(|row| table.row(&row.cells));
    println!("{}", table.text());
    let found = table::found(least);
    println!("At most {LOSS_MAX} point lost: {found} (wanted: {BITS_MAX}).\n");
    Ok(())
}

fn row(cut: &Cut, live: &[Vec<Tensor>], way: &Way, truth: &Truth) -> Result<Row, Failure> {
    let sent = send(cut, live, way, |outputs| boxes(outputs, &truth.finder))?;
    let precision = 100.0 * average_precision(&truth.boxes, &sent.answers);
    let [encode, decode] = times(live, way)?;
    let bits = 8.0 * sent.bytes / cut.elements() as f64;
    let cells = [
        way.title(),
        table::bytes(sent.bytes),
        format!("{bits:.3}"),
        format!("{precision:.2} %"),
        table::ms(encode),
        table::ms(decode),
    ];
    Ok(Row { cells, bits, precision })
}
