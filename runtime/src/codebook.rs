//! The codebooks of a model: what `thalweg calibrate` writes, and what both ends of a link read.
//!
//! A file is a line that says what it is, a line of JSON, which is a [`Codebooks`], and then the books, one after the
//! other, in the order in which the JSON names them. Each book has a checksum of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thalweg_codec::{Book, BookError};
use thalweg_devices::Model;
use thalweg_planner::{TensorId, TensorSpec};

/// The first line of a file.
const HEAD: &str = "thalweg codebooks 1\n";

/// The codebooks of one model, a cut each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Codebooks {
    /// [`Model::hash_text`]: they are of this model with these input shapes, and of no other.
    pub model: String,
    /// Hash of the samples and of the settings that they were fitted with.
    pub samples: String,
    /// How many samples were fitted to.
    pub fitted: usize,
    /// How many other samples were measured.
    pub measured: usize,
    /// How answers were compared, such as `argmax`.
    pub judge: String,
    /// Hash of the file: both ends of a link have the same one.
    #[serde(skip)]
    pub hash: [u8; 32],
    /// Where samples have labels: the share of right answers without coding.
    #[serde(default)]
    pub accuracy: Option<f64>,
    /// What sending the input as a picture takes and costs, where it is a photo; measured on the same samples.
    #[serde(default)]
    pub rivals: Vec<RivalFigures>,
    /// In the order of the model.
    pub cuts: Vec<CutBooks>,
}

/// The books of the tensors of one cut.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CutBooks {
    /// The cut is after so many layers.
    pub at: usize,
    /// The tensors that cross it.
    pub tensors: Vec<TensorBook>,
    /// What was measured: `int8` and `f16`, and then the levels, from the coarsest.
    pub codecs: Vec<CodecFigures>,
}

/// A tensor and its book.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TensorBook {
    /// Which one of the model's.
    pub id: TensorId,
    /// What the engine calls it.
    pub name: String,
    /// Type and shape.
    pub spec: TensorSpec,
    /// Bytes of the book in the file; 0 where the tensor has none, because it travels exactly.
    pub len: usize,
    /// The book.
    #[serde(skip)]
    pub book: Option<Arc<Book>>,
}

/// What a codec has shown on samples that no book was fitted to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CodecFigures {
    /// Its name, such as `features/7`.
    pub codec: String,
    /// Of each tensor of the cut.
    pub tensors: Vec<TensorFigures>,
    /// How many answers differ from those of the uncoded model, as a share of all.
    pub disagreement: f64,
    /// Where samples have labels: how much smaller the share of right answers is than without coding. Negative where it
    /// is larger.
    pub accuracy_loss: Option<f64>,
}

impl CutBooks {
    /// What was measured at each level, from the coarsest.
    pub fn levels(&self) -> impl Iterator<Item = &CodecFigures> {
        self.codecs.iter().filter(|figures| figures.codec.starts_with("features/"))
    }
}

impl CodecFigures {
    /// The share of right answers that is lost, or where there were no labels, of answers that differ; never negative.
    pub fn loss(&self) -> f64 {
        self.accuracy_loss.unwrap_or(self.disagreement).max(0.0)
    }

    /// Mean bytes of all tensors together.
    pub fn bytes(&self) -> f64 {
        self.tensors.iter().map(|tensor| tensor.bytes).sum()
    }
}

/// What coding one tensor takes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TensorFigures {
    /// Mean bytes of a stream, everything counted.
    pub bytes: f64,
    /// Median milliseconds to encode on the machine that calibrated.
    pub encode_ms: f64,
    /// Median milliseconds to decode.
    pub decode_ms: f64,
    /// Mean squared error, as a share of the tensor's variance.
    pub distortion: f64,
}

/// What it takes to send the inputs in another codec, and what that does to answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RivalFigures {
    /// Its name, such as `jpeg/80`.
    pub codec: String,
    /// Mean bytes of all inputs of a sample.
    pub bytes: f64,
    /// As [`CodecFigures::disagreement`].
    pub disagreement: f64,
    /// As [`CodecFigures::accuracy_loss`].
    pub accuracy_loss: Option<f64>,
}

