//! The convex relaxation: sources may be divided among their choices, and the least cost is a bound for all placings.
//!
//! Pairwise Frank–Wolfe steps, one source after the other (Lacoste-Julien et al., ICML 2013, for blocks; Lacoste-Julien
//! and Jaggi, NeurIPS 2015, for pairs): a share moves from the source's dearest choice in use to its cheapest one, as
//! far as that pays. The duality gap tells when to stop.

use super::load::{Curve, Problem};

/// Relative gap at which the relaxation is solved.
pub(super) const PRECISION: f64 = 1e-6;
/// Choices that are priced at most, in all rounds together; but rounds are never fewer than these.
const PRICED_MAX: usize = 2_000_000;
const ROUNDS_MIN: usize = 12;
/// Rounds from one look at the bound to the next: it takes about as long as a round.
const ROUNDS_BOUND: usize = 4;
/// In each round, how often shares move between the choices that are in use, which are far fewer than all.
const SETTLES_MAX: usize = 16;
/// Slopes that a line search looks at. Newton's method needs three to five.
const NEWTON_MAX: usize = 12;
/// Shares that are not worth moving.
const STEP_MIN: f64 = 1e-9;

/// The relaxation's solution.
#[derive(Debug)]
pub(super) struct Relaxed {
    /// For each source, choices and the share of the requests that each gets.
    pub(super) shares: Vec<Vec<(usize, f64)>>,
    /// The slope of the cost at each server's load.
    pub(super) slopes: Vec<f64>,
    /// No placing costs less.
    pub(super) bound: f64,
}

/// Solves the relaxation from choices to begin with.
pub(super) fn relax(problem: &Problem, curve: Curve, start: &[usize]) -> Relaxed {
    let loads = problem.loads(start);
    let slopes = loads.iter().map(|load| curve.slope(*load)).collect();
    let shares = start.iter().map(|choice| vec![(*choice, 1.0)]).collect();
    let mut descent = Descent { problem, curve, loads, slopes, shares, line: Vec::new() };
    let mut bound = f64::NEG_INFINITY;
    let rounds = (PRICED_MAX / problem.choices_in_all()).max(ROUNDS_MIN);
    for round in 1..=rounds {
        let moved = descent.round();
        if round % ROUNDS_BOUND == 0 || round == rounds || !moved {
            descent.add_up();
            bound = bound.max(problem.bound(curve, &descent.loads));
            let value = descent.value();
            if !moved || value - bound <= PRECISION * value / 2.0 {
                break;
            }
        }
    }
    Relaxed { shares: descent.shares, slopes: descent.slopes, bound }
}

struct Descent<'p> {
    problem: &'p Problem,
    curve: Curve,
    loads: Vec<f64>,
    slopes: Vec<f64>,
    shares: Vec<Vec<(usize, f64)>>,
    /// Servers whose load changes along a line, with by how much.
    line: Vec<(usize, f64)>,
}

