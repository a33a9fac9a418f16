//! Boxes in the order in which one reads them.

use crate::TextBox;

/// Sorts boxes into lines from the top, and each line from the left.
///
/// A line is begun by the highest box that is in none; it takes in boxes whose middle lies lower than that box's by at
/// most `tolerance` of its height.
pub(crate) fn reading_order(boxes: &mut [TextBox], tolerance: f32) {
    boxes.sort_by(|a, b| middle(a, 1).total_cmp(&middle(b, 1)));
    let mut rest = boxes;
    while let Some(first) = rest.first() {
        let lowest = middle(first, 1) + tolerance * height(first);
        let (line, below) = rest.split_at_mut(rest.partition_point(|of| middle(of, 1) <= lowest).max(1));
        line.sort_by(|a, b| middle(a, 0).total_cmp(&middle(b, 0)));
        rest = below;
    }
}

fn middle(of: &TextBox, axis: usize) -> f32 {
    of.corners.iter().map(|corner| corner[axis]).sum::<f32>() / 4.0
}

/// The length of the left side.
fn height(of: &TextBox) -> f32 {
    let [upper, .., lower] = of.corners;
    let [x, y] = [0, 1].map(|axis| lower[axis] - upper[axis]);
    // Not `hypot`: of it the last bits depend on the machine's library.
    (x * x + y * y).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(x: f32, y: f32) -> TextBox {
        TextBox { corners: [[x, y], [x + 50.0, y], [x + 50.0, y + 10.0], [x, y + 10.0]], score: 1.0 }
    }

    #[test]
    fn lines_come_from_the_top_and_words_from_the_left() {
        let mut boxes = [at(60.0, 21.0), at(120.0, 3.0), at(0.0, 4.0), at(60.0, 0.0), at(0.0, 19.0), at(9.0, 40.0)];
        reading_order(&mut boxes, 0.5);
        let order: Vec<_> = boxes.iter().map(|of| (of.corners[0][0], of.corners[0][1])).collect();
        assert_eq!(order, [(0.0, 4.0), (60.0, 0.0), (120.0, 3.0), (0.0, 19.0), (60.0, 21.0), (9.0, 40.0)]);
    }
}
