//! Makes manifests, and the files that they name, of a pipeline and the plans for it.

use std::collections::BTreeMap;
use std::time::Duration;

use thalweg_codec::Codec;
use thalweg_modules::Normalise;
use thalweg_modules::sandbox::Limits;
use thalweg_planner::{Direction, Graph, Link, Plan, TensorSpec, Topology};

use super::manifest::{
    AlternativeOf, CodingOf, CrossingOf, HopOf, InputOf, LinkOf, Manifest, ModuleOf, OnwardOf, OutputOf, PartOf,
    PhotoOf, PickOf, PieceOf, RunsOf, ShareOf, SourceOf, TakeOf, TakenOf,
};
use crate::config::{Input, Origin};
use crate::identity::NodeId;
use crate::run::study::decision;
use crate::run::{Draft, Drafts, PartKey, RunError, Subject};
use crate::share::Pick;
use crate::steps::{Blueprint, PieceBody, Take};
use crate::store::{FileEntry, Hash};

/// A file, and what it holds.
pub type PackedFile = (FileEntry, Vec<u8>);

/// What nodes get.
#[derive(Debug)]
pub struct Packed {
    /// By node.
    pub manifests: BTreeMap<NodeId, Manifest>,
    /// Each file that a manifest names, once.
    pub files: Vec<PackedFile>,
}

impl Packed {
    /// Has the source deliver its answers to this node.
    pub fn deliver_to(&mut self, sink: NodeId) {
        for requests in self.manifests.values_mut().filter_map(|manifest| manifest.requests.as_mut()) {
            requests.deliver_to = Some(sink);
        }
    }
}

/// Packs `plans`, which were made for `graph` and `topology`, whose tiers are the nodes `tiers`; the first of them is
/// where requests are made.
pub fn pack(
    name: &str,
    epoch: u32,
    subject: &Subject,
    (graph, topology): (&Graph, &Topology),
    tiers: &[NodeId],
    plans: &[Plan],
) -> Result<Packed, RunError> {
    let mut packing = Packing { subject, files: BTreeMap::new(), parts: BTreeMap::new() };
    let empty = |id: &NodeId| {
        let (name, source) = (name.to_owned(), tiers[0]);
        (*id, Manifest { name, epoch, source, shares: Vec::new(), requests: None })
    };
    let mut manifests: BTreeMap<NodeId, Manifest> = tiers.iter().map(empty).collect();
    // Two deployments of one pipeline meet on a node that helps both.
    let own: Vec<u8> = tiers.iter().flat_map(NodeId::as_bytes).chain(name.as_bytes()).copied().collect();
    let mut alternatives = Vec::new();
    for plan in plans {
        let drafts = Drafts::new(subject, graph, topology, plan, epoch).among(&own);
        for (index, hop) in plan.hops.iter().enumerate() {
            let onward = plan.hops.get(index + 1).map(|next| tiers[next.tier]);
            let share = packing.share(drafts.draft(index), onward)?;
            manifests.entry(tiers[hop.tier]).and_modify(|manifest| manifest.shares.push(share));
        }
        alternatives.push(alternative(&drafts, topology, plan));
    }
    let requests = SourceOf {
        inputs: inputs(subject),
        outputs: outputs(subject),
        deadline_us: nanos(subject.deadline()) / 1000,
        deliver_to: None,
        tiers: tiers.to_vec(),
        links: links(topology),
        alternatives,
    };
    manifests.entry(tiers[0]).and_modify(|manifest| manifest.requests = Some(requests));
    manifests.retain(|_, manifest| !manifest.shares.is_empty());
    Ok(Packed { manifests, files: packing.files.into_values().collect() })
}

/// All layers as one part: what a machine is timed with.
pub fn whole(subject: &Subject) -> Result<(PartOf, Vec<PackedFile>), RunError> {
    let graph = subject.steps.graph();
    let gives = graph.outputs.iter().filter(|output| !graph.inputs.contains(output)).copied().collect();
    let key = PartKey { layers: (0..graph.layers.len()).collect(), takes: graph.inputs.clone(), gives };
    let mut packing = Packing { subject, files: BTreeMap::new(), parts: BTreeMap::new() };
    let part = packing.part(key)?;
    Ok((part, packing.files.into_values().collect()))
}

