//! Finds the fastest plan: dynamic programming from the last tier back to the device.
//!
//! A state is "this tier has just got the tensors of this cut, in this codec". What is left to do from there does not
//! depend on how it came about, so the best way on is found once for each state. A tier that has decoded its tensors
//! tries each end of its part in one sweep, which adds up compute and memory layer by layer and stops when memory is full
//! or the layers alone take longer than the best plan so far.
//! With n layers, s cuts, k tiers and c codecs that takes time at most in the order of k·n·s + k·s·c.
//!
//! Ties go to the plan with fewer tiers, then to the one whose cuts are lower (from the device upwards), then to the one
//! whose codecs come first in the objective.

use std::time::Duration;

use crate::cost::{self, Coded};
use crate::memory::{Appetite, usable};
use crate::shortage::explain;
use crate::{Bytes, Graph, Objective, Plan, PlanError, Separator, Tier, Topology, check, evaluate};

/// The plan with the lowest latency among all cuts at separators and all codecs of the objective, for any number of tiers.
///
/// Parts fit into their tiers' memory with headroom. The same arguments give the same plan on every machine.
/// Fails when graph or topology make no sense, or when no plan fits; the error says what is missing.
pub fn plan(graph: &Graph, topology: &Topology, objective: &Objective) -> Result<Plan, PlanError> {
    check::topology(topology)?;
    check::graph(graph)?;
    let search = Search::new(graph, topology, objective);
    let links = search.best().ok_or_else(|| explain(graph, topology, objective, &search.cuts()))?;
    let cuts: Vec<_> = links.iter().map(|link| search.stops[link.stop].at).collect();
    let codecs: Vec<_> = links.iter().map(|link| objective.codecs[link.codec].clone()).collect();
    evaluate(graph, topology, &cuts, &codecs)
}

/// A place to cut, or one of the two ends of the model, which may not be places to cut.
struct Stop {
    at: usize,
    /// What crosses, for each codec of the objective; none where not all tensors offer it.
    coded: Vec<Option<Coded>>,
}

impl Stop {
    fn new(graph: &Graph, objective: &Objective, Separator { at, live }: &Separator) -> Self {
        let leaves = *at < graph.layers.len() && objective.allows(graph, live);
        let coded = |codec: &String| Coded::of(graph, live, codec).ok().filter(|_| leaves);
        Self { at: *at, coded: objective.codecs.iter().map(coded).collect() }
    }

    fn is_cut(&self) -> bool {
        self.coded.iter().any(Option::is_some)
    }
}

/// How good the rest of a plan is: less time first, fewer tiers on a tie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rest {
    time: Duration,
    last_tier: usize,
}

impl Rest {
    fn after(self, time: Duration) -> Self {
        Self { time: self.time.saturating_add(time), ..self }
    }
}

/// The best rest and the choice that leads there; none where no rest fits.
type Best<T> = Option<(Rest, T)>;

/// What a tier does with coded tensors.
#[derive(Debug, Clone, Copy)]
enum Arrival {
    PassOn,
    Decode,
}

/// The best choices of one tier. Indices are those of [`Search::stops`] and of the objective's codecs.
struct Choices {
    /// `leave[stop]`: the codec in which the tier sends the tensors of this stop, which it has uncoded.
    leave: Vec<Best<usize>>,
    /// `run[stop]`: the end of the tier's part when it runs at least one layer from this stop on.
    run: Vec<Best<usize>>,
    /// `arrive[stop][codec]`: what the tier does first.
    arrive: Vec<Vec<Best<Arrival>>>,
}

/// A link in use: where the model is cut, and the codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Chosen {
    stop: usize,
    codec: usize,
}

struct Search<'a> {
    graph: &'a Graph,
    topology: &'a Topology,
    /// From the first end of the model to the second.
    stops: Vec<Stop>,
    /// The index in `stops` of each place between layers.
    stop_at: Vec<Option<usize>>,
    /// Bytes that come back over a link, by where the model is cut there.
    answers: Vec<Bytes>,
    appetite: Appetite,
}

