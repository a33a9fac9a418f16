//! Streams of tensors: a tensor as the difference from the one before, where that takes fewer bytes.
//!
//! Both ends keep the quantised values of the last frame. They are whole numbers, so what is predicted from them is the
//! same on every machine, and a frame decodes to exactly what `features/L` makes of its tensor alone. Frequencies below
//! a limit are predicted: what moves in front of a camera changes the higher ones as if they were new.
//!
//! # The frame
//! Numbers are little-endian.
//!
//! | what            | bytes | in      |                                                                          |
//! |-----------------|-------|---------|--------------------------------------------------------------------------|
//! | kind            | 1     | all     | 0 exact, 1 key, 2 delta                                                  |
//! | number          | 4     | all     | one more than that of the frame before                                   |
//! | back            | 1     | delta   | the number minus this is that of the frame that is needed                |
//! | calmer          | 1     | delta   | so many classes smaller than the values are their differences            |
//! | predicted       | 1     | delta   | frequencies of a block that are predicted, minus one                     |
//! | body            | rest  | all     | the tensor's bytes; the values; the differences, nothing where none is there |
//!
//! An exact frame carries what cannot be quantised, and the next one is a key frame. With four bytes a number returns after
//! 828 days of 60 frames a second, so no old frame is taken for the one that is needed.

use std::mem;
use std::sync::Arc;

use thalweg_planner::{Tensor, TensorSpec};

use super::book::Level;
use super::stream::{self, Extent, Scratch};
use super::symbols::OCTAVE;
use super::{Features, load};
use crate::{CodecError, exact};

/// At most so many frames after a key frame comes the next one, where nobody asks for one before: what x264 takes for its
/// `keyint`. It bounds how long a receiver goes without when its request for a key frame is lost as well.
pub const KEY_EVERY: u16 = 250;

/// The most that a frame has before its body.
const HEADER_MAX: usize = 8;

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    /// The tensor's bytes as they are.
    Exact = 0,
    /// All that there is to know.
    Key = 1,
    /// The difference from another frame.
    Delta = 2,
}

/// Makes frames of a stream of tensors.
#[derive(Debug)]
pub struct FrameEncoder {
    features: Arc<Features>,
    key_every: u16,
    /// Of the next frame.
    number: u32,
    /// Frames since the last key frame; none where the next one must be one.
    since_key: Option<u16>,
    /// The quantised values of the last frame, if that was no exact one.
    previous: Vec<i32>,
    scratch: Scratch,
    moved: Level,
    body: Vec<u8>,
}

impl FrameEncoder {
    /// An encoder whose first frame is a key frame, and after that every [`KEY_EVERY`]th at least.
    pub fn new(features: Arc<Features>) -> Self {
        let moved = features.made.clone();
        let (previous, scratch, body) = (Vec::new(), Scratch::default(), Vec::new());
        Self { features, key_every: KEY_EVERY, number: 0, since_key: None, previous, scratch, moved, body }
    }

    /// The same with a key frame every `frames` at least.
    pub fn with_key_every(self, frames: u16) -> Self {
        Self { key_every: frames, ..self }
    }

    /// Makes the next frame a key frame: a receiver has said [`CodecError::NeedsKey`].
    pub fn force_key(&mut self) {
        self.since_key = None;
    }

    /// The number of the next frame.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Appends the next frame to `out`. Takes tensors of the book's type and shape; on an error `out` is as it was.
    pub fn encode(&mut self, tensor: &Tensor, out: &mut Vec<u8>) -> Result<FrameKind, CodecError> {
        self.features.check(tensor.spec())?;
        let Self { features, scratch, previous, .. } = self;
        let transform = &features.book.transform;
        load(tensor, &mut scratch.elements);
        transform.forward(&scratch.elements, &mut scratch.planes);
        let number = self.number;
        self.number = number.wrapping_add(1);
        let start = out.len();
        let begin = |out: &mut Vec<u8>, kind: FrameKind| {
            out.truncate(start);
            out.push(kind as u8);
            out.extend(number.to_le_bytes());
            out.len()
        };
        let header = begin(out, FrameKind::Key);
        let fits = stream::quantise(&features.made, transform.components, scratch);
        if fits {
            stream::write(&features.book, &features.made, scratch, out);
        }
        if !fits || out.len() - header >= tensor.data().len() {
            self.since_key = None;
            begin(out, FrameKind::Exact);
            exact::encode(tensor, out);
            return Ok(FrameKind::Exact);
        }
        mem::swap(previous, &mut scratch.values);
        let since_key = self.since_key.filter(|since| *since + 1 < self.key_every);
        if since_key.is_some() && self.difference() && self.body.len() < out.len() - header {
            begin(out, FrameKind::Delta);
            out.extend_from_slice(&self.body);
            self.since_key = since_key.map(|since| since + 1);
            return Ok(FrameKind::Delta);
        }
        self.since_key = Some(0);
        Ok(FrameKind::Key)
    }

