//! What a fleet costs: loads, waiting, and the bound that prices prove.

use super::{Choice, Fleet, FleetError, Source};

/// The highest load that a server gets. At 99.9 % a request takes a thousand times its busy time, and the mean of a
/// queue that is as full says little about the next hour.
pub const LOAD_MAX: f64 = 0.999;

/// Requests a second of one source at most: far above what any server bears, so that sums stay finite.
const RATE_MAX: f64 = 1e9;

/// A convex function of a server's load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Curve {
    /// Mean number of requests by which a queue delays: ρ²/(1 − ρ). Above [`LOAD_MAX`] its parabola there, which is
    /// below it, so that what is least with it is a bound.
    Waiting,
    /// Half the square of what is above [`LOAD_MAX`].
    Overload,
}

impl Curve {
    pub(super) fn value(self, load: f64) -> f64 {
        let over = load - LOAD_MAX;
        match self {
            Self::Waiting if over <= 0.0 => load * load / (1.0 - load),
            Self::Waiting => {
                let free = 1.0 - LOAD_MAX;
                LOAD_MAX * LOAD_MAX / free + (1.0 / (free * free) - 1.0) * over + over * over / (free * free * free)
            }
            Self::Overload => over.max(0.0).powi(2) / 2.0,
        }
    }

    pub(super) fn slope(self, load: f64) -> f64 {
        let over = load - LOAD_MAX;
        match self {
            Self::Waiting => {
                let free = 1.0 - load.min(LOAD_MAX);
                1.0 / (free * free) - 1.0 + 2.0 * over.max(0.0) / (free * free * free)
            }
            Self::Overload => over.max(0.0),
        }
    }

    /// The slope of the slope.
    pub(super) fn bend(self, load: f64) -> f64 {
        match self {
            Self::Waiting => 2.0 / (1.0 - load.min(LOAD_MAX)).powi(3),
            Self::Overload if load > LOAD_MAX => 1.0,
            Self::Overload => 0.0,
        }
    }
}

/// The choices of a kind, one behind the other: each server in use once, with the busy time of a request.
#[derive(Debug, Default)]
pub(super) struct Choices {
    uses: Vec<(usize, f64)>,
    ends: Vec<usize>,
}

impl Choices {
    fn push(&mut self, choice: &Choice) {
        self.uses.extend(merged(choice));
        self.ends.push(self.uses.len());
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The servers of one choice.
    pub(super) fn uses(&self, choice: usize) -> &[(usize, f64)] {
        let start = choice.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.uses[start..self.ends[choice]]
    }

    /// What a choice costs at prices of the servers.
    pub(super) fn priced(&self, choice: usize, prices: &[f64]) -> f64 {
        self.uses(choice).iter().map(|(server, busy)| busy * prices[*server]).sum()
    }
}

/// A source, in seconds.
#[derive(Debug)]
pub(super) struct Demand {
    pub(super) kind: usize,
    pub(super) rate: f64,
    /// For each choice, rate times latency without waiting for others: infinite when the source alone is too much for
    /// it.
    fixed: Vec<f64>,
}

/// A fleet that has been checked, in seconds.
///
/// All costs are mean numbers of requests that are under way: by Little's law (Operations Research 9(3), 1961) the rate
/// times the mean latency.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) servers: usize,
    kinds: Vec<Choices>,
    pub(super) sources: Vec<Demand>,
}

impl Problem {
    pub(super) fn new(fleet: &Fleet) -> Result<Self, FleetError> {
        if fleet.sources.is_empty() {
            return Err(FleetError::NoSource);
        }
        let mut kinds = Vec::with_capacity(fleet.kinds.len());
        for kind in &fleet.kinds {
            let mut choices = Choices::default();
            for (at, choice) in kind.choices.iter().enumerate() {
                let (server, servers) = (choice.uses.iter().map(|uses| uses.server).max(), fleet.servers.len());
                if let Some(server) = server.filter(|server| *server >= servers) {
                    return Err(FleetError::NoSuchServer { kind: kind.name.clone(), choice: at, server, servers });
                }
                choices.push(choice);
            }
            kinds.push(choices);
        }
        let sources: Result<_, _> = fleet.sources.iter().map(|source| demand(fleet, &kinds, source)).collect();
        Ok(Self { servers: fleet.servers.len(), sources: sources?, kinds })
    }

    /// The choices of a source.
    pub(super) fn choices(&self, source: usize) -> &Choices {
        &self.kinds[self.sources[source].kind]
    }

    /// The choices of all sources, of which there is one at least.
    pub(super) fn choices_in_all(&self) -> usize {
        (0..self.sources.len()).map(|source| self.choices(source).len()).sum()
    }

    /// What a choice puts on each server that it uses.
    pub(super) fn put(&self, source: usize, choice: usize) -> impl Iterator<Item = (usize, f64)> {
        let rate = self.sources[source].rate;
        self.choices(source).uses(choice).iter().map(move |(server, busy)| (*server, rate * busy))
    }

