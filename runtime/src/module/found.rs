//! The module that a command is about: a file, or one that comes with the program.

use std::borrow::Cow;
use std::path::Path;

use thalweg_modules::own;

use crate::run::{RunError, read};

/// A module's component.
#[derive(Debug)]
pub struct Found {
    /// What tables and errors call it: its name where it comes with the program, else its path.
    pub name: String,
    /// Its bytes.
    pub component: Cow<'static, [u8]>,
}

impl Found {
    /// The module that comes with the program under this name, else that of this file. `./top-k` is always a file.
    pub fn find(target: &Path) -> Result<Self, RunError> {
        if let Some(own) = target.to_str().and_then(own::named) {
            return Ok(Self { name: own.name.to_owned(), component: Cow::Borrowed(own.component) });
        }
        if own::is_name(target) && !target.exists() {
            let known = own::ALL.iter().map(|own| own.name).collect::<Vec<_>>().join(", ");
            return Err(RunError::NoSuchModule { name: target.display().to_string(), known });
        }
        Ok(Self { name: target.display().to_string(), component: read(target)?.into() })
    }
}
