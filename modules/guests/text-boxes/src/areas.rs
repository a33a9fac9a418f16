//! Cells that touch each other are one area.

use std::ops::RangeInclusive;

use crate::Point;

/// A stretch of text in one row.
struct Run {
    row: usize,
    columns: RangeInclusive<usize>,
}

impl Run {
    fn cells(&self) -> usize {
        self.columns.end() - self.columns.start() + 1
    }
}

/// Of each area the middles of its outermost cells in each row, for at most `most` areas: the largest, in the order in
/// which rows from the top meet them.
///
/// Cells above `threshold` are text; cells that touch at a side or a corner are one area. `width` is not 0. Memory:
/// less than 40 bytes a cell, where every second cell is text.
pub(crate) fn areas(map: &[f32], width: usize, threshold: f32, most: usize) -> Vec<Vec<Point>> {
    let runs = runs(map, width, threshold);
    let first = joined(&runs);
    let mut cells = vec![0; runs.len()];
    for (run, &first) in runs.iter().zip(&first) {
        cells[first] += run.cells();
    }
    let mut chosen: Vec<usize> = (0..runs.len()).filter(|at| cells[*at] > 0).collect();
    chosen.sort_by_key(|at| std::cmp::Reverse(cells[*at]));
    chosen.truncate(most);
    chosen.sort_unstable();
    let mut areas = vec![Vec::new(); chosen.len()];
    for (run, first) in runs.iter().zip(first) {
        if let Ok(area) = chosen.binary_search(&first) {
            let row = run.row as f64 + 0.5;
            areas[area].extend([run.columns.start(), run.columns.end()].map(|column| [*column as f64 + 0.5, row]));
        }
    }
    areas
}

fn runs(map: &[f32], width: usize, threshold: f32) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (row, cells) in map.chunks_exact(width).enumerate() {
        let mut open: Option<usize> = None;
        for (column, cell) in cells.iter().enumerate() {
            match open {
                None if *cell > threshold => open = Some(column),
                Some(start) if *cell <= threshold => {
                    runs.push(Run { row, columns: start..=column - 1 });
                    open = None;
                }
                _ => {}
            }
        }
        runs.extend(open.map(|start| Run { row, columns: start..=width - 1 }));
    }
    runs
}

/// Of each run the first one of its area: disjoint sets, where the root is the smallest member.
fn joined(runs: &[Run]) -> Vec<usize> {
    let mut parents: Vec<usize> = (0..runs.len()).collect();
    // The first run of the row above that may still touch one.
    let mut above = 0;
    for (at, run) in runs.iter().enumerate() {
        let passed = |other: &Run| {
            other.row + 1 < run.row || (other.row + 1 == run.row && other.columns.end() + 1 < *run.columns.start())
        };
        while passed(&runs[above]) {
            above += 1;
        }
        let touching = runs[above..at]
            .iter()
            .take_while(|other| other.row + 1 == run.row && *other.columns.start() <= run.columns.end() + 1);
        for other in above..above + touching.count() {
            let (one, two) = (root(&mut parents, other), root(&mut parents, at));
            parents[one.max(two)] = one.min(two);
        }
    }
    (0..runs.len()).map(|at| root(&mut parents, at)).collect()
}

/// The root of a set; the way there is halved for the next time.
fn root(parents: &mut [usize], mut at: usize) -> usize {
    while parents[at] != at {
        parents[at] = parents[parents[at]];
        at = parents[at];
    }
    at
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Areas by filling them from each cell, as sets of cells.
    fn filled(map: &[f32], width: usize) -> Vec<Vec<(usize, usize)>> {
        let height = map.len() / width;
        let mut seen = vec![false; map.len()];
        let mut areas = Vec::new();
        for start in 0..map.len() {
            let (mut open, mut area) = (vec![start], Vec::new());
            while let Some(at) = open.pop() {
                if seen[at] || map[at] <= 0.5 {
                    continue;
                }
                seen[at] = true;
                let (row, column) = (at / width, at % width);
                area.push((row, column));
                for row in row.saturating_sub(1)..(row + 2).min(height) {
                    open.extend((column.saturating_sub(1)..(column + 2).min(width)).map(|column| row * width + column));
                }
            }
            if !area.is_empty() {
                areas.push(area);
            }
        }
        areas
    }

    #[test]
    fn of_too_many_the_largest_are_kept() {
        let map = [1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0];
        let starts = |most| areas(&map, 8, 0.5, most).iter().map(|area| area[0][0]).collect::<Vec<_>>();
        assert_eq!(starts(9), [0.5, 2.5, 5.5]);
        assert_eq!(starts(2), [2.5, 5.5]);
    }

    proptest! {
        #[test]
        fn equals_filling(width in 1usize..9, cells in proptest::collection::vec(any::<bool>(), 0..80)) {
            let mut map: Vec<f32> = cells.into_iter().map(f32::from).collect();
            map.truncate(map.len() / width * width);
            let mut found = areas(&map, width, 0.5, usize::MAX);
            let mut expected: Vec<Vec<Point>> = Vec::new();
            for area in filled(&map, width) {
                let of_row = |row: usize| area.iter().filter(move |cell| cell.0 == row).map(|cell| cell.1);
                let rows: std::collections::BTreeSet<usize> = area.iter().map(|cell| cell.0).collect();
                let ends = rows.into_iter().flat_map(|row| [(of_row(row).min(), row), (of_row(row).max(), row)]);
                let middle = |(column, row): (Option<usize>, usize)| {
                    [column.unwrap_or_default(), row].map(|at| at as f64 + 0.5)
                };
                expected.push(ends.map(middle).collect());
            }
            // Rows with several runs have inner ends as well.
            for area in &mut found {
                let all = area.clone();
                area.retain(|[x, y]| {
                    let row = || all.iter().filter(|other| other[1] == *y).map(|other| other[0]);
                    row().all(|other| other >= *x) || row().all(|other| other <= *x)
                });
                area.sort_by(|a, b| (a[1], a[0]).partial_cmp(&(b[1], b[0])).unwrap_or(std::cmp::Ordering::Equal));
            }
            for area in found.iter_mut().chain(&mut expected) {
                area.dedup();
            }
            prop_assert_eq!(found, expected);
        }
    }
}
