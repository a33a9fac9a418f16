//! placeholder
pub mod emulate;
pub mod config;
