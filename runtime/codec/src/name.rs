//! Codecs by name: `f32`, `f16`, `int8`, `lossless`, `jpeg/90`, `webp/90`.

use std::fmt;
use std::str::FromStr;

use crate::{Codec, Format, LEVELS, Pixels};

/// The quality of a picture, from 1 (smallest) to 100 (best): JPEG on the scale of the Independent JPEG Group, WebP on
/// that of libwebp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quality(u8);

impl Quality {
    /// `None` outside of 1..=100.
    pub fn new(quality: u8) -> Option<Self> {
        (1..=100).contains(&quality).then_some(Self(quality))
    }

    /// From 1 to 100.
    pub fn get(self) -> u8 {
        self.0
    }
}

/// A text that names no codec.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{text}\" is not a codec: write f32, f16, int8, lossless, jpeg/Q or webp/Q with a quality Q from 1 to 100, \
     such as \"jpeg/90\", or features/L with a level L from 1 to 24"
)]
pub struct UnknownCodec {
    /// What was read.
    pub text: String,
}

impl FromStr for Codec {
    type Err = UnknownCodec;

    fn from_str(text: &str) -> Result<Self, UnknownCodec> {
        match text {
            "f32" => Some(Self::F32),
            "f16" => Some(Self::F16),
            "int8" => Some(Self::Int8),
            "lossless" => Some(Self::Lossless),
            _ => parse_picture(text).or_else(|| parse_features(text)),
        }
        .ok_or_else(|| UnknownCodec { text: text.to_owned() })
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::F32 => out.pad("f32"),
            Self::F16 => out.pad("f16"),
            Self::Int8 => out.pad("int8"),
            Self::Lossless => out.pad("lossless"),
            Self::Features { level, .. } => out.pad(&format!("features/{level}")),
            Self::Picture { format, quality, .. } => out.pad(&format!("{}/{}", format.name(), quality.get())),
        }
    }
}

/// `jpeg/Q` or `webp/Q`, where Q is written as it would be printed: no sign, no leading zero.
fn parse_picture(text: &str) -> Option<Codec> {
    let (name, digits) = text.split_once('/')?;
    let format = Format::ALL.into_iter().find(|format| format.name() == name)?;
    let quality = Quality::new(digits.parse().ok()?)?;
    (quality.get().to_string() == digits).then_some(Codec::Picture { format, quality, pixels: Pixels::default() })
}

/// `features/L`, where L is a level as it would be printed.
fn parse_features(text: &str) -> Option<Codec> {
    let digits = text.strip_prefix("features/")?;
    let level: u8 = digits.parse().ok().filter(|level| (1..=LEVELS).contains(level))?;
    (level.to_string() == digits).then_some(Codec::Features { level, book: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_printed() {
        let pictures = (1..=100).flat_map(|quality| [format!("jpeg/{quality}"), format!("webp/{quality}")]);
        let levels = (1..=LEVELS).map(|level| format!("features/{level}"));
        let single = ["f32", "f16", "int8", "lossless"].map(str::to_owned);
        for name in single.into_iter().chain(pictures).chain(levels) {
            assert_eq!(name.parse::<Codec>().expect("a known name").to_string(), name);
        }
    }

    #[test]
    fn other_names_are_refused() {
        let pictures =
            ["jpeg", "webp", "png/90", "WebP/90", "/90", "features", "features/0", "features/25"].map(str::to_owned);
        let qualities = ["", "0", "101", "256", "090", "+9", "-1", "90/90"];
        let levels = qualities.iter().flat_map(|quality| [format!("jpeg/{quality}"), format!("webp/{quality}")]);
        for name in ["", "F32", " f32"].map(str::to_owned).into_iter().chain(pictures).chain(levels) {
            assert_eq!(name.parse::<Codec>(), Err(UnknownCodec { text: name }));
        }
    }
}
