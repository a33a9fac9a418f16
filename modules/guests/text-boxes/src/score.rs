//! How likely a box holds text.

use crate::Point;

/// How far outside a box the middle of a cell may lie and count: rounding, in cells.
const SLACK: f64 = 1e-6;

/// The mean of the cells whose middle lies in the convex polygon or on its outline; 0 where there is none.
///
/// `width` is not 0, and the map holds whole rows.
pub(crate) fn mean_within(map: &[f32], width: usize, polygon: &[Point]) -> f64 {
    let heights = polygon.iter().map(|point| point[1]);
    let (top, bottom) = (heights.clone().fold(f64::INFINITY, f64::min), heights.fold(f64::NEG_INFINITY, f64::max));
    let (mut sum, mut count) = (0.0, 0_usize);
    let Some(rows) = middles(top, bottom, map.len() / width) else { return 0.0 };
    for row in rows {
        let Some((left, right)) = crossed(polygon, row as f64 + 0.5) else { continue };
        let Some(columns) = middles(left, right, width) else { continue };
        let cells = &map[row * width..][columns];
        sum += cells.iter().map(|cell| f64::from(*cell)).sum::<f64>();
        count += cells.len();
    }
    if count == 0 { 0.0 } else { sum / count as f64 }
}

/// The cells of `count` beside each other whose middles lie from `start` to `end`.
fn middles(start: f64, end: f64, count: usize) -> Option<std::ops::Range<usize>> {
    // Conversion to an integer saturates: what lies outside is cut off.
    let first = (start - 0.5 - SLACK).ceil().max(0.0) as usize;
    let behind = ((end - 0.5 + SLACK).floor() + 1.0).max(0.0) as usize;
    let range = first..behind.min(count);
    (!range.is_empty()).then_some(range)
}

/// Where the line at height `y` enters and leaves the polygon.
fn crossed(polygon: &[Point], y: f64) -> Option<(f64, f64)> {
    let mut ends: Option<(f64, f64)> = None;
    let next = polygon.iter().cycle().skip(1);
    for ([from_x, from_y], [to_x, to_y]) in polygon.iter().zip(next) {
        let (upper, lower) = (from_y.min(*to_y), from_y.max(*to_y));
        if y < upper - SLACK || y > lower + SLACK {
            continue;
        }
        let share = |height: f64| ((height - from_y) / (to_y - from_y)).clamp(0.0, 1.0);
        let level = lower - upper <= SLACK;
        let at = if level { [*from_x, *to_x] } else { [from_x + (to_x - from_x) * share(y); 2] };
        let (left, right) = ends.unwrap_or((f64::INFINITY, f64::NEG_INFINITY));
        ends = Some((left.min(at[0]).min(at[1]), right.max(at[0]).max(at[1])));
    }
    ends
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn outlines_count_and_what_lies_outside_the_map_does_not() {
        let map: Vec<f32> = (0..12).map(|at| at as f32).collect();
        let square = [[0.5, 0.5], [1.5, 0.5], [1.5, 1.5], [0.5, 1.5]];
        assert_eq!(mean_within(&map, 4, &square), (0.0 + 1.0 + 4.0 + 5.0) / 4.0);
        let huge = [[-1e9, -1e9], [1e9, -1e9], [1e9, 1e9], [-1e9, 1e9]];
        assert_eq!(mean_within(&map, 4, &huge), 5.5);
        assert_eq!(mean_within(&map, 4, &square.map(|[x, y]| [x + 9.0, y])), 0.0);
        assert_eq!(mean_within(&map, 4, &square.map(|[x, y]| [x / 9.0, y / 9.0])), 0.0);
    }

    proptest! {
        /// A cell is inside where it is on the same side of all edges.
        #[test]
        fn equals_asking_every_cell(
            centre in [0.0f64..12.0, 0.0f64..12.0], sides in [0.1f64..9.0, 0.1f64..9.0], turn in 0.0f64..6.3,
        ) {
            let map: Vec<f32> = (0..144).map(|at| (at * 37 % 101) as f32).collect();
            let corners = [[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]].map(|[x, y]: Point| {
                let [x, y] = [x * sides[0], y * sides[1]];
                [centre[0] + x * turn.cos() - y * turn.sin(), centre[1] + x * turn.sin() + y * turn.cos()]
            });
            let inside = |at: &usize| {
                let (x, y) = ((at % 12) as f64 + 0.5 - centre[0], (at / 12) as f64 + 0.5 - centre[1]);
                (x * turn.cos() + y * turn.sin()).abs() <= sides[0] / 2.0
                    && (y * turn.cos() - x * turn.sin()).abs() <= sides[1] / 2.0
            };
            let cells: Vec<f64> = (0..144).filter(inside).map(|at| f64::from(map[at])).collect();
            let expected = cells.iter().sum::<f64>() / cells.len().max(1) as f64;
            prop_assert!((mean_within(&map, 12, &corners) - expected).abs() < 1e-9);
        }
    }
}
