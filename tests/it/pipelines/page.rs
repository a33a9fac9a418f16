//! Pages of text, drawn with fonts that come as packages.

use std::io::Cursor;

use ab_glyph::{Font, FontRef, PxScale, ScaleFont, point};
use image::{GrayImage, ImageFormat, Luma};

/// What a font is called, and its file.
pub(crate) type Typeface = (&'static str, fn() -> &'static [u8]);

pub(crate) const FONTS: [Typeface; 2] =
    [("DejaVu Sans", dejavu::sans::regular), ("DejaVu Serif", dejavu::serif::regular)];

const MARGIN: f32 = 60.0;
/// From one line to the next, in heights of a line.
const DISTANCE: f32 = 2.2;

/// A white page.
pub(crate) struct Page(GrayImage);

impl Page {
    pub(crate) fn new(width: u32, height: u32) -> Self {
        Self(GrayImage::from_pixel(width, height, Luma([255])))
    }

    /// Writes lines from the top in black.
    pub(crate) fn write(mut self, lines: &[&str], (_, file): Typeface, size: f32) -> Self {
        let font = FontRef::try_from_slice(file()).expect("a font");
        let font = font.as_scaled(PxScale::from(size));
        for (at, line) in lines.iter().enumerate() {
            let (mut x, y) = (MARGIN, MARGIN + font.ascent() + at as f32 * size * DISTANCE);
            let mut before = None;
            for letter in line.chars() {
                let glyph = font.glyph_id(letter);
                x += before.map_or(0.0, |before| font.kern(before, glyph));
                if let Some(outline) = font.outline_glyph(glyph.with_scale_and_position(size, point(x, y))) {
                    let corner = outline.px_bounds().min;
                    outline.draw(|column, row, cover| {
                        let place = (corner.x as u32 + column, corner.y as u32 + row);
                        if let Some(pixel) = self.0.get_pixel_mut_checked(place.0, place.1) {
                            pixel.0[0] = pixel.0[0].min((255.0 * (1.0 - cover)) as u8);
                        }
                    });
                }
                x += font.h_advance(glyph);
                before = Some(glyph);
            }
        }
        self
    }

    pub(crate) fn png(&self) -> Vec<u8> {
        let mut file = Cursor::new(Vec::new());
        self.0.write_to(&mut file, ImageFormat::Png).expect("a PNG file");
        file.into_inner()
    }
}
