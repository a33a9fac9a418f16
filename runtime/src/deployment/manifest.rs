//! What a node holds of a deployment, as it travels: JSON that names files by their content.
//!
//! Fields mean what they mean in [`crate::share`] and [`thalweg_flow`], in whole units that their names end with.
#![allow(missing_docs)]

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thalweg_flow::PlanId;
use thalweg_modules::Layout;
use thalweg_planner::{TensorId, TensorSpec};

use crate::identity::{Identity, NodeId};
use crate::store::FileEntry;

/// All that one node holds of a deployment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Name of the deployment.
    pub name: String,
    /// Which version of it: each is greater than the ones before.
    pub epoch: u32,
    /// The node where its requests are made.
    pub source: NodeId,
    /// The shares of this node, in any order.
    pub shares: Vec<ShareOf>,
    /// What the source has to know beside; none for other nodes.
    pub requests: Option<SourceOf>,
}

/// A hop's share of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShareOf {
    #[serde(with = "plan_id")]
    pub plan: PlanId,
    pub hop: u8,
    pub takes: Vec<TakenOf>,
    pub returns: Vec<TensorSpec>,
    pub answers_in_us: u64,
    /// How long decoding, computing and encoding take by the plan: a node that emulates a slower machine takes so long.
    pub planned_ns: [u64; 3],
    /// What it runs; none where it passes on what it takes.
    pub part: Option<PartOf>,
    pub answers: Vec<PickOf>,
    pub onward: Option<OnwardOf>,
}

/// A tensor that a hop takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TakenOf {
    pub spec: TensorSpec,
    pub coding: CodingOf,
}

/// How a tensor is coded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodingOf {
    /// Name of the codec.
    pub codec: String,
    /// The book of a feature codec, and the tensors that it is for.
    pub book: Option<(FileEntry, TensorSpec)>,
    /// What was subtracted from pixels and what they were divided by, for pictures.
    pub pixels: Option<([f32; 3], [f32; 3])>,
}

/// The way up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnwardOf {
    pub peer: NodeId,
    pub crossing: Vec<(PickOf, CodingOf)>,
}

/// A tensor that a hop has in its hands, as [`crate::share::Pick`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PickOf {
    Taken(usize),
    Made(usize),
}

/// What a share runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartOf {
    pub pieces: Vec<PieceOf>,
    pub takes: Vec<TensorId>,
    pub gives: Vec<TensorId>,
}

/// The layers of one step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PieceOf {
    pub step: String,
    pub runs: RunsOf,
    pub takes: Vec<TakeOf>,
    pub gives: Vec<TensorId>,
}

/// What a piece runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunsOf {
    /// Files of a partition, by name.
    Model(BTreeMap<String, FileEntry>),
    Module(ModuleOf),
}

/// A task module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModuleOf {
    pub name: String,
    pub component: FileEntry,
    /// As JSON.
    pub settings: String,
    /// In the order of the fields of [`thalweg_modules::sandbox::Limits`].
    pub limits: [u64; 9],
    pub text_bytes: usize,
}

/// What a piece takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TakeOf {
    Made(TensorId),
    /// A tensor without elements.
    Nothing(TensorSpec),
}

/// What the node where requests are made knows of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceOf {
    pub inputs: Vec<InputOf>,
    pub outputs: Vec<OutputOf>,
    /// How long a request may take that does not say it.
    pub deadline_us: u64,
    /// The node to which answers are delivered; none for nowhere.
    #[serde(default)]
    pub deliver_to: Option<NodeId>,
    /// The nodes that hops name by their place here; the source is the first.
    pub tiers: Vec<NodeId>,
    /// What was believed of the links between them when it was planned.
    pub links: Vec<LinkOf>,
    /// In no order.
    pub alternatives: Vec<AlternativeOf>,
}

/// One direction of a link.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkOf {
    /// Places among [`SourceOf::tiers`].
    pub from: usize,
    pub to: usize,
    /// Bits a second.
    pub bandwidth: u64,
    pub delay_ns: u64,
}

/// An input of the pipeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputOf {
    pub name: String,
    pub spec: TensorSpec,
    /// How the pixels of a photo become its numbers; none where it is no photo.
    pub photo: Option<PhotoOf>,
}

/// How pixels become numbers, as [`thalweg_modules::Normalise`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhotoOf {
    pub mean: [f32; 3],
    pub scale: [f32; 3],
    pub layout: Layout,
}

/// An answer of the pipeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputOf {
    pub name: String,
    pub spec: TensorSpec,
}

/// A plan, as far as its latency depends on links and tiers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlternativeOf {
    #[serde(with = "plan_id")]
    pub plan: PlanId,
    /// What it decides, in one line.
    pub decision: String,
    pub hops: Vec<HopOf>,
    /// One between each two hops.
    pub crossings: Vec<CrossingOf>,
}

