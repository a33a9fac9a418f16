//! Boxes of YOLOv3-tiny's outputs, and how well those of one run match those of another.
//!
//! Formulas: Redmon and Farhadi, "YOLOv3: An Incremental Improvement" (2018), section 2.1. Anchors: darknet's
//! `cfg/yolov3-tiny.cfg`; the finer head has numbers 1 to 3, with which both heads give the same object the same size.
//! Average precision: the area under the precision envelope, as PASCAL VOC has it since 2010.

use thalweg_planner::Tensor;

use crate::Failure;

/// Pixels of a side of the input.
const SIDE: f32 = 416.0;
/// Of each output: width and height of its anchors in pixels.
const ANCHORS: [[[f32; 2]; 3]; 2] =
    [[[81.0, 82.0], [135.0, 169.0], [344.0, 319.0]], [[23.0, 27.0], [37.0, 58.0], [81.0, 82.0]]];
/// Numbers of a box: its place and size, whether there is one, and its classes.
const NUMBERS: usize = 85;
/// Boxes with less confidence are dropped.
const CONFIDENCE_MIN: f32 = 0.05;
/// Of boxes of one class that overlap more, the most confident stays.
const OVERLAP_MAX: f32 = 0.45;
/// Boxes that overlap at least so much are the same.
const SAME_FROM: f32 = 0.5;

/// A box; lengths in sides of the input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Found {
    pub(crate) class: usize,
    pub(crate) confidence: f32,
    left: f32,
    top: f32,
    right: f32,
    bottom: f32,
}

/// The boxes of the outputs of one photo, from the most confident.
pub(crate) fn boxes(outputs: &[Tensor]) -> Result<Vec<Found>, Failure> {
    let mut all = Vec::new();
    for (output, anchors) in outputs.iter().zip(ANCHORS) {
        let cells = output.spec().shape.last().copied().unwrap_or_default();
        let values = output.to_f32().ok_or("an output that is not f32")?;
        if values.len() != anchors.len() * NUMBERS * cells * cells {
            return Err(format!("{} is no output of three anchors", output.spec()).into());
        }
        for (of, anchor) in values.chunks_exact(NUMBERS * cells * cells).zip(anchors) {
            of_anchor(of, anchor, cells, &mut all);
        }
    }
    all.sort_by(|one, other| other.confidence.total_cmp(&one.confidence));
    let mut kept: Vec<Found> = Vec::new();
    for next in all {
        if kept.iter().all(|kept| kept.class != next.class || overlap(kept, &next) <= OVERLAP_MAX) {
            kept.push(next);
        }
    }
    Ok(kept)
}

fn of_anchor(values: &[f32], [width, height]: [f32; 2], cells: usize, all: &mut Vec<Found>) {
    let area = cells * cells;
    for cell in 0..area {
        let number = |at: usize| values[at * area + cell];
        let there = sigmoid(number(4));
        if there < CONFIDENCE_MIN {
            continue;
        }
        let (column, row) = ((cell % cells) as f32, (cell / cells) as f32);
        let across = (column + sigmoid(number(0))) / cells as f32;
        let down = (row + sigmoid(number(1))) / cells as f32;
        let (width, height) = (width * number(2).exp() / SIDE, height * number(3).exp() / SIDE);
        let found = |class: usize| Found {
            class,
            confidence: there * sigmoid(number(5 + class)),
            left: across - width / 2.0,
            top: down - height / 2.0,
            right: across + width / 2.0,
            bottom: down + height / 2.0,
        };
        all.extend((0..NUMBERS - 5).map(found).filter(|found| found.confidence >= CONFIDENCE_MIN));
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// Intersection over union.
fn overlap(one: &Found, other: &Found) -> f32 {
    let width = (one.right.min(other.right) - one.left.max(other.left)).max(0.0);
    let height = (one.bottom.min(other.bottom) - one.top.max(other.top)).max(0.0);
    let area = |of: &Found| (of.right - of.left) * (of.bottom - of.top);
    let both = width * height;
    both / (area(one) + area(other) - both).max(f32::MIN_POSITIVE)
}

/// The mean over the classes that occur in `truth`, both by photo: 1 where all is found before anything else.
pub(crate) fn average_precision(truth: &[Vec<Found>], found: &[Vec<Found>]) -> f64 {
    let classes: std::collections::BTreeSet<usize> = truth.iter().flatten().map(|found| found.class).collect();
    crate::measure::mean(classes.iter().map(|class| of_class(truth, found, *class)))
}

fn of_class(truth: &[Vec<Found>], found: &[Vec<Found>], class: usize) -> f64 {
    let mut open: Vec<Vec<Found>> =
        truth.iter().map(|photo| photo.iter().filter(|found| found.class == class).copied().collect()).collect();
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
