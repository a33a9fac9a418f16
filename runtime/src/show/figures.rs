//! Figures and names as people read them, in tables and pictures alike.

use std::collections::BTreeSet;

/// What stands where there is no figure.
pub(super) const NONE: &str = "-";

/// How long something takes beside something else.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Pace {
    /// So many times as fast.
    Faster(f64),
    /// With one decimal the ratio would read 1.0.
    Same,
    /// It takes so many times as long.
    Slower(f64),
}

impl Pace {
    /// The pace of what takes `ms` beside what takes `other_ms`; none unless both are positive and finite.
    pub(super) fn of(ms: f64, other_ms: f64) -> Option<Self> {
        let ratio = ms / other_ms;
        match ratio {
            _ if !(ratio.is_finite() && ratio > 0.0) => None,
            slower if slower >= 1.05 => Some(Self::Slower(slower)),
            faster if faster <= 1.0 / 1.05 => Some(Self::Faster(1.0 / faster)),
            _ => Some(Self::Same),
        }
    }
}

/// Milliseconds with three significant digits and their unit: `12.3 ms`; `-` where `value` is not finite.
pub(super) fn ms(value: f64) -> String {
    match value.abs() {
        size if !size.is_finite() => NONE.to_owned(),
        size if size >= 99.95 => format!("{} ms", number(value, 0)),
        size if size >= 9.995 => format!("{} ms", number(value, 1)),
        _ => format!("{} ms", number(value, 2)),
    }
}

/// `value` with so many decimals; as a power of ten where it would need more than eight digits before the point.
pub(super) fn number(value: f64, decimals: usize) -> String {
    // Adding zero turns a negative zero into a positive one.
    match value.abs() {
        size if size >= 1e8 => format!("{value:.1e}"),
        size if size < 0.5 * 0.1f64.powi(decimals as i32) => format!("{:.decimals$}", 0.0),
        _ => format!("{value:.decimals$}"),
    }
}

/// A share from 0 to 1 in per cent: `94.1 %`.
pub(super) fn per_cent(share: f64) -> String {
    if share.is_finite() { format!("{} %", number(share * 100.0, 1)) } else { NONE.to_owned() }
}

/// `1 tensor`, `2 tensors`.
pub(super) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// What computes a part, in words.
pub(super) fn backends(computed_on: &BTreeSet<String>) -> String {
    Vec::from_iter(computed_on.iter().map(|name| short(name, 100))).join(" and ")
}

/// `text` on one line of at most `width` characters, at least one: control characters become `�`, and what is too
/// long loses its middle to `…`, because the beginnings and the ends of layers' names tell them apart.
pub(super) fn short(text: &str, width: usize) -> String {
    let clean = |c: char| if c.is_control() || is_unseen(c) { char::REPLACEMENT_CHARACTER } else { c };
    let characters: Vec<char> = text.chars().map(clean).collect();
    if characters.len() <= width.max(1) {
        return characters.into_iter().collect();
    }
    let kept = width.max(1) - 1;
    let (head, tail) = (kept.div_ceil(2), kept / 2);
    let tail = &characters[characters.len() - tail..];
    characters[..head].iter().chain(&['…']).chain(tail).collect()
}

/// Characters that turn the direction of the text around them, or are not allowed in XML.
fn is_unseen(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}')
}

/// `text` on lines of at most `width` characters where single words allow.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    lines(text.split_whitespace().map(str::to_owned), " ", width)
}

/// `items` with `separator` between them, on lines of at most `width` characters where single items allow.
pub(super) fn lines(items: impl IntoIterator<Item = String>, separator: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for item in items {
        match lines.last_mut() {
            Some(line) if line.chars().count() + separator.len() + item.chars().count() <= width => {
                line.push_str(separator);
                line.push_str(&item);
            }
            Some(line) => {
                line.push_str(separator.trim_end());
                lines.push(item);
            }
            None => lines.push(item),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_three_digits_and_its_unit() {
        let printed = [0.0, -0.0, 0.123, 9.996, 12.34, 123.4, -3.2, 1e300, f64::NAN].map(ms);
        let expected = ["0.00 ms", "0.00 ms", "0.12 ms", "10.0 ms", "12.3 ms", "123 ms", "-3.20 ms", "1.0e300 ms", "-"];
        assert_eq!(printed, expected);
    }

    #[test]
    fn a_pace_is_the_same_when_its_ratio_would_read_one() {
        assert_eq!(Pace::of(104.0, 100.0), Some(Pace::Same));
        assert_eq!(Pace::of(100.0, 104.0), Some(Pace::Same));
        assert_eq!(Pace::of(150.0, 100.0), Some(Pace::Slower(1.5)));
        assert_eq!(Pace::of(100.0, 200.0), Some(Pace::Faster(2.0)));
        for (ms, other_ms) in [(0.0, 1.0), (1.0, 0.0), (f64::NAN, 1.0), (1.0, f64::NAN), (-1.0, 1.0)] {
            assert_eq!(Pace::of(ms, other_ms), None, "{ms} beside {other_ms}");
        }
    }

    #[test]
    fn long_names_lose_their_middle_and_no_name_steers_the_terminal() {
        assert_eq!(short("Conv_31", 7), "Conv_31");
        assert_eq!(short("/features/block.3/Conv", 9), "/fea…Conv");
        assert_eq!(short("abc", 2), "a…");
        assert_eq!(short("abc", 0), "…");
        assert_eq!(short("a\x1b[2J\nb\u{202e}", 20), "a�[2J�b�");
    }

    #[test]
    fn lines_break_between_items_only() {
        let items = ["one", "two", "a very long item", "six"].map(str::to_owned);
        assert_eq!(lines(items, ", ", 9), ["one, two,", "a very long item,", "six"]);
    }
}