/// A hop of an alternative.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HopOf {
    /// Place among [`SourceOf::tiers`].
    pub tier: usize,
    pub compute_ns: u64,
}

/// What crosses between two hops, and comes back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CrossingOf {
    pub encode_ns: u64,
    pub bytes: u64,
    pub decode_ns: u64,
    pub answer_bytes: u64,
}

impl SourceOf {
    /// How long a request may take that does not say it.
    pub fn deadline(&self) -> Duration {
        Duration::from_micros(self.deadline_us)
    }

    /// How long the node where requests are made computes and encodes for each plan.
    pub(crate) fn takes_here(&self) -> impl Iterator<Item = (PlanId, Duration)> {
        self.alternatives.iter().map(|alternative| {
            let (first, onward) = (alternative.hops.first(), alternative.crossings.first());
            let nanos = [first.map_or(0, |hop| hop.compute_ns), onward.map_or(0, |crossing| crossing.encode_ns)];
            (alternative.plan, nanos.map(Duration::from_nanos).iter().sum())
        })
    }
}

/// A manifest's file, and who has signed it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed {
    pub file: FileEntry,
    pub by: NodeId,
    /// 128 hexadecimal digits.
    pub signature: String,
}

/// A signature of a manifest is of nothing else.
const CONTEXT: &[u8] = b"thalweg manifest 1";

impl Signed {
    /// Signs the file of a manifest.
    pub fn sign(file: FileEntry, identity: &Identity) -> Self {
        let signature = data_encoding::HEXLOWER.encode(&identity.sign(CONTEXT, file.hash.as_bytes()));
        Self { file, by: identity.id(), signature }
    }

    /// Whether the holder of that key has signed that file.
    pub fn is_genuine(&self) -> bool {
        let signature = data_encoding::HEXLOWER.decode(self.signature.as_bytes()).ok();
        let signature = signature.and_then(|signature| <[u8; 64]>::try_from(signature).ok());
        signature.is_some_and(|signature| self.by.has_signed(CONTEXT, self.file.hash.as_bytes(), &signature))
    }
}

impl Manifest {
    /// All files that it names, as often as it names them.
    pub fn files(&self) -> impl Iterator<Item = &FileEntry> {
        self.shares.iter().flat_map(|share| {
            let pieces = share.part.iter().flat_map(|part| &part.pieces).flat_map(PieceOf::files);
            let taken = share.takes.iter().map(|taken| &taken.coding);
            let crossing = share.onward.iter().flat_map(|onward| &onward.crossing).map(|(_, coding)| coding);
            pieces.chain(taken.chain(crossing).filter_map(|coding| Some(&coding.book.as_ref()?.0)))
        })
    }

    /// Whether what its source is told fits together.
    pub fn is_sound(&self) -> bool {
        self.requests.as_ref().is_none_or(|of| {
            let tiers = of.tiers.len();
            let fits = |plan: &AlternativeOf| {
                plan.hops.iter().all(|hop| hop.tier < tiers) && plan.crossings.len() + 1 == plan.hops.len()
            };
            tiers > 0 && of.alternatives.iter().all(fits) && of.links.iter().all(|link| link.from.max(link.to) < tiers)
        })
    }

    /// Bytes of all of them, each counted once.
    pub fn bytes(&self) -> u64 {
        let by_hash: BTreeMap<_, _> = self.files().map(|file| (file.hash, file.bytes)).collect();
        by_hash.values().sum()
    }

    /// Whether a task module runs in it.
    pub fn has_modules(&self) -> bool {
        let mut pieces = self.shares.iter().filter_map(|share| share.part.as_ref()).flat_map(|part| &part.pieces);
        pieces.any(|piece| matches!(piece.runs, RunsOf::Module(_)))
    }

    /// How long a request may take that does not say it, by what the slowest hop knows.
    pub fn deadline(&self) -> Duration {
        let hops = self.shares.iter().map(|share| Duration::from_micros(share.answers_in_us));
        hops.chain(self.requests.as_ref().map(SourceOf::deadline)).max().unwrap_or_default()
    }
}

impl PieceOf {
    /// The files that it is made of.
    pub fn files(&self) -> impl Iterator<Item = &FileEntry> {
        let (model, module) = match &self.runs {
            RunsOf::Model(files) => (Some(files.values()), None),
            RunsOf::Module(module) => (None, Some(&module.component)),
        };
        model.into_iter().flatten().chain(module)
    }
}

/// Plans in 64 hexadecimal digits.
mod plan_id {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};
    use thalweg_flow::PlanId;

    pub(super) fn serialize<S: Serializer>(plan: &PlanId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&data_encoding::HEXLOWER.encode(&plan.0))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PlanId, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).map_err(D::Error::custom)?;
        let id = bytes.try_into().map_err(|_| D::Error::custom("the name of a plan has 64 hexadecimal digits"))?;
        Ok(PlanId(id))
    }
}
