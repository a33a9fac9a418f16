//! The stream of one tensor: quantised coefficients, from the largest expected one to the smallest, entropy coded.
//!
//! Any beginning of a stream decodes to a coarser tensor: coefficients that have not come yet are taken for zero.

use super::book::{Book, Level};
use super::pace::Pace;
use super::symbols::{ESCAPE, VALUE_END, fold, unfold};
use super::transform::Planes;
use crate::rans::{Decoder, Encoder};

/// The entropy coder takes at most this many raw bits at a time.
const HALF: u32 = 16;

/// Buffers that one call leaves to the next.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// The tensor as f32.
    pub(crate) elements: Vec<f32>,
    pub(crate) planes: Planes,
    /// Quantised coefficients, where [`Planes::coefficients`] has them.
    pub(crate) values: Vec<i32>,
    /// By how many classes the pace moves each value, in the order of the stream.
    offsets: Vec<i8>,
}

/// Quantises the coefficients in `scratch`; false where one is too large or no number.
///
/// A value is the nearest number of steps, but zero below the coefficient's threshold.
pub(crate) fn quantise(level: &Level, components: usize, scratch: &mut Scratch) -> bool {
    let Scratch { planes: Planes { coefficients, .. }, values, .. } = scratch;
    let blocks = coefficients.len() / level.threshold.len();
    values.resize(coefficients.len(), 0);
    let inverse = level.step.recip();
    let frequency = blocks * components;
    let rows = coefficients.chunks_exact(frequency).zip(values.chunks_exact_mut(frequency));
    let mut fits = true;
    for ((from, to), thresholds) in rows.zip(level.threshold.chunks_exact(components)) {
        for (from, to) in from.chunks_exact(components).zip(to.chunks_exact_mut(components)) {
            for ((coefficient, value), threshold) in from.iter().zip(to).zip(thresholds) {
                let steps = (coefficient * inverse).abs();
                let whole = if steps < *threshold { 0.0 } else { steps + 0.5 };
                fits &= steps < VALUE_END as f32;
                *value = whole.copysign(*coefficient) as i32;
            }
        }
    }
    fits
}

/// Where the values of a coefficient of all blocks lie.
fn places(coefficient: u32, blocks: usize, components: usize) -> impl DoubleEndedIterator<Item = usize> {
    let (frequency, component) = (coefficient as usize / components, coefficient as usize % components);
    (0..blocks).map(move |block| (frequency * blocks + block) * components + component)
}

/// Calls `each` with every value that a level sends, in the order of the stream: its place, class and offset.
pub(crate) fn walk(book: &Book, level: &Level, values: &[i32], mut each: impl FnMut(usize, u8, i32)) {
    let (blocks, components) = (book.transform.grid.blocks(), book.transform.components);
    let mut pace = Pace::START;
    for (coefficient, class) in &level.scan {
        let expected = book.expected(*class);
        for place in places(*coefficient, blocks, components) {
            each(place, *class, pace.offset());
            pace.note(values[place], expected);
        }
    }
}

/// Appends the stream of the quantised values.
pub(crate) fn write(book: &Book, level: &Level, scratch: &mut Scratch, out: &mut Vec<u8>) {
    let (blocks, components) = (book.transform.grid.blocks(), book.transform.components);
    let Scratch { values, offsets, .. } = scratch;
    offsets.clear();
    walk(book, level, values, |_, _, offset| offsets.push(offset as i8));
    // The decoder begins with what was put last.
    let mut offsets = offsets.iter().rev();
    let mut encoder = Encoder::new(out);
    for (coefficient, class) in level.scan.iter().rev() {
        for (place, offset) in places(*coefficient, blocks, components).rev().zip(offsets.by_ref()) {
            let (table, raw) = book.table(*class, i32::from(*offset));
            let folded = fold(values[place]);
            if raw > 0 {
                put_bits(&mut encoder, folded, raw);
            }
            let symbol = (folded >> raw).min(ESCAPE);
            if symbol == ESCAPE {
                put_gamma(&mut encoder, (folded >> raw) - ESCAPE + 1);
            }
            let (start, slots) = table.slots(symbol);
            encoder.put(start, slots);
        }
    }
    encoder.finish();
}

