//! A deployment at the node where its requests are made: which plan each goes over, and what came of them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use thalweg_flow::{
    Alternative, CrossingCost, Estimates, Explanation, HopCost, LinkEstimate, PlanId, Refusal, RetryBudget, Span,
    SpanKind, Switch, TierEstimate, Way, too_busy,
};
use thalweg_planner::{Bandwidth, Bytes, Direction};

use super::start::Inner;
use crate::deployment::{AlternativeOf, Manifest, SourceOf};
use crate::identity::NodeId;
use crate::node::Answered;

/// Requests whose times are remembered for people.
const REMEMBERED: usize = 256;

/// A node that has computed nothing for so long counts as fast as planned.
const FORGET: Duration = Duration::from_secs(10);

/// What became of requests since the source was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Counts {
    /// Taken.
    pub requests: u64,
    /// Answered, over whichever plan.
    pub answered: u64,
    /// Of these, answered by this node alone.
    pub local: u64,
    /// Refused, each with a reason.
    pub refused: u64,
    /// How often another plan began to serve.
    pub switches: u64,
}

/// A deployment whose requests are made here.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) epoch: u32,
    pub(crate) of: SourceOf,
    alternatives: Vec<Alternative>,
    decided: Mutex<Decided>,
}

#[derive(Debug)]
pub(super) struct Decided {
    pub(super) switch: Switch,
    pub(super) estimates: Estimates,
    pub(super) budget: RetryBudget,
    pub(super) counts: Counts,
    /// Latencies and spans of the latest answers, by plan.
    latest: VecDeque<(PlanId, Duration, Vec<Span>)>,
}

impl Source {
    /// None where requests of the manifest's deployment are made elsewhere. What plans and nodes were
    /// left for in the epoch `before` stays known; times and bandwidths are those of the new one, which was measured.
    pub(crate) fn new(manifest: &Manifest, before: Option<&Self>, now: Duration) -> Option<Self> {
        let of = manifest.requests.clone()?;
        let alternatives: Vec<Alternative> = of.alternatives.iter().map(alternative).collect();
        let link = |link: &crate::deployment::LinkOf| {
            let (bandwidth, delay) = (Bandwidth(link.bandwidth.max(1)), Duration::from_nanos(link.delay_ns));
            ((link.from, link.to), LinkEstimate::new(&Direction::new(bandwidth, delay)))
        };
        let estimates = Estimates {
            tiers: vec![TierEstimate::default(); of.tiers.len()],
            links: of.links.iter().map(link).collect(),
        };
        let same_tiers = before.is_some_and(|before| before.of.tiers == of.tiers);
        let before = before.map(Self::decided);
        let switch = match before.as_ref().filter(|_| same_tiers) {
            Some(before) => {
                let mut switch = before.switch.clone();
                switch.replace(alternatives.clone(), &estimates, now);
                switch
            }
            None => Switch::new(alternatives.clone(), &estimates, now),
        };
        let new = || (Counts::default(), RetryBudget::new(now));
        let (counts, budget) = before.map_or_else(new, |before| (before.counts, before.budget));
        let decided = Decided { switch, estimates, budget, counts, latest: VecDeque::new() };
        let (name, epoch) = (manifest.name.clone(), manifest.epoch);
        Some(Self { name, epoch, of, alternatives, decided: Mutex::new(decided) })
    }

    pub(super) fn decided(&self) -> MutexGuard<'_, Decided> {
        self.decided.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what is believed of links and nodes by now, and decides which plan serves.
    pub(crate) fn decide(&self, inner: &Inner) {
        let now = inner.clock.now();
        let mut decided = self.decided();
        let Decided { switch, estimates, counts, .. } = &mut *decided;
        for tier in 1..self.of.tiers.len() {
            let id = inner.cluster.current(self.of.tiers[tier]);
            match inner.neighbours.believed(id) {
                Some(believed) if !believed.up => switch.link_down(0, tier, now),
                Some(_) => switch.link_up(0, tier, now),
                None => {}
            }
            if inner.gossip.is_down(id, now) { switch.tier_down(tier, now) } else { switch.tier_up(tier, now) }
        }
        for (&(from, to), link) in &mut estimates.links {
            let [from, to] = [from, to].map(|tier| self.of.tiers.get(tier).map(|id| inner.cluster.current(*id)));
            if let Some(believed) = from.zip(to).and_then(|(from, to)| believed(inner, from, to)) {
                *link = believed;
            }
        }
        for tier in &mut estimates.tiers {
            // What nobody has asked for long may be itself again: holds see to it that plans do not go back and forth.
            if tier.age(now).is_some_and(|age| age > FORGET) {
                *tier = TierEstimate::default();
            }
        }
        if switch.decide(estimates, now) {
            counts.switches += 1;
            let serving = switch.serving().map(|plan| self.decision(plan).to_owned());
            tracing::info!(deployment = self.name, serving, "another plan serves");
        }
    }

