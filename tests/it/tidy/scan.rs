//! Rust source in two views of the same lines: its code without comments and texts, and its comments alone. So a word in
//! a message is no use of a crate, and a brace in a text closes nothing.

use super::Fault;

/// A source file. The views have the lines and the indentation of the file; what is not of the view is blank.
pub(super) struct Source {
    /// From the root of the repository, with `/`.
    pub(super) path: String,
    pub(super) text: String,
    pub(super) code: String,
    pub(super) comments: String,
}

impl Source {
    pub(super) fn new(path: &str, text: String) -> Self {
        let (mut code, mut comments) = (String::new(), String::new());
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let (kind, bytes) = piece(rest);
            let (part, after) = rest.split_at(bytes);
            code.push_str(&if kind == Kind::Code { part.to_owned() } else { blank(part) });
            comments.push_str(&if kind == Kind::Comment { part.to_owned() } else { blank(part) });
            rest = after;
        }
        Self { path: path.to_owned(), text, code, comments }
    }

    /// A fault at line `at`, counted from zero.
    pub(super) fn fault(&self, at: usize, message: impl Into<String>) -> Fault {
        Fault::new(&self.path, at, message)
    }
}

/// The name that a line declares with `keyword`: `declared("pub(crate) struct Plan {", "struct")` is `Plan`.
pub(super) fn declared<'a>(line: &'a str, keyword: &str) -> Option<&'a str> {
    const QUALIFIERS: [&str; 6] = ["pub", "const", "async", "unsafe", "extern", "default"];
    let mut words = line.split_whitespace().skip_while(|word| QUALIFIERS.contains(word) || word.starts_with("pub("));
    if words.next()? != keyword {
        return None;
    }
    identifiers(words.next()?).next().map(|(_, name, _)| name)
}

/// The identifiers of a line, each with what stands before and after it.
pub(super) fn identifiers(line: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + line[at..].find(in_identifier)?;
        at = start + identifier_bytes(&line[start..]);
        Some((&line[..start], &line[start..at], &line[at..]))
    })
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Code,
    Comment,
    Text,
}

/// The first piece of `rest`, which is not empty: its kind and its length in bytes.
fn piece(rest: &str) -> (Kind, usize) {
    let first = rest.chars().next().map_or(0, char::len_utf8);
    if rest.starts_with("//") {
        (Kind::Comment, rest.find('\n').unwrap_or(rest.len()))
    } else if rest.starts_with("/*") {
        (Kind::Comment, block_comment_bytes(rest))
    } else if rest.starts_with('"') {
        (Kind::Text, text_bytes(rest, '"'))
    } else if rest.starts_with('\'') && is_character(&rest[1..]) {
        (Kind::Text, text_bytes(rest, '\''))
    } else if rest.starts_with(in_identifier) {
        let bytes = identifier_bytes(rest);
        raw_text_bytes(rest, bytes).map_or((Kind::Code, bytes), |bytes| (Kind::Text, bytes))
    } else {
        (Kind::Code, first)
    }
}

/// Comments nest; one that is never closed reaches the end.
fn block_comment_bytes(rest: &str) -> usize {
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(mark) = rest[at..].find(['/', '*']) {
        at += mark;
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
        } else {
            at += 1;
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// Whether what follows a quote is a character and not a lifetime.
fn is_character(after: &str) -> bool {
    let mut characters = after.chars();
    characters.next().is_some_and(|first| first == '\\' || characters.next() == Some('\''))
}

/// Bytes of a text or character from its first quote to its last.
fn text_bytes(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, character) in rest.char_indices().skip(1) {
        if character == quote && !escaped {
            return at + 1;
        }
        escaped = character == '\\' && !escaped;
    }
    rest.len()
}

/// Bytes of a raw text such as `r#"…"#`, if `rest` begins with one; its prefix has `prefix` bytes.
fn raw_text_bytes(rest: &str, prefix: usize) -> Option<usize> {
    if !["r", "br", "cr"].contains(&&rest[..prefix]) {
        return None;
    }
    let hashes = rest[prefix..].bytes().take_while(|byte| *byte == b'#').count();
    let inside = prefix + hashes + 1;
    let closing = format!("\"{}", "#".repeat(hashes));
    let opens = rest[prefix + hashes..].starts_with('"');
    opens.then(|| rest[inside..].find(&closing).map_or(rest.len(), |at| inside + at + closing.len()))
}

fn in_identifier(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn identifier_bytes(rest: &str) -> usize {
    rest.find(|character| !in_identifier(character)).unwrap_or(rest.len())
}

fn blank(part: &str) -> String {
    part.chars().map(|character| if character == '\n' { '\n' } else { ' ' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares the views line by line, without regard to how wide the blanks are.
    fn check(text: &str, code: &[&str], comments: &[&str]) {
        let source = Source::new("a.rs", text.to_owned());
        assert_eq!(words(&source.code), code);
        assert_eq!(words(&source.comments), comments);
        assert_eq!(source.code.chars().count(), text.chars().count(), "a view keeps every place");
    }

    fn words(view: &str) -> Vec<String> {
        view.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }

    #[test]
    fn texts_and_comments_are_no_code() {
        check("let url = \"http://a \\\" b\"; // why", &["let url = ;"], &["// why"]);
        check("/* a /* b */ c */ let c = b'\\'';", &["let c = b ;"], &["/* a /* b */ c */"]);
        check("let raw = r#\"a \"{\" b\"#;", &["let raw = ;"], &[""]);
    }

    #[test]
    fn lifetimes_are_code_and_texts_keep_their_lines() {
        check("fn f<'a>(s: &'a str) -> char { '}' }", &["fn f<'a>(s: &'a str) -> char { }"], &[""]);
        check("let s = \"a\n  { b\";", &["let s =", ";"], &["", ""]);
    }

    #[test]
    fn declarations_are_found_behind_their_qualifiers() {
        assert_eq!(declared("    pub(crate) async fn carry<T>(", "fn"), Some("carry"));
        assert_eq!(declared("mod tests;", "mod"), Some("tests"));
        assert_eq!(declared("let fn_name = 1;", "fn"), None);
    }
}
