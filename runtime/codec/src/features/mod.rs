//! `features/L`: floats in the bits that a model's answer needs, with a [`Book`] that was fitted to samples.
//!
//! A book belongs to one tensor of one model, and both ends of a link have it. It has [`LEVELS`] levels, from 1, the
//! coarsest, to the finest. The files are in the order of encoding:
//!
//! | file           | what it makes                                                                               |
//! |----------------|---------------------------------------------------------------------------------------------|
//! | `grid.rs`      | channels, and positions in blocks                                                           |
//! | `transform.rs` | coefficients: components of the channels at spatial frequencies                             |
//! | `matrix.rs`    | the matrices of the transform                                                               |
//! | `book.rs`      | the class of each coefficient: how large it is expected to be                               |
//! | `stream.rs`    | whole numbers of steps, and their stream, the coefficients expected to be largest first     |
//! | `pace.rs`      | by how many classes the coefficients of this very tensor are larger or smaller than expected |
//! | `symbols.rs`   | the probability tables of the classes                                                       |
//! | `temporal.rs`  | the frames of a stream of tensors: each as the difference from the last, where that is smaller |
//! | `bound.rs`     | how far a decoded element can be from its original                                          |
//! | `shelf.rs`     | a book as bytes                                                                             |
//! | `typical.rs`   | a tensor that looks like those of a book                                                    |
//! | `fit.rs`       | a book from samples, and from what a model's output is sensitive to                         |
//!
//! Encoding and decoding allocate nothing once a thread has coded such a tensor, except the decoded tensor.

mod grid;
mod product;
mod matrix;
mod transform;
mod book;
mod stream;
mod pace;
mod symbols;
mod temporal;
mod bound;
mod shelf;
mod typical;
pub mod fit;

use std::cell::RefCell;
use std::sync::Arc;

use half::{bf16, f16};
use thalweg_planner::{DType, Tensor, TensorSpec};

use crate::CodecError;
use crate::element::Element;
use book::Level;
pub use book::{Book, LEVELS};
pub use shelf::BookError;
pub(crate) use stream::Extent;
use stream::Scratch;
pub use temporal::{FrameDecoder, FrameEncoder, FrameKind, KEY_EVERY};

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// A book at one level.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    book: Arc<Book>,
    level: u8,
    made: Level,
}

impl Features {
    /// `None` for a level that is not from 1 to [`LEVELS`].
    pub fn new(book: Arc<Book>, level: u8) -> Option<Self> {
        let made = (1..=LEVELS).contains(&level).then(|| book.level(level))?;
        Some(Self { book, level, made })
    }

    /// The book.
    pub fn book(&self) -> &Arc<Book> {
        &self.book
    }

    /// The level.
    pub fn level(&self) -> u8 {
        self.level
    }

    /// Appends the body and returns true; false where a number is not finite or too many steps large, and then `out` is
    /// as it was.
    pub(crate) fn encode(&self, tensor: &Tensor, out: &mut Vec<u8>) -> bool {
        SCRATCH.with_borrow_mut(|scratch| {
            load(tensor, &mut scratch.elements);
            self.book.transform.forward(&scratch.elements, &mut scratch.planes);
            let fits = stream::quantise(&self.made, self.book.transform.components, scratch);
            if fits {
                stream::write(&self.book, &self.made, scratch, out);
            }
            fits
        })
    }

    /// The tensor that a body, or the beginning of one, stands for, and how much of the body was there. Any bytes stand for
    /// a tensor.
    pub(crate) fn decode(&self, spec: &TensorSpec, body: &[u8]) -> Result<(Tensor, Extent), CodecError> {
        SCRATCH.with_borrow_mut(|scratch| {
            let transform = &self.book.transform;
            let coefficients = &mut scratch.planes.coefficients;
            coefficients.clear();
            coefficients.resize(transform.grid.blocks() * transform.block_coefficients(), 0.0);
            let restore = |place: usize, value, step| coefficients[place] = value as f32 * step;
            let extent = stream::read(&self.book, &self.made, body, restore);
            Ok((self.elements(spec, scratch)?, extent))
        })
    }

    /// The tensor of the coefficients in `scratch`.
    fn elements(&self, spec: &TensorSpec, scratch: &mut Scratch) -> Result<Tensor, CodecError> {
        scratch.elements.resize(spec.len(), 0.0);
        self.book.transform.inverse(&mut scratch.planes, &mut scratch.elements);
        let (expected, got) = (spec.bytes().0, scratch.elements.len());
        tensor(spec, &scratch.elements).ok_or_else(|| CodecError::WrongLength { spec: spec.clone(), expected, got })
    }

    /// How far a decoded tensor can be from `original`, an element; `None` where it travels exactly.
    pub(crate) fn bound(&self, original: &Tensor) -> Option<Vec<f64>> {
        let mut elements = Vec::new();
        load(original, &mut elements);
        bound::bound(&self.book, &self.made, &elements, original.spec().dtype)
    }
}

/// The elements of a tensor of f32, f16 or bf16; `None` for another type.
pub fn elements(tensor: &Tensor) -> Option<Vec<f32>> {
    let mut elements = Vec::new();
    matches!(tensor.spec().dtype, DType::F32 | DType::F16 | DType::Bf16).then(|| load(tensor, &mut elements))?;
    Some(elements)
}

/// A tensor of f32, f16 or bf16 from its elements, rounded to its type, where what is beyond its range becomes its largest
/// number; `None` for another type, and where there are not as many as it has.
pub fn tensor(spec: &TensorSpec, elements: &[f32]) -> Option<Tensor> {
    let data = match spec.dtype {
        DType::F32 => store::<f32>(elements),
        DType::F16 => store::<f16>(elements),
        DType::Bf16 => store::<bf16>(elements),
        _ => return None,
    };
    Tensor::new(spec.clone(), data).ok()
}

/// The elements of a tensor of f32, f16 or bf16.
pub(crate) fn load(tensor: &Tensor, elements: &mut Vec<f32>) {
    elements.clear();
    match tensor.spec().dtype {
        DType::F16 => elements.extend(tensor.data().chunks_exact(f16::SIZE).map(f16::read)),
        DType::Bf16 => elements.extend(tensor.data().chunks_exact(bf16::SIZE).map(bf16::read)),
        _ => elements.extend(tensor.data().chunks_exact(f32::SIZE).map(f32::read)),
    }
}

fn store<E: Element>(elements: &[f32]) -> Vec<u8> {
    let mut data = vec![0; E::SIZE * elements.len()];
    for (bytes, element) in data.chunks_exact_mut(E::SIZE).zip(elements) {
        E::write(element.clamp(-E::LARGEST, E::LARGEST), bytes);
    }
    data
}
