//! SVG elements as text: escaped, with numbers of one decimal.

use std::fmt::Write as _;

use crate::show::figures::short;

/// The colours of the paper, of text on it, and of what stands back.
pub(super) const PAPER: &str = "#ffffff";
pub(super) const INK: &str = "#1b2430";
pub(super) const FAINT_INK: &str = "#5c6773";
pub(super) const RULE: &str = "#dfe4ea";

/// Where a text stands relative to its point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// How a text looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Font {
    pub(super) size: f64,
    pub(super) fill: &'static str,
    pub(super) bold: bool,
}

impl Font {
    pub(super) const fn new(size: f64, fill: &'static str) -> Self {
        Self { size, fill, bold: false }
    }

    pub(super) const fn bold(self) -> Self {
        Self { bold: true, ..self }
    }

    /// How wide `text` is at most, in pixels, in the sans-serif fonts in use: DejaVu Sans, the widest, has about 0.61
    /// of its size a character, and East Asian scripts take a full square.
    pub(super) fn width_of(self, text: &str) -> f64 {
        let width = |c: char| if c >= '\u{1100}' { 1.05 } else { 0.62 };
        let bold = if self.bold { 1.1 } else { 1.0 };
        text.chars().map(width).sum::<f64>() * self.size * bold
    }

    /// `text`, cleaned and shortened so that it is at most `width` pixels wide where one character fits.
    pub(super) fn fit(self, text: &str, width: f64) -> String {
        let mut characters = (width / (0.62 * self.size)).max(1.0) as usize;
        while characters > 1 && self.width_of(&short(text, characters)) > width {
            characters -= 1;
        }
        short(text, characters)
    }
}

/// Elements, one a line.
#[derive(Debug, Default)]
pub(super) struct Svg {
    elements: String,
}

impl Svg {
    pub(super) fn rect(&mut self, [x, y, width, height]: [f64; 4], fill: &str, title: &str) {
        let shape =
            format!("<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{fill}\"");
        self.titled("rect", &shape, title);
    }

    pub(super) fn polygon(&mut self, corners: &[[f64; 2]], fill: &str, title: &str) {
        let points: Vec<String> = corners.iter().map(|[x, y]| format!("{x:.1},{y:.1}")).collect();
        self.titled("polygon", &format!("<polygon points=\"{}\" fill=\"{fill}\"", points.join(" ")), title);
    }

    /// An element whose `title` viewers show on hovering; none where it is empty.
    fn titled(&mut self, name: &str, shape: &str, title: &str) {
        let end =
            if title.is_empty() { "/>".to_owned() } else { format!("><title>{}</title></{name}>", escape(title)) };
        self.elements += shape;
        self.elements += &end;
        self.elements.push('\n');
    }

    pub(super) fn line(&mut self, [x1, y1]: [f64; 2], [x2, y2]: [f64; 2], stroke: &str, width: f64) {
        // Writing to a string cannot fail.
        let _ = writeln!(
            self.elements,
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{stroke}\" stroke-width=\"{width}\"/>"
        );
    }

    /// `y` is that of the baseline.
    pub(super) fn text(&mut self, [x, y]: [f64; 2], anchor: Anchor, font: Font, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let weight = if font.bold { " font-weight=\"600\"" } else { "" };
        let (size, fill, text) = (font.size, font.fill, escape(text));
        let _ = writeln!(
            self.elements,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" fill=\"{fill}\"{anchor}{weight}>{text}</text>"
        );
    }

    /// The document, with a background of its own so that it can be read in light and dark viewers.
    pub(super) fn finish(self, title: &str, width: f64, height: f64) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
             viewBox=\"0 0 {width:.0} {height:.0}\" font-family=\"system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif\">\n\
             <title>{}</title>\n<rect width=\"100%\" height=\"100%\" fill=\"{PAPER}\"/>\n{}</svg>\n",
            escape(title),
            self.elements
        )
    }
}

/// `text` as XML 1.0 content or attribute value; what XML does not allow becomes `�`.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in short(text, usize::MAX).chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&apos;",
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_becomes_markup() {
        assert_eq!(escape("a<b & \"c\" 'd'>\u{0}"), "a&lt;b &amp; &quot;c&quot; &apos;d&apos;&gt;\u{fffd}");
    }

    #[test]
    fn a_fitted_text_is_no_wider_than_its_place() {
        let font = Font::new(11.0, INK).bold();
        for text in ["short", "a name that is far too long for its place", "一个非常长的名字一个非常长的名字"]
        {
            for width in [20.0, 80.0, 200.0] {
                let fitted = font.fit(text, width);
                assert!(font.width_of(&fitted) <= width, "{fitted} in {width}");
            }
        }
    }
}
