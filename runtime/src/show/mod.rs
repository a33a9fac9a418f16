//! How people see what a run has shown: tables on a terminal, a picture, and bars while they wait.
//!
//! All of it is text made from a [`Report`](crate::run::report::Report), a sweep, a frontier,
//! codebooks or modules. Names come
//! from files: whatever they contain, they are cleaned and shortened before they are shown.

mod figures;
mod grid;
mod headline;
mod times;
mod said;
mod table;
mod study;
mod books;
mod module;
mod backends;
mod nodes;
mod plot;
mod progress;
#[cfg(test)]
mod sample;

pub use backends::{ComparedModel, compared_table};
pub use books::books_table;
pub use module::{own_table, sheet_table, timing_table};
pub use nodes::{deployed_table, status_table};
pub use plot::{frontier_chart, rate_chart, sweep_chart, timeline};
pub use progress::Progress;
pub use study::{frontier_table, sweep_table};
pub use table::table;
