//! Why a fleet cannot be placed.

use super::LOAD_MAX;

/// Why [`Fleet::place`](super::Fleet::place) has no answer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[allow(missing_docs)]
pub enum FleetError {
    /// There is nothing to place.
    #[error("the fleet has no source: add at least one")]
    NoSource,
    /// A source's kind is past the end of the list of kinds.
    #[error("source `{source_name}` is of kind {kind}, but the fleet has only {kinds} kinds")]
    NoSuchKind { source_name: String, kind: usize, kinds: usize },
    /// A choice's server is past the end of the list of servers.
    #[error("choice {choice} of kind `{kind}` uses server {server}, but the fleet has only {servers} servers")]
    NoSuchServer { kind: String, choice: usize, server: usize, servers: usize },
    /// A rate that is none.
    #[error("source `{source_name}` sends {rate} requests a second: write a number above 0 and up to 1e9")]
    NotARate { source_name: String, rate: String },
    /// A kind of which there are sources but no choices.
    #[error("source `{source_name}` has no choice: give its kind `{kind}` at least one")]
    NoChoice { source_name: String, kind: String },
    /// Alone, it is too much for every choice that it has.
    #[error(
        "source `{source_name}` sends {rate} requests a second, and even by itself it would keep something busy for \
         {load:.3} s of each second with every choice: at most {:.3} requests a second would do",
        down(rate * LOAD_MAX / load)
    )]
    SourceOverloads { source_name: String, rate: f64, load: f64 },
    /// However sources are placed, and even divided, some server has at least the load `least`.
    #[error(
        "the servers cannot bear the fleet: however it is placed, one of them is busy for {:.3} s of each second or more; \
         in the nearest placing found that is `{server}` with {load:.3} s. All rates times {:.3} would fit there",
        down(*least), down(LOAD_MAX / load)
    )]
    Overloaded { server: String, load: f64, least: f64 },
    /// Nothing was found, and nothing proves that there is nothing.
    #[error(
        "no placing was found that the servers can bear, though one may exist: the nearest one keeps `{server}` busy for \
         {load:.3} s of each second. All rates times {:.3} would fit there",
        down(LOAD_MAX / load)
    )]
    NotPlaced { server: String, load: f64 },
}

/// A number that is printed with three digits must not be above what it promises.
fn down(number: f64) -> f64 {
    (number * 1000.0).floor() / 1000.0
}
