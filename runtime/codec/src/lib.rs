//! Turns tensors into fewer bytes and back.
//!
//! Pure: no clock, no file, no socket. Both ends of a link know the [`TensorSpec`] of what crosses it and the
//! [`Codec`], with its [`Book`] if it needs one, so a stream says neither.
//!
//! | name         | what it codes   | bytes an element     | declared bound on \|decoded - original\|, an element  |
//! |--------------|-----------------|----------------------|-------------------------------------------------------|
//! | `f32`        | nothing         | as it is             | none needed: bit for bit                              |
//! | `f16`        | f32             | 2                    | 2⁻¹¹ · \|x\| + 2⁻²⁵                                   |
//! | `int8`       | f32, f16, bf16  | 1, and 8 a channel   | half a step of its channel, and rounding              |
//! | `features/L` | f32, f16, bf16  | about 0.03 to 0.4    | what the rounding of all coefficients can do to it    |
//! | `lossless`   | everything      | as their bytes vary  | none needed: bit for bit                              |
//! | `jpeg/Q`     | f32 from pixels | as the picture takes | none: measured only                                   |
//! | `webp/Q`     | f32 from pixels | as the picture takes | none: measured only                                   |
//!
//! Everything else travels exactly under every codec: integers and bools, because a rounded shape or index is wrong
//! rather than inexact; f64, because someone chose it where f32 was not enough; and what is already as small, such as
//! bf16 under `f16`.
//!
//! # The stream
//! Numbers are little-endian. A tensor that the codec does not code (see above; also one without elements) is its
//! bytes as they are. Any other begins with a tag byte:
//!
//! | tag | what follows |
//! |-----|--------------|
//! | 2   | `features/L`: what `lossless` has behind its tag, of what is not float or is not represented |
//! | 0   | the tensor's bytes as they are: it holds a value that the codec cannot represent, or coding saves nothing |
//! | 1   | `f16`: an f16 an element |
//! | 1   | `int8`: an f32 step a channel, then an f32 offset a channel, then a byte an element, in the tensor's order |
//! | 1   | `features/L`: a stream of range ANS, see [`features`] |
//! | 1   | `lossless`: a byte, 0 for elements or 1 for differences, then the planes, that of the lowest byte first |
//! | 1   | `jpeg/Q`: three f32 means, three f32 scales (red, green, blue), then a JPEG file |
//! | 1   | `webp/Q`: the same six numbers, then a WebP file |
//!
//! A stream is thus never longer than the tensor and one byte.
//!
//! # The formulas
//! - `f16` rounds to nearest even (IEEE 754 binary16). Not represented: what is beyond ±65504, infinities, NaN.
//! - `int8` is the affine quantisation of Jacob et al., "Quantization and Training of Neural Networks for Efficient
//!   Integer-Arithmetic-Only Inference" (2018), equation 1, a channel, with the offset as a real number so that the
//!   lowest value is exact: step = (highest - lowest) / 255, code = round((x - lowest) / step), x' = lowest +
//!   code · step. Not represented: magnitudes above a quarter of the largest f32, infinities, NaN.
//! - `features/L` is a transform that was fitted to samples, whole steps of its coefficients, and entropy coding: see
//!   [`features`] and [`features::fit`]. Not represented: infinities, NaN, and what is 2²⁴ steps large.
//! - `lossless` stores byte k of all elements together, as plane k, because they are alike: the exponents of floats,
//!   the upper bytes of indices. Bools are bits, eight a byte, the first in the lowest: one plane. A plane is a byte
//!   and what it says: 0, the bytes as they are; 1, the byte that all are; 2, a stream of range ANS (Duda, "Asymmetric
//!   numeral systems", 2013) of 12-bit frequencies in two states of 32 bits, of the frequencies and then the bytes.
//!   Where that makes smaller planes, they are those of each element less the one before it in a row of the innermost
//!   axis longer than 1, modulo the range of its type. Not represented: bytes of bools that are neither 0 nor 1.
//! - `jpeg/Q` is baseline JPEG (ITU-T T.81) of x · scale + mean, without chroma subsampling. Not represented: what
//!   does not round to 0..=255.
//! - `webp/Q` is lossy WebP (RFC 9649; the key frame of VP8, RFC 6386) of the same pixels; VP8 halves the resolution of
//!   chroma. Beside `jpeg/Q` a photo takes two thirds of the bytes, twice the time to encode and six times to decode.
//!
//! Which axis of a tensor is its channels, for `int8`:
//!
//! | rank      | axis | meant for                                                  |
//! |-----------|------|------------------------------------------------------------|
//! | 0, 1      | none | scalars, biases: one channel                               |
//! | 2         | 1    | batch, features                                            |
//! | 3         | 2    | where the first size is 1: batch, tokens, features         |
//! | 3         | 0    | otherwise: features, height, width, with the batch dropped |
//! | 4 or more | 1    | batch, features, height, width                             |
//!
//! Steps and offsets may take an eighth of what the codes take: with fewer than 64 elements a channel, the whole
//! tensor is one channel.