struct Packing<'a> {
    subject: &'a Subject,
    files: BTreeMap<Hash, (FileEntry, Vec<u8>)>,
    /// Plans share parts.
    parts: BTreeMap<PartKey, PartOf>,
}

impl Packing<'_> {
    fn file(&mut self, bytes: Vec<u8>) -> FileEntry {
        let entry = FileEntry::of(&bytes);
        self.files.entry(entry.hash).or_insert_with(|| (entry.clone(), bytes));
        entry
    }

    fn share(&mut self, draft: Draft, onward: Option<NodeId>) -> Result<ShareOf, RunError> {
        let Draft { contract, takes, part, answers, crossing, emulation } = draft;
        let taken = contract
            .takes
            .iter()
            .zip(&takes)
            .map(|(slot, codec)| TakenOf { spec: slot.spec.clone(), coding: self.coding(codec, &slot.spec) });
        let takes = taken.collect();
        let onward = onward.zip(crossing).map(|(peer, crossing)| {
            let coded = crossing.iter().map(|(pick, codec, spec)| (pick_of(*pick), self.coding(codec, spec)));
            OnwardOf { peer, crossing: coded.collect() }
        });
        Ok(ShareOf {
            plan: contract.plan,
            hop: contract.hop,
            takes,
            returns: contract.returns,
            answers_in_us: nanos(contract.answers_in) / 1000,
            planned_ns: [emulation.decode, emulation.compute, emulation.encode].map(nanos),
            part: part.map(|key| self.part(key)).transpose()?,
            answers: answers.into_iter().map(pick_of).collect(),
            onward,
        })
    }

    fn coding(&mut self, codec: &Codec, spec: &TensorSpec) -> CodingOf {
        let (mut book, mut pixels) = (None, None);
        match codec {
            Codec::Features { book: Some(features), .. } => {
                book = Some((self.file(features.book().to_bytes()), spec.clone()));
            }
            Codec::Picture { pixels: of, .. } => pixels = Some((of.mean, of.scale)),
            _ => {}
        }
        CodingOf { codec: codec.to_string(), book, pixels }
    }

    fn part(&mut self, key: PartKey) -> Result<PartOf, RunError> {
        if let Some(part) = self.parts.get(&key) {
            return Ok(part.clone());
        }
        let Blueprint { pieces, takes, gives } = self.subject.steps.blueprint(&key.layers, &key.takes, &key.gives)?;
        let mut packed = Vec::new();
        for piece in pieces {
            let runs = match &piece.body {
                PieceBody::Model(partition) => {
                    let files = partition.to_files()?.into_iter();
                    RunsOf::Model(files.map(|file| (file.name, self.file(file.bytes))).collect())
                }
                PieceBody::Module(module) => {
                    let origin = module.origin();
                    if origin.runs_models {
                        return Err(RunError::ModelsOfModule { step: piece.step });
                    }
                    RunsOf::Module(ModuleOf {
                        name: origin.name.clone(),
                        component: self.file(origin.component.to_vec()),
                        settings: origin.settings.clone(),
                        limits: numbers(&origin.limits),
                        text_bytes: origin.text_bytes,
                    })
                }
            };
            let takes = piece.takes.into_iter().map(|take| match take {
                Take::Made(tensor) => TakeOf::Made(tensor),
                Take::Nothing(tensor) => TakeOf::Nothing(tensor.spec().clone()),
            });
            packed.push(PieceOf { step: piece.step, runs, takes: takes.collect(), gives: piece.gives });
        }
        let part = PartOf { pieces: packed, takes, gives };
        self.parts.insert(key, part.clone());
        Ok(part)
    }
}

