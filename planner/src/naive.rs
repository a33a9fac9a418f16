//! The cost model told anew, for tests: every way that a request can end is followed by itself, and the best plan is
//! looked for among all placements and all codecs.

pub(crate) use every::{each, exit_sets, least, retold, walks};

use crate::{Bytes, Coding, Graph, Measure, Objective, OpClass, Pin, Plan, TensorId, Topology};

mod every;

/// Tiers of a random topology at most.
const TIERS: usize = 4;

/// The five measures in the order of [`Measure::ALL`], then the loss.
pub(crate) type Amounts = [f64; 6];
pub(crate) const LOSS: usize = 5;

/// By how much rounding to whole units can make each amount differ from the formulas.
pub(crate) const ROUNDING: Amounts = [300.0, 300.0, 1500.0, 3.0, 3.0, 0.5];

/// A placement without codecs.
pub(crate) struct Naive<'a> {
    pub(crate) graph: &'a Graph,
    pub(crate) topology: &'a Topology,
    pub(crate) objective: &'a Objective,
    pub(crate) path: &'a [usize],
    pub(crate) places: &'a [usize],
    pub(crate) exits: &'a [usize],
}

/// What one request takes of each tier of a path, and of each link of it, up and down.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Spent {
    nanos: [f64; TIERS],
    bytes: [[f64; 2]; TIERS],
    delay: f64,
    loss: f64,
}

/// A tensor on its way from a place that encodes it to the next that decodes it, for a share of the requests.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crosses {
    tensor: TensorId,
    from: usize,
    to: usize,
    share: f64,
}

/// A way that a request can end: its probability, and the layer after which it does.
struct Course {
    probability: f64,
    last: usize,
    output: Option<TensorId>,
}

/// A payload with its share of headers: 64 bytes for each 1,416.
fn framed(payload: Bytes) -> f64 {
    (payload.0 as f64 * 1480.0 / 1416.0).ceil()
}

/// What a goal asks for.
pub(crate) fn cost(objective: &Objective, amounts: &Amounts) -> f64 {
    Measure::ALL.into_iter().zip(amounts).map(|(measure, amount)| objective.goal.weight(measure) * amount).sum()
}

/// How far the cost of a plan can be from what the formulas say.
pub(crate) fn tolerance(objective: &Objective, cost: f64) -> f64 {
    self::cost(objective, &ROUNDING) + cost.abs() * 1e-9
}

/// What a plan says it takes.
pub(crate) fn stated(plan: &Plan) -> Amounts {
    let measures = Measure::ALL.map(|measure| plan.totals.of(measure));
    [measures[0], measures[1], measures[2], measures[3], measures[4], plan.totals.loss.0 as f64]
}

/// The limits of an objective, infinite where there is none.
pub(crate) fn limits(objective: &Objective) -> Amounts {
    let limits = Measure::ALL.map(|measure| objective.limits.of(measure).unwrap_or(f64::INFINITY));
    let loss = objective.limits.loss.map_or(f64::INFINITY, |loss| loss.0 as f64);
    [limits[0], limits[1], limits[2], limits[3], limits[4], loss]
}

