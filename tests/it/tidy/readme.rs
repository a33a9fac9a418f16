//! What the README tells newcomers to type is what the checks on every change run.

use super::Fault;

/// Each `cargo` command in a block of the README is called by `.ci/run`, which adds `--locked` and nothing else.
pub(super) fn commands(readme: &str, ci: &str) -> Vec<Fault> {
    let run = ci.replace(" --locked", "");
    let told = told(readme);
    if told.is_empty() {
        return vec![Fault::new(
            "README.md",
            0,
            "no block with a `cargo` command: say how to run it and how to test it",
        )];
    }
    let missing = told.into_iter().filter(|(_, command)| !run.lines().any(|line| calls(line, command)));
    let message = |command| format!("`{command}` is not called by .ci/run: call it there, or take it out");
    missing.map(|(at, command)| Fault::new("README.md", at, message(command))).collect()
}

/// The commands, each with its line counted from zero.
fn told(readme: &str) -> Vec<(usize, &str)> {
    let mut in_block = false;
    let lines = readme.lines().enumerate().filter(|(_, line)| {
        in_block ^= line.starts_with("```");
        in_block && line.trim_start_matches("$ ").starts_with("cargo ")
    });
    lines.map(|(at, line)| (at, command(line.trim_start_matches("$ ")))).collect()
}

/// Without the comment that may follow it.
fn command(line: &str) -> &str {
    line.split(" #").next().unwrap_or(line).trim_end()
}

/// A line calls a command if it ends with it and is no comment.
fn calls(line: &str, command: &str) -> bool {
    !line.trim_start().starts_with('#') && line.trim_end().ends_with(command)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::super::listed;
    use super::*;

    const README: &str = "Run `cargo doc`.\n```sh\ncargo run --release -- run a   # the main job\n$ cargo test\n```\n";

    fn check(readme: &str, ci: &str, expect: &Expect) {
        expect.assert_eq(&listed(&commands(readme, ci)));
    }

    #[test]
    fn a_command_that_is_not_run_is_found() {
        check(README, "step Tests cargo test --locked\nstep Run cargo run --locked --release -- run a\n", &expect![""]);
        check(
            README,
            "# cargo test\ncargo run --release -- run ab\n",
            &expect![[r#"
                README.md:3: `cargo run --release -- run a` is not called by .ci/run: call it there, or take it out
                README.md:4: `cargo test` is not called by .ci/run: call it there, or take it out
            "#]],
        );
    }

    #[test]
    fn a_readme_without_commands_is_found() {
        check(
            "A project.\n",
            "cargo test\n",
            &expect![[r#"
                README.md:1: no block with a `cargo` command: say how to run it and how to test it
            "#]],
        );
    }
}