fn numbers(limits: &Limits) -> [u64; 9] {
    let Limits {
        memory_bytes,
        table_elements,
        instances,
        handles,
        time_ms,
        host_calls,
        host_bytes,
        outputs,
        output_bytes,
    } = *limits;
    [
        memory_bytes.get(),
        table_elements.get(),
        instances.get(),
        handles.get(),
        time_ms.get(),
        host_calls.get(),
        host_bytes.get(),
        outputs.get(),
        output_bytes.get(),
    ]
}

fn pick_of(pick: Pick) -> PickOf {
    match pick {
        Pick::Taken(index) => PickOf::Taken(index),
        Pick::Made(index) => PickOf::Made(index),
    }
}

fn inputs(subject: &Subject) -> Vec<InputOf> {
    let ports = subject.steps.inputs().iter().zip(&subject.inputs);
    let input = |(port, value): (&thalweg_devices::Port, &thalweg_planner::Tensor)| {
        let said = subject.pipeline.as_ref().map_or(&[][..], |pipeline| &pipeline.inputs);
        let photo = photo(said, &port.name);
        InputOf { name: port.name.clone(), spec: value.spec().clone(), photo }
    };
    ports.map(input).collect()
}

/// How photos become the input of this name, by what a pipeline's file says of its inputs: an only one needs no name.
fn photo(said: &[Input], name: &str) -> Option<PhotoOf> {
    let of_name = |input: &&Input| input.name.as_ref().map_or(said.len() == 1, |said| said == name);
    match said.iter().find(of_name)?.origin {
        Origin::Photo { normalise: Normalise { mean, scale, layout }, .. } => Some(PhotoOf { mean, scale, layout }),
        _ => None,
    }
}

fn outputs(subject: &Subject) -> Vec<OutputOf> {
    let graph = subject.steps.graph();
    let output = |port: &thalweg_devices::Port| OutputOf {
        name: port.name.clone(),
        spec: graph.tensors[port.tensor].spec.clone(),
    };
    subject.steps.outputs().iter().map(output).collect()
}

fn alternative(drafts: &Drafts<'_>, topology: &Topology, plan: &Plan) -> AlternativeOf {
    let hops = plan.hops.iter().map(|hop| HopOf { tier: hop.tier, compute_ns: nanos(hop.compute) });
    let crossings = plan.crossings.iter().map(|crossing| CrossingOf {
        encode_ns: nanos(crossing.encode),
        bytes: crossing.bytes().0,
        decode_ns: nanos(crossing.decode),
        answer_bytes: crossing.answer_bytes.0,
    });
    let decision = decision(topology, plan);
    AlternativeOf { plan: drafts.id(), decision, hops: hops.collect(), crossings: crossings.collect() }
}

fn links(topology: &Topology) -> Vec<LinkOf> {
    let link = |link: &Link| {
        let Direction { bandwidth, delay, .. } = link.direction;
        LinkOf { from: link.from, to: link.to, bandwidth: bandwidth.0, delay_ns: nanos(delay) }
    };
    topology.links.iter().map(link).collect()
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use thalweg_modules::Layout;

    use super::*;

    #[test]
    fn sources_are_told_of_photos_whichever_way_their_pixels_stand() {
        let named = |name: Option<&str>, origin| Input { name: name.map(str::to_owned), shape: None, origin };
        let of = |layout| PhotoOf { mean: [127.0; 3], scale: [128.0; 3], layout };
        let camera = |layout| {
            let PhotoOf { mean, scale, layout } = of(layout);
            Origin::Photo { file: "photo.jpg".into(), normalise: Normalise { mean, scale, layout } }
        };
        for layout in [Layout::Nchw, Layout::Nhwc] {
            assert_eq!(photo(&[named(None, camera(layout))], "images"), Some(of(layout)));
            let said = [named(Some("x"), Origin::Zeros), named(Some("images"), camera(layout))];
            assert_eq!((photo(&said, "images"), photo(&said, "x")), (Some(of(layout)), None));
        }
        assert_eq!(photo(&[], "images"), None);
    }
}
