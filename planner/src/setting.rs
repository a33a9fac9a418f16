//! What of the world can be turned up and down to see what a decision depends on.

use std::time::Duration;

use crate::{Bandwidth, Bytes, Graph, Topology, UNCODED, print_duration};

/// One thing that a plan depends on.
///
/// Bandwidth and delay always change in both directions, by the same factor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    /// The bandwidth between two tiers, in both directions.
    Bandwidth {
        /// Index of one tier.
        one: usize,
        /// Index of the other.
        other: usize,
    },
    /// The delay between two tiers, in both directions: their sum is the round-trip time.
    Delay {
        /// Index of one tier.
        one: usize,
        /// Index of the other.
        other: usize,
    },
    /// The speed of a tier, for all classes of layers. Twice the speed is half the time.
    Speed {
        /// Index of the tier.
        tier: usize,
    },
    /// The bytes that a codec needs, for every tensor that offers it.
    Size {
        /// The codec and its level.
        codec: String,
    },
}

impl Setting {
    /// All settings that `graph` and `topology` have, without codecs that no tensor offers: uncoded tensors take what
    /// they take.
    pub fn all(graph: &Graph, topology: &Topology, codecs: &[String]) -> Vec<Self> {
        let mut pairs: Vec<[usize; 2]> =
            topology.links.iter().map(|link| [link.from.min(link.to), link.from.max(link.to)]).collect();
        pairs.sort_unstable();
        pairs.dedup();
        let offered = |codec: &&String| {
            graph.tensors.iter().flat_map(|tensor| &tensor.codings).any(|coding| coding.codec == **codec)
        };
        let bandwidths = pairs.iter().map(|[one, other]| Self::Bandwidth { one: *one, other: *other });
        let delays = pairs.iter().map(|[one, other]| Self::Delay { one: *one, other: *other });
        let speeds = (0..topology.tiers.len()).map(|tier| Self::Speed { tier });
        let sizes = codecs
            .iter()
            .filter(|codec| *codec != UNCODED)
            .filter(offered)
            .map(|codec| Self::Size { codec: codec.clone() });
        bandwidths.chain(delays).chain(speeds).chain(sizes).collect()
    }

    /// The same world with this setting at `factor` times what it is: never below one bit a second and one nanosecond.
    pub fn scaled(&self, graph: &Graph, topology: &Topology, factor: f64) -> (Graph, Topology) {
        let (mut graph, mut topology) = (graph.clone(), topology.clone());
        let whole = |value: u64| (value as f64 * factor).round() as u64;
        match self {
            Self::Bandwidth { one, other } => {
                for direction in topology.between_mut(*one, *other) {
                    direction.bandwidth = Bandwidth(whole(direction.bandwidth.0).max(1));
                }
            }
            Self::Delay { one, other } => {
                for direction in topology.between_mut(*one, *other) {
                    let nanos = u64::try_from(direction.delay.as_nanos()).unwrap_or(u64::MAX);
                    direction.delay = Duration::from_nanos(whole(nanos).max(1));
                }
            }
            Self::Speed { tier } => {
                if let Some(tier) = topology.tiers.get_mut(*tier) {
                    tier.slowdown = tier.slowdown.map(|slower| slower / factor);
                }
            }
            Self::Size { codec } => {
                let codings = graph.tensors.iter_mut().flat_map(|tensor| &mut tensor.codings);
                for coding in codings.filter(|coding| coding.codec == *codec) {
                    coding.bytes = Bytes(whole(coding.bytes.0).max(1));
                }
            }
        }
        (graph, topology)
    }

    /// Its value at `factor` times what it is, as people read it: that of the direction from `one` to `other`, the
    /// round-trip time, or a multiple.
    pub fn print(&self, topology: &Topology, factor: f64) -> String {
        let whole = |value: f64| (value * factor).round() as u64;
        match self {
            Self::Bandwidth { one, other } => {
                let now = topology.direction(*one, *other).map_or(0, |direction| direction.bandwidth.0);
                Bandwidth(whole(now as f64)).to_string()
            }
            Self::Delay { one, other } => {
                let ways = [(*one, *other), (*other, *one)];
                let delays = ways.iter().filter_map(|(from, to)| Some(topology.direction(*from, *to)?.delay));
                print_duration(Duration::from_nanos(whole(delays.sum::<Duration>().as_nanos() as f64)))
            }
            Self::Speed { .. } | Self::Size { .. } => times(factor),
        }
    }

    /// As people read it: `the bandwidth between device and edge`.
    pub fn name(&self, topology: &Topology) -> String {
        let tier = |tier: usize| topology.tiers.get(tier).map_or("?", |tier| tier.name.as_str());
        match self {
            Self::Bandwidth { one, other } => format!("the bandwidth between {} and {}", tier(*one), tier(*other)),
            Self::Delay { one, other } => format!("the round trip between {} and {}", tier(*one), tier(*other)),
            Self::Speed { tier: at } => format!("the speed of {}", tier(*at)),
            Self::Size { codec } => format!("the bytes of {codec}"),
        }
    }
}

/// A factor with three significant digits: `0.250 x`, `12.5 x`, `0.00391 x`.
pub fn times(factor: f64) -> String {
    let decimals = (2 - factor.abs().max(1e-9).log10().floor() as i32).max(0) as usize;
    format!("{factor:.decimals$} x")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{network, path};

    #[test]
    fn a_factor_has_three_digits() {
        assert_eq!(
            [0.25, 12.5, 1.0 / 256.0, 1024.0, 1.0].map(times),
            ["0.250 x", "12.5 x", "0.00391 x", "1024 x", "1.00 x"]
        );
    }

    #[test]
    fn a_setting_changes_what_it_names_and_nothing_else() {
        let (graph, topology) = (network(), path());
        for setting in Setting::all(&graph, &topology, &["f16".to_owned(), "none".to_owned()]) {
            let (other_graph, other) = setting.scaled(&graph, &topology, 2.0);
            match &setting {
                Setting::Bandwidth { one, other: far } => {
                    let before = topology.direction(*one, *far).expect("linked");
                    let after = other.direction(*one, *far).expect("linked");
                    assert_eq!(after.bandwidth.0, 2 * before.bandwidth.0);
                    assert_eq!(after.delay, before.delay);
                }
                Setting::Delay { one, other: far } => {
                    let before = topology.direction(*far, *one).expect("linked");
                    assert_eq!(other.direction(*far, *one).expect("linked").delay, before.delay * 2);
                }
                Setting::Speed { tier } => {
                    let [before, after] = [&topology, &other].map(|topology| topology.tiers[*tier].slowdown);
                    assert_eq!(after.convolution * 2.0, before.convolution);
                }
                Setting::Size { codec } => assert_eq!(codec, "f16"),
            }
            let size = matches!(setting, Setting::Size { .. });
            assert_eq!((other_graph == graph, other == topology), (!size, size), "{}", setting.name(&topology));
        }
    }
}
