//! The modules that come with the program, each as the component that was built from `modules/guests`.
//!
//! They are here as bytes: this crate knows no guest.

use std::path::Path;

/// A module that comes with the program.
#[derive(Debug)]
pub struct Own {
    /// Lower-case words with `-`.
    pub name: &'static str,
    /// `major.minor.patch`, as its description says.
    pub version: &'static str,
    /// What it does, in a sentence.
    pub does: &'static str,
    /// The component.
    pub component: &'static [u8],
}

macro_rules! own {
    ($name:literal, $version:literal, $does:literal) => {
        Own {
            name: $name,
            version: $version,
            does: $does,
            component: include_bytes!(concat!("../guests/artifacts/", $name, ".wasm")),
        }
    };
}

/// All of them, by name.
pub static ALL: [Own; 9] = [
    own!(
        "crop",
        "1.0.0",
        "A quadrilateral of a photo becomes the picture of a line of text, and a text recogniser's input."
    ),
    own!("ctc-decode", "1.0.0", "Class scores of a text recogniser become text."),
    own!("decode-image", "1.0.0", "JPEG and PNG photos become the input of an image model."),
    own!("find-boxes", "1.0.0", "Outputs of a YOLO-type detector become boxes with classes."),
    own!("mean-pool", "1.0.0", "A language model's embeddings of tokens become one of the sentence."),
    own!("rules", "1.0.0", "Rules on what a model found: which results are kept, and which raise an alert."),
    own!("text-boxes", "1.0.0", "A text detector's map of probabilities becomes boxes around lines of text."),
    own!("tokenise", "1.0.0", "Text becomes the numbers of a BERT-type model's vocabulary."),
    own!("top-k", "1.0.0", "The k best classes of a list of scores, with their labels."),
];

/// The module of this name; none where no such module comes with the program.
pub fn named(name: &str) -> Option<&'static Own> {
    ALL.iter().find(|own| own.name == name)
}

/// Whether a module that is so written is meant by its name: it has neither folder nor extension.
pub fn is_name(module: &Path) -> bool {
    module.file_name() == Some(module.as_os_str()) && module.extension().is_none()
}

/// Whether these are the bytes of a module that comes with the program.
pub fn holds(component: &[u8]) -> bool {
    ALL.iter().any(|own| own.component == component)
}