    /// The part of a choice's cost that does not depend on others.
    pub(super) fn fixed(&self, curve: Curve, source: usize, choice: usize) -> f64 {
        let fixed = self.sources[source].fixed[choice];
        if curve == Curve::Overload && fixed < f64::INFINITY { 0.0 } else { fixed }
    }

    /// The load of each server.
    pub(super) fn loads(&self, choices: &[usize]) -> Vec<f64> {
        let mut loads = vec![0.0; self.servers];
        for (source, choice) in choices.iter().enumerate() {
            self.put(source, *choice).for_each(|(server, load)| loads[server] += load);
        }
        loads
    }

    /// The cost of all choices.
    pub(super) fn value(&self, curve: Curve, choices: &[usize], loads: &[f64]) -> f64 {
        let fixed = choices.iter().enumerate().map(|(source, choice)| self.fixed(curve, source, *choice));
        fixed.sum::<f64>() + loads.iter().map(|load| curve.value(*load)).sum::<f64>()
    }

    /// Mean latency of a source, in seconds.
    pub(super) fn latency(&self, source: usize, choice: usize, loads: &[f64]) -> f64 {
        let rate = self.sources[source].rate;
        let waits = self.put(source, choice).map(|(server, load)| load * loads[server] / (1.0 - loads[server]));
        (self.fixed(Curve::Waiting, source, choice) + waits.sum::<f64>()) / rate
    }

    /// What no placing is below, by prices of the servers: the convex function is above its tangent at `loads`, and the
    /// least of the tangent is the sum of each source's cheapest choice.
    pub(super) fn bound(&self, curve: Curve, loads: &[f64]) -> f64 {
        let slopes: Vec<f64> = loads.iter().map(|load| curve.slope(*load)).collect();
        let tangents = loads.iter().zip(&slopes).map(|(load, slope)| curve.value(*load) - load * slope);
        tangents.sum::<f64>() + self.cheapest(&slopes, |source, choice| self.fixed(curve, source, choice))
    }

    /// What the most loaded server bears at least, however sources are placed: the mean of the loads, weighted by
    /// prices, is least when each source takes what is cheapest at these prices.
    pub(super) fn least_load(&self, prices: &[f64]) -> f64 {
        let sum: f64 = prices.iter().sum();
        if sum > 0.0 {
            self.cheapest(prices, |source, choice| self.fixed(Curve::Overload, source, choice)) / sum
        } else {
            0.0
        }
    }

    /// The sum of the sources' cheapest choices.
    fn cheapest(&self, prices: &[f64], fixed: impl Fn(usize, usize) -> f64) -> f64 {
        let priced = |choices: &Choices| (0..choices.len()).map(|choice| choices.priced(choice, prices)).collect();
        let kinds: Vec<Vec<f64>> = self.kinds.iter().map(priced).collect();
        let least = |(source, demand): (usize, &Demand)| {
            let costs = kinds[demand.kind].iter().enumerate();
            costs.map(|(choice, priced)| fixed(source, choice) + demand.rate * priced).fold(f64::INFINITY, f64::min)
        };
        self.sources.iter().enumerate().map(least).sum()
    }
}

/// Each server once.
fn merged(choice: &Choice) -> Vec<(usize, f64)> {
    let mut uses: Vec<(usize, f64)> = choice.uses.iter().map(|uses| (uses.server, uses.busy.as_secs_f64())).collect();
    uses.sort_by_key(|(server, _)| *server);
    uses.dedup_by(|later, first| {
        let same = later.0 == first.0;
        first.1 += if same { later.1 } else { 0.0 };
        same
    });
    uses
}

/// Checks a source and costs what it has for itself: there it waits only for its own requests.
fn demand(fleet: &Fleet, kinds: &[Choices], source: &Source) -> Result<Demand, FleetError> {
    let (source_name, rate) = (source.name.clone(), source.rate);
    let Some(kind) = fleet.kinds.get(source.kind) else {
        return Err(FleetError::NoSuchKind { source_name, kind: source.kind, kinds: kinds.len() });
    };
    if !(rate > 0.0 && rate <= RATE_MAX) {
        return Err(FleetError::NotARate { source_name, rate: rate.to_string() });
    }
    let (mut least, mut fixed) = (f64::INFINITY, Vec::with_capacity(kind.choices.len()));
    for (at, choice) in kind.choices.iter().enumerate() {
        let uses = kinds[source.kind].uses(at);
        let own = choice.own.iter().map(|busy| rate * busy.as_secs_f64());
        let most = own.clone().chain(uses.iter().map(|(_, busy)| rate * busy)).fold(0.0, f64::max);
        least = least.min(most);
        let waits: f64 = own.map(|load| Curve::Waiting.value(load)).sum();
        fixed.push(if most <= LOAD_MAX { rate * choice.time.as_secs_f64() + waits } else { f64::INFINITY });
    }
    if fixed.is_empty() {
        return Err(FleetError::NoChoice { source_name, kind: kind.name.clone() });
    }
    if least > LOAD_MAX {
        return Err(FleetError::SourceOverloads { source_name, rate, load: least });
    }
    Ok(Demand { kind: source.kind, rate, fixed })
}
