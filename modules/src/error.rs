//! What can be wrong with a photo, a tensor file, labels, or the tensor they are meant for.

use thalweg_module_decode_image::ImageError;
use thalweg_planner::{Bytes, DType, TensorSpec, WrongLength};

use crate::{INPUT_BYTES_MAX, Layout, PIXELS_MAX, SIDE_MAX};

/// Why an input could not be made or an answer not be read. Each message says what to do.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ModuleError {
    /// A file of another format, or no picture at all.
    #[error("{file} is {found}, not a JPEG or PNG photo: convert it to one of them")]
    PhotoFormat {
        /// The file.
        file: String,
        /// What it looks like.
        found: String,
    },
    /// A photo whose end is missing.
    #[error("{file} is cut short: its last part is missing; copy it again")]
    PhotoCutShort {
        /// The file.
        file: String,
    },
    /// A photo with other faults.
    #[error("{file} does not decode as {format}: {reason}; check the file or save it again")]
    PhotoDamaged {
        /// The file.
        file: String,
        /// JPEG or PNG.
        format: &'static str,
        /// What the decoder says.
        reason: String,
    },
    /// More pixels than are decoded.
    #[error("{file} has {width} x {height} pixels, more than {} million: scale it down", PIXELS_MAX / 1_000_000)]
    PhotoTooLarge {
        /// The file.
        file: String,
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
    },
    /// A size that a photo cannot be given.
    #[error("a photo cannot be resized to {width} x {height}: each side takes 1 to {SIDE_MAX} pixels")]
    PhotoSize {
        /// Pixels across.
        width: usize,
        /// Pixels down.
        height: usize,
    },
    /// An input that takes no picture.
    #[error("a photo cannot fill {spec}: with layout \"{layout}\" the input must be {}", layout.wanted())]
    NotAPictureInput {
        /// The input.
        spec: TensorSpec,
        /// The order of axes that was asked for.
        layout: Layout,
    },
    /// Not a file of NumPy.
    #[error("{file} is not a .npy file: {reason}; write it with numpy.save")]
    NotNumpy {
        /// The file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An array of a type that tensors do not have.
    #[error("{file} holds elements of type '{descr}': convert them with astype to a boolean, integer or float type")]
    NumpyType {
        /// The file.
        file: String,
        /// The type, as NumPy writes it.
        descr: String,
    },
    /// An array whose first index runs fastest.
    #[error("{file} is in Fortran order: save numpy.ascontiguousarray of it")]
    NumpyOrder {
        /// The file.
        file: String,
    },
    /// An array of another type or shape.
    #[error("{file} holds {found}, but the model's input takes {expected}: convert it with astype and reshape")]
    WrongInput {
        /// The file.
        file: String,
        /// What it holds.
        found: TensorSpec,
        /// What is asked for.
        expected: TensorSpec,
    },
    /// A tensor that would take too much memory.
    #[error("an input {spec} takes {bytes}, more than {INPUT_BYTES_MAX}: check its shape")]
    InputTooLarge {
        /// The tensor.
        spec: TensorSpec,
        /// Its size.
        bytes: Bytes,
    },
    /// Bytes that do not make the tensor.
    #[error(transparent)]
    WrongLength(#[from] WrongLength),
    /// A range that numbers cannot be drawn from.
    #[error(
        "no {dtype} can be drawn from {low} (included) to {high} (excluded): give low < high, both within the type"
    )]
    Range {
        /// The lower end.
        low: f64,
        /// The upper end.
        high: f64,
        /// The type of the numbers.
        dtype: DType,
    },
    /// A file of labels that cannot be read.
    #[error("{file} holds no labels: {reason}; write one label a line, or a JSON list of strings")]
    Labels {
        /// The file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Labels that are not as many as the classes.
    #[error(
        "{file} has {labels} labels, but the answer {spec} has {classes} classes: take the labels that belong to the model"
    )]
    LabelCount {
        /// The file.
        file: String,
        /// Labels in it.
        labels: usize,
        /// Classes of the model.
        classes: usize,
        /// The answer.
        spec: TensorSpec,
    },
    /// An answer that is no list of scores.
    #[error("an answer {spec} cannot be classified: it must be one list of f32 scores, such as f32[1,1000]")]
    NotScores {
        /// The answer.
        spec: TensorSpec,
    },
    /// A score that cannot be compared.
    #[error(
        "score {class} of the answer is {score}: the model or its input is broken, check mean and scale of the input"
    )]
    NotANumber {
        /// The index of the class.
        class: usize,
        /// Its score.
        score: f32,
    },
    /// Not a photo, or not boxes in it.
    #[error(
        "{boxes} cannot be drawn onto {photo}: the one takes f32[boxes,6], of edges, or f32[boxes,9], of corners, the \
         other u8[height,width,3]"
    )]
    Undrawable {
        /// What the photo is.
        photo: TensorSpec,
        /// What the boxes are.
        boxes: TensorSpec,
    },
    /// A picture that the encoder refuses.
    #[error("the picture cannot be written: {reason}")]
    NotWritten {
        /// What the encoder says.
        reason: String,
    },
}

impl ModuleError {
    /// Why the photo in this file was not decoded.
    pub(crate) fn of_photo(file: &str, error: ImageError) -> Self {
        let file = file.to_owned();
        match error {
            ImageError::Format { found } => Self::PhotoFormat { file, found },
            ImageError::CutShort => Self::PhotoCutShort { file },
            ImageError::Damaged { format, reason } => Self::PhotoDamaged { file, format, reason },
            ImageError::TooLarge { width, height } => Self::PhotoTooLarge { file, width, height },
            other => Self::PhotoDamaged { file, format: "JPEG or PNG", reason: other.to_string() },
        }
    }
}
