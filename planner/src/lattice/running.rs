//! The labels of a tier that is running, layer by layer: one sweep over all stops.
//!
//! What a tier spends between two stops is the difference of two sums from the first layer on. Labels that have been in
//! the tier since different stops are thus compared once, less the sum where they came, and not at each later stop. A
//! part that starts later needs no more memory, so a label that came later stays at least as long.

use super::label::{Counts, INTERVAL, Label, PENDING, Rule, compare, thin};

pub(super) struct Running {
    rule: Rule,
    /// What the tier would spend on all layers so far: none of it stands at [`INTERVAL`].
    pub(super) spent: Counts,
    /// In the order of their counts, less what had been spent when they came.
    labels: Vec<Here>,
}

struct Here {
    label: Label<usize>,
    /// The last layer's end up to which memory suffices.
    until: usize,
}

impl Running {
    pub(super) fn new(rule: Rule) -> Self {
        Self { rule, spent: [0.0; super::label::COUNTS], labels: Vec::new() }
    }

    /// Labels that nothing betters get here, and can stay until this layer's end. Those that came before and are no
    /// better go.
    pub(super) fn arrive(&mut self, labels: &[Label<usize>], until: usize) {
        let less = |label: &Label<usize>| {
            let mut counts = label.counts;
            counts.iter_mut().zip(&self.spent).for_each(|(count, spent)| *count -= spent);
            self.rule.forget(&mut counts);
            Here { label: Label { counts, step: label.step }, until }
        };
        let new: Vec<Here> = labels.iter().map(less).collect();
        let bettered = |here: &Here| new.iter().any(|new| self.rule.no_worse(&new.label.counts, &here.label.counts));
        self.labels.retain(|here| !bettered(here));
        self.labels.extend(new);
        self.labels.sort_by(|one, other| compare(&one.label.counts, &other.label.counts));
        if self.rule.width() > 1 {
            thin(&mut self.labels, 4 * self.rule.most);
        }
    }

    /// Whoever can stay no longer than to before this layer's end goes.
    pub(super) fn leave_before(&mut self, end: usize) {
        self.labels.retain(|here| here.until >= end);
    }

    /// Nobody can stay.
    pub(super) fn leave(&mut self) {
        self.labels.clear();
    }

    /// What nothing betters of those who are here, with what the tier has spent on them.
    pub(super) fn undominated(&self) -> Vec<Label<usize>> {
        let mut best: Vec<Label<usize>> = Vec::new();
        for Here { label, .. } in &self.labels {
            if !self.rule.bettered(&best, &label.counts) {
                best.push(*label);
            }
        }
        for label in &mut best {
            label.counts.iter_mut().zip(&self.spent).for_each(|(count, spent)| *count += spent);
            label.counts[INTERVAL] = label.counts[INTERVAL].max(label.counts[PENDING]);
            self.rule.forget(&mut label.counts);
        }
        self.rule.undominated(best)
    }
}