    /// Puts the rest of a delta frame into `body`: `previous` has this frame's values, and the scratch those of the last
    /// one. False where nothing can be predicted.
    fn difference(&mut self) -> bool {
        let Self { features, previous: values, scratch, moved, body, .. } = self;
        let transform = &features.book.transform;
        let frequency = transform.grid.blocks() * transform.components;
        let Some(Prediction { frequencies, calmer }) = Prediction::of(&scratch.values, values, frequency) else {
            return false;
        };
        let (predicted, rest) = scratch.values.split_at_mut(frequencies * frequency);
        for (difference, value) in predicted.iter_mut().zip(values.iter()) {
            *difference = value - *difference;
        }
        rest.copy_from_slice(&values[frequencies * frequency..]);
        body.clear();
        body.extend([1, calmer, (frequencies - 1) as u8]);
        if scratch.values.iter().any(|difference| *difference != 0) {
            move_classes(&features.made, frequencies * transform.components, calmer, moved);
            stream::write(&features.book, moved, scratch, body);
        }
        true
    }
}

/// What a delta frame predicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Prediction {
    /// So many frequencies of a block, from the lowest: at least 1.
    frequencies: usize,
    /// By so many classes differences are smaller than values.
    calmer: u8,
}

impl Prediction {
    /// The frequencies that leave the smallest sum of magnitudes; `None` where none of them make it smaller. A frequency
    /// has `len` values.
    fn of(previous: &[i32], values: &[i32], len: usize) -> Option<Self> {
        let (mut magnitude, mut difference) = (0_u64, 0_u64);
        let mut best = None;
        let mut gain_max = 0;
        let rows = previous.chunks_exact(len).zip(values.chunks_exact(len)).enumerate();
        for (at, (previous, values)) in rows {
            for (previous, value) in previous.iter().zip(values) {
                magnitude += u64::from(value.unsigned_abs());
                difference += u64::from(value.abs_diff(*previous));
            }
            let gain = magnitude.saturating_sub(difference);
            if gain > gain_max {
                gain_max = gain;
                best = Some((at + 1, magnitude, difference));
            }
        }
        let (frequencies, magnitude, difference) = best?;
        let octaves = (magnitude as f64 / difference.max(1) as f64).log2();
        Some(Self { frequencies, calmer: (octaves * OCTAVE as f64).round() as u8 })
    }
}

/// Takes the coefficients of the predicted frequencies, which are the first `predicted`, for `calmer` classes smaller.
fn move_classes(made: &Level, predicted: usize, calmer: u8, moved: &mut Level) {
    for (to, (coefficient, class)) in moved.scan.iter_mut().zip(&made.scan) {
        let by = if (*coefficient as usize) < predicted { calmer } else { 0 };
        *to = (*coefficient, class.saturating_sub(by));
    }
}

/// Makes tensors of the frames of a [`FrameEncoder`] of the same book and level, some of which may be lost.
#[derive(Debug)]
pub struct FrameDecoder {
    features: Arc<Features>,
    /// The number of the last frame that was decoded, if others may need it.
    has: Option<u32>,
    /// Its quantised values.
    previous: Vec<i32>,
    scratch: Scratch,
    moved: Level,
}

