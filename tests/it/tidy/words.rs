//! What files, modules and types are called, and what is not left lying in the source.

use super::Fault;
use super::scan::{Source, declared, identifiers};

/// Words that say nothing (the first line) or have another word in this project's glossary (the second). They name no
/// file, module or type; in prose and as local words they are free.
const BANNED: [&str; 12] = [
    "utils", "util", "helpers", "helper", "common", "types", //
    "manager", "worker", "job", "task", "session", "shard",
];

/// No name either, but a name may hold it.
const BANNED_ALONE: &str = "engine";

const DECLARES: [&str; 5] = ["mod", "struct", "enum", "trait", "type"];

/// Files, modules and types have names of the glossary.
pub(super) fn names(source: &Source) -> Vec<Fault> {
    let folders_and_file = source.path.trim_end_matches(".rs").split('/').map(|name| (0, name));
    let code = source.code.lines().enumerate();
    let declarations =
        code.flat_map(|(at, line)| DECLARES.iter().filter_map(move |it| Some((at, declared(line, it)?))));
    folders_and_file
        .chain(declarations)
        .filter_map(|(at, name)| Some((at, name, banned(name)?)))
        .map(|(at, name, word)| {
            let message = format!("`{name}`: no file, module or type is called `{word}`; say what it is or does");
            source.fault(at, message)
        })
        .collect()
}

/// What is unfinished stands in an issue, and what only helped to write the code is gone.
pub(super) fn loose_ends(source: &Source) -> Vec<Fault> {
    const NOTES: [&str; 3] = ["TODO", "FIXME", "XXX"];
    const MACROS: [&str; 3] = ["dbg", "todo", "unimplemented"];
    let comments = source.comments.lines().enumerate();
    let notes = comments.flat_map(|(at, line)| identifiers(line).map(move |found| (at, found)));
    let notes = notes.filter(|(_, (_, word, after))| NOTES.contains(word) && !names_an_issue(after));
    let notes = notes.map(|(at, (_, word, _))| {
        source.fault(at, format!("`{word}` without an issue: write `{word} (#12)` or do it"))
    });
    let code = source.code.lines().enumerate();
    let macros = code.flat_map(|(at, line)| identifiers(line).map(move |found| (at, found)));
    let macros = macros.filter(|(_, (_, word, after))| MACROS.contains(word) && after.starts_with('!'));
    let macros =
        macros.map(|(at, (_, word, _))| source.fault(at, format!("`{word}!` is not for keeping: take it out")));
    notes.chain(macros).collect()
}

fn names_an_issue(after: &str) -> bool {
    after.split_once('#').is_some_and(|(_, number)| number.starts_with(|character: char| character.is_ascii_digit()))
}

fn banned(name: &str) -> Option<String> {
    if words(name).eq([BANNED_ALONE]) {
        return Some(BANNED_ALONE.to_owned());
    }
    words(name).find(|word| BANNED.iter().any(|banned| word == banned || word.strip_suffix('s') == Some(banned)))
}

/// The words of a name, in small letters: of `TaskQueue` and `task_queue` they are `task` and `queue`.
fn words(name: &str) -> impl Iterator<Item = String> {
    let mut apart = String::new();
    for character in name.chars() {
        if character.is_uppercase() {
            apart.push('_');
        }
        apart.extend(character.to_lowercase());
    }
    apart.split('_').filter(|word| !word.is_empty()).map(str::to_owned).collect::<Vec<_>>().into_iter()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::super::check;
    use super::*;

    #[test]
    fn names_that_say_nothing_are_found() {
        check(
            names,
            "runtime/src/utils/engine.rs",
            "mod common;\npub(crate) struct TaskQueue;\n    type Jobs = u8;\nlet task = engine.session();\nenum Layers {}\n",
            &expect![[r#"
                runtime/src/utils/engine.rs:1: `utils`: no file, module or type is called `utils`; say what it is or does
                runtime/src/utils/engine.rs:1: `engine`: no file, module or type is called `engine`; say what it is or does
                runtime/src/utils/engine.rs:1: `common`: no file, module or type is called `common`; say what it is or does
                runtime/src/utils/engine.rs:2: `TaskQueue`: no file, module or type is called `task`; say what it is or does
                runtime/src/utils/engine.rs:3: `Jobs`: no file, module or type is called `jobs`; say what it is or does
            "#]],
        );
    }

    #[test]
    fn loose_ends_are_found_where_they_are_meant() {
        check(
            loose_ends,
            "a.rs",
            "// TODO: later\n// TODO (#12): later\nlet s = \"TODO dbg!\";\nlet a = dbg!(b);\ntodo!()\nlet todo = 1; // FIXME\n",
            &expect![[r#"
                a.rs:1: `TODO` without an issue: write `TODO (#12)` or do it
                a.rs:6: `FIXME` without an issue: write `FIXME (#12)` or do it
                a.rs:4: `dbg!` is not for keeping: take it out
                a.rs:5: `todo!` is not for keeping: take it out
            "#]],
        );
    }
}
