//! What each hop of a plan has to know and to hold, before it is given to a node: here or on another machine.

use std::collections::BTreeSet;
use std::time::Duration;

use thalweg_codec::Codec;
use thalweg_devices::StageError;
use thalweg_flow::{Contract, PlanId, Slot};
use thalweg_planner::{Graph, Plan, Sent, Slowdown, TensorId, TensorSpec, Topology};

use super::costs::with_pixels;
use super::levels::with_book;
use super::load::Subject;
use crate::share::Pick;
use crate::stage::{Compute as _, Emulation};

/// What a hop that goes on with a part of its tensors leaves for threads that wake late and for packets that are sent
/// again, beside half of what the plan predicts for the rest of the way.
const SPARE: Duration = Duration::from_millis(10);

/// What makes two parts the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartKey {
    /// In ascending order.
    pub layers: Vec<usize>,
    /// Tensors that come.
    pub takes: Vec<TensorId>,
    /// Tensors that leave.
    pub gives: Vec<TensorId>,
}

/// A hop's share of a plan, without what it runs.
#[derive(Debug)]
pub struct Draft {
    /// What it has agreed to.
    pub contract: Contract,
    /// How each tensor that it takes is coded.
    pub takes: Vec<Codec>,
    /// What it runs; none where it passes on what it takes.
    pub part: Option<PartKey>,
    /// The outputs of the model that it makes.
    pub answers: Vec<Pick>,
    /// What crosses to the next hop, in which codec, of which type and shape; none on the last.
    pub crossing: Option<Vec<(Pick, Codec, TensorSpec)>>,
    /// How long its work shall take at least.
    pub emulation: Emulation,
}

/// The shares of one plan.
pub struct Drafts<'a> {
    subject: &'a Subject,
    graph: &'a Graph,
    topology: &'a Topology,
    plan: &'a Plan,
    id: PlanId,
    epoch: u32,
}

impl<'a> Drafts<'a> {
    /// Those of `plan`, which was made for `graph` and `topology`.
    pub fn new(subject: &'a Subject, graph: &'a Graph, topology: &'a Topology, plan: &'a Plan, epoch: u32) -> Self {
        Self { subject, graph, topology, plan, id: plan_id(subject, plan), epoch }
    }

    /// The same plan under a name of its own among those of this deployment, on these nodes.
    pub fn among(self, deployment: &[u8]) -> Self {
        let id = *blake3::Hasher::new().update(&self.id.0).update(deployment).finalize().as_bytes();
        Self { id: PlanId(id), ..self }
    }

    /// The name of the plan.
    pub fn id(&self) -> PlanId {
        self.id
    }

    /// What hop `index` of the plan has to know and to hold.
    pub fn draft(&self, index: usize) -> Draft {
        let plan = self.plan;
        let hop = &plan.hops[index];
        let crossing = plan.crossings.get(index);
        let mut answers = hop.answers.clone();
        if index == 0 {
            // An output that is an input is answered where it is.
            answers.extend(self.graph.outputs.iter().filter(|output| self.graph.inputs.contains(output)));
        }
        let sends = crossing.map_or(&[][..], |crossing| &crossing.sends);
        let leaves = sends.iter().map(|sent| &sent.tensor).chain(&answers);
        let made: BTreeSet<TensorId> = leaves.filter(|tensor| !hop.takes.contains(tensor)).copied().collect();
        let gives: Vec<TensorId> = made.into_iter().collect();
        let pick = |tensor: &TensorId| match hop.takes.iter().position(|taken| taken == tensor) {
            Some(taken) => Pick::Taken(taken),
            None => Pick::Made(gives.binary_search(tensor).unwrap_or_else(|place| place)),
        };
        let sent = |sent: &Sent| (pick(&sent.tensor), self.codec(sent), self.spec(sent.tensor));
        let crossing = (index + 1 < plan.hops.len()).then(|| sends.iter().map(sent).collect());
        let answers = answers.iter().map(pick).collect();
        let takes: Vec<Codec> = hop.takes.iter().map(|tensor| self.coming(index, *tensor)).collect();
        let contract = self.contract(index, &takes);
        let key = PartKey { layers: hop.layers.clone(), takes: hop.takes.clone(), gives };
        let part = (!hop.layers.is_empty()).then_some(key);
        Draft { contract, takes, part, answers, crossing, emulation: self.emulation(index) }
    }

    /// What each hop runs; none where it passes on what it takes.
    pub fn parts(&self) -> impl Iterator<Item = Option<PartKey>> {
        (0..self.plan.hops.len()).map(|hop| self.draft(hop).part)
    }