mod name;
mod channels;
mod element;
mod exact;
mod half;
mod int8;
mod jpeg;
mod picture;
mod webp;
mod lossless;
pub mod features;
mod rans;
mod error;
#[cfg(test)]
mod properties;

use std::sync::Arc;

use features::Extent;
use thalweg_planner::{Bytes, DType, Tensor, TensorSpec};

pub use error::{CodecError, PlaneFault};
pub use features::{Book, BookError, Features, LEVELS};
pub use name::{Quality, UnknownCodec};
pub use picture::{Format, Pixels};

/// The tag of tensors that travel exactly under a codec that would have coded them.
const EXACT: u8 = 0;
/// The tag of what the codec coded.
const CODED: u8 = 1;
/// The tag of what `features/L` leaves to `lossless`.
const LOSSLESS: u8 = 2;

/// A way to put a tensor into bytes. Parsed from and printed as its name.
#[derive(Debug, Clone, PartialEq)]
pub enum Codec {
    /// `f32`: every tensor as it is.
    F32,
    /// `f16`: f32 in half the bytes.
    F16,
    /// `int8`: floats in a byte each, with a step and an offset a channel.
    Int8,
    /// `lossless`: every tensor exactly, in fewer bytes where some of its bytes are rarer than others.
    Lossless,
    /// `jpeg/Q`, `webp/Q`: pictures.
    Picture {
        /// The name before the Q.
        format: Format,
        /// The Q of the name.
        quality: Quality,
        /// How the tensor was made from pixels. Not part of the name, which parses to `Pixels::default()`; the encoder
        /// needs it, the decoder finds it in the stream.
        pixels: Pixels,
    },
    /// `features/L`: floats at one level of a codebook.
    Features {
        /// The L of the name.
        level: u8,
        /// What was fitted to such tensors, which both ends have. Not part of the name, which parses to `None`.
        book: Option<Arc<Features>>,
    },
}

/// How far a decoded tensor may be from its original.
#[derive(Debug, Clone, PartialEq)]
pub enum Bound {
    /// Not at all: it has the same bytes.
    Exact,
    /// |decoded - original| is at most this, an element, in the order of the tensor.
    Within(Vec<f64>),
    /// The codec declares nothing. What it costs is measured on a model's answers.
    Measured,
}

impl Codec {
    /// The codec with this book, where it is one that needs a book; without it where the level is unknown.
    pub fn with_book(self, book: &Arc<Book>) -> Self {
        match self {
            Self::Features { level, .. } => {
                Self::Features { level, book: Features::new(book.clone(), level).map(Arc::new) }
            }
            other => other,
        }
    }

