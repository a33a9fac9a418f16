//! The codec and its neighbours: ways to send what crosses a cut.

use std::sync::Arc;

use thalweg_codec::{Book, Codec, Pixels};
use thalweg_planner::{DType, Tensor, TensorSpec};

use crate::Failure;

/// What zstd is run with: its default.
const ZSTD_LEVEL: i32 = 3;

/// A way to send all tensors of a cut.
#[derive(Debug, Clone)]
pub(crate) enum Way {
    /// The same codec for all.
    Codec(Codec),
    /// A byte an element with one step and one offset for the whole tensor.
    PerTensor,
    /// `int8`, and its stream through zstd.
    Zstd,
    /// A level of the books, as a codec for each tensor; one without a book travels as it is, under `lossless`.
    Features(Vec<Codec>, u8),
}

impl Way {
    /// A codec by its name; pictures are made from `pixels`.
    pub(crate) fn named(name: &str, pixels: Pixels) -> Result<Self, Failure> {
        let mut codec: Codec = name.parse()?;
        if let Codec::Picture { pixels: of, .. } = &mut codec {
            *of = pixels;
        }
        Ok(Self::Codec(codec))
    }

    /// A level of these books. What the level makes of them is worked out here, so that no tensor's time has it.
    pub(crate) fn features(books: &[Option<Arc<Book>>], level: u8) -> Self {
        let codec = |book: &Option<Arc<Book>>| match book {
            Some(book) => Codec::Features { level, book: None }.with_book(book),
            None => Codec::Lossless,
        };
        Self::Features(books.iter().map(codec).collect(), level)
    }

    /// What the tables call it.
    pub(crate) fn title(&self) -> String {
        match self {
            Self::Codec(Codec::Int8) => "int8 per channel".to_owned(),
            Self::Codec(Codec::Picture { format, quality, .. }) => {
                format!("{format:?} {} of the input", quality.get())
            }
            Self::Codec(codec) => codec.to_string(),
            Self::PerTensor => "int8 per tensor".to_owned(),
            Self::Zstd => "int8 per channel + zstd".to_owned(),
            Self::Features(_, level) => format!("features/{level}"),
        }
    }

    /// Appends the stream of the tensor at `place` among those that cross.
    pub(crate) fn encode(&self, place: usize, tensor: &Tensor, out: &mut Vec<u8>) -> Result<(), Failure> {
        match self {
            Self::PerTensor if tensor.spec().dtype == DType::F32 => quantise(tensor, out),
            Self::Zstd => {
                let mut stream = Vec::new();
                Codec::Int8.encode(tensor, &mut stream)?;
                out.extend(zstd::bulk::compress(&stream, ZSTD_LEVEL)?);
                Ok(())
            }
            _ => Ok(self.codec(place).encode(tensor, out)?),
        }
    }

    /// The tensor of a stream.
    pub(crate) fn decode(&self, place: usize, spec: &TensorSpec, stream: &[u8]) -> Result<Tensor, Failure> {
        match self {
            Self::PerTensor if spec.dtype == DType::F32 => restore(spec, stream),
            Self::Zstd => {
                let stream = zstd::bulk::decompress(stream, Codec::Int8.bytes_max(spec).0 as usize)?;
                Ok(Codec::Int8.decode(spec, &stream)?)
            }
            _ => Ok(self.codec(place).decode(spec, stream)?),
        }
    }

    fn codec(&self, place: usize) -> &Codec {
        match self {
            Self::Codec(codec) => codec,
            Self::Features(codecs, _) => &codecs[place],
            Self::PerTensor | Self::Zstd => &Codec::F32,
        }
    }
}

/// The step and the lowest value as f32, then a byte an element.
fn quantise(tensor: &Tensor, out: &mut Vec<u8>) -> Result<(), Failure> {
    let values = tensor.to_f32().ok_or("a tensor of f32 that is none")?;
    let lowest = values.iter().copied().fold(f32::INFINITY, f32::min);
    let highest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let step = ((highest - lowest) / 255.0).max(f32::MIN_POSITIVE);
    out.extend(step.to_le_bytes());
    out.extend(lowest.to_le_bytes());
    out.extend(values.iter().map(|value| ((value - lowest) / step).round() as u8));
    Ok(())
}

fn restore(spec: &TensorSpec, stream: &[u8]) -> Result<Tensor, Failure> {
    let (numbers, codes) = stream.split_at_checked(8).ok_or("a stream that ends early")?;
    let number = |at: usize| f32::from_le_bytes([numbers[at], numbers[at + 1], numbers[at + 2], numbers[at + 3]]);
    let (step, lowest) = (number(0), number(4));
    let values: Vec<f32> = codes.iter().map(|code| lowest + f32::from(*code) * step).collect();
    Ok(Tensor::from_f32(spec.shape.clone(), &values)?)
}