impl<'a> Search<'a> {
    fn new(graph: &'a Graph, topology: &'a Topology, objective: &Objective) -> Self {
        let end = graph.layers.len();
        let separators = graph.separators(objective.live_max);
        let mut stops: Vec<_> = separators.iter().map(|separator| Stop::new(graph, objective, separator)).collect();
        stops.retain(|stop| stop.at == 0 || stop.at == end || stop.is_cut());
        if stops.first().is_none_or(|first| first.at != 0) {
            stops.insert(0, Stop { at: 0, coded: vec![None; objective.codecs.len()] });
        }
        let mut stop_at = vec![None; end + 1];
        stops.iter().enumerate().for_each(|(index, stop)| stop_at[stop.at] = Some(index));
        Self { graph, topology, stops, stop_at, answers: cost::answers(graph), appetite: Appetite::of(graph) }
    }

    fn end(&self) -> usize {
        self.stops.len() - 1
    }

    /// The links in use of the best plan; none where no plan fits.
    fn best(&self) -> Option<Vec<Chosen>> {
        if self.end() == 0 {
            return Some(Vec::new());
        }
        let mut tiers: Vec<Choices> = Vec::new();
        for tier in (0..self.topology.tiers.len()).rev() {
            tiers.insert(0, self.choices(tier, &tiers));
        }
        let (device, above) = tiers.split_first()?;
        let without_layers = device.leave[0].map(|(rest, _)| (rest, 0));
        let (_, stop) = without_layers.into_iter().chain(device.run[0]).min_by_key(|(rest, _)| *rest)?;
        let first = device.leave[stop].map(|(_, codec)| Chosen { stop, codec });
        Some(first.map_or_else(Vec::new, |first| self.follow(above, first)))
    }

    /// The choices of this tier, given those of the tiers above it.
    fn choices(&self, tier: usize, above: &[Choices]) -> Choices {
        let place = &self.topology.tiers[tier];
        let onward: Vec<_> = (0..self.stops.len()).map(|stop| self.onward(tier, stop, above)).collect();
        let leave: Vec<_> = (0..self.stops.len()).map(|stop| self.leave(place, stop, &onward[stop], above)).collect();
        let times: Vec<_> = cost::compute(&self.graph.layers, place).collect();
        // The device has its input from the start and nothing ever arrives there.
        let starts = if tier == 0 { 0..1 } else { 0..self.stops.len() };
        let run: Vec<_> = starts.clone().map(|start| self.run(tier, start, &times, &leave)).collect();
        let arrive = starts.map(|stop| self.arrive(place, stop, &onward[stop], run[stop])).collect();
        Choices { leave, run, arrive }
    }

    /// What is left once the tier has this stop's tensors coded, for each codec: the link, the answer, the tiers above.
    fn onward(&self, tier: usize, stop: usize, above: &[Choices]) -> Vec<Option<Rest>> {
        let Stop { at, coded } = &self.stops[stop];
        let Some(next) = above.first() else { return vec![None; coded.len()] };
        let link = &self.topology.links[tier];
        let answer = cost::message(&link.down, self.answers[*at]);
        let onward = |(coded, arrival): (&Option<Coded>, &Best<Arrival>)| {
            let (rest, _) = (*arrival)?;
            Some(rest.after(cost::message(&link.up, (*coded)?.bytes)).after(answer))
        };
        coded.iter().zip(&next.arrive[stop]).map(onward).collect()
    }

    /// The best codec for this stop's tensors, which the tier has uncoded.
    fn leave(&self, tier: &Tier, stop: usize, onward: &[Option<Rest>], above: &[Choices]) -> Best<usize> {
        let rest = |(coded, onward): (&Option<Coded>, &Option<Rest>)| Some((*onward)?.after((*coded)?.encode(tier)));
        let rests = self.stops[stop].coded.iter().zip(onward).map(rest).enumerate();
        let cuts = |codec| self.follow(above, Chosen { stop, codec }).into_iter().map(|chosen| chosen.stop);
        rests.filter_map(|(codec, rest)| Some((rest?, codec))).min_by(|(rest, codec), (other, other_codec)| {
            rest.cmp(other).then_with(|| cuts(*codec).cmp(cuts(*other_codec)))
        })
    }

