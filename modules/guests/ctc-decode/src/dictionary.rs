//! What each class of a recogniser writes.

use crate::CtcError;

/// The texts of a recogniser's classes. Class 0 is the blank, which writes nothing; class `n` writes the text `n - 1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dictionary(Vec<String>);

impl Dictionary {
    /// Reads a text with one character a line, as PaddleOCR's dictionaries have it; with `space` a last class follows,
    /// which writes a space (PaddleOCR's `use_space_char`).
    ///
    /// Nothing is trimmed but the end of the line: an ideographic space is a character. A line may hold several
    /// characters. The last line may lack its end; other empty lines are an error, since they would shift all classes
    /// behind them unseen.
    pub fn read(text: &str, space: bool) -> Result<Self, CtcError> {
        let mut texts: Vec<String> = text.trim_start_matches('\u{feff}').lines().map(str::to_owned).collect();
        if let Some(empty) = texts.iter().position(String::is_empty) {
            return Err(CtcError::EmptyLine { line: empty + 1 });
        }
        if texts.is_empty() {
            return Err(CtcError::EmptyDictionary);
        }
        if space {
            texts.push(" ".to_owned());
        }
        Ok(Self(texts))
    }

    /// How many classes there are, with the blank.
    pub fn classes(&self) -> usize {
        self.0.len() + 1
    }

    /// What a class writes: nothing for the blank, and for what is no class.
    pub fn text(&self, class: usize) -> &str {
        class.checked_sub(1).and_then(|at| self.0.get(at)).map_or("", String::as_str)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn lines_are_classes_from_one_on() {
        let dictionary = Dictionary::read("\u{feff}a\r\n\u{3000}\nch", true).unwrap();
        assert_eq!(dictionary.classes(), 5);
        let texts: Vec<_> = (0..6).map(|class| dictionary.text(class)).collect();
        assert_eq!(texts, ["", "a", "\u{3000}", "ch", " ", ""]);
        assert_eq!(dictionary.text(usize::MAX), "");
    }

    #[test]
    fn a_dictionary_with_a_hole_is_refused() {
        assert_eq!(Dictionary::read("a\n\nb", false), Err(CtcError::EmptyLine { line: 2 }));
        assert_eq!(Dictionary::read("", true), Err(CtcError::EmptyDictionary));
    }
}