impl Descent<'_> {
    /// Brings the cheapest choices into use, and settles the shares of those in use. Whether anything has moved.
    fn round(&mut self) -> bool {
        let mut moved = false;
        for source in 0..self.shares.len() {
            let choices = (0..self.problem.choices(source).len()).map(|choice| (choice, self.price(source, choice)));
            let Some((cheapest, _)) = choices.min_by(|one, other| one.1.total_cmp(&other.1)) else { continue };
            if !self.shares[source].iter().any(|(choice, _)| *choice == cheapest) {
                self.shares[source].push((cheapest, 0.0));
            }
            moved |= self.settle(source);
        }
        for _ in 0..SETTLES_MAX {
            let divided = |source: &usize| self.shares[*source].len() > 1;
            let divided: Vec<usize> = (0..self.shares.len()).filter(divided).collect();
            if divided.into_iter().filter(|source| self.settle(*source)).count() == 0 {
                break;
            }
        }
        moved
    }

    /// What one more of a choice costs.
    fn price(&self, source: usize, choice: usize) -> f64 {
        let priced = self.problem.choices(source).priced(choice, &self.slopes);
        self.problem.fixed(self.curve, source, choice) + self.problem.sources[source].rate * priced
    }

    /// Moves a share of a source from its dearest choice in use to the cheapest one. Whether that paid.
    fn settle(&mut self, source: usize) -> bool {
        let (mut cheapest, mut dearest) = ((0, f64::INFINITY), (0, f64::NEG_INFINITY));
        for (at, (choice, _)) in self.shares[source].iter().enumerate() {
            let price = self.price(source, *choice);
            if price < cheapest.1 {
                cheapest = (at, price);
            }
            if price > dearest.1 {
                dearest = (at, price);
            }
        }
        let pays = dearest.1 - cheapest.1 > PRECISION * cheapest.1.abs() / 8.0;
        if pays {
            self.shift(source, dearest.0, cheapest.0);
        }
        pays
    }

    /// Moves as much from one of a source's shares to another as makes the cost least.
    fn shift(&mut self, source: usize, from: usize, to: usize) {
        let (problem, curve) = (self.problem, self.curve);
        let ((away, share), (here, _)) = (self.shares[source][from], self.shares[source][to]);
        self.line.clear();
        self.line.extend(problem.put(source, here));
        for (server, load) in problem.put(source, away) {
            match self.line.iter_mut().find(|(other, _)| *other == server) {
                Some((_, change)) => *change -= load,
                None => self.line.push((server, -load)),
            }
        }
        let rise = problem.fixed(curve, source, here) - problem.fixed(curve, source, away);
        let step = self.least(rise, share);
        for (server, change) in &self.line {
            self.loads[*server] += step * change;
            self.slopes[*server] = curve.slope(self.loads[*server]);
        }
        self.shares[source][to].1 += step;
        self.shares[source][from].1 -= step;
        self.shares[source].retain(|(_, share)| *share > 0.0);
    }

    /// The step along the line, from 0 to `share`, where the cost is least; it has a slope of `rise` beside waiting.
    fn least(&self, rise: f64, share: f64) -> f64 {
        let slope = |step: f64| {
            let slopes =
                self.line.iter().map(|(server, change)| change * self.curve.slope(self.loads[*server] + step * change));
            rise + slopes.sum::<f64>()
        };
        let bend = |step: f64| {
            let bends = self.line.iter();
            bends.map(|(server, change)| change * change * self.curve.bend(self.loads[*server] + step * change)).sum()
        };
        let (mut low, mut high) = (0.0, share);
        if slope(high) <= 0.0 {
            return high;
        }
        let mut step: f64 = 0.0;
        for _ in 0..NEWTON_MAX {
            let (here, bend): (f64, f64) = (slope(step), bend(step));
            *(if here > 0.0 { &mut high } else { &mut low }) = step;
            let next = step - here / bend;
            // What leads out of the bracket, or nowhere, is halved.
            let next = if next > low && next < high { next } else { (low + high) / 2.0 };
            if (next - step).abs() < STEP_MIN {
                break;
            }
            step = next;
        }
        low.max(step.min(high))
    }

    /// Loads and slopes anew, without what steps have rounded.
    fn add_up(&mut self) {
        self.loads.fill(0.0);
        for (source, shares) in self.shares.iter().enumerate() {
            for (choice, share) in shares {
                self.problem.put(source, *choice).for_each(|(server, load)| self.loads[server] += share * load);
            }
        }
        self.slopes = self.loads.iter().map(|load| self.curve.slope(*load)).collect();
    }

    fn value(&self) -> f64 {
        let fixed = |(source, shares): (usize, &Vec<(usize, f64)>)| {
            shares.iter().map(|(choice, share)| share * self.problem.fixed(self.curve, source, *choice)).sum::<f64>()
        };
        let waiting = self.loads.iter().map(|load| self.curve.value(*load));
        self.shares.iter().enumerate().map(fixed).sum::<f64>() + waiting.sum::<f64>()
    }
}
