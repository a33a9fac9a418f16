//! What a way to get to a state has used, and which ways nothing betters.

use std::cmp::Ordering;

use crate::{Limits, Measure};

/// Labels of one state at most. Of more, every n-th is kept, and only the bound tells what that costs.
const LABELS_MAX: usize = 2_000;
/// Pairs of labels that are compared at all stops of a tier, in the order of magnitude: with many stops fewer labels
/// stay.
const PAIRS_MAX: usize = 200_000_000;

/// What a label counts: the goal without its interval, then each measure, the loss, and what this tier has decoded for.
pub(super) const COUNTS: usize = 8;
/// Places of the counts that are no measure; a measure stands at its own index plus one.
pub(super) const COST: usize = 0;
pub(super) const LOSS: usize = 6;
pub(super) const PENDING: usize = 7;
pub(super) const INTERVAL: usize = 1 + Measure::Interval as usize;

pub(super) type Counts = [f64; COUNTS];

/// What is limited, and where a label counts it.
pub(super) fn limited(limits: &Limits) -> impl Iterator<Item = (usize, f64)> {
    let measures = Measure::ALL.into_iter().filter_map(|measure| Some((1 + measure as usize, limits.of(measure)?)));
    measures.chain(limits.loss.map(|loss| (LOSS, loss.0 as f64)))
}

/// A way to get to a state.
#[derive(Debug, Clone, Copy)]
pub(super) struct Label<S> {
    pub(super) counts: Counts,
    /// What led here.
    pub(super) step: S,
}

/// Which counts keep two labels apart, and how many labels of a state may stay.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    active: [bool; COUNTS],
    pub(super) most: usize,
}

impl Rule {
    /// For this many stops. The cost counts, each limited measure, the one beside, and the interval where that is
    /// asked.
    pub(super) fn new(limits: &Limits, beside: Option<Measure>, interval: bool, stops: usize) -> Self {
        let mut active = [false; COUNTS];
        active[COST] = true;
        limited(limits).for_each(|(count, _)| active[count] = true);
        if let Some(measure) = beside {
            active[1 + measure as usize] = true;
        }
        active[INTERVAL] |= interval;
        active[PENDING] = active[INTERVAL];
        Self { active, most: (PAIRS_MAX / stops.max(1)).isqrt().clamp(1, LABELS_MAX) }
    }

    pub(super) fn is_active(&self, count: usize) -> bool {
        self.active[count]
    }

    /// How many counts there are.
    pub(super) fn width(&self) -> usize {
        self.active.iter().filter(|active| **active).count()
    }

    /// What does not count is zero, so that it does not keep two labels apart.
    pub(super) fn forget(&self, counts: &mut Counts) {
        counts.iter_mut().zip(&self.active).filter(|(_, active)| !**active).for_each(|(count, _)| *count = 0.0);
    }

    pub(super) fn no_worse(&self, one: &Counts, other: &Counts) -> bool {
        (0..COUNTS).all(|count| !self.active[count] || one[count] <= other[count])
    }

    /// The labels that no other one betters, in the order of their counts: as many as may stay. Of equal ones
    /// the first stays.
    pub(super) fn undominated<S>(&self, mut labels: Vec<Label<S>>) -> Vec<Label<S>> {
        labels.sort_by(|one, other| compare(&one.counts, &other.counts));
        let mut best: Vec<Label<S>> = Vec::new();
        for label in labels {
            if !self.bettered(&best, &label.counts) {
                best.push(label);
            }
        }
        thin(&mut best, self.most);
        best
    }

    /// Whether one of these labels, which stand in the order of their counts and before this one, is no worse.
    pub(super) fn bettered<S>(&self, best: &[Label<S>], counts: &Counts) -> bool {
        let looked_at = match self.width() {
            // None betters another: the first counts rise, so that the last one has the least of the second.
            0..=2 => best.len().saturating_sub(1),
            _ => 0,
        };
        best[looked_at..].iter().any(|kept| self.no_worse(&kept.counts, counts))
    }
}

pub(super) fn compare(one: &Counts, other: &Counts) -> Ordering {
    let orders = one.iter().zip(other).map(|(one, other)| one.total_cmp(other));
    orders.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

/// Keeps every n-th of them, the first among them, so that at most `most` stay.
pub(super) fn thin<T>(all: &mut Vec<T>, most: usize) {
    let every = all.len().div_ceil(most).max(1);
    let mut at = 0;
    all.retain(|_| {
        at += 1;
        (at - 1) % every == 0
    });
}

/// Labels that come in large numbers, of which those that nothing betters are wanted.
pub(super) struct Gathered<S> {
    rule: Rule,
    labels: Vec<Label<S>>,
}

impl<S> Gathered<S> {
    pub(super) fn new(rule: Rule) -> Self {
        Self { rule, labels: Vec::new() }
    }

    /// Holds at most twice as many as may stay: then it looks which do.
    pub(super) fn push(&mut self, label: Label<S>) {
        if self.labels.len() >= 2 * self.rule.most {
            self.labels = self.rule.undominated(std::mem::take(&mut self.labels));
        }
        self.labels.push(label);
    }

    pub(super) fn undominated(self) -> Vec<Label<S>> {
        self.rule.undominated(self.labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_many_every_nth_stays_and_the_first_among_them() {
        let thinned = |len: usize, most: usize| {
            let mut all: Vec<usize> = (0..len).collect();
            thin(&mut all, most);
            all
        };
        assert_eq!(thinned(10, 4), [0, 3, 6, 9]);
        assert_eq!(thinned(4, 4), [0, 1, 2, 3]);
        assert!(thinned(0, 4).is_empty());
        assert_eq!(thinned(10_000, 2_000).len(), 2_000);
    }

    #[test]
    fn however_many_come_no_more_stay_than_may_and_the_cheapest_does() {
        let limits = Limits { energy: Some(crate::Energy(1)), ..Limits::default() };
        let rule = Rule::new(&limits, None, false, 1);
        let mut gathered = Gathered::new(rule);
        for step in 0..10 * LABELS_MAX {
            let mut counts = [0.0; COUNTS];
            (counts[COST], counts[1 + Measure::Energy as usize]) = (step as f64, -(step as f64));
            gathered.push(Label { counts, step });
            assert!(gathered.labels.len() <= 2 * LABELS_MAX);
        }
        let kept = gathered.undominated();
        assert!(kept.len() <= LABELS_MAX && kept.len() > LABELS_MAX / 3, "{}", kept.len());
        assert_eq!(kept[0].step, 0);
    }
}
