//! Reads models, cuts them, runs their parts, and knows what devices and links are capable of.

pub mod device;
pub mod link;