impl Naive<'_> {
    fn writer(&self, tensor: TensorId) -> Option<usize> {
        self.graph.layers.iter().position(|layer| layer.writes.contains(&tensor))
    }

    /// Layers that anything but an unused exit needs.
    pub(crate) fn alive(&self) -> Vec<bool> {
        let end = self.graph.layers.len();
        let unused = |output: &TensorId| {
            let of = self.graph.exits.iter().position(|exit| exit.output == *output);
            of.is_some_and(|exit| !self.exits.contains(&exit))
        };
        // Repeated until nothing changes: a layer is dead when it leads to an unused exit and to nothing else that
        // counts.
        let mut alive = vec![true; end];
        loop {
            let read = |tensor: &TensorId| (0..end).any(|at| alive[at] && self.graph.layers[at].reads.contains(tensor));
            let read_by_dead =
                |tensor: &TensorId| (0..end).any(|at| !alive[at] && self.graph.layers[at].reads.contains(tensor));
            let wanted = |tensor: &TensorId| read(tensor) || (self.graph.outputs.contains(tensor) && !unused(tensor));
            let dead = (0..end).find(|at| {
                let writes = &self.graph.layers[*at].writes;
                alive[*at]
                    && writes.iter().any(|tensor| unused(tensor) || read_by_dead(tensor))
                    && !writes.iter().any(wanted)
            });
            match dead {
                Some(at) => alive[at] = false,
                None => return alive,
            }
        }
    }

    fn courses(&self) -> Vec<Course> {
        let decider = |exit: &usize| {
            let exit = &self.graph.exits[*exit];
            Some((self.writer(exit.output)?, exit.probability, exit.output))
        };
        let mut deciders: Vec<(usize, f64, TensorId)> = self.exits.iter().filter_map(decider).collect();
        deciders.sort_by_key(|(at, _, output)| (*at, *output));
        let (mut left, mut courses) = (1.0, Vec::new());
        for (at, probability, output) in deciders {
            courses.push(Course { probability: left * probability, last: at, output: Some(output) });
            left *= 1.0 - probability;
        }
        courses.push(Course { probability: left, last: usize::MAX, output: None });
        courses
    }

    fn answer(&self) -> Option<usize> {
        self.path.iter().position(|tier| *tier == self.objective.answer_at)
    }

    /// The last place of the path that counts.
    fn top(&self, alive: &[bool]) -> Option<usize> {
        let used = (0..self.places.len()).filter(|at| alive[*at]).map(|at| self.places[at]).max();
        Some(used.unwrap_or(0).max(self.answer()?))
    }

    /// All but what tensors take; nothing when the placement cannot be.
    fn fixed(&self, alive: &[bool]) -> Option<Spent> {
        let mut spent = Spent {
            loss: self.exits.iter().map(|exit| self.graph.exits[*exit].loss.0 as f64).sum(),
            ..Spent::default()
        };
        let courses = self.courses();
        for (at, layer) in self.graph.layers.iter().enumerate().filter(|(at, _)| alive[*at]) {
            let tier = &self.topology.tiers[self.path[self.places[at]]];
            let share: f64 = courses.iter().filter(|course| at <= course.last).map(|course| course.probability).sum();
            spent.nanos[self.places[at]] += layer.reference.as_nanos() as f64 * tier.slowdown.of(layer.class) * share;
            let pinned = match layer.pin {
                Pin::Anywhere => false,
                Pin::Stays => self.places[at] > 0,
                Pin::NeedsGpu => !tier.gpu,
            };
            let above =
                |tensor: &TensorId| self.writer(*tensor).is_some_and(|writer| self.places[writer] > self.places[at]);
            if pinned || layer.reads.iter().any(above) {
                return None;
            }
        }
        if !self.exits_first(alive) {
            return None;
        }
        for link in 0..self.top(alive)? {
            self.link(link, self.answer()?, alive, &mut spent)?;
        }
        Some(spent)
    }

    /// An exit holds back what lies behind it in the order: that runs where the exit decides, or further on.
    fn exits_first(&self, alive: &[bool]) -> bool {
        self.exits.iter().all(|exit| {
            let Some(decider) = self.writer(self.graph.exits[*exit].output) else { return false };
            (0..self.graph.tensors.len()).all(|tensor| {
                let ready = self.writer(tensor).is_none_or(|writer| writer <= decider);
                let mut late = (decider + 1..self.places.len())
                    .filter(|at| alive[*at] && self.graph.layers[*at].reads.contains(&tensor));
                !ready || late.all(|at| self.places[at] >= self.places[decider])
            })
        })
    }

    /// Messages and answers over one link.
    fn link(&self, link: usize, answer: usize, alive: &[bool], spent: &mut Spent) -> Option<()> {
        for course in self.courses() {
            let above = (0..self.places.len()).any(|at| alive[at] && at <= course.last && self.places[at] > link);
            let mut ways = vec![(0, link, link + 1, link < answer)];
            if link >= answer {
                ways.push((1, link + 1, link, true));
            }
            for (down, from, to, carries) in ways.into_iter().filter(|_| link < answer || above) {
                let way = self.topology.direction(self.path[from], self.path[to])?;
                spent.delay += way.delay.as_nanos() as f64 * course.probability;
                let mut bytes = 192.0;
                for output in
                    (0..self.graph.tensors.len()).filter(|output| carries && self.graph.outputs.contains(output))
                {
                    let Some(writer) = self.writer(output) else { continue };
                    let exit = self.graph.exits.iter().any(|exit| exit.output == output);
                    let there = if link < answer { self.places[writer] <= link } else { self.places[writer] > link };
                    let sent =
                        if exit { course.output == Some(output) } else { alive[writer] && writer <= course.last };
                    if there && sent {
                        bytes += framed(self.graph.tensors[output].spec.bytes());
                    }
                }
                spent.bytes[link][down] += bytes * course.probability;
            }
        }
        Some(())
    }

    /// The tensors that go from one place that codes to the next; nothing when one of them may not.
    fn crossing(&self, from: usize, to: usize, alive: &[bool]) -> Option<Vec<Crosses>> {
        let mut all = Vec::new();
        for tensor in 0..self.graph.tensors.len() {
            let writer = self.writer(tensor);
            let reads = |at: usize| alive[at] && self.graph.layers[at].reads.contains(&tensor);
            let above = (0..self.places.len()).any(|at| reads(at) && self.places[at] >= to);
            if !above || writer.is_some_and(|writer| self.places[writer] > from) {
                continue;
            }
            if self.objective.inputs_stay && writer.is_none() {
                return None;
            }
            let sent_for = |course: &Course| {
                let read = (0..self.places.len()).any(|at| reads(at) && at <= course.last && self.places[at] >= to);
                // Where an exit above has decided, what lay ready has come along.
                let waits = |exit: &usize| {
                    let decider = self.writer(self.graph.exits[*exit].output).unwrap_or(usize::MAX);
                    let ready = writer.is_none_or(|writer| writer <= decider);
                    let late = (decider.saturating_add(1)..self.places.len()).any(reads);
                    decider <= course.last && ready && late && self.places[decider] >= to
                };
                read || self.exits.iter().any(waits)
            };
            let share = self.courses().iter().filter(|course| sent_for(course)).map(|course| course.probability).sum();
            all.push(Crosses { tensor, from, to, share });
        }
        Some(all)
    }

    /// With one tensor more, in this coding.
    fn sent(&self, mut spent: Spent, sends: Crosses, coding: &Coding) -> Option<Spent> {
        let slowdown = |place: usize| self.topology.tiers[self.path[place]].slowdown.of(OpClass::MemoryBound);
        spent.nanos[sends.from] += coding.encode.as_nanos() as f64 * slowdown(sends.from) * sends.share;
        spent.nanos[sends.to] += coding.decode.as_nanos() as f64 * slowdown(sends.to) * sends.share;
        for link in sends.from..sends.to {
            self.topology.direction(self.path[link], self.path[link + 1])?;
            spent.bytes[link][0] += framed(coding.bytes) * sends.share;
        }
        spent.loss += coding.loss.0 as f64;
        Some(spent)
    }

    pub(crate) fn amounts(&self, spent: &Spent) -> Amounts {
        let Spent { delay, loss, .. } = *spent;
        let (mut latency, mut interval, mut energy, mut bytes, mut price) = (delay, 0.0_f64, 0.0, 0.0, 0.0);
        for (place, tier) in self.path.iter().map(|tier| &self.topology.tiers[*tier]).enumerate() {
            let nanos = spent.nanos[place];
            latency += nanos;
            interval = interval.max(nanos);
            energy += nanos * tier.watts;
            price += nanos * tier.price_hour / 3600.0;
        }
        for (link, pair) in self.path.windows(2).enumerate() {
            for (down, way) in [(pair[0], pair[1]), (pair[1], pair[0])].into_iter().enumerate() {
                let (sum, Some(way)) = (spent.bytes[link][down], self.topology.direction(way.0, way.1)) else {
                    continue;
                };
                let nanos = sum * 8e9 / way.bandwidth.0 as f64;
                latency += nanos;
                interval = interval.max(nanos);
                energy += sum * way.nanojoules_byte;
                bytes += sum;
                price += sum * way.price_gb;
            }
        }
        [latency, interval, energy, bytes, price, loss]
    }

    /// Whether each tier holds its part with 20 % headroom: weights, and at each layer what is there by then and still
    /// needed here or above.
    pub(crate) fn fits(&self) -> bool {
        let alive = self.alive();
        (0..self.path.len()).all(|place| {
            let mine: Vec<usize> =
                (0..self.places.len()).filter(|at| alive[*at] && self.places[*at] == place).collect();
            let weights: u64 = mine.iter().map(|at| self.graph.layers[*at].weights.0).sum();
            let during = |at: &usize| {
                let held = |tensor: &TensorId| {
                    let writer = self.writer(*tensor);
                    let here = match writer {
                        None => self.graph.inputs.contains(tensor),
                        Some(writer) => {
                            alive[writer]
                                && (self.places[writer] < place || (self.places[writer] == place && writer <= *at))
                        }
                    };
                    let reads = |reader: usize| alive[reader] && self.graph.layers[reader].reads.contains(tensor);
                    let later = (0..self.places.len()).any(|reader| {
                        reads(reader)
                            && (self.places[reader] > place || (self.places[reader] == place && reader >= *at))
                    });
                    let made_here = writer.is_some_and(|writer| self.places[writer] == place);
                    here && (later || writer == Some(*at) || (made_here && self.graph.outputs.contains(tensor)))
                };
                (0..self.graph.tensors.len())
                    .filter(held)
                    .map(|tensor| self.graph.tensors[tensor].spec.bytes().0)
                    .sum::<u64>()
            };
            let needs = weights + mine.iter().map(during).max().unwrap_or(0);
            u128::from(needs) * 6 <= u128::from(self.topology.tiers[self.path[place]].memory.0) * 5
        })
    }

    fn offers(&self, tensor: TensorId) -> impl Iterator<Item = &Coding> {
        self.graph.tensors[tensor].codings.iter().filter(|coding| self.objective.codecs.contains(&coding.codec))
    }

    /// Places that decode what they get and encode what they send: a tier without layers may, but need not.
    fn stopovers(&self, alive: &[bool]) -> Option<Vec<Vec<usize>>> {
        let top = self.top(alive)?;
        let idle = |place: usize| place > 0 && !(0..self.places.len()).any(|at| alive[at] && self.places[at] == place);
        let idle: Vec<usize> = (0..top).filter(|place| idle(*place)).collect();
        let stops = (0..1_usize << idle.len()).map(|bits| {
            let passes =
                |place: &usize| idle.iter().position(|other| other == place).is_some_and(|at| bits >> at & 1 == 1);
            (0..=top).filter(|place| !passes(place)).collect()
        });
        Some(stops.collect())
    }

    /// The least cost below `best` of all ways to code the tensors, of those that keep to limits.
    pub(crate) fn least(&self, limits: &Amounts, mut best: f64) -> f64 {
        let alive = self.alive();
        let Some((fixed, stopovers)) = self.fixed(&alive).zip(self.stopovers(&alive)) else { return best };
        for stops in stopovers {
            let crossing = |pair: &[usize]| self.crossing(pair[0], pair[1], &alive);
            let Some(sends) = stops.windows(2).map(crossing).collect::<Option<Vec<_>>>() else { continue };
            self.code(fixed, &sends.concat(), limits, &mut best);
        }
        best
    }

    /// Tries all codings of the tensors that are left. Nothing that is spent comes back, so what is over a limit stays
    /// so.
    fn code(&self, spent: Spent, sends: &[Crosses], limits: &Amounts, best: &mut f64) {
        let amounts = self.amounts(&spent);
        let total = cost(self.objective, &amounts);
        if total >= *best || amounts.iter().zip(limits).any(|(amount, limit)| amount > limit) {
            return;
        }
        let Some((first, rest)) = sends.split_first() else {
            *best = total;
            return;
        };
        let mut coded: Vec<Spent> =
            self.offers(first.tensor).filter_map(|coding| self.sent(spent, *first, coding)).collect();
        let costs = |spent: &Spent| cost(self.objective, &self.amounts(spent));
        coded.sort_by(|one, other| costs(one).total_cmp(&costs(other)));
        if self.objective.goal.interval == 0.0 && limits.iter().all(|limit| limit.is_infinite()) {
            coded.truncate(1);
        }
        for spent in coded {
            self.code(spent, rest, limits, best);
        }
    }

    /// What the placement takes when each link has these codecs, by ascending id of the tensors that cross it: the
    /// number of the link and of the tensor are asked for. Nothing where it cannot be.
    pub(crate) fn coded(&self, codec: impl Fn(usize, TensorId) -> String) -> Option<Amounts> {
        let alive = self.alive();
        let mut spent = self.fixed(&alive)?;
        let top = self.top(&alive)?;
        let idle = |place: usize| place > 0 && !(0..self.places.len()).any(|at| alive[at] && self.places[at] == place);
        let passes = |place: usize| {
            let mut crossing = self.crossing(place, place + 1, &alive).into_iter().flatten();
            idle(place) && crossing.all(|sends| codec(place - 1, sends.tensor) == codec(place, sends.tensor))
        };
        let stops: Vec<usize> = (0..=top).filter(|place| *place == top || !passes(*place)).collect();
        for pair in stops.windows(2) {
            for sends in self.crossing(pair[0], pair[1], &alive)? {
                let name = codec(pair[0], sends.tensor);
                let coding = self.graph.tensors[sends.tensor].codings.iter().find(|coding| coding.codec == name)?;
                spent = self.sent(spent, sends, coding)?;
            }
        }
        Some(self.amounts(&spent))
    }
}
