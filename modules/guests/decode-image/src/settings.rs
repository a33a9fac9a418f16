//! What a model wants to see.

use serde::{Deserialize, Serialize};

use crate::ImageError;

/// The longest side that a photo can be resized to, in pixels: larger than the inputs of image models.
pub const SIDE_MAX: u32 = 4096;

/// How a photo becomes an input.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Pixels across, from 1 to [`SIDE_MAX`].
    pub width: u32,
    /// Pixels down, from 1 to [`SIDE_MAX`].
    pub height: u32,
    /// Height and width of the photo that is given out beside the input, for steps that cut parts out of it. It is
    /// fitted, and the input is stretched out of it: so the places of one are those of the other, scaled.
    #[serde(default)]
    pub photo: Option<[u32; 2]>,
    /// What becomes of a photo of other proportions.
    #[serde(default)]
    pub fit: Fit,
    /// The colour of borders, R, G and B.
    #[serde(default = "grey")]
    pub border: [u8; 3],
    /// Which channels there are.
    #[serde(default)]
    pub colour: Colour,
    /// Where they stand.
    #[serde(default)]
    pub layout: Layout,
    /// What is subtracted from each channel's levels, 0 to 255, in the order of the channels; of grey the first counts.
    #[serde(default)]
    pub mean: [f32; 3],
    /// What they are divided by then; not zero.
    #[serde(default = "one")]
    pub scale: [f32; 3],
}

/// What becomes of a photo of other proportions than the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// Two borders of equal width are cut off.
    #[default]
    Crop,
    /// Two borders of equal width are added.
    Letterbox,
    /// It is stretched.
    Stretch,
}

/// The channels of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Colour {
    /// Red, green, blue.
    #[default]
    Rgb,
    /// Blue, green, red, as OpenCV reads them.
    Bgr,
    /// One: the luma of ITU-R BT.709.
    Grey,
}

impl Colour {
    /// How many channels there are.
    pub fn channels(self) -> usize {
        match self {
            Self::Rgb | Self::Bgr => 3,
            Self::Grey => 1,
        }
    }
}

/// The order of an input's axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// `[1, channels, height, width]`: channel by channel, as PyTorch has it.
    #[default]
    Nchw,
    /// `[1, height, width, channels]`: pixel by pixel, as TensorFlow has it.
    Nhwc,
}

/// Black and white are equally far.
fn grey() -> [u8; 3] {
    [128; 3]
}

fn one() -> [f32; 3] {
    [1.0; 3]
}

impl Settings {
    /// Whether each is in its range.
    pub fn check(&self) -> Result<(), ImageError> {
        let allowed = 1..=SIDE_MAX;
        let sizes = [Some((self.width, self.height)), self.photo.map(|[height, width]| (width, height))];
        for (width, height) in sizes.into_iter().flatten() {
            if !allowed.contains(&width) || !allowed.contains(&height) {
                return Err(ImageError::Size { width, height });
            }
        }
        let pairs = self.mean.into_iter().zip(self.scale);
        for (channel, (mean, scale)) in pairs.enumerate() {
            if !mean.is_finite() || !scale.is_normal() {
                return Err(ImageError::Normalise { channel, mean, scale });
            }
        }
        Ok(())
    }

    /// The shape of the input.
    pub fn shape(&self) -> [usize; 4] {
        let (width, height, channels) = (self.width as usize, self.height as usize, self.colour.channels());
        match self.layout {
            Layout::Nchw => [1, channels, height, width],
            Layout::Nhwc => [1, height, width, channels],
        }
    }
}
