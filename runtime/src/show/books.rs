//! Codebooks as a table: what each level takes and costs.

use thalweg_planner::{DType, Graph, TensorSpec};

use super::figures::{NONE, count, ms, number, per_cent, short};
use super::grid::{INDENT, grid};
use crate::codebook::{Codebooks, CodecFigures, CutBooks};

/// A table for each cut with a line a level, and one with what the input takes as a picture.
pub fn books_table(books: &Codebooks, graph: &Graph) -> String {
    let accuracy = books.accuracy.map_or(String::new(), |accuracy| format!(", {} right without", per_cent(accuracy)));
    let (fitted, measured) = (count(books.fitted, "sample"), count(books.measured, "other"));
    let head = format!("{INDENT}fitted to {fitted}, measured on {measured}{accuracy}; agreement by {}\n", books.judge);
    let mut blocks = vec![head];
    blocks.extend(books.cuts.iter().map(|cut| cut_table(cut, graph)));
    if !books.rivals.is_empty() {
        blocks.push(rivals_table(books));
    }
    blocks.join("\n")
}

/// Where the cut is and what crosses: `after Conv_32: 1x80x14x14`.
pub(super) fn cut_name(cut: &CutBooks, graph: &Graph, width: usize) -> String {
    let after = cut.at.checked_sub(1).and_then(|last| graph.layers.get(last)).map_or(NONE, |layer| layer.name.as_str());
    let shapes: Vec<String> = cut.tensors.iter().map(|tensor| shape(&tensor.spec)).collect();
    format!("after {}: {}", short(after, width), short(&shapes.join(", "), 40))
}

fn shape(spec: &TensorSpec) -> String {
    let sizes: Vec<String> = spec.shape.iter().map(usize::to_string).collect();
    let exact = matches!(spec.dtype, DType::F32 | DType::F16 | DType::Bf16);
    let dtype = if exact { String::new() } else { format!(" {}", spec.dtype) };
    format!("{}{dtype}", if sizes.is_empty() { "a number".to_owned() } else { sizes.join("x") })
}

fn cut_table(cut: &CutBooks, graph: &Graph) -> String {
    let elements: usize = cut.tensors.iter().map(|tensor| tensor.spec.len()).sum();
    let header = ["codec", "bytes", "bits an element", "agreement", "accuracy", "distortion", "to encode", "to decode"];
    let row = |codec: &CodecFigures| {
        let bytes = codec.bytes();
        let of = |figure: fn(&crate::codebook::TensorFigures) -> f64| codec.tensors.iter().map(figure).sum::<f64>();
        let worst = codec.tensors.iter().map(|tensor| tensor.distortion).fold(0.0, f64::max);
        vec![
            codec.codec.clone(),
            number(bytes, 0),
            number(8.0 * bytes / elements.max(1) as f64, 2),
            per_cent(1.0 - codec.disagreement),
            codec.accuracy_loss.map_or(NONE.to_owned(), points),
            number(worst, 4),
            ms(of(|tensor| tensor.encode_ms)),
            ms(of(|tensor| tensor.decode_ms)),
        ]
    };
    let title = format!("{INDENT}{}, {}\n", cut_name(cut, graph, 40), count(elements, "element"));
    title + &grid(&header, &[0], cut.codecs.iter().map(row).collect())
}

fn rivals_table(books: &Codebooks) -> String {
    let rows = books.rivals.iter().map(|rival| {
        let accuracy = rival.accuracy_loss.map_or(NONE.to_owned(), points);
        vec![rival.codec.clone(), number(rival.bytes, 0), per_cent(1.0 - rival.disagreement), accuracy]
    });
    grid(&["the input as", "bytes", "agreement", "accuracy"], &[0], rows.collect())
}

/// A loss as the change that it is, in percentage points.
fn points(loss: f64) -> String {
    let change = number(-100.0 * loss, 2);
    if change.starts_with('-') || loss >= 0.0 { change } else { format!("+{change}") }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::super::sample::books;
    use super::*;

    #[test]
    fn a_level_is_a_line() {
        let (books, graph) = books();
        let expected = expect![[r#"
            a model
              fitted to 700 samples, measured on 1 other, 75.4 % right without; agreement by argmax

              after Conv_1: 1x80x14x14, 15680 elements
              codec       bytes  bits an element  agreement  accuracy  distortion  to encode  to decode
              features/1    490             0.25     60.0 %    -21.00      0.0625    0.31 ms    0.27 ms
              features/7   2912             1.49     90.0 %     +0.12      0.0625    0.31 ms    0.27 ms

              the input as  bytes  agreement  accuracy
              jpeg/50        6100     80.0 %      0.00
              webp/90       14800     91.0 %      0.00
        "#]];
        expected.assert_eq(&format!("a model\n{}", books_table(&books, &graph)));
    }
}
