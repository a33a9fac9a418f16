//! What the whole promises, tried from the outside, in one binary.

mod accuracy;
mod command;
mod cut;
mod early;
mod files;
mod models;
mod pipelines;
mod tidy;
mod tiers;
mod protocol;
