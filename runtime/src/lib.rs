//! placeholder
pub mod emulate;
pub mod config;
pub mod clock;
pub mod identity;
pub mod link;
pub mod stage;
pub mod share;
pub mod node;
