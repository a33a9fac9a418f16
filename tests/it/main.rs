//! What the whole promises, tried from the outside, in one binary.

mod cut;
mod emulation;
mod models;
mod tidy;
mod protocol;
