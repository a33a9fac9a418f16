//! Tables in Markdown.

/// Rows under a head; the first column is text, the others are numbers.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    lines: Vec<String>,
}

impl Table {
    pub(crate) fn new(head: &[&str]) -> Self {
        let rule = "--:|".repeat(head.len() - 1);
        Self { lines: vec![format!("| {} |", head.join(" | ")), format!("|---|{rule}")] }
    }

    pub(crate) fn row(&mut self, cells: &[String]) {
        let line = format!("| {} |", cells.join(" | "));
        eprintln!("{line}");
        self.lines.push(line);
    }

    pub(crate) fn text(&self) -> String {
        self.lines.join("\n") + "\n"
    }
}

/// A number of bytes with commas between thousands.
pub(crate) fn bytes(bytes: f64) -> String {
    let digits = format!("{bytes:.0}");
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(",")
}

/// From how many bits an element on a mark is kept.
pub(crate) fn found(least: Option<f64>) -> String {
    least.map_or("at no level that was measured".to_owned(), |bits| format!("from {bits:.2} bits an element"))
}

/// Milliseconds.
pub(crate) fn ms(time: std::time::Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1e3)
}
