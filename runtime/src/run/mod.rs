//! The main job, in the order in which it is done: load, price, plan, deploy, measure, report.

mod load;
mod answer;
mod costs;
mod levels;
mod choose;
mod draft;
mod deploy;
mod measure;
pub mod report;
mod fill;
mod emulated;
pub mod study;
mod error;

pub use choose::{Choice, choose};
pub use costs::{Speed, measure_steps, pin, priced_graph, priced_topology, scale};
pub use deploy::{Deployment, EPOCH};
pub use draft::{Draft, Drafts, PartKey, plan_id};
pub use emulated::emulated;
pub use error::{InputMisfit, RunError, read};
pub use fill::{in_model_order, planned_report, run_report};
pub use levels::codecs;
pub use load::Subject;
pub use measure::{Measured, measure};
