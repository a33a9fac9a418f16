//! A node as a process of its own: who may ask it what, what is deployed on it, whom it knows.
//!
//! ```text
//! node.toml, state folder → Daemon
//!   peers' calls → calls → cluster (may it?) → join, files, orders, requests
//!   answers      → outbox → deliver → inbox of another node → results
//!   own clock    → neighbours (what links carry), gossip (who is there), sources (which plan serves)
//! ```
//! The node itself ([`crate::node`]) computes its shares of plans and knows nothing of this.

mod error;
mod state;
mod cluster;
mod start;
mod calls;
mod orders;
mod rotate;
mod files;
mod held;
mod install;
mod neighbours;
mod gossip;
mod source;
mod serving;
mod outbox;
mod deliver;
mod inbox;
mod results;
mod measure;
mod status;
#[cfg(test)]
mod tests;

pub(crate) use cluster::Told;
pub use error::DaemonError;
pub use install::Prepared;
pub use measure::{LinkMeasured, Measured};
pub use orders::{Described, Order};
pub use outbox::DeliveryShown;
pub use results::{OutputShown, ResultShown, Results, SenderShown};
pub use source::Counts;
pub use start::{Daemon, run};
pub(crate) use state::State;
pub use status::{
    AlternativeShown, DeploymentShown, InboxShown, LinkShown, NodeShown, RequestsShown, Status, TimeShown,
};
