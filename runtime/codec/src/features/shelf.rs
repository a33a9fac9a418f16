//! A book as bytes.
//!
//! Numbers are little-endian. `K` are components, `C` channels, `F` frequencies of a block.
//!
//! | what                              | how                                                     |
//! |-----------------------------------|---------------------------------------------------------|
//! | version                           | a byte: 1                                               |
//! | rows and columns of a block       | two u16; `F` is their product                           |
//! | components, bands                 | a u16, a byte                                           |
//! | step of level 1                   | f32                                                     |
//! | means                             | f32 a channel                                           |
//! | directions                        | f16, `K` x `C`                                          |
//! | a band                            | frequencies in a u16, scale in an f32, f16 `K` x `K`    |
//! | scales                            | a byte each, at most 225, `F` x `K`                     |
//! | a class                           | 32 frequencies in u16, none zero, the expected magnitude in a u16, reluctance and gain in a byte each |
//! | blake3 of all that stands before  | 32 bytes                                                |
//!
//! The tensor's type and shape are not in it: whoever reads a book knows them, and nothing is allocated that does not
//! follow from them or from bytes that are there.

use half::f16;
use thalweg_planner::{DType, TensorSpec};

use super::book::{Book, Class, SCALE_MAX};
use super::grid::{Grid, SIDE_MAX};
use super::matrix::{Core, Matrices};
use super::symbols::{CLASSES, SYMBOLS, Table};
use super::transform::Transform;

const VERSION: u8 = 1;
const HASH: usize = 32;

/// Why bytes are no book.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BookError {
    /// The type or shape of a tensor that no book can be of.
    #[error("{spec} cannot have a codebook: only f32, f16 and bf16 with elements and at most 5 axes can")]
    Spec {
        /// What was asked for.
        spec: TensorSpec,
    },
    /// The checksum does not match: bytes are missing or were altered.
    #[error("the codebook of {spec} is damaged: its checksum does not match; run `thalweg calibrate` again")]
    Damaged {
        /// What the book is of.
        spec: TensorSpec,
    },
    /// Another version wrote it.
    #[error(
        "the codebook of {spec} has version {version}, but this program reads version 1; run `thalweg calibrate` again"
    )]
    Version {
        /// What the book is of.
        spec: TensorSpec,
        /// Its version.
        version: u8,
    },
    /// Something in it contradicts the tensor or itself.
    #[error("the codebook of {spec} makes no sense: {what}; run `thalweg calibrate` again")]
    Senseless {
        /// What the book should be of.
        spec: TensorSpec,
        /// What is wrong.
        what: &'static str,
    },
}

impl Book {
    /// The book as bytes, which [`Book::from_bytes`] reads.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        let Matrices { components, directions, cores, .. } = &self.matrices;
        let grid = self.transform.grid;
        for number in [grid.rows, grid.columns, *components] {
            out.extend((number as u16).to_le_bytes());
        }
        out.push(cores.len() as u8);
        out.extend(self.step.to_le_bytes());
        out.extend(self.transform.mean.iter().flat_map(|mean| mean.to_le_bytes()));
        out.extend(directions.iter().flat_map(|number| number.to_le_bytes()));
        for core in cores {
            out.extend((core.frequencies as u16).to_le_bytes());
            out.extend(core.scale.to_le_bytes());
            out.extend(core.numbers.iter().flat_map(|number| number.to_le_bytes()));
        }
        out.extend(&self.scales);
        for class in &self.classes {
            out.extend(class.table.frequencies().iter().flat_map(|frequency| frequency.to_le_bytes()));
            out.extend(class.expected.to_le_bytes());
            out.extend([class.reluctance, class.gain.cast_unsigned()]);
        }
        let hash = blake3::hash(&out);
        out.extend(hash.as_bytes());
        out
    }

    /// The book that bytes hold, of a tensor of this type and shape.
    pub fn from_bytes(bytes: &[u8], spec: &TensorSpec) -> Result<Self, BookError> {
        let coded = matches!(spec.dtype, DType::F32 | DType::F16 | DType::Bf16);
        let flat = Grid::of(spec).filter(|_| coded).ok_or_else(|| BookError::Spec { spec: spec.clone() })?;
        let damaged = || BookError::Damaged { spec: spec.clone() };
        let (body, hash) = bytes.split_last_chunk::<HASH>().ok_or_else(damaged)?;
        if blake3::hash(body) != *hash {
            return Err(damaged());
        }
        match body.first() {
            Some(&VERSION) => {}
            Some(&version) => return Err(BookError::Version { spec: spec.clone(), version }),
            None => return Err(damaged()),
        }
        parse(&body[1..], spec, flat).map_err(|what| BookError::Senseless { spec: spec.clone(), what })
    }
}

