//! What is installed on a node, by plan and epoch.

use std::collections::BTreeMap;

use crate::{PlanId, Reason};

/// Shares of plans. Several plans, and several epochs of one, can stand side by side.
#[derive(Debug, Clone)]
pub struct Installed<Share> {
    shares: BTreeMap<(PlanId, u32), Share>,
}

impl<Share> Default for Installed<Share> {
    fn default() -> Self {
        Self { shares: BTreeMap::new() }
    }
}

impl<Share> Installed<Share> {
    /// Installs a share and gives back the one that it replaces.
    pub fn insert(&mut self, plan: PlanId, epoch: u32, share: Share) -> Option<Share> {
        self.shares.insert((plan, epoch), share)
    }

    /// Takes a share away: requests that have begun keep theirs.
    pub fn remove(&mut self, plan: PlanId, epoch: u32) -> Option<Share> {
        self.shares.remove(&(plan, epoch))
    }

    /// The share of a plan in an epoch. Where only other epochs are installed the refusal names the latest.
    pub fn find(&self, plan: PlanId, epoch: u32) -> Result<&Share, Reason> {
        let other = || match self.shares.range((plan, 0)..=(plan, u32::MAX)).next_back() {
            Some(((_, installed), _)) => Reason::StaleEpoch { plan, asked: epoch, installed: *installed },
            None => Reason::UnknownPlan { plan },
        };
        self.shares.get(&(plan, epoch)).ok_or_else(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_plan_and_a_stale_epoch_are_told_apart() {
        let [plan, other] = [PlanId([1; 32]), PlanId([2; 32])];
        let mut installed = Installed::default();
        installed.insert(plan, 3, "three");
        installed.insert(plan, 4, "four");
        installed.insert(other, 9, "nine");
        assert_eq!(installed.find(plan, 3), Ok(&"three"));
        assert_eq!(installed.find(plan, 2), Err(Reason::StaleEpoch { plan, asked: 2, installed: 4 }));
        assert_eq!(installed.remove(other, 9), Some("nine"));
        assert_eq!(installed.find(other, 9), Err(Reason::UnknownPlan { plan: other }));
    }
}
