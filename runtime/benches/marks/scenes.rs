//! PP-OCR's text detector on photos with lines pasted onto them.

use std::path::PathBuf;

use thalweg_devices::Model;
use thalweg_modules::{Layout, Normalise};
use thalweg_planner::{DType, Tensor, TensorSpec};

use crate::cut::{self, Cut};
use crate::descent::Descent;
use crate::measure::{mean, uncoded};
use crate::regions::{Regions, alike, regions};
use crate::{Failure, both_cores, data};

/// Pixels of a side.
const SIDE: usize = 320;
/// Levels from 0 to 255.
const LEVELS: Normalise = Normalise { mean: [0.0; 3], scale: [1.0; 3], layout: Layout::Nchw };
/// PaddleOCR's normalisation, blue first.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];
/// Where lines are pasted: the upper edges, and the height of a line.
const PLACES: [(usize, usize); 3] = [(24, 20), (130, 28), (250, 24)];
/// So many pictures to fit to, and others to measure on.
const PICTURES: usize = 120;
/// The layers before a cut.
const CUTS: [&str; 2] = ["p2o.Add.42", "p2o.Mul.124"];
/// What is asked for, as of the recogniser.
const SAME_MIN: f64 = 0.99;
const BITS_MAX: f64 = 3.2;

/// Prints the tables.
pub(crate) fn measure(only_cuts: bool) -> Result<(), Failure> {
    let model = data::example("ppocr/ch_PP-OCRv4_det_infer.onnx", &[("x", &[1, 3, SIDE, SIDE])])?;
    if only_cuts {
        cut::list(&model, &model.describe(), 4).iter().for_each(|line| println!("{line}"));
        return Ok(());
    }
    let (Some(photos), Some(lines)) = (data::shared("data/natural"), data::shared("data/ocr_lines/img")) else {
        return Ok(());
    };
    let (photos, lines) = (data::pictures(&photos, 1)?, data::pictures(&lines, 1)?);
    let mut pictures = scenes(&photos, &lines)?;
    let measured = pictures.split_off(pictures.len() / 2);
    let whole = uncoded(&Cut::at_input(&model)?, &measured, regions)?;
    println!(
        "Detector, photos of {SIDE} x {SIDE} with {} lines pasted onto each: fitted to {}, measured on {} others, \
         where it finds {} regions without coding.\n",
        PLACES.len(),
        pictures.len(),
        measured.len(),
        whole.iter().map(|regions| regions.boxes.len()).sum::<usize>()
    );
    for layer in CUTS {
        at(&model, layer, &pictures, &measured, &whole)?;
    }
    Ok(())
}

fn at(
    model: &Model,
    layer: &str,
    fitting: &[Vec<Tensor>],
    measured: &[Vec<Tensor>],
    whole: &[Regions],
) -> Result<(), Failure> {
    let cut = Cut::after(model, &model.describe(), layer)?;
    println!("### Detector {}, {:.0} % of the multiply-adds before it\n", cut.title(), 100.0 * cut.before);
    let columns = ["IoU of the map", "regions alike"];
    let descent = Descent { model, cut: &cut, fitting, measured, bits_max: BITS_MAX, columns: &columns };
    let found = descent.print(regions, |answers| {
        let pairs = || answers.iter().zip(whole);
        let overlap = mean(pairs().map(|(one, other)| one.overlap(other)));
        let same = mean(pairs().map(|(one, other)| f64::from(u8::from(alike(one, other)))));
        (vec![format!("{overlap:.4}"), format!("{:.1} %", 100.0 * same)], same >= SAME_MIN)
    })?;
    println!(
        "All regions alike (one to one, at IoU 0.5) in at least {:.0} % of pictures: {found} (wanted: {BITS_MAX}).\n",
        100.0 * SAME_MIN
    );
    Ok(())
}

/// Photos with lines on them.
fn scenes(photos: &[PathBuf], lines: &[PathBuf]) -> Result<Vec<Vec<Tensor>>, Failure> {
    let picked: Vec<usize> = (0..2 * PICTURES).collect();
    both_cores(&picked, |_, at| {
        let side = TensorSpec::new(DType::F32, [1, 3, SIDE, SIDE]);
        let photo = data::photo(&photos[at * photos.len() / picked.len()])?;
        let mut levels = LEVELS.tensor(&photo, &side)?.to_f32().ok_or("a picture that is not f32")?;
        for (nth, (top, height)) in PLACES.into_iter().enumerate() {
            let line = data::photo(&lines[(PLACES.len() * at + nth) % lines.len()])?;
            let wide = (height as f64 * f64::from(line.width()) / f64::from(line.height())).ceil() as usize;
            let spec = TensorSpec::new(DType::F32, [1, 3, height, wide.clamp(1, SIDE)]);
            let pixels = LEVELS.tensor(&line, &spec)?.to_f32().ok_or("a picture that is not f32")?;
            let wide = spec.shape[3];
            let left = (37 * (at + nth)) % (SIDE - wide + 1);
            for (row, pixels) in pixels.chunks_exact(wide).enumerate() {
                let (channel, row) = (row / height, row % height);
                let start = (channel * SIDE + top + row) * SIDE + left;
                levels[start..start + wide].copy_from_slice(pixels);
            }
        }
        let planes = levels.chunks_exact(SIDE * SIDE).rev().zip(MEAN.into_iter().zip(DEVIATION));
        let values: Vec<f32> = planes
            .flat_map(|(plane, (mean, deviation))| plane.iter().map(move |level| (level / 255.0 - mean) / deviation))
            .collect();
        Ok(vec![Tensor::from_f32([1, 3, SIDE, SIDE], &values)?])
    })
}