    /// Whether [`Codec::encode`] takes tensors like this: all, except that `jpeg/Q` and `webp/Q` refuse floats that are
    /// no picture, which is f32 of shape `[3, H, W]` or `[1, 3, H, W]` with sides from 1 to 65,535 (JPEG) or 16,383
    /// (WebP).
    pub fn supports(&self, spec: &TensorSpec) -> bool {
        let float = matches!(spec.dtype, DType::F32 | DType::F16 | DType::Bf16 | DType::F64);
        match self {
            Self::Picture { format, .. } => !float || spec.is_empty() || format.size_of(spec).is_some(),
            Self::Features { .. } => {
                !float || spec.is_empty() || spec.dtype == DType::F64 || self.features(spec).is_some()
            }
            _ => true,
        }
    }

    /// The most bytes a stream can take: a receiver refuses to read more.
    pub fn bytes_max(&self, spec: &TensorSpec) -> Bytes {
        Bytes(spec.bytes().0.saturating_add(u64::from(self.codes(spec))))
    }

    /// How far the decoded tensor may be from `original`. Takes as long as encoding: for tests and reports.
    pub fn bound(&self, original: &Tensor) -> Bound {
        let within = match self {
            _ if !self.codes(original.spec()) => None,
            Self::F32 | Self::Lossless => None,
            Self::F16 => half::bound(original),
            Self::Int8 => int8::bound(original),
            Self::Picture { .. } => return Bound::Measured,
            Self::Features { .. } => self.features(original.spec()).and_then(|features| features.bound(original)),
        };
        within.map_or(Bound::Exact, Bound::Within)
    }

    /// Appends the stream of `tensor` to `out`: at most [`Codec::bytes_max`] bytes. On an error `out` is as it was.
    pub fn encode(&self, tensor: &Tensor, out: &mut Vec<u8>) -> Result<(), CodecError> {
        let spec = tensor.spec();
        self.check_supports(spec)?;
        if !self.codes(spec) {
            exact::encode(tensor, out);
            return Ok(());
        }
        let start = out.len();
        out.push(CODED);
        let coded = match self {
            Self::F32 => Ok(false),
            Self::F16 => Ok(half::encode(tensor, out)),
            Self::Int8 => Ok(int8::encode(tensor, out)),
            Self::Lossless => Ok(lossless::encode(tensor, out)),
            Self::Picture { format, quality, pixels } => format.encode(tensor, *quality, pixels, out),
            Self::Features { .. } if self.features(spec).is_some_and(|features| features.encode(tensor, out)) => {
                Ok(true)
            }
            Self::Features { .. } => {
                out[start] = LOSSLESS;
                Ok(lossless::encode(tensor, out))
            }
        };
        let saves = ((out.len() - start) as u64) < self.bytes_max(spec).0;
        if !(saves && matches!(coded, Ok(true))) {
            out.truncate(start);
            coded?;
            out.push(EXACT);
            exact::encode(tensor, out);
        }
        Ok(())
    }

    /// The tensor of this type and shape that the stream `bytes` holds, for any bytes whatever.
    ///
    /// Nothing is allocated before the lengths were checked against `spec`, and then no more than the tensor. Under
    /// `lossless` a few bytes may be a large tensor: its memory, for bools an eighth more, is had or refused before
    /// most of them are read, and 20 kB beside it. Under `jpeg/Q` and `webp/Q` the sides in the picture's header are
    /// checked too before the picture library works on pixels and a copy of the file, with JPEG also on coefficients:
    /// less than the tensor once more, except where a side is below 32 pixels. With WebP there are up to three copies,
    /// and a hostile file can have the library ask for 16 MiB that it never fills.
    pub fn decode(&self, spec: &TensorSpec, bytes: &[u8]) -> Result<Tensor, CodecError> {
        self.check_supports(spec)?;
        let max = self.bytes_max(spec);
        if bytes.len() as u64 > max.0 {
            return Err(CodecError::TooLong { spec: spec.clone(), got: bytes.len(), max: max.0 });
        }
        if !self.codes(spec) {
            return exact::decode(spec, bytes);
        }
        let (tag, body) = bytes.split_first().ok_or_else(|| CodecError::Empty { spec: spec.clone() })?;
        match (*tag, self) {
            (EXACT, _) => exact::decode(spec, body),
            (CODED, Self::F16) => half::decode(spec, body),
            (CODED, Self::Int8) => int8::decode(spec, body),
            (CODED, Self::Lossless) => lossless::decode(spec, body),
            (CODED, Self::Picture { format, .. }) => format.decode(spec, body),
            (CODED, Self::Features { .. }) => self.decode_features(spec, body),
            (LOSSLESS, Self::Features { .. }) => lossless::decode(spec, body),
            (tag, _) => Err(CodecError::UnknownTag { spec: spec.clone(), tag }),
        }
    }

