//! A plan that is given instead of searched for: from a file, or by naming where the model is cut.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Deserialize;
use thalweg_planner::{Plan, PlanError, SavedPlan, manual};

use super::prepare::Prepared;
use crate::run::RunError;

#[derive(Debug, Args)]
pub(super) struct Given {
    /// Take the plan of this file, which `thalweg plan --save` has written, after checking it again.
    #[arg(long = "plan", value_name = "FILE", conflicts_with_all = ["cuts", "path"])]
    file: Option<PathBuf>,
    /// Cut where these layers or tensors are done, such as Conv_5 or a,b; give one for each link of the path, in its
    /// order. What the named need runs below the cut; an empty text leaves nothing below.
    #[arg(long = "cut", value_name = "NAMES")]
    cuts: Vec<String>,
    /// The tiers between which the cuts are, from where the input is, such as device,cloud. Without it: the first tiers
    /// of the topology, one more than there are cuts.
    #[arg(long, value_name = "TIERS", value_delimiter = ',', requires = "cuts")]
    path: Vec<String>,
}

impl Given {
    /// The plan that is given, if one is, checked and with what it costs.
    pub(super) fn plan(&self, prepared: &Prepared) -> Result<Option<Plan>, RunError> {
        match &self.file {
            Some(file) => saved(file, prepared).map(Some),
            None if self.cuts.is_empty() => Ok(None),
            None => self.cut(prepared).map(Some),
        }
    }

    fn cut(&self, prepared: &Prepared) -> Result<Plan, RunError> {
        let Prepared { graph, topology, objective, .. } = prepared;
        let tier = |name: &String| {
            let found = topology.tiers.iter().position(|tier| tier.name == *name);
            let known = || topology.tiers.iter().map(|tier| tier.name.clone()).collect::<Vec<_>>().join(", ");
            found.ok_or_else(|| RunError::NoSuchTier { name: name.clone(), known: known() })
        };
        let path = if self.path.is_empty() {
            (0..topology.tiers.len().min(self.cuts.len() + 1)).collect()
        } else {
            self.path.iter().map(tier).collect::<Result<Vec<_>, _>>()?
        };
        let named =
            |cut: &String| cut.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect();
        let cuts: Vec<Vec<String>> = self.cuts.iter().map(named).collect();
        manual(graph, topology, objective, &path, &cuts).map_err(|error| match error {
            PlanError::WrongCount { cuts, links, .. } => RunError::CutCount { cuts, links },
            other => other.into(),
        })
    }
}

/// The part of a saved plan that every version has.
#[derive(Deserialize)]
struct Head {
    version: u32,
}

fn saved(file: &Path, prepared: &Prepared) -> Result<Plan, RunError> {
    let text = fs::read_to_string(file).map_err(|cause| RunError::Unreadable { file: file.to_owned(), cause })?;
    let unreadable =
        |cause: serde_json::Error| RunError::NoPlanFile { file: file.to_owned(), cause: cause.to_string() };
    let refused = |cause| RunError::SavedPlan { file: file.to_owned(), cause: Box::new(cause) };
    // A later version may have other keys: it is told by its number, not by the first key that is not known.
    let head: Head = serde_json::from_str(&text).map_err(unreadable)?;
    SavedPlan::check_version(head.version).map_err(refused)?;
    let saved: SavedPlan = serde_json::from_str(&text).map_err(unreadable)?;
    let Prepared { subject, graph, topology, objective, .. } = prepared;
    saved.plan(graph, topology, objective, &subject.steps.hash_text()).map_err(refused)
}
