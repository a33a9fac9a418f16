//! Runs a model over device, edge and cloud: nodes and their links, files, the main job, the command line.
//!
//! The modules stand in the order in which the main job meets them: what the user wrote, what is decided and done, and on
//! which nodes; then what people see of it.

pub mod command;
pub mod config;
pub mod codebook;
pub mod steps;
pub mod run;
pub mod calibrate;
pub mod module;
pub mod node;
pub mod trust;
pub mod store;
pub mod trial;
pub mod deployment;
pub mod daemon;
mod calls;
pub mod client;
pub mod share;
pub mod stage;
pub mod link;
pub mod emulate;
mod quota;
pub mod identity;
pub mod clock;
pub mod memory;
pub mod show;
