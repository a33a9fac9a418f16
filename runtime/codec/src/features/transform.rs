//! From elements to coefficients and back.
//!
//! 1. The mean of its channel is taken from each element.
//! 2. Each block of each channel becomes spatial frequencies, by a DCT along its columns and one along its rows.
//! 3. The channels of one frequency become components, by the matrix of the band to which the frequency belongs.
//!
//! A coefficient is thus a component at a frequency of a block. Coefficients lie by frequency, from the lowest, then by
//! block, then by component.

use super::grid::Grid;
use super::product::product;

/// The matrix of a band, which holds some frequencies in a row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Band {
    /// How many frequencies it holds.
    pub(crate) frequencies: usize,
    /// Channels x components.
    pub(crate) forward: Vec<f32>,
    /// Components x channels.
    pub(crate) inverse: Vec<f32>,
}

/// All that turns a tensor into coefficients and back.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Transform {
    pub(crate) grid: Grid,
    /// A channel.
    pub(crate) mean: Vec<f32>,
    pub(crate) components: usize,
    pub(crate) bands: Vec<Band>,
    /// Frequencies x positions of a column of a block, and of a row.
    vertical: Vec<f32>,
    horizontal: Vec<f32>,
    /// The same, transposed.
    vertical_back: Vec<f32>,
    horizontal_back: Vec<f32>,
    /// For each frequency of a block, row by row, its place in the order of frequencies.
    rank: Vec<u32>,
    /// See [`Grid::places`].
    places: Vec<u32>,
}

/// Buffers that one call leaves to the next.
#[derive(Debug, Default)]
pub(crate) struct Planes {
    one: Vec<f32>,
    other: Vec<f32>,
    /// What [`Transform::forward`] made and [`Transform::inverse`] reads: frequencies x blocks x components.
    pub(crate) coefficients: Vec<f32>,
}

impl Planes {
    /// Coefficients to be restored.
    pub(crate) fn of(coefficients: Vec<f32>) -> Self {
        Self { coefficients, ..Self::default() }
    }
}

impl Transform {
    /// `bands` hold all frequencies of a block, and their matrices are of this many components.
    pub(crate) fn new(grid: Grid, mean: Vec<f32>, components: usize, bands: Vec<Band>) -> Self {
        let (vertical, horizontal) = (cosines(grid.rows), cosines(grid.columns));
        let mut rank = vec![0; grid.block()];
        for (place, frequency) in frequencies(&grid).into_iter().enumerate() {
            rank[frequency] = place as u32;
        }
        Self {
            vertical_back: transposed(&vertical, grid.rows),
            horizontal_back: transposed(&horizontal, grid.columns),
            places: grid.places(),
            grid,
            mean,
            components,
            bands,
            vertical,
            horizontal,
            rank,
        }
    }

    /// The same with the magnitudes of all numbers that the inverse is made of, and without means: what it makes of
    /// bounds of coefficients are bounds of elements.
    pub(crate) fn magnitudes(&self) -> Self {
        let magnitudes = |numbers: &[f32]| numbers.iter().map(|number| number.abs()).collect::<Vec<_>>();
        let band = |band: &Band| Band { inverse: magnitudes(&band.inverse), ..band.clone() };
        Self {
            mean: vec![0.0; self.mean.len()],
            bands: self.bands.iter().map(band).collect(),
            vertical_back: magnitudes(&self.vertical_back),
            horizontal_back: magnitudes(&self.horizontal_back),
            ..self.clone()
        }
    }

    /// How many coefficients a block has.
    pub(crate) fn block_coefficients(&self) -> usize {
        self.grid.block() * self.components
    }

    /// The coefficients of `elements`, into `planes`.
    pub(crate) fn forward(&self, elements: &[f32], planes: &mut Planes) {
        self.spectrum(elements, planes);
        planes.coefficients.resize(self.grid.blocks() * self.block_coefficients(), 0.0);
        let mut channels = planes.one.as_slice();
        let mut components = planes.coefficients.as_mut_slice();
        for band in &self.bands {
            let rows = band.frequencies * self.grid.blocks();
            let (from, to) = (take(&mut channels, rows * self.grid.channels), rows * self.components);
            let (into, rest) = std::mem::take(&mut components).split_at_mut(to);
            components = rest;
            product(from, &band.forward, self.grid.channels, self.components, into);
        }
    }

    /// The channels at each frequency of `elements`, into `planes.one`: frequencies x blocks x channels.
    fn spectrum(&self, elements: &[f32], planes: &mut Planes) {
        let Grid { channels, rows, columns, .. } = self.grid;
        let (blocks, row, block) = (self.grid.blocks(), columns * channels, self.grid.block() * channels);
        let Planes { one, other, .. } = planes;
        one.resize(blocks * block, 0.0);
        other.resize(block + row, 0.0);
        let (vertical, horizontal) = other.split_at_mut(block);
        let stage = &mut planes.coefficients;
        stage.resize(block, 0.0);
        for (at, places) in self.places.chunks_exact(self.grid.block()).enumerate() {
            self.gather(elements, places, stage);
            product(&self.vertical, stage, rows, row, vertical);
            for (vertical, ranks) in vertical.chunks_exact(row).zip(self.rank.chunks_exact(columns)) {
                product(&self.horizontal, vertical, columns, channels, horizontal);
                for (frequency, rank) in horizontal.chunks_exact(channels).zip(ranks) {
                    one[(*rank as usize * blocks + at) * channels..][..channels].copy_from_slice(frequency);
                }
            }
        }
    }