    fn decode_features(&self, spec: &TensorSpec, body: &[u8]) -> Result<Tensor, CodecError> {
        let unknown = || CodecError::UnknownTag { spec: spec.clone(), tag: CODED };
        match self.features(spec).ok_or_else(unknown)?.decode(spec, body)? {
            (tensor, Extent::Whole) => Ok(tensor),
            (_, Extent::Beginning(share)) => Err(CodecError::Partial { spec: spec.clone(), share }),
            (_, Extent::Damaged) => Err(CodecError::Damaged { spec: spec.clone() }),
        }
    }

    /// Whether [`Codec::decode_prefix`] makes something of a stream that has not come to its end: `features/L` does, of
    /// tensors that it codes.
    pub fn decodes_early(&self, spec: &TensorSpec) -> bool {
        self.features(spec).is_some()
    }

    /// The same as [`Codec::decode`] where the whole stream is there, and of its beginning a coarser tensor, with the
    /// share of numbers that were there: for a receiver that cannot wait for the rest.
    ///
    /// A beginning that does not decode, as [`Codec::decodes_early`] says, is an error; so is one of a tensor that travels
    /// exactly. Nothing at all stands for the tensor that is expected of samples on average.
    pub fn decode_prefix(&self, spec: &TensorSpec, bytes: &[u8]) -> Result<(Tensor, f64), CodecError> {
        let body = match bytes {
            [] => bytes,
            [CODED, body @ ..] => body,
            _ => return Ok((self.decode(spec, bytes)?, 1.0)),
        };
        match self.features(spec) {
            Some(features) if bytes.len() as u64 <= self.bytes_max(spec).0 => match features.decode(spec, body)? {
                (tensor, Extent::Whole) => Ok((tensor, 1.0)),
                (tensor, Extent::Beginning(share)) => Ok((tensor, share)),
                (_, Extent::Damaged) => Err(CodecError::Damaged { spec: spec.clone() }),
            },
            _ => Ok((self.decode(spec, bytes)?, 1.0)),
        }
    }

    /// The book at its level, where it is one of such tensors.
    fn features(&self, spec: &TensorSpec) -> Option<&Features> {
        match self {
            Self::Features { book: Some(features), .. } if features.book().spec() == spec => Some(features),
            _ => None,
        }
    }

    /// Whether the codec has a body of its own for such tensors, so that their streams begin with a tag.
    fn codes(&self, spec: &TensorSpec) -> bool {
        let codes_type = match self {
            Self::F32 => false,
            Self::F16 => spec.dtype == DType::F32,
            Self::Int8 => matches!(spec.dtype, DType::F32 | DType::F16 | DType::Bf16),
            Self::Lossless => true,
            Self::Picture { format, .. } => format.size_of(spec).is_some(),
            Self::Features { .. } => true,
        };
        codes_type && !spec.is_empty()
    }

    fn check_supports(&self, spec: &TensorSpec) -> Result<(), CodecError> {
        if self.supports(spec) {
            return Ok(());
        }
        Err(match self {
            Self::Features { level, .. } => CodecError::NoBook { level: *level, spec: spec.clone() },
            _ => CodecError::Unsupported { codec: self.clone(), spec: spec.clone() },
        })
    }
}
