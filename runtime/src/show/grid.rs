//! Tables without borders whose columns align.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table};

/// How many columns of a terminal people are expected to have.
pub(super) const WIDTH: usize = 100;

/// How far everything is set in.
pub(super) const INDENT: &str = "  ";

/// What `header` and `rows` look like, one line a row; the columns listed in `texts` align left, all others right.
pub(super) fn grid(header: &[&str], texts: &[usize], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.to_vec()).add_rows(rows);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        column.set_cell_alignment(if texts.contains(&index) { CellAlignment::Left } else { CellAlignment::Right });
    }
    table.lines().map(|line| format!("{INDENT}{}\n", line.trim_end())).collect()
}

/// The first of `build(longest)`, `build(longest - 1)`, … `build(shortest)` that keeps within [`WIDTH`], else the last.
///
/// `build` makes a grid whose names are shortened to the number it gets.
pub(super) fn fitted(longest: usize, shortest: usize, build: impl Fn(usize) -> String) -> String {
    let fits = |grid: &String| grid.lines().all(|line| line.chars().count() <= WIDTH);
    let narrower = (shortest + 1..=longest).rev().map(&build).find(fits);
    narrower.unwrap_or_else(|| build(shortest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_align_right_and_lines_end_without_spaces() {
        let rows = vec![vec!["device".to_owned(), "7".to_owned()], vec!["edge".to_owned(), "12.5".to_owned()]];
        assert_eq!(grid(&["tier", "ms"], &[0], rows), "  tier      ms\n  device     7\n  edge    12.5\n");
    }

    #[test]
    fn names_are_as_long_as_the_terminal_allows() {
        let name = |length: usize| "n".repeat(length);
        assert_eq!(fitted(300, 4, name), name(WIDTH));
        assert_eq!(fitted(300, 200, name), name(200));
        assert_eq!(fitted(3, 3, name), name(3));
    }
}
