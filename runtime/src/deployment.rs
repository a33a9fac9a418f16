//! A deployment: one pipeline as several plans, of which every node gets the shares that it has in them.
//!
//! ```text
//! Subject, plans → pack → Manifest of each node, files → store → unpack → Shares
//! ```
//!
//! All plans of a deployment are prepared on all nodes that they name before the first request goes over one of them. So a
//! change from one to another ships nothing and waits for nothing, just when the link is worst; and the node where requests
//! are made decides by itself over which plan each of them goes.

mod alternatives;
mod manifest;
mod pack;
mod unpack;
mod report;
mod result;

#[cfg(test)]
pub(crate) use alternatives::tests::world;
pub use alternatives::{ALTERNATIVES_MAX, alternatives};
pub use manifest::{
    AlternativeOf, HopOf, InputOf, LinkOf, Manifest, OutputOf, PartOf, PhotoOf, PieceOf, RunsOf, ShareOf, Signed,
    SourceOf,
};
pub use pack::{Packed, PackedFile, pack, whole};
pub use report::{DeployReport, NodeRow, PlanRow};
pub use result::{NotAResult, ResultOf};
pub use unpack::{Here, UnpackError, prepare, read_files, unpack};
