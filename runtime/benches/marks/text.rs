//! PP-OCR on rendered lines: the recogniser's characters, and the detector's map.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use thalweg_devices::Model;
use thalweg_module_ctc_decode::{Dictionary, Scores, decode};
use thalweg_modules::{Layout, Normalise};
use thalweg_planner::{DType, Tensor, TensorSpec};

use crate::cut::{self, Cut};
use crate::descent::Descent;
use crate::measure::{mean, uncoded};
use crate::{Failure, both_cores, data, scenes};

/// The recogniser's input: a codebook belongs to one shape, so lines are filled up to this width. Three quarters of the
/// lines are no longer.
const HEIGHT: usize = 48;
const WIDTH: usize = 736;
/// (level / 255 - 0.5) / 0.5; PaddleOCR has blue first.
const NORMALISE: Normalise = Normalise { mean: [127.5; 3], scale: [127.5; 3], layout: Layout::Nchw };
/// The layers before a cut.
const CUTS: [&str; 3] = ["p2o.AveragePool.0", "p2o.Add.166", "p2o.Conv.11"];
/// What is asked for: this share of lines reads the same, at a tenth of the bits of f32.
const SAME_MIN: f64 = 99.0;
const BITS_MAX: f64 = 3.2;
/// Levels are shown from this many bits on, to tell where every character is kept.
const BITS_SHOWN: f64 = 5.0;

/// Lines to fit to, lines to measure on, and what is written on those.
struct Lines {
    fitting: Vec<Vec<Tensor>>,
    measured: Vec<Vec<Tensor>>,
    texts: Vec<String>,
}

/// Prints the tables.
pub(crate) fn measure(only_cuts: bool) -> Result<(), Failure> {
    println!("## Text: PP-OCR\n");
    let model = data::example("ppocr/ch_PP-OCRv4_rec_infer.onnx", &[("x", &[1, 3, HEIGHT, WIDTH])])?;
    if only_cuts {
        cut::list(&model, &model.describe(), 3).iter().for_each(|line| println!("{line}"));
        return scenes::measure(true);
    }
    let Some(folder) = data::shared("data/ocr_lines") else { return Ok(()) };
    let dictionary = Dictionary::read(&fs::read_to_string(data::example_file("ppocr/rec_keys.txt"))?, true)?;
    let lines = Lines::read(&folder)?;
    let read = uncoded(&Cut::at_input(&model)?, &lines.measured, |outputs| read_line(outputs, &dictionary))?;
    let right = read.iter().zip(&lines.texts).filter(|(read, text)| spaceless(read) == spaceless(text)).count();
    println!(
        "Recogniser, lines of up to {WIDTH} pixels: fitted to {}, measured on {} others. Without coding {:.1} % of \
         them are read without a fault, spaces aside.\n",
        lines.fitting.len(),
        lines.measured.len(),
        100.0 * right as f64 / lines.measured.len().max(1) as f64
    );
    for layer in CUTS {
        at(&model, layer, &lines, &dictionary, &read)?;
    }
    scenes::measure(false)
}

fn at(model: &Model, layer: &str, lines: &Lines, dictionary: &Dictionary, read: &[String]) -> Result<(), Failure> {
    let cut = Cut::after(model, &model.describe(), layer)?;
    println!("### Recogniser {}, {:.0} % of the multiply-adds before it\n", cut.title(), 100.0 * cut.before);
    let (fitting, measured) = (&lines.fitting, &lines.measured);
    let columns = ["lines read the same", "spaces aside"];
    let descent = Descent { model, cut: &cut, fitting, measured, bits_max: BITS_SHOWN, columns: &columns };
    let found = descent.print(
        |outputs| read_line(outputs, dictionary),
        |answers| {
            let share = |same: fn(&str, &str) -> bool| {
                100.0 * mean(answers.iter().zip(read).map(|(one, other)| f64::from(u8::from(same(one, other)))))
            };
            let aside = share(|one, other| spaceless(one) == spaceless(other));
            (vec![format!("{:.1} %", share(|one, other| one == other)), format!("{aside:.1} %")], aside >= SAME_MIN)
        },
    )?;
    println!("Spaces aside, {SAME_MIN} % of lines read the same: {found} (wanted: {BITS_MAX}, a tenth of f32).\n");
    Ok(())
}

/// The recogniser is unsure of spaces: without coding it drops many.
fn spaceless(text: &str) -> String {
    text.chars().filter(|letter| *letter != ' ').collect()
}

impl Lines {
    /// The lines that fit, every other one to fit to.
    fn read(folder: &Path) -> Result<Self, Failure> {
        let labels: BTreeMap<String, String> = serde_json::from_str(&fs::read_to_string(folder.join("labels.json"))?)?;
        let files: Vec<(PathBuf, String)> =
            labels.into_iter().map(|(file, text)| (folder.join("img").join(file), text)).collect();
        let all = both_cores(&files, |_, (file, text)| Ok((line(file)?, text.clone())))?;
        let fits = all.into_iter().filter_map(|(line, text)| Some((vec![line?], text)));
        let mut lines = Self { fitting: Vec::new(), measured: Vec::new(), texts: Vec::new() };
        for (at, (line, text)) in fits.enumerate() {
            if at % 2 == 0 {
                lines.fitting.push(line);
            } else {
                lines.measured.push(line);
                lines.texts.push(text);
            }
        }
        Ok(lines)
    }
}

/// A line at the recogniser's height, filled up with zeros as PaddleOCR does; none where it is too long.
fn line(file: &Path) -> Result<Option<Tensor>, Failure> {
    let photo = data::photo(file)?;
    let wide = (HEIGHT as f64 * f64::from(photo.width()) / f64::from(photo.height())).ceil() as usize;
    if wide > WIDTH {
        return Ok(None);
    }
    let spec = TensorSpec::new(DType::F32, [1, 3, HEIGHT, wide]);
    let values = NORMALISE.tensor(&photo, &spec)?.to_f32().ok_or("a picture that is not f32")?;
    let mut filled = vec![0.0; 3 * HEIGHT * WIDTH];
    for (at, row) in values.chunks_exact(wide).enumerate() {
        let (channel, row_at) = (2 - at / HEIGHT, at % HEIGHT);
        let start = (channel * HEIGHT + row_at) * WIDTH;
        filled[start..start + wide].copy_from_slice(row);
    }
    Ok(Some(Tensor::from_f32([1, 3, HEIGHT, WIDTH], &filled)?))
}

/// The text of the recogniser's outputs.
fn read_line(outputs: &[Tensor], dictionary: &Dictionary) -> Result<String, Failure> {
    let scores = outputs[0].to_f32().ok_or("an output that is not f32")?;
    let &[_, steps, classes] = &*outputs[0].spec().shape else {
        return Err(format!("{} is not of lines, steps and classes", outputs[0].spec()).into());
    };
    Ok(decode(&scores, steps, classes, dictionary, Scores::Probabilities)?.text)
}