    /// What a request may try now.
    pub(super) fn ways(&self, inner: &Inner, decided: &Decided, now: Duration) -> Vec<Way> {
        decided.switch.ways(&decided.estimates, now, |plan| inner.node.backlog_beside(plan, self.epoch))
    }

    /// The refusal of a request for which there is no place now, if that is so.
    pub(crate) fn refuse_early(&self, inner: &Inner, left: Duration, now: Duration) -> Result<(), Refusal> {
        let mut decided = self.decided();
        let Some(refusal) = too_busy(&self.ways(inner, &decided, now), left) else { return Ok(()) };
        decided.counts.requests += 1;
        decided.counts.refused += 1;
        Err(refusal)
    }

    /// What an answer says of links and tiers, and of itself.
    pub(super) fn learn(&self, inner: &Inner, plan: PlanId, answered: &Answered) {
        let now = inner.clock.now();
        let Some(alternative) = self.alternatives.iter().find(|alternative| alternative.plan == plan) else { return };
        let mut decided = self.decided();
        for span in &answered.spans {
            let hop = usize::from(span.hop);
            let Some(cost) = alternative.hops.get(hop) else { continue };
            match span.kind {
                SpanKind::Compute => {
                    if let Some(tier) = decided.estimates.tiers.get_mut(cost.tier) {
                        tier.computed(cost.compute, span.length, now);
                    }
                }
                SpanKind::Wire if hop == 0 => {
                    if let Some(next) = alternative.hops.get(1) {
                        let to = inner.cluster.current(self.of.tiers[next.tier]);
                        inner.neighbours.transferred(to, span.bytes, span.length, now);
                    }
                }
                _ => {}
            }
        }
        decided.switch.answered(plan);
        decided.counts.answered += 1;
        decided.counts.local += u64::from(alternative.is_local());
        if decided.latest.len() >= REMEMBERED {
            decided.latest.pop_front();
        }
        decided.latest.push_back((plan, answered.length, answered.spans.clone()));
    }

    /// What a plan decides, in one line.
    pub(crate) fn decision(&self, plan: PlanId) -> &str {
        let found = self.of.alternatives.iter().find(|alternative| alternative.plan == plan);
        found.map_or("", |alternative| &alternative.decision)
    }

    /// Why the plan that serves does, and how the others stand.
    pub(crate) fn explain(&self, now: Duration) -> (Explanation, Counts) {
        let decided = self.decided();
        (decided.switch.explain(&decided.estimates, now), decided.counts)
    }

    /// Latencies of the latest answers, in ascending order, and the median of each kind of time on each hop of those that
    /// went over `plan`.
    pub(crate) fn latest(&self, plan: Option<PlanId>) -> (Vec<Duration>, BTreeMap<(u8, SpanKind), Duration>) {
        let decided = self.decided();
        let mut latencies: Vec<Duration> = decided.latest.iter().map(|(_, latency, _)| *latency).collect();
        latencies.sort_unstable();
        let mut times: BTreeMap<(u8, SpanKind), Vec<Duration>> = BTreeMap::new();
        for (_, _, spans) in decided.latest.iter().filter(|(of, ..)| Some(*of) == plan) {
            for span in spans {
                times.entry((span.hop, span.kind)).or_default().push(span.length);
            }
        }
        let medians = times.into_iter().map(|(key, mut times)| {
            times.sort_unstable();
            (key, times[times.len() / 2])
        });
        (latencies, medians.collect())
    }
}

/// What is believed of the link from one node to another: by this node, or by what the other one says.
fn believed(inner: &Inner, from: NodeId, to: NodeId) -> Option<LinkEstimate> {
    let own = inner.cluster.id();
    if from == own {
        return inner.neighbours.believed(to).filter(|believed| believed.known).map(|believed| believed.link);
    }
    let told = inner.gossip.link(from, to);
    // Of the way back nothing else is known than of the way there.
    told.or_else(|| (to == own).then(|| inner.neighbours.believed(from)).flatten().map(|believed| believed.link))
}

fn alternative(of: &AlternativeOf) -> Alternative {
    let nanos = Duration::from_nanos;
    let hops: Vec<HopCost> =
        of.hops.iter().map(|hop| HopCost { tier: hop.tier, compute: nanos(hop.compute_ns) }).collect();
    let crossings = of.crossings.iter().zip(hops.windows(2)).map(|(crossing, ends)| CrossingCost {
        from: ends[0].tier,
        to: ends[1].tier,
        encode: nanos(crossing.encode_ns),
        bytes: Bytes(crossing.bytes),
        decode: nanos(crossing.decode_ns),
        answer_bytes: Bytes(crossing.answer_bytes),
    });
    Alternative { plan: of.plan, crossings: crossings.collect(), hops }
}
