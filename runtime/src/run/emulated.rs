//! Says in words what of a run is not real.

use thalweg_devices::device::DeviceProfile;
use thalweg_devices::link::Shape;
use thalweg_planner::print_duration;

use crate::config;

/// Which tiers and links are not what they seem, on `reference`, this machine.
pub fn emulated(topology: &config::Topology, reference: &DeviceProfile) -> Vec<String> {
    let devices: Vec<String> = topology.tiers.iter().filter_map(|tier| device(tier, reference)).collect();
    let set = "times to compute, encode and decode on emulated devices are set from their profiles, not measured";
    let set = (!devices.is_empty()).then(|| set.to_owned());
    let links = topology.links.iter().filter_map(|link| {
        let profile = link.profile.as_ref()?;
        let [from, to] = [link.from, link.to].map(|tier| &topology.tiers[tier].name);
        Some(format!("{from} to {to}: {}; up {}; down {}", profile.title, way(&profile.up), way(&profile.down)))
    });
    devices.into_iter().chain(set).chain(links).collect()
}

/// An emulated device, and in what this machine cannot be as fast.
fn device(tier: &config::Tier, reference: &DeviceProfile) -> Option<String> {
    let profile = tier.profile.as_ref().filter(|_| tier.emulate)?;
    let slowdown = profile.slowdown(reference);
    let classes = [
        ("convolutions", slowdown.convolution),
        ("depthwise convolutions", slowdown.depthwise),
        ("matrix products", slowdown.matrix_product),
        ("memory-bound layers", slowdown.memory_bound),
    ];
    let faster: Vec<&str> = classes.iter().filter(|(_, factor)| *factor < 1.0).map(|(name, _)| *name).collect();
    let limit = match faster.len() {
        0 => String::new(),
        4 => ", at the speed of this machine, which is slower".to_owned(),
        _ => format!(", but {} at the speed of this machine, which is slower there", faster.join(", ")),
    };
    Some(format!("{}: {}{limit}", tier.name, profile.title))
}

/// `7.60 Mbit/s, 10.5 ms ± 5 ms, 1 % lost`.
fn way(shape: &Shape) -> String {
    let recorded = if shape.trace.is_some() { " on average, as recorded" } else { "" };
    let mut text = format!("{}{recorded}, {}", shape.rate, print_duration(shape.delay));
    if !shape.jitter.is_zero() {
        text += &format!(" ± {}", print_duration(shape.jitter));
    }
    for (share, fate) in [(shape.loss, "lost"), (shape.reorder, "overtake"), (shape.duplicate, "doubled")] {
        if share > 0.0 {
            text += &format!(", {} % {fate}", share * 100.0);
        }
    }
    if let Some(outage) = shape.outage {
        text += &format!(", down for {} of each {}", print_duration(outage.length), print_duration(outage.every));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use thalweg_devices::link::Outage;
    use thalweg_planner::Bandwidth;

    use super::*;

    #[test]
    fn a_way_names_all_that_is_set() {
        let mut shape = Shape::new(Bandwidth(5_000_000), Duration::from_millis(20));
        assert_eq!(way(&shape), "5 Mbit/s, 20 ms");
        shape.jitter = Duration::from_millis(2);
        (shape.loss, shape.reorder, shape.duplicate) = (0.01, 0.02, 0.03);
        shape.outage = Some(Outage { every: Duration::from_secs(9), length: Duration::from_secs(1) });
        let all = "5 Mbit/s, 20 ms ± 2 ms, 1 % lost, 2 % overtake, 3 % doubled, down for 1 s of each 9 s";
        assert_eq!(way(&shape), all);
    }
}