    /// The backends of this machine that would compute the models of each hop. Prepares them to find out.
    pub fn computed_on(&self) -> Result<Vec<BTreeSet<String>>, StageError> {
        let prepared = |PartKey { layers, takes, gives }: PartKey| self.subject.steps.part(&layers, &takes, &gives);
        let backends = |key: Option<PartKey>| key.map_or(Ok(BTreeSet::new()), |key| Ok(prepared(key)?.computed_on()));
        self.parts().map(backends).collect()
    }

    /// How a tensor that a hop takes comes to it.
    fn coming(&self, index: usize, tensor: TensorId) -> Codec {
        let comes = index.checked_sub(1).map_or(&[][..], |below| &self.plan.crossings[below].sends);
        // The caller brings the inputs of the first hop as they are.
        comes.iter().find(|sent| sent.tensor == tensor).map_or(Codec::F32, |sent| self.codec(sent))
    }

    fn contract(&self, index: usize, takes: &[Codec]) -> Contract {
        let slot = |(tensor, codec): (&TensorId, &Codec)| {
            let spec = self.spec(*tensor);
            let early = codec.decodes_early(&spec);
            Slot { bytes_max: codec.bytes_max(&spec).0, codec: codec.to_string(), early, spec }
        };
        let above = self.plan.hops[index + 1..].iter().flat_map(|hop| &hop.answers);
        Contract {
            plan: self.id,
            epoch: self.epoch,
            hop: index as u8,
            takes: self.plan.hops[index].takes.iter().zip(takes).map(slot).collect(),
            returns: above.map(|tensor| self.spec(*tensor)).collect(),
            answers_in: answers_in(self.plan, index),
        }
    }

    fn spec(&self, tensor: TensorId) -> TensorSpec {
        self.graph.tensors[tensor].spec.clone()
    }

    /// How a tensor is coded: names that the planner uses come from [`super::costs`], so they are known.
    fn codec(&self, sent: &Sent) -> Codec {
        let codec = sent.codec.parse().unwrap_or(Codec::F32);
        match self.subject.photos.iter().find(|(photo, _)| *photo == sent.tensor) {
            Some((_, pixels)) => with_pixels(codec, *pixels),
            None => with_book(codec, self.subject, sent.tensor),
        }
    }

    /// How long a hop's work shall take: what the plan says, where its tier is slower than this machine.
    fn emulation(&self, index: usize) -> Emulation {
        let plan = self.plan;
        if self.topology.tiers[plan.hops[index].tier].slowdown == Slowdown::NONE {
            return Emulation::NONE;
        }
        let below = index.checked_sub(1).map(|below| plan.crossings[below].decode);
        let above = plan.crossings.get(index).map(|crossing| crossing.encode);
        Emulation {
            decode: below.unwrap_or_default(),
            compute: plan.hops[index].compute,
            encode: above.unwrap_or_default(),
        }
    }
}

/// How long it takes by the plan from when a hop has its tensors until the caller has the answer, with something to spare.
///
/// A hop counts the deadline from when a request comes to it: what it took to get there is also to be made up for.
fn answers_in(plan: &Plan, index: usize) -> Duration {
    let below = &plan.crossings[..index];
    let late = below.iter().map(|crossing| crossing.wire.saturating_sub(crossing.busy) + crossing.answer);
    let decode = below.last().map(|crossing| crossing.decode).unwrap_or_default();
    let computes = plan.hops[index..].iter().map(|hop| hop.compute);
    let above = plan.crossings[index..].iter();
    let above = above.map(|crossing| crossing.encode + crossing.wire + crossing.decode + crossing.answer);
    let predicted: Duration = late.chain([decode]).chain(computes).chain(above).sum();
    predicted + predicted / 2 + SPARE
}

/// Names a plan by what it does: the steps, where it is cut, and how tensors are coded, with which codebooks.
pub fn plan_id(subject: &Subject, plan: &Plan) -> PlanId {
    let mut hash = blake3::Hasher::new();
    hash.update(&subject.steps.hash());
    for books in subject.steps.codebooks() {
        hash.update(&books.hash);
    }
    for hop in &plan.hops {
        hash.update(format!("{} {:?};", hop.tier, hop.layers).as_bytes());
    }
    for crossing in &plan.crossings {
        for sent in &crossing.sends {
            hash.update(format!("{} {},", sent.tensor, sent.codec).as_bytes());
        }
        hash.update(b";");
    }
    PlanId(*hash.finalize().as_bytes())
}
