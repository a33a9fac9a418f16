//! Boxes of YOLOv3-tiny's outputs, and how well those of one run match those of another.
//!
//! Average precision: the area under the precision envelope, as PASCAL VOC has it since 2010.

use thalweg_module_find_boxes::{Finder, Fit, Found, Grid, Layout, Map, Settings};
use thalweg_planner::Tensor;

use crate::Failure;

/// Pixels of a side of the input, in which boxes are told as well.
const SIDE: u32 = 416;
/// Of each output: width and height of its anchors in pixels, as published (`mask = 3,4,5` and `mask = 1,2,3`).
const ANCHORS: [[[f32; 2]; 3]; 2] =
    [[[81.0, 82.0], [135.0, 169.0], [344.0, 319.0]], [[23.0, 27.0], [37.0, 58.0], [81.0, 82.0]]];
/// COCO's; their names do not matter here.
const CLASSES: usize = 80;
/// Boxes with less confidence are dropped: average precision wants unsure ones too.
const CONFIDENCE_MIN: f32 = 0.05;
/// Of boxes of one class that overlap more, the most confident stays: darknet's.
const OVERLAP_MAX: f32 = 0.45;
/// More than there are on any photo.
const BOXES_MAX: usize = 1024;
/// Boxes that overlap at least so much are the same.
const SAME_FROM: f32 = 0.5;

/// The module that finds boxes, for this model.
pub(crate) fn finder() -> Result<Finder, Failure> {
    Ok(Finder::new(Settings {
        grids: ANCHORS.map(|anchors| Grid { anchors: anchors.to_vec() }).to_vec(),
        labels: vec![String::new(); CLASSES],
        input: [SIDE; 2],
        layout: Layout::Nchw,
        photo: None,
        fit: Fit::Stretch,
        confidence_min: CONFIDENCE_MIN,
        overlap_max: OVERLAP_MAX,
        boxes_max: BOXES_MAX,
    })?)
}

/// The boxes of the outputs of one photo, from the most confident.
pub(crate) fn boxes(outputs: &[Tensor], finder: &Finder) -> Result<Vec<Found>, Failure> {
    let values = outputs.iter().map(|output| output.to_f32().ok_or("an output that is not f32"));
    let values: Vec<Vec<f32>> = values.collect::<Result<_, _>>()?;
    let mut maps = Vec::with_capacity(outputs.len());
    for (output, values) in outputs.iter().zip(&values) {
        let &[1, _, height, width] = &*output.spec().shape else {
            return Err(format!("{} is no grid of one picture", output.spec()).into());
        };
        maps.push(Map { values, height, width });
    }
    Ok(finder.find(&maps)?)
}

/// Intersection over union.
fn overlap(one: &Found, other: &Found) -> f32 {
    let ([left, top, right, bottom], [left_2, top_2, right_2, bottom_2]) = (one.edges, other.edges);
    let both = (right.min(right_2) - left.max(left_2)).max(0.0) * (bottom.min(bottom_2) - top.max(top_2)).max(0.0);
    let either = (right - left) * (bottom - top) + (right_2 - left_2) * (bottom_2 - top_2) - both;
    both / either.max(f32::MIN_POSITIVE)
}

/// The mean over the classes that occur in `truth`, both by photo: 1 where all is found before anything else.
pub(crate) fn average_precision(truth: &[Vec<Found>], found: &[Vec<Found>]) -> f64 {
    let classes: std::collections::BTreeSet<usize> = truth.iter().flatten().map(|found| found.class).collect();
    crate::measure::mean(classes.iter().map(|class| of_class(truth, found, *class)))
}

fn of_class(truth: &[Vec<Found>], found: &[Vec<Found>], class: usize) -> f64 {
    let mut open: Vec<Vec<Found>> =
        truth.iter().map(|photo| photo.iter().filter(|found| found.class == class).cloned().collect()).collect();
    let all = open.iter().map(Vec::len).sum::<usize>().max(1) as f64;
    let photos = found.iter().enumerate();
    let mut ranked: Vec<(usize, &Found)> =
        photos.flat_map(|(photo, found)| found.iter().map(move |found| (photo, found))).collect();
    ranked.retain(|(_, found)| found.class == class);
    ranked.sort_by(|(_, one), (_, other)| other.confidence.total_cmp(&one.confidence));
    // Recall and precision after each box.
    let (mut right, mut curve) = (0.0, Vec::new());
    for (count, (photo, next)) in (1..).zip(ranked) {
        let open = &mut open[photo];
        let nearest = (0..open.len()).max_by(|a, b| overlap(&open[*a], next).total_cmp(&overlap(&open[*b], next)));
        if let Some(at) = nearest.filter(|at| overlap(&open[*at], next) >= SAME_FROM) {
            open.swap_remove(at);
            right += 1.0;
        }
        curve.push((right / all, right / f64::from(count)));
    }
    let (mut area, mut best, mut recall_above) = (0.0, 0.0_f64, curve.last().map_or(0.0, |(recall, _)| *recall));
    for (recall, precision) in curve.into_iter().rev() {
        area += (recall_above - recall) * best;
        best = best.max(precision);
        recall_above = recall;
    }
    area + recall_above * best
}
