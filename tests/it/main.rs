//! What the whole promises, tried from the outside, in one binary.

mod accuracy;
mod command;
mod cut;
mod emulation;
mod models;
mod tidy;
mod tiers;
mod protocol;
