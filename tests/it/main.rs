//! What the whole promises, tried from the outside, in one binary.

mod emulation;
mod tidy;
mod protocol;