    /// The elements whose coefficients `planes` holds.
    pub(crate) fn inverse(&self, planes: &mut Planes, elements: &mut [f32]) {
        let Grid { channels, rows, columns, .. } = self.grid;
        let (blocks, row, block) = (self.grid.blocks(), columns * channels, self.grid.block() * channels);
        let Planes { one, other, coefficients } = planes;
        one.resize(blocks * block, 0.0);
        let (mut from, mut to) = (coefficients.as_slice(), one.as_mut_slice());
        for band in &self.bands {
            let rows = band.frequencies * blocks;
            let (into, rest) = std::mem::take(&mut to).split_at_mut(rows * channels);
            to = rest;
            product(take(&mut from, rows * self.components), &band.inverse, self.components, channels, into);
        }
        other.resize(block + row, 0.0);
        let (vertical, frequencies) = other.split_at_mut(block);
        coefficients.resize(block.max(coefficients.len()), 0.0);
        for (at, places) in self.places.chunks_exact(self.grid.block()).enumerate() {
            for (vertical, ranks) in vertical.chunks_exact_mut(row).zip(self.rank.chunks_exact(columns)) {
                for (frequency, rank) in frequencies.chunks_exact_mut(channels).zip(ranks) {
                    frequency.copy_from_slice(&one[(*rank as usize * blocks + at) * channels..][..channels]);
                }
                product(&self.horizontal_back, frequencies, columns, channels, vertical);
            }
            let stage = &mut coefficients[..block];
            product(&self.vertical_back, vertical, rows, row, stage);
            self.scatter(stage, places, elements);
        }
    }

    /// One block, without the mean: positions x channels.
    fn gather(&self, elements: &[f32], places: &[u32], block: &mut [f32]) {
        let channels = self.grid.channels;
        if self.grid.channel_stride() == 1 {
            for (position, place) in block.chunks_exact_mut(channels).zip(places) {
                let from = &elements[*place as usize..][..channels];
                for ((value, element), mean) in position.iter_mut().zip(from).zip(&self.mean) {
                    *value = element - mean;
                }
            }
            return;
        }
        for (channel, mean) in self.mean.iter().enumerate() {
            let elements = &elements[channel * self.grid.channel_stride()..];
            for (value, place) in block[channel..].iter_mut().step_by(channels).zip(places) {
                *value = elements[*place as usize] - mean;
            }
        }
    }

    /// Puts one block back: the inverse of [`Transform::gather`].
    fn scatter(&self, block: &[f32], places: &[u32], elements: &mut [f32]) {
        let channels = self.grid.channels;
        if self.grid.channel_stride() == 1 {
            for (position, place) in block.chunks_exact(channels).zip(places) {
                let to = &mut elements[*place as usize..][..channels];
                for ((element, value), mean) in to.iter_mut().zip(position).zip(&self.mean) {
                    *element = value + mean;
                }
            }
            return;
        }
        for (channel, mean) in self.mean.iter().enumerate() {
            let elements = &mut elements[channel * self.grid.channel_stride()..];
            for (value, place) in block[channel..].iter().step_by(channels).zip(places) {
                elements[*place as usize] = value + mean;
            }
        }
    }
}

/// The first `len` of `rest`, which loses them.
fn take<'a>(rest: &mut &'a [f32], len: usize) -> &'a [f32] {
    let (first, others) = rest.split_at(len);
    *rest = others;
    first
}

/// The frequencies of a block, row by row, from the lowest to the highest: by the sum of both axes' shares of their
/// highest frequency.
pub(crate) fn frequencies(grid: &Grid) -> Vec<usize> {
    let mut all: Vec<usize> = (0..grid.block()).collect();
    all.sort_by_key(|frequency| (height(grid, *frequency), *frequency));
    all
}

/// How high a frequency is, in units of 1 / (rows · columns) of the highest of one axis.
pub(crate) fn height(grid: &Grid, frequency: usize) -> usize {
    frequency / grid.columns * grid.columns + frequency % grid.columns * grid.rows
}

/// The orthonormal DCT-II of `size` points: frequencies x points (Ahmed, Natarajan and Rao, "Discrete Cosine Transform",
/// 1974, as scaled in ITU-T T.81, annex A.3.3).
fn cosines(size: usize) -> Vec<f32> {
    let cosine = |frequency: usize, point: usize| {
        let scale = if frequency == 0 { 1.0 / size as f64 } else { 2.0 / size as f64 }.sqrt();
        (scale * half_turns(((2 * point + 1) * frequency) % (4 * size), 2 * size)) as f32
    };
    (0..size).flat_map(|frequency| (0..size).map(move |point| cosine(frequency, point))).collect()
}

/// cos(π · part / whole) for 0 <= part < 2 · whole, by sums and products alone: the standard library's cosine differs from
/// machine to machine.
fn half_turns(part: usize, whole: usize) -> f64 {
    let part = if part > whole { 2 * whole - part } else { part };
    if 2 * part > whole {
        return -half_turns(whole - part, whole);
    }
    let angle = std::f64::consts::PI * part as f64 / whole as f64;
    // The terms of Taylor's series up to the power 26: their rest is below 2⁻⁵³ up to a quarter turn.
    let terms = (1..14).rev().map(|term| f64::from(2 * term * (2 * term - 1)));
    terms.fold(1.0, |sum, factor| 1.0 - sum * angle * angle / factor)
}

fn transposed(square: &[f32], size: usize) -> Vec<f32> {
    (0..size * size).map(|at| square[at % size * size + at / size]).collect()
}
