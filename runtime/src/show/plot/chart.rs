//! A chart with a logarithmic axis and another: lines over coloured bands.

use super::WIDTH;
use super::svg::{Anchor, FAINT_INK, Font, INK, RULE, Svg};

/// Colours of bands, light enough for lines and text on them; used again from the start when there are more bands.
const BANDS: [&str; 8] = ["#d6e9f8", "#fbe3c8", "#d9f0d3", "#f3d9ea", "#fff3b8", "#dcdcf5", "#f9d8d6", "#d3eeee"];

/// A stretch of the horizontal axis.
pub(super) struct Band<'a> {
    pub(super) from: f64,
    pub(super) to: f64,
    /// Bands of one kind have one colour.
    pub(super) kind: usize,
    /// What viewers show on hovering.
    pub(super) title: &'a str,
}

/// A line through points, with its name at its right end.
pub(super) struct Curve<'a> {
    pub(super) name: &'a str,
    pub(super) points: Vec<[f64; 2]>,
    pub(super) colour: &'static str,
    pub(super) width: f64,
}

/// Ends and titles of the axes; `print` makes a tick's text from its value.
pub(super) struct Axes<'a> {
    pub(super) x: [f64; 2],
    pub(super) y: [f64; 2],
    pub(super) titles: [&'a str; 2],
    pub(super) print: [&'a dyn Fn(f64) -> String; 2],
    /// Of the vertical axis; the horizontal one is logarithmic.
    pub(super) scale: Scale,
}

/// Where on an axis a value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    Logarithmic,
    Linear,
}

/// Where the chart stands: left, top, right and bottom of its field, in pixels.
pub(super) type Frame = [f64; 4];

pub(super) fn band_colour(kind: usize) -> &'static str {
    BANDS[kind % BANDS.len()]
}

impl Axes<'_> {
    /// None where a value has no place: not finite, and on a logarithmic axis zero or negative.
    pub(super) fn place(&self, [left, top, right, bottom]: Frame, [x, y]: [f64; 2]) -> Option<[f64; 2]> {
        let share = |value: f64, [low, high]: [f64; 2], scale: Scale| {
            let share = match scale {
                Scale::Logarithmic => (value / low).ln() / (high / low).ln(),
                Scale::Linear => (value - low) / (high - low),
            };
            share.is_finite().then(|| share.clamp(0.0, 1.0))
        };
        let (x, y) = (share(x, self.x, Scale::Logarithmic)?, share(y, self.y, self.scale)?);
        Some([left + x * (right - left), bottom - y * (bottom - top)])
    }

    /// Round values between the ends of a linear axis: ten or fewer, at multiples of 1, 2 or 5.
    fn even_ticks([low, high]: [f64; 2]) -> Vec<f64> {
        let wanted = (high - low) / 10.0;
        if !(wanted > 0.0 && wanted.is_finite()) {
            return Vec::new();
        }
        let ten = 10_f64.powf(wanted.log10().floor());
        let step = [1.0, 2.0, 5.0].map(|factor| factor * ten).into_iter().find(|step| *step >= wanted * 0.999);
        let step = step.unwrap_or(10.0 * ten);
        let first = (low / step - 0.001).ceil() as i64;
        (first..first + 12).map(|at| at as f64 * step).take_while(|tick| *tick <= high + 0.001 * step).collect()
    }

    /// Round values between the ends of a logarithmic axis: powers of ten, and multiples of them where there are few.
    fn ticks([low, high]: [f64; 2]) -> Vec<f64> {
        if !(low > 0.0 && high > low && high.is_finite()) {
            return Vec::new();
        }
        let tens = (low.log10().floor() as i32..=high.log10().ceil() as i32).map(|power| 10_f64.powi(power));
        let factors: &[f64] = match high / low {
            ratio if ratio > 1000.0 => &[1.0],
            ratio if ratio > 5.0 => &[1.0, 2.0, 5.0],
            _ => &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0],
        };
        let all = tens.flat_map(|ten| factors.iter().map(move |factor| ten * factor));
        all.filter(|tick| *tick >= low * 0.999 && *tick <= high * 1.001).collect()
    }
}