/// What stands between version and checksum.
fn parse(body: &[u8], spec: &TensorSpec, flat: Grid) -> Result<Book, &'static str> {
    let mut reader = Reader { rest: body };
    let [rows, columns, components] = [reader.count()?, reader.count()?, reader.count()?];
    let bands = usize::from(reader.byte()?);
    let channels = flat.channels;
    if [rows, columns].iter().any(|side| !(1..=SIDE_MAX).contains(side)) || rows > flat.height || columns > flat.width {
        return Err("its blocks do not fit the tensor");
    }
    if components == 0 || components > channels {
        return Err("it has no components, or more than channels");
    }
    let step = reader.single()?;
    if !(step.is_normal() && step > 0.0) {
        return Err("its step is no positive number");
    }
    let mean = (0..channels).map(|_| reader.single()).collect::<Result<Vec<_>, _>>()?;
    let directions = reader.halves(components.saturating_mul(channels))?;
    let cores = (0..bands).map(|_| reader.core(components)).collect::<Result<Vec<_>, _>>()?;
    let grid = flat.with_blocks(rows, columns);
    if cores.iter().map(|core| core.frequencies).sum::<usize>() != grid.block() {
        return Err("its bands do not hold the frequencies of a block");
    }
    let scales = reader.take(grid.block() * components)?.to_vec();
    if scales.iter().any(|scale| usize::from(*scale) > SCALE_MAX) {
        return Err("a scale is larger than the arithmetic of the stream allows");
    }
    let classes = (0..CLASSES).map(|_| reader.class()).collect::<Result<Vec<_>, _>>()?;
    if !reader.rest.is_empty() {
        return Err("it is too long");
    }
    let matrices = Matrices { channels, components, directions, cores };
    let bands = matrices.bands().ok_or("a matrix has no inverse, or numbers that are not finite")?;
    let transform = Transform::new(grid, mean, components, bands);
    Ok(Book { classes, ..Book::new(spec.clone(), matrices, transform, step, scales) })
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], &'static str> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or("it ends early")?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or("it ends early")?;
        self.rest = rest;
        Ok(*taken)
    }

    fn byte(&mut self) -> Result<u8, &'static str> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn count(&mut self) -> Result<usize, &'static str> {
        self.array().map(|two| usize::from(u16::from_le_bytes(two)))
    }

    fn single(&mut self) -> Result<f32, &'static str> {
        let single = f32::from_le_bytes(self.array()?);
        if single.is_finite() { Ok(single) } else { Err("a number is not finite") }
    }

    fn halves(&mut self, len: usize) -> Result<Vec<f16>, &'static str> {
        let (halves, _) = self.take(len.saturating_mul(2))?.as_chunks::<2>();
        Ok(halves.iter().map(|two| f16::from_le_bytes(*two)).collect())
    }

    fn core(&mut self, components: usize) -> Result<Core, &'static str> {
        let frequencies = self.count()?;
        let scale = self.single()?;
        Ok(Core { frequencies, scale, numbers: self.halves(components.saturating_mul(components))? })
    }

    fn class(&mut self) -> Result<Class, &'static str> {
        let mut frequencies = [0; SYMBOLS];
        for frequency in &mut frequencies {
            *frequency = u16::from_le_bytes(self.array()?);
        }
        let table = Table::new(frequencies)
            .ok_or("the frequencies of a table do not add up to 4096, or one of them is zero")?;
        let expected = u16::from_le_bytes(self.array()?);
        let [reluctance, gain] = self.array()?;
        Ok(Class { table, expected, reluctance, gain: gain.cast_signed() })
    }
}
