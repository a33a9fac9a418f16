//! A text becomes words.

use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

/// The words of a text: what stands between spaces; each sign of punctuation and each ideograph is a word.
///
/// Controls, formats and what is no character are left out. With `lower_case`, letters are small and without accents.
pub(crate) fn words(text: &str, lower_case: bool) -> impl Iterator<Item = String> {
    let clean = text.chars().filter(|letter| !is_left_out(*letter));
    let mut letters = normalised(clean, lower_case).peekable();
    std::iter::from_fn(move || {
        while letters.next_if(|letter| letter.is_whitespace()).is_some() {}
        let mut word = String::from(letters.next()?);
        if !word.chars().all(stands_alone) {
            word.extend(std::iter::from_fn(|| letters.next_if(|next| !next.is_whitespace() && !stands_alone(*next))));
        }
        Some(word)
    })
}

fn normalised(letters: impl Iterator<Item = char>, lower_case: bool) -> impl Iterator<Item = char> {
    let (plain, small) = if lower_case { (None, Some(letters)) } else { (Some(letters), None) };
    let is_accent = |letter: &char| letter.general_category() == GeneralCategory::NonspacingMark;
    let small = small.into_iter().flatten().nfd().filter(move |letter| !is_accent(letter));
    plain.into_iter().flatten().chain(small.flat_map(char::to_lowercase))
}

/// Whether BERT's `clean_text` takes it out: general category C, without the spaces among them and what is unassigned.
fn is_left_out(letter: char) -> bool {
    let category = letter.general_category();
    let other =
        letter.general_category_group() == GeneralCategoryGroup::Other && category != GeneralCategory::Unassigned;
    letter == char::REPLACEMENT_CHARACTER || (other && !matches!(letter, '\t' | '\n' | '\r'))
}

fn stands_alone(letter: char) -> bool {
    letter.is_ascii_punctuation()
        || is_ideograph(letter)
        || (!letter.is_ascii() && letter.general_category_group() == GeneralCategoryGroup::Punctuation)
}

/// The blocks of CJK ideographs that BERT takes apart. Hangul, Hiragana and Katakana are not among them.
fn is_ideograph(letter: char) -> bool {
    matches!(letter,
        '\u{4E00}'..='\u{9FFF}'
        | '\u{3400}'..='\u{4DBF}'
        | '\u{20000}'..='\u{2A6DF}'
        | '\u{2A700}'..='\u{2B73F}'
        | '\u{2B740}'..='\u{2B81F}'
        | '\u{2B820}'..='\u{2CEAF}'
        | '\u{F900}'..='\u{FAFF}'
        | '\u{2F800}'..='\u{2FA1F}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, lower_case: bool, expected: &[&str]) {
        assert_eq!(words(text, lower_case).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn punctuation_and_ideographs_stand_alone() {
        check(" Don't\tstop…$5 日本語 is", true, &["don", "'", "t", "stop", "…", "$", "5", "日", "本", "語", "is"]);
        check("", true, &[]);
        check(" \u{3000}\n", true, &[]);
    }

    #[test]
    fn accents_go_with_lower_case_only() {
        check("Crème BRÛLÉE İ e\u{301}", true, &["creme", "brulee", "i", "e"]);
        check("Crème BRÛLÉE", false, &["Crème", "BRÛLÉE"]);
    }

    #[test]
    fn what_is_no_text_is_left_out() {
        check("a\u{0}b\u{200B}c\u{FFFD}d\u{AD}e\u{E000}", true, &["abcde"]);
    }
}
