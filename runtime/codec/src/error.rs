//! Why a tensor cannot be coded, or a stream not be decoded.

use thalweg_planner::TensorSpec;

use crate::Codec;
use crate::rans::TOTAL;

/// What [`Codec::encode`] and [`Codec::decode`] refuse. `Unsupported` is the caller's doing, and `Pixels` when it encodes;
/// the others say that the sender coded for another spec or codec, or that the stream was damaged.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CodecError {
    /// A float tensor that is not a picture, under `jpeg/Q` or `webp/Q`.
    #[error(
        "{codec} codes pictures, f32[3,H,W] or f32[1,3,H,W] with sides up to 65,535 (JPEG) or 16,383 (WebP), \
         not {spec}: choose another codec for this tensor"
    )]
    Unsupported {
        /// The codec that was asked.
        codec: Codec,
        /// What it was asked to code.
        spec: TensorSpec,
    },
    /// A float tensor under `features/L` that has no codebook, or one of another tensor.
    #[error("features/{level} of {spec} needs a codebook that was made for it: run `thalweg calibrate`")]
    NoBook {
        /// The level.
        level: u8,
        /// What it was asked to code.
        spec: TensorSpec,
    },
    /// A stream of `features/L` that ends early.
    #[error("a stream of {spec} ends early: {:.0} % of its numbers are there", 100.0 * .share)]
    Partial {
        /// What should be decoded.
        spec: TensorSpec,
        /// The share that is there.
        share: f64,
    },
    /// A frame that is the difference from another one, which the decoder does not have.
    #[error(
        "a frame of {spec} needs frame {wants}, but {}: ask the sender for a key frame",
        has.map_or_else(|| "none is there".to_owned(), |has| format!("frame {has} is the last one here"))
    )]
    NeedsKey {
        /// What should be decoded.
        spec: TensorSpec,
        /// The last frame that was decoded; none where the next one must be a key frame in any case.
        has: Option<u32>,
        /// The frame that this one is the difference from.
        wants: u32,
    },
    /// A stream of `features/L` that does not end as streams do.
    #[error("a stream of {spec} was altered, or coded at another level or with another codebook")]
    Damaged {
        /// What should be decoded.
        spec: TensorSpec,
    },
    /// A mean or a scale that no pixel can be restored with.
    #[error(
        "colour {colour} of a picture has the mean {mean} and the scale {scale}: both must be finite, and the scale not 0"
    )]
    Pixels {
        /// 0 for red, 1 for green, 2 for blue.
        colour: usize,
        /// Its mean.
        mean: f32,
        /// Its scale.
        scale: f32,
    },
    /// A stream that is longer than any stream of its spec.
    #[error("a stream of {spec} takes at most {max} bytes, but {got} were given")]
    TooLong {
        /// What should be decoded.
        spec: TensorSpec,
        /// Bytes of the stream.
        got: usize,
        /// The most it may have.
        max: u64,
    },
    /// A stream without its tag.
    #[error("a stream of {spec} begins with a tag, but it is empty")]
    Empty {
        /// What should be decoded.
        spec: TensorSpec,
    },
    /// A tag that the codec does not have.
    #[error("a stream of {spec} begins with the tag {tag}: known are 0 (exact) and 1 (coded)")]
    UnknownTag {
        /// What should be decoded.
        spec: TensorSpec,
        /// The first byte of the stream.
        tag: u8,
    },
    /// A body of another length than the spec asks for.
    #[error("the body of a stream of {spec} takes {expected} bytes, but {got} were given")]
    WrongLength {
        /// What should be decoded.
        spec: TensorSpec,
        /// Bytes of the body, by the spec.
        expected: u64,
        /// Bytes of the body.
        got: usize,
    },
    /// A byte of a bool tensor that is neither 0 nor 1.
    #[error("element {at} of {spec} is the byte {value}: a bool is 0 or 1")]
    NotBool {
        /// What should be decoded.
        spec: TensorSpec,
        /// Index of the element.
        at: usize,
        /// Its byte.
        value: u8,
    },
    /// A step or an offset that is not a finite number.
    #[error("channel {channel} of {spec} has the step {step} and the offset {offset}: both must be finite")]
    NotFinite {
        /// What should be decoded.
        spec: TensorSpec,
        /// Index of the channel.
        channel: usize,
        /// Its step.
        step: f32,
        /// Its offset.
        offset: f32,
    },
    /// A tensor that no memory can be had for.
    #[error("there is no memory for {spec}")]
    TooLarge {
        /// What should be decoded.
        spec: TensorSpec,
    },
    /// Under `lossless`, planes of something unknown.
    #[error("a stream of {spec} has planes of the form {form}: known are 0 (elements) and 1 (differences)")]
    UnknownForm {
        /// What should be decoded.
        spec: TensorSpec,
        /// The byte after the tag.
        form: u8,
    },
    /// Under `lossless`, a plane that cannot be decoded.
    #[error("plane {plane} of a stream of {spec} {fault}")]
    Plane {
        /// What should be decoded.
        spec: TensorSpec,
        /// Which byte of the elements it holds.
        plane: usize,
        /// What is wrong with it.
        fault: PlaneFault,
    },
    /// A picture that is not the one the spec asks for.
    #[error("a stream of {spec} holds a picture of {width}x{height} pixels")]
    WrongPicture {
        /// What should be decoded.
        spec: TensorSpec,
        /// Width by the picture's header.
        width: u32,
        /// Height by the picture's header.
        height: u32,
    },
    /// A picture that cannot be coded or decoded.
    #[error("the picture of {spec} cannot be coded or decoded: {reason}")]
    Picture {
        /// What should be coded or decoded.
        spec: TensorSpec,
        /// What the library for pictures says.
        reason: String,
    },
}

/// What is wrong with a plane of `lossless`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlaneFault {
    /// The stream is over before the plane is.
    #[error("ends early")]
    EndsEarly,
    /// A plane that is stored in a way that is not known.
    #[error("begins with the byte {0}: known are 0 (raw), 1 (constant) and 2 (coded)")]
    UnknownStore(u8),
    /// Frequencies that leave nothing to the most frequent byte.
    #[error("has frequencies of {TOTAL} or more beside the most frequent byte")]
    Frequencies,
    /// A coded plane that does not end in the way in which every encoder begins.
    #[error("is not as it was encoded")]
    Altered,
}