    /// The best end of a part that starts at stop `start` and has at least one layer.
    fn run(&self, tier: usize, start: usize, times: &[Duration], leave: &[Best<usize>]) -> Best<usize> {
        let room = usable(&self.topology.tiers[tier]);
        let start = self.stops[start].at;
        let mut need = self.appetite.need(start);
        let mut compute = Duration::ZERO;
        let mut best: Best<usize> = None;
        for (at, time) in times.iter().enumerate().skip(start) {
            need.grow();
            compute = compute.saturating_add(*time);
            if need.bytes() > room || best.is_some_and(|(least, _)| least.time < compute) {
                break;
            }
            let Some(stop) = self.stop_at[at + 1] else { continue };
            let answered = (stop == self.end()).then_some(Rest { time: Duration::ZERO, last_tier: tier });
            let Some(rest) = answered.or(leave[stop].map(|(rest, _)| rest)) else { continue };
            let rest = rest.after(compute);
            if best.is_none_or(|(least, _)| rest < least) {
                best = Some((rest, stop));
            }
        }
        best
    }

    /// Whether to decode this stop's tensors and run from there, or to pass them on, for each codec.
    fn arrive(&self, tier: &Tier, stop: usize, onward: &[Option<Rest>], run: Best<usize>) -> Vec<Best<Arrival>> {
        let arrive = |(coded, onward): (&Option<Coded>, &Option<Rest>)| {
            let coded = (*coded)?;
            let decode = run.map(|(rest, _)| (rest.after(coded.decode(tier)), Arrival::Decode));
            // First on a tie, because the next cut is lower.
            let pass_on = onward.map(|rest| (rest, Arrival::PassOn));
            pass_on.into_iter().chain(decode).min_by_key(|(rest, _)| *rest)
        };
        self.stops[stop].coded.iter().zip(onward).map(arrive).collect()
    }

    /// The links in use from this one on; `above` begins with the tier that it leads to.
    fn follow(&self, above: &[Choices], first: Chosen) -> Vec<Chosen> {
        let next = |(link, tier): (Chosen, &Choices)| match tier.arrive[link.stop][link.codec]?.1 {
            Arrival::PassOn => Some(link),
            Arrival::Decode => {
                let (_, stop) = tier.run[link.stop]?;
                tier.leave[stop].map(|(_, codec)| Chosen { stop, codec })
            }
        };
        let mut links = vec![first];
        for tier in above {
            let Some(link) = links.last().and_then(|link| next((*link, tier))) else { break };
            links.push(link);
        }
        links
    }

