//! The numbers of a cell become boxes.

use crate::settings::Layout;
use crate::{Map, Settings};

/// The exponent of a box's size is cut here: e^10 anchors are larger than any picture, and still finite.
const EXPONENT_MAX: f32 = 10.0;

/// Candidates that are kept while more are looked at: the most confident. Suppression compares each with each.
const CANDIDATES_MAX: usize = 4096;

/// Numbers of a box before those of its classes.
pub(crate) const NUMBERS: usize = 5;

/// A box before others are compared with it; lengths in pixels of the input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) class: usize,
    pub(crate) confidence: f32,
    pub(crate) left: f32,
    pub(crate) top: f32,
    pub(crate) right: f32,
    pub(crate) bottom: f32,
    /// Its number in the order of outputs, anchors, cells and classes: decides between equally confident ones.
    pub(crate) number: usize,
}

impl Candidate {
    /// The more confident first.
    pub(crate) fn order(&self, other: &Self) -> std::cmp::Ordering {
        other.confidence.total_cmp(&self.confidence).then(self.number.cmp(&other.number))
    }
}

/// The most confident boxes of all outputs, at most [`CANDIDATES_MAX`], from the most confident. Sizes were checked.
pub(crate) fn candidates(maps: &[Map], settings: &Settings) -> Vec<Candidate> {
    let mut all = Vec::new();
    let mut number = 0;
    for (map, grid) in maps.iter().zip(&settings.grids) {
        for (anchor, sides) in grid.anchors.iter().enumerate() {
            for cell in 0..map.height * map.width {
                let numbers = Numbers::new(map, settings, grid.anchors.len(), anchor, cell);
                of_cell(&numbers, map, *sides, settings, number, &mut all);
                number += settings.labels.len();
                if all.len() >= 2 * CANDIDATES_MAX {
                    keep_best(&mut all);
                }
            }
        }
    }
    keep_best(&mut all);
    all.sort_unstable_by(Candidate::order);
    all
}

fn keep_best(all: &mut Vec<Candidate>) {
    if all.len() > CANDIDATES_MAX {
        all.select_nth_unstable_by(CANDIDATES_MAX, Candidate::order);
        all.truncate(CANDIDATES_MAX);
    }
}

/// Where the numbers of one box stand.
struct Numbers<'a> {
    values: &'a [f32],
    first: usize,
    step: usize,
    cell: usize,
}

impl<'a> Numbers<'a> {
    fn new(map: &Map<'a>, settings: &Settings, anchors: usize, anchor: usize, cell: usize) -> Self {
        let of_box = NUMBERS + settings.labels.len();
        let area = map.height * map.width;
        let (first, step) = match settings.layout {
            Layout::Nchw => (anchor * of_box * area + cell, area),
            Layout::Nhwc => ((cell * anchors + anchor) * of_box, 1),
        };
        Self { values: map.values, first, step, cell }
    }

    fn at(&self, at: usize) -> f32 {
        self.values[self.first + at * self.step]
    }
}

fn of_cell(
    numbers: &Numbers,
    map: &Map,
    anchor: [f32; 2],
    settings: &Settings,
    number: usize,
    all: &mut Vec<Candidate>,
) {
    let there = sigmoid(numbers.at(4));
    if there < settings.confidence_min {
        return;
    }
    let axis = |axis: usize, cell: usize, cells: usize| {
        let middle = (cell as f32 + sigmoid(numbers.at(axis))) / cells as f32 * settings.input[1 - axis] as f32;
        let half = anchor[axis] * libm::expf(numbers.at(2 + axis).min(EXPONENT_MAX)) / 2.0;
        (middle - half, middle + half)
    };
    let (left, right) = axis(0, numbers.cell % map.width, map.width);
    let (top, bottom) = axis(1, numbers.cell / map.width, map.height);
    for class in 0..settings.labels.len() {
        let confidence = there * sigmoid(numbers.at(NUMBERS + class));
        if confidence >= settings.confidence_min {
            all.push(Candidate { class, confidence, left, top, right, bottom, number: number + class });
        }
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + libm::expf(-x))
}