/// Draws everything into `frame`; names of curves stand to the right of it.
pub(super) fn draw(svg: &mut Svg, frame: Frame, axes: &Axes<'_>, bands: &[Band<'_>], curves: &[Curve<'_>]) {
    let [left, top, right, bottom] = frame;
    for band in bands {
        let ends = [band.from, band.to].map(|x| axes.place(frame, [x, axes.y[0]]));
        if let [Some([from, _]), Some([to, _])] = ends {
            svg.rect([from, top, to - from, bottom - top], band_colour(band.kind), band.title);
        }
    }
    let font = Font::new(12.0, FAINT_INK);
    for tick in Axes::ticks(axes.x) {
        if let Some([x, _]) = axes.place(frame, [tick, axes.y[0]]) {
            svg.line([x, top], [x, bottom], RULE, 1.0);
            svg.text([x, bottom + 17.0], Anchor::Middle, font, &(axes.print[0])(tick));
        }
    }
    let ticks = match axes.scale {
        Scale::Logarithmic => Axes::ticks(axes.y),
        Scale::Linear => Axes::even_ticks(axes.y),
    };
    for tick in ticks {
        if let Some([_, y]) = axes.place(frame, [axes.x[0], tick]) {
            svg.line([left, y], [right, y], RULE, 1.0);
            svg.text([left - 8.0, y + 4.0], Anchor::End, font, &(axes.print[1])(tick));
        }
    }
    let title = Font::new(12.0, INK);
    svg.text([(left + right) / 2.0, bottom + 37.0], Anchor::Middle, title, axes.titles[0]);
    svg.text([left, top - 10.0], Anchor::Start, title, axes.titles[1]);
    let mut ends = Vec::new();
    for curve in curves {
        let places: Vec<[f64; 2]> = curve.points.iter().filter_map(|point| axes.place(frame, *point)).collect();
        for pair in places.windows(2) {
            svg.line(pair[0], pair[1], curve.colour, curve.width);
        }
        ends.extend(places.last().map(|end| (*end, curve)));
    }
    ends.sort_by(|one, other| one.0[1].total_cmp(&other.0[1]));
    let heights: Vec<f64> = ends.iter().map(|([_, y], _)| *y).collect();
    for (([x, _], curve), y) in ends.iter().zip(apart(&heights, bottom)) {
        let font = Font { fill: curve.colour, ..Font::new(12.0, INK) };
        svg.text([x + 8.0, y + 4.0], Anchor::Start, font, &font.fit(curve.name, WIDTH - x - 14.0));
    }
}

/// Heights in ascending order, moved so that texts do not cover each other: down, but not below `bottom`.
fn apart(heights: &[f64], bottom: f64) -> Vec<f64> {
    const LINE: f64 = 15.0;
    let mut moved: Vec<f64> = Vec::with_capacity(heights.len());
    for height in heights {
        let above = moved.last().map_or(f64::NEG_INFINITY, |above| above + LINE);
        moved.push(height.max(above));
    }
    let mut lowest = bottom;
    for height in moved.iter_mut().rev() {
        *height = height.min(lowest);
        lowest = *height - LINE;
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(Axes::ticks([1.0, 10.0]), [1.0, 2.0, 5.0, 10.0]);
        assert_eq!(Axes::ticks([10.0, 20.0]), [10.0, 15.0, 20.0]);
        assert_eq!(Axes::ticks([100.0, 1e6]), [100.0, 1e3, 1e4, 1e5, 1e6]);
        assert!(Axes::ticks([0.0, 10.0]).is_empty());
        assert_eq!(
            Axes::even_ticks([50.0, 100.0]),
            [50.0, 55.0, 60.0, 65.0, 70.0, 75.0, 80.0, 85.0, 90.0, 95.0, 100.0]
        );
        assert_eq!(
            Axes::even_ticks([0.0, 1.7]),
            [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0, 1.2000000000000002, 1.4000000000000001, 1.6]
        );
        assert!(Axes::even_ticks([1.0, 1.0]).is_empty());
    }

    #[test]
    fn names_stand_apart_and_inside() {
        assert_eq!(apart(&[10.0, 12.0, 100.0], 200.0), [10.0, 25.0, 100.0]);
        assert_eq!(apart(&[90.0, 98.0, 99.0], 100.0), [70.0, 85.0, 100.0]);
    }

    #[test]
    fn what_has_no_logarithm_is_left_out() {
        let print: &dyn Fn(f64) -> String = &|value| value.to_string();
        let axes = Axes {
            x: [1.0, 100.0],
            y: [1.0, 100.0],
            titles: ["x", "y"],
            print: [print, print],
            scale: Scale::Logarithmic,
        };
        let frame = [0.0, 0.0, 100.0, 100.0];
        assert_eq!(axes.place(frame, [10.0, 10.0]), Some([50.0, 50.0]));
        for point in [[0.0, 10.0], [10.0, -1.0], [f64::NAN, 10.0]] {
            assert_eq!(axes.place(frame, point), None);
        }
    }
}