/// Why a file of codebooks cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CodebookError {
    /// A file that cannot be read.
    #[error("cannot read the codebooks {}: {cause}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// A file that is something else.
    #[error("{} holds no codebooks: {reason}; `thalweg calibrate` writes such files", file.display())]
    NotCodebooks {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Codebooks of another model, or of other input shapes.
    #[error(
        "the codebooks {} are of the model {found}, but this one is {wanted}: run `thalweg calibrate` with this model \
         and these shapes", file.display()
    )]
    OtherModel {
        /// The file.
        file: PathBuf,
        /// The model's hash in the file.
        found: String,
        /// The hash of the model that is to run.
        wanted: String,
    },
    /// A book that cannot be used.
    #[error("in {}: {cause}", file.display())]
    Book {
        /// The file.
        file: PathBuf,
        /// Why not.
        cause: BookError,
    },
}

impl Codebooks {
    /// Reads a file; everything in it is checked against the model.
    pub fn read(file: &Path, model: &Model) -> Result<Self, CodebookError> {
        let bytes = fs::read(file).map_err(|cause| CodebookError::Unreadable { file: file.to_owned(), cause })?;
        Self::parse(&bytes, file, model)
    }

    /// The same from the bytes of a file that is called `file` in errors.
    pub fn parse(bytes: &[u8], file: &Path, model: &Model) -> Result<Self, CodebookError> {
        let wrong = |reason: &str| CodebookError::NotCodebooks { file: file.to_owned(), reason: reason.to_owned() };
        let rest = bytes.strip_prefix(HEAD.as_bytes()).ok_or_else(|| wrong("its first line is another"))?;
        let end = rest.iter().position(|byte| *byte == b'\n').ok_or_else(|| wrong("it ends within its second line"))?;
        let (json, mut blobs) = (&rest[..end], &rest[end + 1..]);
        let mut books: Self = serde_json::from_slice(json).map_err(|cause| wrong(&cause.to_string()))?;
        if books.model != model.hash_text() {
            let (found, wanted) = (books.model, model.hash_text());
            return Err(CodebookError::OtherModel { file: file.to_owned(), found, wanted });
        }
        for cut in &mut books.cuts {
            for tensor in &mut cut.tensors {
                if model.tensor(tensor.id) != Some(&tensor.spec) {
                    return Err(wrong(&format!("the model has no tensor {} {}", tensor.id, tensor.spec)));
                }
                let (blob, others) =
                    blobs.split_at_checked(tensor.len).ok_or_else(|| wrong("it ends within a book"))?;
                blobs = others;
                let book = |cause| CodebookError::Book { file: file.to_owned(), cause };
                tensor.book = match blob {
                    [] => None,
                    _ => Some(Arc::new(Book::from_bytes(blob, &tensor.spec).map_err(book)?)),
                };
            }
            if cut.codecs.iter().any(|codec| codec.tensors.len() != cut.tensors.len()) {
                return Err(wrong("a codec has figures of more or fewer tensors than its cut"));
            }
        }
        books.hash = *blake3::hash(bytes).as_bytes();
        Ok(books)
    }

    /// The bytes of a file.
    pub fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut out = HEAD.as_bytes().to_vec();
        let mut named = self.clone();
        let mut blobs = Vec::new();
        for tensor in named.cuts.iter_mut().flat_map(|cut| &mut cut.tensors) {
            let blob = tensor.book.as_ref().map(|book| book.to_bytes()).unwrap_or_default();
            tensor.len = blob.len();
            blobs.extend(blob);
        }
        serde_json::to_writer(&mut out, &named)?;
        out.push(b'\n');
        out.extend(blobs);
        Ok(out)
    }

    /// The cut whose book of a tensor is used, wherever the tensor crosses: the one with the fewest tensors, and of
    /// those the first.
    pub fn of(&self, tensor: TensorId) -> Option<(&CutBooks, usize)> {
        let place = |cut: &CutBooks| cut.tensors.iter().position(|book| book.id == tensor && book.book.is_some());
        let with = self.cuts.iter().filter_map(|cut| Some((cut, place(cut)?)));
        with.min_by_key(|(cut, _)| cut.tensors.len())
    }
}
