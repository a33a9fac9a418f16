//! Rules on what a model found: which results are kept, and which raise an alert.
//!
//! Results are records: a JSON list of objects. Settings are JSON as well:
//!
//! ```json
//! {
//!   "keep": [{"label": ["person", "dog"], "confidence": ">= 0.5", "area": ">= 400 and < 90000"}],
//!   "alert": [{"name": "a crowd", "when": {"label": ["person"]}, "count": ">= 10"}]
//! }
//! ```
//!
//! A condition names fields of a record, and all it says must hold. A list means a text that is one of these. A text is
//! one or more comparisons with a number, `<`, `<=`, `>`, `>=`, `=` or `!=`, joined by `and`. Beside the fields that a
//! record has, one with a `box` of four numbers has its `left`, `top`, `right`, `bottom`, `width`, `height` and `area`.
//! A record is kept if any condition of `keep` holds; without `keep` all are. An alert looks at the records that are
//! kept, and is raised if as many as `count` says, at least one if it says nothing, fulfil `when`.

mod settings;
mod comparison;
mod record;
mod rules;
mod module;
mod error;

pub use error::RulesError;
pub use module::RulesModule;
pub use rules::{Alert, Outcome, Rules};
pub use settings::{RECORDS_BYTES_MAX, SETTINGS_BYTES_MAX};
