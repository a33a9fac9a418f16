//! The files that a user writes: what to run (`pipeline.toml`) and where (`topology.toml`).
//!
//! Files become plain values with absolute paths, or a [`ConfigError`] that names the line. All keys, with units and
//! defaults, stand in README.md beside this file.

mod read;
mod objective;
mod input;
mod step;
mod pipeline;
mod topology;
mod node;
mod error;

pub use error::{ConfigError, Place, Problem};
pub use input::{Input, Origin};
pub use node::NodeFile;
pub use objective::Pins;
pub use pipeline::{Answer, CODECS_DEFAULT, DEADLINE_DEFAULT, Draw, Pipeline};
pub use read::FILE_BYTES_MAX;
pub use step::{Links, Module, Runs, Step};
pub use topology::{Link, Tier, Topology, device_file};

#[cfg(test)]
mod tests;
#[cfg(test)]
mod refused;
#[cfg(test)]
mod refused_steps;