impl FrameDecoder {
    /// A decoder that needs a key frame first.
    pub fn new(features: Arc<Features>) -> Self {
        let moved = features.made.clone();
        Self { features, has: None, previous: Vec::new(), scratch: Scratch::default(), moved }
    }

    /// The tensor of a frame, for any bytes whatever. After an error the decoder is as it was before, and after
    /// [`CodecError::NeedsKey`] any key frame helps.
    pub fn decode(&mut self, spec: &TensorSpec, bytes: &[u8]) -> Result<Tensor, CodecError> {
        self.features.check(spec)?;
        let max = HEADER_MAX as u64 + spec.bytes().0;
        if bytes.len() as u64 > max {
            return Err(CodecError::TooLong { spec: spec.clone(), got: bytes.len(), max });
        }
        let damaged = || CodecError::Damaged { spec: spec.clone() };
        let (kind, rest) = bytes.split_first().ok_or_else(|| CodecError::Empty { spec: spec.clone() })?;
        let (number, body) = rest.split_first_chunk().ok_or_else(damaged)?;
        let number = u32::from_le_bytes(*number);
        match *kind {
            0 => {
                let tensor = exact::decode(spec, body)?;
                self.has = None;
                Ok(tensor)
            }
            1 => {
                self.read(spec, body, None)?;
                self.keep(spec, number)
            }
            2 => {
                let ([back, calmer, last], body) = body.split_first_chunk().ok_or_else(damaged)?;
                let wants = number.wrapping_sub(u32::from(*back));
                if self.has != Some(wants) {
                    return Err(CodecError::NeedsKey { spec: spec.clone(), has: self.has, wants });
                }
                let prediction = Prediction { frequencies: usize::from(*last) + 1, calmer: *calmer };
                self.read(spec, body, Some(prediction))?;
                self.keep(spec, number)
            }
            tag => Err(CodecError::UnknownTag { spec: spec.clone(), tag }),
        }
    }

    /// Reads the values of a frame into `scratch.values`.
    fn read(&mut self, spec: &TensorSpec, body: &[u8], prediction: Option<Prediction>) -> Result<(), CodecError> {
        let Self { features, previous, scratch: Scratch { values, .. }, moved, .. } = self;
        let transform = &features.book.transform;
        let blocks = transform.grid.blocks();
        let damaged = || CodecError::Damaged { spec: spec.clone() };
        values.clear();
        values.resize(blocks * transform.block_coefficients(), 0);
        let level = match prediction {
            Some(Prediction { frequencies, .. }) if frequencies > transform.grid.block() => return Err(damaged()),
            Some(Prediction { frequencies, calmer }) => {
                move_classes(&features.made, frequencies * transform.components, calmer, moved);
                &*moved
            }
            None => &features.made,
        };
        if prediction.is_none() || !body.is_empty() {
            match stream::read(&features.book, level, body, |place, value, _| values[place] = value) {
                Extent::Whole => {}
                Extent::Beginning(share) => return Err(CodecError::Partial { spec: spec.clone(), share }),
                Extent::Damaged => return Err(damaged()),
            }
        }
        let predicted = prediction.map_or(0, |of| of.frequencies * blocks * transform.components);
        for (value, previous) in values.iter_mut().zip(previous.iter().take(predicted)) {
            *value = value.wrapping_add(*previous);
        }
        Ok(())
    }

    /// Gives the tensor of the values that were read, and keeps them for the next frame.
    fn keep(&mut self, spec: &TensorSpec, number: u32) -> Result<Tensor, CodecError> {
        let Self { features, scratch, .. } = self;
        let Scratch { values, planes, .. } = scratch;
        stream::restore(&features.made, features.book.transform.components, values, &mut planes.coefficients);
        let tensor = features.elements(spec, scratch)?;
        mem::swap(&mut self.previous, &mut self.scratch.values);
        self.has = Some(number);
        Ok(tensor)
    }
}

impl Features {
    fn check(&self, spec: &TensorSpec) -> Result<(), CodecError> {
        if self.book.spec() == spec {
            return Ok(());
        }
        Err(CodecError::NoBook { level: self.level, spec: spec.clone() })
    }
}

#[cfg(test)]
mod tests;
