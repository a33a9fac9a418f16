//! The main job, in the order in which it is done: load, price, plan, deploy, measure, report.

mod load;
mod answer;
mod costs;
mod choose;
mod deploy;
mod measure;
mod keep;
pub mod report;
mod fill;
mod error;

pub use choose::{Candidate, choose};
pub use costs::{Speed, measure_prefixes, priced_graph, priced_topology};
pub use deploy::{Deployment, EPOCH, plan_id};
pub use error::RunError;
pub use fill::{emulated, planned_report, run_report};
pub use keep::{print_profile, read_profile};
pub use load::{Subject, read};
pub use measure::{Measured, measure};