    /// Where the model can be cut.
    fn cuts(&self) -> Vec<usize> {
        self.stops.iter().filter(|stop| stop.is_cut()).map(|stop| stop.at).collect()
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    use super::*;
    use crate::Crossing;
    use crate::sample::{CODECS, any_graph, any_topology, network, path};

    /// All ways to put `rest` more cuts after these ones, each of them at a place in `places`.
    fn placements(places: &[usize], codecs: &[String], rest: usize) -> Vec<(Vec<usize>, Vec<String>)> {
        if rest == 0 {
            return vec![(Vec::new(), Vec::new())];
        }
        let shorter = placements(places, codecs, rest - 1);
        let longer = |(cuts, used): &(Vec<usize>, Vec<String>)| {
            let last = cuts.last().copied().unwrap_or(0);
            let further = places.iter().filter(move |place| **place >= last);
            let (cuts, used) = (cuts.clone(), used.clone());
            let both = further.flat_map(|place| codecs.iter().map(move |codec| (*place, codec.clone())));
            both.map(move |(place, codec)| ([&cuts[..], &[place]].concat(), [&used[..], &[codec]].concat()))
                .collect::<Vec<_>>()
        };
        shorter.iter().flat_map(longer).collect()
    }

    fn allowed(graph: &Graph, objective: &Objective, live: &[usize]) -> bool {
        let inputs = live.iter().filter(|tensor| graph.inputs.contains(tensor)).count();
        live.len() <= objective.live_max && (inputs == 0 || !objective.inputs_stay)
    }

    /// The best of all plans, one by one.
    fn brute_force(graph: &Graph, topology: &Topology, objective: &Objective) -> Option<Plan> {
        let end = graph.layers.len();
        let places: Vec<_> = (0..end).filter(|at| allowed(graph, objective, &graph.live(*at))).collect();
        let all = (0..topology.tiers.len()).flat_map(|cuts| placements(&places, &objective.codecs, cuts));
        let rank = |codec: &String| objective.codecs.iter().position(|name| name == codec);
        let plans =
            all.filter_map(|(cuts, codecs)| Some((evaluate(graph, topology, &cuts, &codecs).ok()?, cuts, codecs)));
        let best = plans.min_by_key(|(plan, cuts, codecs)| {
            (plan.latency, plan.hops.len(), cuts.clone(), codecs.iter().map(rank).collect::<Vec<_>>())
        });
        best.map(|(plan, ..)| plan)
    }

    fn any_objective() -> impl Strategy<Value = Objective> {
        let codecs = prop::sample::subsequence(CODECS.to_vec(), 1..=3).prop_shuffle();
        (codecs, 0_usize..5, any::<bool>()).prop_map(|(codecs, live_max, inputs_stay)| Objective {
            codecs: codecs.into_iter().map(str::to_owned).collect(),
            live_max,
            inputs_stay,
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn the_plan_is_the_best_of_all(graph in any_graph(), topology in any_topology(), objective in any_objective()) {
            let found = plan(&graph, &topology, &objective);
            match brute_force(&graph, &topology, &objective) {
                Some(best) => prop_assert_eq!(found, Ok(best)),
                None => prop_assert!(found.is_err(), "{:?}", found),
            }
        }
    }

    /// One line a hop and a crossing.
    fn check(graph: &Graph, topology: &Topology, codecs: &[&str], expect: Expect) {
        let objective =
            Objective { codecs: codecs.iter().map(|codec| (*codec).to_owned()).collect(), ..Objective::default() };
        let plan = plan(graph, topology, &objective).expect("a plan");
        let mut text = String::new();
        for (index, hop) in plan.hops.iter().enumerate() {
            let names: Vec<_> = graph.layers[hop.layers.clone()].iter().map(|layer| &layer.name[..]).collect();
            text += &format!("{}: {} in {:?}\n", topology.tiers[hop.tier].name, names.join(" "), hop.compute);
            if let Some(Crossing { codec, bytes, encode, wire, decode, answer_bytes, answer, .. }) =
                plan.crossings.get(index)
            {
                text += &format!(
                    "  {codec}: {bytes}, {encode:?} + {wire:?} + {decode:?}; back {answer_bytes}, {answer:?}\n"
                );
            }
        }
        expect.assert_eq(&format!("{text}{:?}\n", plan.latency));
    }

    #[test]
    fn the_device_shrinks_what_it_cannot_finish() {
        check(
            &network(),
            &path(),
            &["f32"],
            expect![[r#"
            device: conv pool in 24ms
              f32: 5.12 kB, 0ns + 4.2016ms + 0ns; back 4 kB, 3.728ms
            edge: fc in 8ms
            39.9296ms
        "#]],
        );
    }

    #[test]
    fn a_jpeg_is_sent_from_a_device_that_holds_nothing() {
        let mut topology = path();
        topology.tiers[0].memory = Bytes(0);
        check(
            &network(),
            &topology,
            &["f32", "f16", "jpeg/90"],
            expect![[r#"
            device:  in 0ns
              jpeg/90: 15.1 kB, 31.2ms + 8.3536ms + 3.9ms; back 4 kB, 3.728ms
            edge: conv pool fc in 14ms
            61.1816ms
        "#]],
        );
    }

    #[test]
    fn an_input_that_stays_is_not_sent() {
        let mut topology = path();
        topology.tiers[0].slowdown.memory_bound = 0.0;
        let codecs = vec!["f32".to_owned(), "jpeg/90".to_owned()];
        let free = Objective { codecs, ..Objective::default() };
        topology.tiers[0].slowdown.convolution = 1e3;
        let sends_input = |objective: &Objective| {
            let plan = plan(&network(), &topology, objective).expect("a plan");
            plan.crossings.iter().any(|crossing| crossing.tensors == network().inputs)
        };
        assert!(sends_input(&free));
        assert!(!sends_input(&Objective { inputs_stay: true, ..free }));
    }

    #[test]
    fn no_split_where_the_device_is_fast() {
        let mut topology = path();
        topology.tiers[0] = topology.tiers[2].clone();
        check(
            &network(),
            &topology,
            &["f32"],
            expect![[r#"
            cloud: conv pool fc in 3.5ms
            3.5ms
        "#]],
        );
    }

    #[test]
    fn a_model_without_layers_is_a_plan_without_work() {
        check(
            &Graph::default(),
            &path(),
            &[],
            expect![[r#"
            device:  in 0ns
            0ns
        "#]],
        );
    }
}
