//! Many requests' sources on servers that they share: which source takes which of its choices, so that the mean
//! latency, waiting included, is least.
//!
//! The model, its formula and their sources stand on the crate's front page, under *A fleet*. 1,000 devices with 145
//! choices each on 20 edges and 2 clouds take a third of a second, and the placing is within 0.11 % of the bound: see
//! `benches/fleet.rs`.

use std::time::Duration;

use crate::Plan;

mod choices;
mod error;
mod load;
mod relax;
mod search;
#[cfg(test)]
mod tests;

pub use choices::{Shared, choices};
pub use error::FleetError;
pub use load::LOAD_MAX;

use load::{Curve, Problem};
use search::State;

/// Sources of requests, what each can choose from, and the servers that they share.
///
/// ```
/// use std::time::Duration;
/// use thalweg_planner::{Choice, Fleet, Kind, Source, Use};
///
/// // A camera runs its model in 100 ms by itself, or in 20 ms with 15 ms of an edge.
/// let millis = Duration::from_millis;
/// let alone = Choice { time: millis(100), own: vec![millis(100)], ..Choice::default() };
/// let with_edge = Choice { time: millis(20), uses: vec![Use { server: 0, busy: millis(15) }], ..Choice::default() };
/// let camera = |at| Source { name: format!("camera {at}"), rate: 5.0, kind: 0 };
/// let fleet = Fleet {
///     servers: vec!["edge".to_owned()],
///     kinds: vec![Kind { name: "camera".to_owned(), choices: vec![alone, with_edge] }],
///     sources: (0..14).map(camera).collect(),
/// };
///
/// // All fourteen would keep the edge busy for 1.05 s of each second. Four are better off alone.
/// let placing = fleet.place()?;
/// assert_eq!(placing.choices.iter().filter(|choice| **choice == 1).count(), 10);
/// assert!((placing.loads[0] - 0.75).abs() < 1e-9);
/// assert!(placing.bound <= placing.latency && placing.gap < 0.02);
/// # Ok::<(), thalweg_planner::FleetError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Fleet {
    /// Names of the servers: tiers and directions of links that several sources share. Each can be busy for one second
    /// of every second.
    pub servers: Vec<String>,
    /// What sources choose from.
    pub kinds: Vec<Kind>,
    /// Who sends requests.
    pub sources: Vec<Source>,
}

/// Sources that are alike but for their rates: the same model, device and links.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Kind {
    /// For errors.
    pub name: String,
    /// What each of these sources has one of.
    pub choices: Vec<Choice>,
}

/// A sender of requests at random, independent times.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Source {
    /// For errors.
    pub name: String,
    /// Mean number of requests a second.
    pub rate: f64,
    /// Index in [`Fleet::kinds`].
    pub kind: usize,
}

/// One way to answer a source's requests.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Choice {
    /// Latency of a request that never waits.
    pub time: Duration,
    /// How long a request keeps each tier and link busy that the source has for itself.
    pub own: Vec<Duration>,
    /// How long it keeps servers busy. What it says of one server adds up.
    pub uses: Vec<Use>,
    /// What this choice stands for.
    pub plan: Plan,
}

/// A request on a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Use {
    /// Index in [`Fleet::servers`].
    pub server: usize,
    /// How long it keeps the server busy, were it alone there; a mean where requests differ.
    pub busy: Duration,
}

/// Which source takes which choice, and what comes of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Placing {
    /// For each source, the index of its choice in its kind's [`Kind::choices`].
    pub choices: Vec<usize>,
    /// For each source, the mean latency of its requests, waiting included.
    pub latencies: Vec<Duration>,
    /// The mean latency over all requests.
    pub latency: Duration,
    /// For each server, the share of the time that it is busy; at most [`LOAD_MAX`].
    pub loads: Vec<f64>,
    /// For each server, how many seconds of waiting a second more of busy time would cause.
    /// [`choices()`] looks for plans that are worth more at such prices.
    pub prices: Vec<f64>,
    /// No placing with these choices has a mean latency below this, even one that divides a source among choices.
    pub bound: Duration,
    /// How far the mean latency may be above the least one, as a share of it: 0 when it is proven to be above it by
    /// less than a millionth.
    pub gap: f64,
}

impl Fleet {
    /// Gives each source a choice so that no server is over its capacity and the mean latency is least.
    ///
    /// The choices need not be the best of all, which is NP-hard to find; [`Placing::gap`] says how far they can be
    /// from it. The same fleet gets the same placing on every machine.
    ///
    /// Fails when the fleet makes no sense, when it is proven to be more than the servers can bear, and when no placing
    /// within their capacity was found: whether sources that cannot be divided fit at all is a question of bin packing.
    pub fn place(&self) -> Result<Placing, FleetError> {
        let problem = Problem::new(self)?;
        let greedy = State::greedy(&problem);
        let relaxed = relax::relax(&problem, Curve::Waiting, &greedy.choices);
        let rounded = State::round(&problem, &relaxed.shares);
        let mut state = rounded.settled().better(greedy.settled()).paired();
        if state.score().over > 0.0 {
            state = self.unload(&problem, state)?;
        }
        Ok(self.placing(&problem, state.choices, relaxed))
    }

    /// Another attempt at a placing within all capacities, from what balances the loads best when sources are divided.
    fn unload<'p>(&self, problem: &'p Problem, state: State<'p>) -> Result<State<'p>, FleetError> {
        let balanced = relax::relax(problem, Curve::Overload, &state.choices);
        let state = state.better(State::round(problem, &balanced.shares).settled().paired());
        if state.score().over == 0.0 {
            return Ok(state);
        }
        let loads = problem.loads(&state.choices);
        let most = (0..loads.len()).max_by(|one, other| loads[*one].total_cmp(&loads[*other])).unwrap_or(0);
        let (server, load) = (self.servers[most].clone(), loads[most]);
        let least = problem.least_load(&balanced.slopes);
        if least > LOAD_MAX {
            return Err(FleetError::Overloaded { server, load, least });
        }
        Err(FleetError::NotPlaced { server, load })
    }

    fn placing(&self, problem: &Problem, choices: Vec<usize>, relaxed: relax::Relaxed) -> Placing {
        let loads = problem.loads(&choices);
        let rates: f64 = self.sources.iter().map(|source| source.rate).sum();
        let value = problem.value(Curve::Waiting, &choices, &loads);
        // What is left between them is rounding.
        let gap = ((value - relaxed.bound) / value.max(f64::MIN_POSITIVE)).clamp(0.0, 1.0);
        let latency = |(source, choice): (usize, &usize)| seconds(problem.latency(source, *choice, &loads));
        Placing {
            latencies: choices.iter().enumerate().map(latency).collect(),
            latency: seconds(value / rates),
            bound: seconds(relaxed.bound.min(value) / rates),
            gap: if gap < relax::PRECISION { 0.0 } else { gap },
            prices: relaxed.slopes,
            choices,
            loads,
        }
    }
}

/// More than a `Duration` can hold is its largest value.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)
}