/// How much of a stream there was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Extent {
    /// All of it, as far as its end can tell.
    Whole,
    /// This share of its values.
    Beginning(f64),
    /// More than it takes, or other bytes.
    Damaged,
}

/// The coefficients that quantised values stand for.
pub(crate) fn restore(level: &Level, components: usize, values: &[i32], coefficients: &mut Vec<f32>) {
    coefficients.resize(values.len(), 0.0);
    let frequency = values.len() / level.restored.len() * components;
    let rows = values.chunks_exact(frequency).zip(coefficients.chunks_exact_mut(frequency));
    for ((from, to), restored) in rows.zip(level.restored.chunks_exact(components)) {
        for (from, to) in from.chunks_exact(components).zip(to.chunks_exact_mut(components)) {
            for ((value, coefficient), restored) in from.iter().zip(to).zip(restored) {
                *coefficient = *value as f32 * restored;
            }
        }
    }
}

/// Calls `each` with the values that `bytes` hold, in the order of the stream: the place of each, and what one step of it
/// is restored to.
pub(crate) fn read(book: &Book, level: &Level, bytes: &[u8], mut each: impl FnMut(usize, i32, f32)) -> Extent {
    let (blocks, components) = (book.transform.grid.blocks(), book.transform.components);
    let (mut decoder, mut pace, mut done) = (Decoder::new(bytes), Pace::START, 0);
    let beginning = |done: usize| Extent::Beginning(done as f64 / (level.scan.len() * blocks) as f64);
    for (coefficient, class) in &level.scan {
        let (restored, expected) = (level.restored[*coefficient as usize], book.expected(*class));
        for place in places(*coefficient, blocks, components) {
            let (table, raw) = book.table(*class, pace.offset());
            let symbol = table.symbol(decoder.slot());
            if decoder.ran_out() {
                return beginning(done);
            }
            let (start, slots) = table.slots(symbol);
            decoder.advance(start, slots);
            let high = if symbol == ESCAPE { take_gamma(&mut decoder).saturating_add(ESCAPE - 1) } else { symbol };
            let low = if raw > 0 { take_bits(&mut decoder, raw) } else { 0 };
            // A value of several parts is certain only with all of them.
            if (raw > 0 || symbol == ESCAPE) && decoder.ran_out() {
                return beginning(done);
            }
            let value = unfold(high.wrapping_shl(raw) | low);
            pace.note(value, expected);
            each(place, value, restored);
            done += 1;
        }
    }
    match decoder {
        decoder if decoder.is_whole() && decoder.rest().is_empty() => Extent::Whole,
        decoder if decoder.ran_out() => Extent::Beginning(1.0),
        _ => Extent::Damaged,
    }
}

/// The lowest `count` bits of a number.
fn put_bits(encoder: &mut Encoder<'_>, number: u32, count: u32) {
    if count > HALF {
        encoder.put_bits(number >> HALF & ((1 << (count - HALF)) - 1), count - HALF);
    }
    let low = count.min(HALF);
    encoder.put_bits(number & ((1 << low) - 1), low);
}

fn take_bits(decoder: &mut Decoder<'_>, count: u32) -> u32 {
    let low = decoder.take_bits(count.min(HALF));
    if count > HALF { decoder.take_bits(count - HALF) << HALF | low } else { low }
}

/// The Elias gamma code of a number from 1 on (Elias, "Universal codeword sets", 1975), with its length in five bits.
fn put_gamma(encoder: &mut Encoder<'_>, number: u32) {
    let bits = number.ilog2();
    put_bits(encoder, number, bits);
    put_bits(encoder, bits, 5);
}

fn take_gamma(decoder: &mut Decoder<'_>) -> u32 {
    let bits = take_bits(decoder, 5);
    1 << bits | take_bits(decoder, bits)
}
