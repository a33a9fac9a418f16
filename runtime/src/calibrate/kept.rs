//! The file, which is complete after each cut.

use std::fs;
use std::path::{Path, PathBuf};

use thalweg_devices::Model;

use crate::codebook::{CodebookError, Codebooks, CutBooks};
use crate::run::RunError;

/// Codebooks, and the file that they are kept in.
#[derive(Debug)]
pub struct Kept {
    file: PathBuf,
    books: Codebooks,
}

impl Kept {
    /// Goes on with the file where it has codebooks of the samples and settings of `wanted`; begins with `wanted` where
    /// there is none, or with `fresh`.
    ///
    /// Refuses a file of another model, of other samples or settings, or of something else.
    pub fn open(file: &Path, model: &Model, wanted: Codebooks, fresh: bool) -> Result<Self, RunError> {
        let books = if fresh || !file.exists() { None } else { Some(Self::read(file, model)?) };
        let books = match books {
            Some(books) if books.samples != wanted.samples => {
                return Err(RunError::OtherSamples { file: file.to_owned() });
            }
            Some(books) => books,
            None => wanted,
        };
        Ok(Self { file: file.to_owned(), books })
    }

    /// The codebooks of a file.
    pub fn read(file: &Path, model: &Model) -> Result<Codebooks, RunError> {
        Codebooks::read(file, model).map_err(|cause| match cause {
            CodebookError::Unreadable { file, cause } => RunError::Unreadable { file, cause },
            cause => RunError::OtherBooks { cause: Box::new(cause) },
        })
    }

    /// What it has.
    pub fn books(&self) -> &Codebooks {
        &self.books
    }

    /// Whether it has the cut after so many layers.
    pub fn has(&self, at: usize) -> bool {
        self.books.cuts.iter().any(|cut| cut.at == at)
    }

    /// Adds a cut and writes the file.
    pub fn keep(&mut self, cut: CutBooks) -> Result<(), RunError> {
        self.books.cuts.retain(|other| other.at != cut.at);
        self.books.cuts.push(cut);
        self.books.cuts.sort_by_key(|cut| cut.at);
        self.write()
    }

    /// Changes what is said beside the cuts and writes the file.
    pub fn note(&mut self, change: impl FnOnce(&mut Codebooks)) -> Result<(), RunError> {
        change(&mut self.books);
        self.write()
    }

    /// Writes a file beside it first, so that there is never half of one.
    fn write(&self) -> Result<(), RunError> {
        let unwritable = |cause| RunError::Unwritable { file: self.file.clone(), cause };
        let bytes = self.books.to_bytes().map_err(|cause| unwritable(cause.into()))?;
        let mut beside = self.file.clone().into_os_string();
        beside.push(".part");
        fs::write(&beside, bytes).map_err(unwritable)?;
        fs::rename(&beside, &self.file).map_err(unwritable)
    }
}
