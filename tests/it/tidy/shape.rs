//! How long things are, and that each file says what it is for.

use super::Fault;
use super::scan::{Source, declared};

const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 70;

/// Each file opens with what it is for.
pub(super) fn header(source: &Source) -> Vec<Fault> {
    let first = source.text.lines().next().unwrap_or_default();
    let says = first.strip_prefix("//!").is_some_and(|says| !says.trim().is_empty());
    let fault = || source.fault(0, "no header: open the file with `//!` and what it is for");
    if says { vec![] } else { vec![fault()] }
}

/// Files stay short enough to be read at once.
pub(super) fn file_length(source: &Source) -> Vec<Fault> {
    let lines = source.text.lines().count();
    let fault = || source.fault(FILE_LINES_MAX, format!("{lines} lines: at most {FILE_LINES_MAX}, split the file"));
    if lines <= FILE_LINES_MAX { vec![] } else { vec![fault()] }
}

/// Functions stay short enough to be seen at once.
pub(super) fn function_length(source: &Source) -> Vec<Fault> {
    let lines: Vec<&str> = source.code.lines().collect();
    let functions = lines.iter().enumerate().filter_map(|(at, line)| Some((at, declared(line, "fn")?)));
    functions.filter_map(|(at, name)| too_long(source, &lines[at..], at, name)).collect()
}

fn too_long(source: &Source, lines: &[&str], at: usize, name: &str) -> Option<Fault> {
    match function_lines(lines) {
        Some(count) if count <= FUNCTION_LINES_MAX => None,
        Some(count) => {
            Some(source.fault(at, format!("`{name}` has {count} lines: at most {FUNCTION_LINES_MAX}, split it")))
        }
        None => Some(source.fault(at, format!("`{name}` never ends: format the file"))),
    }
}

/// Lines from the one with `fn`, which is the first, to the one that ends the function: where rustfmt has laid the source
/// that is the next line indented no deeper that ends with a closing brace, or with a semicolon if there is no body.
fn function_lines(lines: &[&str]) -> Option<usize> {
    let indent = indent(lines.first()?);
    let outer = |line: &&str| !line.trim().is_empty() && self::indent(line) <= indent;
    lines.iter().position(|line| outer(line) && line.trim_end().ends_with(['}', ';'])).map(|at| at + 1)
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::super::check;
    use super::*;

    #[test]
    fn a_file_without_a_header_is_found() {
        let expect = expect![[r#"
            a.rs:1: no header: open the file with `//!` and what it is for
        "#]];
        check(header, "a.rs", "use std::fmt;\n", &expect);
        check(header, "a.rs", "//!\nuse std::fmt;\n", &expect);
        check(header, "a.rs", "//! Formats.\n", &expect![""]);
    }

    #[test]
    fn a_file_of_one_line_too_many_is_found() {
        check(file_length, "a.rs", &"\n".repeat(400), &expect![""]);
        check(
            file_length,
            "a.rs",
            &"\n".repeat(401),
            &expect![[r#"
                a.rs:401: 401 lines: at most 400, split the file
            "#]],
        );
    }

    #[test]
    fn a_function_of_one_line_too_many_is_found() {
        let function = |body: usize| {
            format!(
                "impl A {{\n    fn b();\n\n    pub fn c(\n        &self,\n    ) {{\n{}    }}\n\n    fn d() {{}}\n}}\n",
                "        e(\"}\");\n".repeat(body)
            )
        };
        check(function_length, "a.rs", &function(66), &expect![""]);
        check(
            function_length,
            "a.rs",
            &function(67),
            &expect![[r#"
                a.rs:4: `c` has 71 lines: at most 70, split it
            "#]],
        );
    }

    #[test]
    fn a_function_without_an_end_is_found() {
        check(
            function_length,
            "a.rs",
            "fn a() {\n    b()\n",
            &expect![[r#"
                a.rs:1: `a` never ends: format the file
            "#]],
        );
    }
}
