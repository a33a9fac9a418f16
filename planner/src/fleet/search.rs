//! Placings in which each source has one choice: a first one, and what betters it step by step.

use super::load::{Curve, LOAD_MAX, Problem};

/// Rounds over all sources at most.
const ROUNDS_MAX: usize = 100;
/// Choices that are costed at most while two sources are moved together.
const PAIRS_MAX: usize = 2_000_000;
/// Choices of the first of two sources that are tried, the nearest first.
const PAIR_CHOICES: usize = 8;
/// A step has to save this share of what it changes: less is rounding.
const ROUNDING: f64 = 1e-9;

/// What is compared: first how much is over capacity, then the cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Score {
    pub(super) over: f64,
    pub(super) cost: f64,
}

impl Score {
    /// Whether this is less by more than rounding.
    fn less(self, other: Self) -> bool {
        if (self.over - other.over).abs() > ROUNDING {
            return self.over < other.over;
        }
        self.cost < other.cost - ROUNDING * other.cost.abs()
    }

    fn plus(self, other: Self) -> Self {
        Self { over: self.over + other.over, cost: self.cost + other.cost }
    }
}

/// A choice for each source and the loads that come of it.
#[derive(Debug, Clone)]
pub(super) struct State<'p> {
    problem: &'p Problem,
    pub(super) choices: Vec<usize>,
    loads: Vec<f64>,
}

impl<'p> State<'p> {
    /// One source after the other takes what is best by then.
    pub(super) fn greedy(problem: &'p Problem) -> Self {
        let all = (0..problem.sources.len()).collect();
        Self { problem, choices: vec![0; problem.sources.len()], loads: vec![0.0; problem.servers] }.filled(all)
    }

    /// Sources that a relaxation does not divide keep their choice; then one after the other takes what is best by
    /// then.
    pub(super) fn round(problem: &'p Problem, shares: &[Vec<(usize, f64)>]) -> Self {
        let choices = shares.iter().map(|shares| shares.first().map_or(0, |(choice, _)| *choice)).collect();
        let mut state = Self { problem, choices, loads: vec![0.0; problem.servers] };
        let (divided, whole): (Vec<usize>, Vec<usize>) =
            (0..shares.len()).partition(|source| shares[*source].len() > 1);
        whole.into_iter().for_each(|source| state.add(source, 1.0));
        state.filled(divided)
    }

    fn filled(mut self, sources: Vec<usize>) -> Self {
        for source in sources {
            self.choices[source] = self.best(source).0;
            self.add(source, 1.0);
        }
        self
    }

    /// Adds a source's load, or takes it away.
    fn add(&mut self, source: usize, sign: f64) {
        let Self { problem, choices, loads } = self;
        problem.put(source, choices[source]).for_each(|(server, load)| loads[server] += sign * load);
    }

    /// What a source adds with a choice, where it is not placed yet.
    fn adds(&self, source: usize, choice: usize) -> Score {
        let mut score = Score { over: 0.0, cost: self.problem.fixed(Curve::Waiting, source, choice) };
        for (server, load) in self.problem.put(source, choice) {
            let (before, after) = (self.loads[server], self.loads[server] + load);
            score.cost += Curve::Waiting.value(after) - Curve::Waiting.value(before);
            score.over += (after - LOAD_MAX).max(0.0) - (before - LOAD_MAX).max(0.0);
        }
        score
    }

    /// The choice that adds least, where the source is not placed yet.
    fn best(&self, source: usize) -> (usize, Score) {
        let mut best = (0, Score { over: f64::INFINITY, cost: f64::INFINITY });
        for choice in 0..self.problem.choices(source).len() {
            let score = self.adds(source, choice);
            // A choice that the source alone is too much for costs without end.
            if score.cost < f64::INFINITY && (best.1.cost == f64::INFINITY || score.less(best.1)) {
                best = (choice, score);
            }
        }
        best
    }

    /// The whole score.
    pub(super) fn score(&self) -> Score {
        let loads = self.problem.loads(&self.choices);
        let over = loads.iter().map(|load| (load - LOAD_MAX).max(0.0)).sum();
        Score { over, cost: self.problem.value(Curve::Waiting, &self.choices, &loads) }
    }

    /// The better of two; this one on a tie.
    pub(super) fn better(self, other: Self) -> Self {
        if other.score().less(self.score()) { other } else { self }
    }

    /// Betters it by moving one source at a time.
    pub(super) fn settled(mut self) -> Self {
        for _ in 0..ROUNDS_MAX {
            self.loads = self.problem.loads(&self.choices);
            if (0..self.choices.len()).filter(|source| self.move_one(*source)).count() == 0 {
                break;
            }
        }
        self
    }

    /// Betters it by moving two sources together where moving one does not help.
    pub(super) fn paired(mut self) -> Self {
        let mut left = PAIRS_MAX;
        while (0..self.choices.len()).filter(|source| self.move_two(*source, &mut left)).count() > 0 {
            self = self.settled();
        }
        self
    }

    /// Moves a source to its best choice, if that is better.
    fn move_one(&mut self, source: usize) -> bool {
        self.add(source, -1.0);
        let (best, score) = self.best(source);
        let better = score.less(self.adds(source, self.choices[source]));
        if better {
            self.choices[source] = best;
        }
        self.add(source, 1.0);
        better
    }

    /// Moves a source to one of its next best choices where another source, which is on a server of that choice, then
    /// moves so that both together are better.
    fn move_two(&mut self, source: usize, left: &mut usize) -> bool {
        if *left == 0 {
            return false;
        }
        let stays = self.choices[source];
        self.add(source, -1.0);
        let before = self.adds(source, stays);
        let others = (0..self.problem.choices(source).len()).filter(|choice| *choice != stays);
        let scored = others.map(|choice| (choice, self.adds(source, choice)));
        let mut next: Vec<(usize, Score)> = scored.filter(|(_, score)| score.cost < f64::INFINITY).collect();
        next.sort_by(|(_, one), (_, other)| one.over.total_cmp(&other.over).then(one.cost.total_cmp(&other.cost)));
        next.truncate(PAIR_CHOICES);
        for (choice, score) in next {
            self.choices[source] = choice;
            self.add(source, 1.0);
            if self.answer(source, before, score, left) {
                return true;
            }
            self.add(source, -1.0);
        }
        self.choices[source] = stays;
        self.add(source, 1.0);
        false
    }

    /// Moves the first other source that makes up for what `source` has just changed from `before` to `now`.
    fn answer(&mut self, source: usize, before: Score, now: Score, left: &mut usize) -> bool {
        let problem = self.problem;
        let uses = problem.choices(source).uses(self.choices[source]);
        for other in (0..self.choices.len()).filter(|other| *other != source) {
            let theirs = problem.choices(other).uses(self.choices[other]);
            if !theirs.iter().any(|(server, _)| uses.iter().any(|(used, _)| used == server)) {
                continue;
            }
            let Some(rest) = left.checked_sub(problem.choices(other).len()) else {
                *left = 0;
                return false;
            };
            *left = rest;
            self.add(other, -1.0);
            let (best, score) = self.best(other);
            let better = now.plus(score).less(before.plus(self.adds(other, self.choices[other])));
            if better {
                self.choices[other] = best;
            }
            self.add(other, 1.0);
            if better {
                return true;
            }
        }
        false
    }
}
