//! What each bit buys: agreement with the uncoded model over bytes, for each cut and for pictures of the input.

use thalweg_planner::{Bytes, Graph};

use super::WIDTH;
use super::chart::{Axes, Curve, Scale, draw};
use super::study::{FIELD, PLAN, ends, title};
use super::svg::{Anchor, FAINT_INK, Font, Svg};
use crate::codebook::Codebooks;
use crate::show::books::cut_name;

/// Colours of cuts, by their order: told apart by those who see fewer colours (Okabe and Ito, 2008).
const CUTS: [&str; 8] = [PLAN, "#d55e00", "#009e73", "#8c3d73", "#b07d00", "#56b4e9", "#7a2e2e", "#3d4a8a"];
/// Colours of pictures.
const PICTURES: [(&str, &str, &str); 2] =
    [("jpeg/", "JPEG of the input", "#1b2430"), ("webp/", "WebP of the input", "#7d8794")];
/// What agrees less is not shown: nobody would use it.
const AGREEMENT_MIN: f64 = 50.0;

/// An SVG document: a curve for each cut, from its coarsest level to its finest, and one for each picture codec.
pub fn rate_chart(name: &str, books: &Codebooks, graph: &Graph) -> String {
    let mut svg = Svg::default();
    title(&mut svg, name, "Agreement with the uncoded model over the bytes that are sent");
    let seen =
        |points: Vec<[f64; 2]>| points.into_iter().filter(|[_, agreement]| *agreement >= AGREEMENT_MIN).collect();
    let per_cent = |disagreement: f64| 100.0 * (1.0 - disagreement);
    let names: Vec<String> = books.cuts.iter().map(|cut| cut_name(cut, graph, 16)).collect();
    let cuts = books.cuts.iter().zip(&names).enumerate().map(|(at, (cut, name))| Curve {
        name,
        points: seen(cut.levels().map(|codec| [codec.bytes(), per_cent(codec.disagreement)]).collect()),
        colour: CUTS[at % CUTS.len()],
        width: 2.0,
    });
    let pictures = PICTURES.iter().map(|(codec, name, colour)| {
        let rivals = books.rivals.iter().filter(|rival| rival.codec.starts_with(codec));
        let points = rivals.map(|rival| [rival.bytes, per_cent(rival.disagreement)]).collect();
        Curve { name, points: seen(points), colour, width: 3.0 }
    });
    let curves: Vec<Curve<'_>> = cuts.chain(pictures).collect();
    let x = ends(curves.iter().flat_map(|curve| &curve.points).map(|point| point[0]));
    let print_bytes = |value: f64| Bytes(value.round() as u64).to_string();
    let print_share = |value: f64| format!("{value:.0} %");
    let axes = Axes {
        x,
        y: [AGREEMENT_MIN, 100.0],
        titles: ["bytes of one sample", "agreement"],
        print: [&print_bytes, &print_share],
        scale: Scale::Linear,
    };
    draw(&mut svg, FIELD, &axes, &[], &curves);
    for curve in &curves {
        for [x, y] in curve.points.iter().filter_map(|point| axes.place(FIELD, *point)) {
            svg.rect([x - 2.5, y - 2.5, 5.0, 5.0], curve.colour, "");
        }
    }
    let font = Font::new(12.0, FAINT_INK);
    let text = format!(
        "Each mark is a level, measured on {} samples that it was not fitted to; agreement by {}.",
        books.measured, books.judge
    );
    svg.text([FIELD[0], FIELD[3] + 62.0], Anchor::Start, font, &font.fit(&text, WIDTH - FIELD[0] - 20.0));
    svg.finish(name, WIDTH, FIELD[3] + 80.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::sample::books;

    #[test]
    fn cuts_and_pictures_have_a_curve_each() {
        let (books, graph) = books();
        let chart = rate_chart("a model", &books, &graph);
        for part in ["after Conv_1", "JPEG of the input", "agreement by argmax", "50 %", "100 %"] {
            assert!(chart.contains(part), "{part} is not in {chart}");
        }
        assert!(!chart.contains("NaN"));
    }

    #[test]
    fn without_anything_measured_there_is_an_empty_field() {
        let (mut books, graph) = books();
        books.cuts.clear();
        books.rivals.clear();
        assert!(rate_chart("a model", &books, &graph).contains("100 %"));
    }
}
