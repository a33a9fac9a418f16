//! Shortens what the engine says of a failure to what a user can act on: the node, its operator, and the reason.

use std::panic::PanicHookInfo;

use tract_onnx::tract_hir::tract_core::internal::TractError;

/// Longer reasons are cut: some hold the engine's whole state.
const CHARACTERS_MAX: usize = 300;

/// What the engine says when sizes contradict each other; what follows is its own notation.
const CONTRADICTION: &str = "Impossible to unify";

/// The innermost node of an error chain and the innermost reason, in one line: `node "concat" (InferenceConcat): …`.
pub(crate) fn reason(error: &TractError) -> String {
    let links: Vec<String> = error.chain().map(ToString::to_string).collect();
    let place = links.iter().rev().find_map(|link| node(link));
    let mut reasons = links.iter().rev().map(String::as_str);
    let why = match reasons.next().unwrap_or_default() {
        unify if unify.starts_with(CONTRADICTION) => {
            let rule = reasons.next().unwrap_or(unify);
            format!("{} does not hold", rule.strip_prefix("Applying rule ").unwrap_or(rule))
        }
        // The last link alone is the place.
        _ if links.len() == 1 && place.is_some() => return one_line(&links[0]),
        why => why.to_owned(),
    };
    one_line(&place.map_or(why.clone(), |place| format!("{place}: {why}")))
}

/// The node that a link names as `#7 "name" Operator`.
fn node(link: &str) -> Option<String> {
    let (_, after) = link.split_once(" #")?;
    let (number, after) = after.split_once(" \"")?;
    let (name, operator) = after.split_once("\" ")?;
    let operator = operator.split([' ', ',']).next()?;
    number.parse::<usize>().ok().map(|_| format!("node \"{name}\" ({operator})"))
}

/// A panic as one line: where it was, below the folder of the crate, and what it said.
pub(crate) fn panic_reason(info: &PanicHookInfo<'_>) -> String {
    let said = info.payload_as_str().unwrap_or("no reason given");
    let place = info.location().map_or_else(String::new, |location| {
        let file = location.file();
        // Crates of the registry lie in `registry/src/INDEX/CRATE`.
        let below = file.split_once("registry/src/").and_then(|(_, below)| below.split_once('/'));
        format!(" at {}:{}", below.map_or(file, |(_, crate_file)| crate_file), location.line())
    });
    one_line(&format!("it panicked{place}: {said}"))
}

/// One line of at most [`CHARACTERS_MAX`] characters.
fn one_line(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(links: &[&str]) -> String {
        let (last, outer) = links.split_last().expect("a chain has links");
        let root = TractError::msg((*last).to_owned());
        reason(&outer.iter().rev().fold(root, |error, link| error.context((*link).to_owned())))
    }

    #[test]
    fn a_chain_becomes_node_operator_and_reason() {
        let links = [
            "Failed analyse for node #662 \"p2o.Concat.0\" InferenceConcat",
            "Infering facts",
            "Applying rule inputs[0].shape[2] == inputs[1].shape[2]",
            "Impossible to unify Val(32) with Mul([Val(4), Broadcast([Add([Val(7)])])]).",
        ];
        let expected =
            "node \"p2o.Concat.0\" (InferenceConcat): inputs[0].shape[2] == inputs[1].shape[2] does not hold";
        assert_eq!(chain(&links), expected);
        assert_eq!(
            chain(&["Translating node #3 \"a b\" Gather { axis: 0 } ToTyped", "axis\n0"]),
            "node \"a b\" (Gather): axis 0"
        );
    }

    #[test]
    fn what_has_another_form_is_kept() {
        assert_eq!(chain(&["nothing makes the tensor x"]), "nothing makes the tensor x");
        assert_eq!(chain(&["Evaluating #3 \"a\" Add"]), "Evaluating #3 \"a\" Add");
        assert_eq!(chain(&["about #1", "ü".repeat(400).as_str()]).chars().count(), CHARACTERS_MAX + 1);
    }
}
