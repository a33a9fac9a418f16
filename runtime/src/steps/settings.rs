//! A module's settings: what the pipeline says, and the contents of files that it names.

use serde_json::Value;
use thalweg_modules::sandbox::Description;

use super::error::StepError;
use crate::config::Module;
use crate::run::{RunError, read};

/// The settings of a module as JSON; `wrong` makes an error of what does not fit together.
///
/// What a `.json` file holds is taken as it is. The text of another one is the setting, or, where the module wants a
/// list, each of its lines.
pub(super) fn text(
    step: &str,
    given: &Module,
    description: &Description,
    wrong: impl Fn(StepError) -> RunError,
) -> Result<String, RunError> {
    let mut settings = given.settings.clone();
    for (key, file) in &given.files {
        let refused = |what, cause: String| {
            let (step, key, file) = (step.to_owned(), key.clone(), file.display().to_string());
            wrong(StepError::Setting { step, key, file, what, cause })
        };
        let bytes = read(file)?;
        let value = if file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json")) {
            serde_json::from_slice(&bytes).map_err(|error| refused("JSON", error.to_string()))?
        } else {
            let text = String::from_utf8(bytes).map_err(|error| refused("text in UTF-8", error.to_string()))?;
            let wants = &description.settings_schema["properties"][key]["type"];
            if wants == "array" { text.lines().map(Value::from).collect() } else { Value::from(text) }
        };
        if settings.insert(key.clone(), value).is_some() {
            return Err(wrong(StepError::Twice { step: step.to_owned(), key: key.clone() }));
        }
    }
    Ok(Value::Object(settings).to_string())
}
