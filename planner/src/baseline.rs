//! What people would do without a planner: the whole model in one place.

use crate::{Graph, Plan, PlanError, Topology, UNCODED, evaluate};

/// A placement to hold a plan against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Baseline {
    /// As users read it: `all on device`, `all on edge`, `all on cloud, raw input`, `all on cloud, JPEG input`.
    pub name: String,
    /// What it costs, or why it cannot be.
    pub plan: Result<Plan, PlanError>,
}

/// The whole model on each tier in turn: on the first one without sending anything, on the others with the input uncoded,
/// and on the last one also with the input as JPEG where all inputs offer that.
///
/// They keep to the same memory and costs as a plan, but not to an objective: [`UNCODED`] and JPEG are always allowed.
pub fn baselines(graph: &Graph, topology: &Topology) -> Vec<Baseline> {
    let baseline = |name: String, tier: usize, codec: &str| {
        let plan = evaluate(graph, topology, &vec![0; tier], &vec![codec.to_owned(); tier]);
        Baseline { name, plan }
    };
    let last = topology.tiers.len().saturating_sub(1);
    let mut baselines = Vec::new();
    for (index, tier) in topology.tiers.iter().enumerate() {
        let input = if index > 0 && index == last { ", raw input" } else { "" };
        baselines.push(baseline(format!("all on {}{input}", tier.name), index, UNCODED));
    }
    if let (Some(codec), Some(tier)) = (jpeg(graph), topology.tiers.get(last).filter(|_| last > 0)) {
        baselines.push(baseline(format!("all on {}, JPEG input", tier.name), last, &codec));
    }
    baselines
}

/// The first JPEG level that all live inputs offer.
fn jpeg(graph: &Graph) -> Option<String> {
    let inputs: Vec<_> = graph.live(0).into_iter().map(|input| &graph.tensors[input].codings).collect();
    let offered = |codec: &str| inputs.iter().all(|codings| codings.iter().any(|coding| coding.codec == codec));
    let levels = inputs.first()?.iter().map(|coding| &coding.codec).filter(|codec| codec.starts_with("jpeg/"));
    levels.into_iter().find(|level| offered(level)).cloned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::sample::{network, path};

    fn names(graph: &Graph, topology: &Topology) -> Vec<String> {
        baselines(graph, topology).into_iter().map(|baseline| baseline.name).collect()
    }

    #[test]
    fn each_place_alone_and_a_photo_to_the_cloud() {
        let (mut graph, mut topology) = (network(), path());
        let all = ["all on device", "all on edge", "all on cloud, raw input", "all on cloud, JPEG input"];
        assert_eq!(names(&graph, &topology), all);
        graph.tensors[0].codings.truncate(1);
        assert_eq!(names(&graph, &topology), all[..3]);
        topology.tiers.truncate(1);
        topology.links.clear();
        assert_eq!(names(&graph, &topology), all[..1]);
    }

    #[test]
    fn baselines_run_where_they_say_or_tell_why_not() {
        let baselines = baselines(&network(), &path());
        let message = baselines[0].plan.as_ref().expect_err("too large for the device").to_string();
        assert!(message.starts_with("layers `conv` to `fc` need 5."), "{message}");
        let plans = baselines[1..].iter().map(|baseline| baseline.plan.as_ref().expect("a plan"));
        let places = plans.map(|plan| plan.hops.iter().map(|hop| hop.compute).collect::<Vec<_>>());
        let (none, edge, cloud) = (Duration::ZERO, Duration::from_millis(14), Duration::from_micros(3500));
        assert_eq!(places.collect::<Vec<_>>(), [vec![none, edge], vec![none, none, cloud], vec![none, none, cloud]]);
    }
}
