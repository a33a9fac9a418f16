//! Makes shares that run here of a manifest and the files that it names.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use thalweg_codec::{Book, BookError, Codec, Pixels};
use thalweg_devices::{Backends, PartFile, Partition, StageError};
use thalweg_flow::{Contract, Slot};
use thalweg_modules::sandbox::{self, Grants, Limit, Limits, NoLimit, Sandbox, SandboxError};
use thalweg_planner::{Tensor, TensorSpec};

use super::manifest::{CodingOf, Manifest, ModuleOf, PartOf, PickOf, PieceOf, RunsOf, ShareOf, TakeOf};
use crate::identity::NodeId;
use crate::link::Peer;
use crate::share::{Onward, Pick, Share};
use crate::stage::{Compute, Emulation};
use crate::steps::{Blueprint, DrawnPiece, ModuleOrigin, Part, PieceBody, PreparedModule, Take};
use crate::store::{FileEntry, Store, StoreError};

/// A manifest does not become shares.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum UnpackError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Stage(#[from] StageError),
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    #[error(transparent)]
    Limit(#[from] NoLimit),
    #[error(transparent)]
    Book(#[from] BookError),
    #[error("codec \"{name}\" is unknown here: update the older of the two programs")]
    Codec { name: String },
    #[error("{spec} is to stand for nothing, but has elements: the manifest was not made by this program")]
    NotEmpty { spec: TensorSpec },
    #[error("module {module} cannot run here: this machine has no room for a sandbox")]
    NoSandbox { module: String },
    #[error("node {id} is not a member of this cluster: let it join before anything is deployed over it")]
    NoSuchPeer { id: NodeId },
}

/// What this machine runs parts on.
#[derive(Debug, Clone, Copy)]
pub struct Here<'a> {
    /// Its backends for models.
    pub backends: &'a Backends,
    /// Where modules run, if there are any.
    pub sandbox: Option<&'a Sandbox>,
    /// Whether parts take as long as planned, where this machine is faster.
    pub emulates: bool,
}

/// Makes the shares of `manifest` of what lies in `store`; `peer` says where each node is.
///
/// Takes as long as preparing the parts does: not to be called where others wait.
pub fn unpack(
    manifest: &Manifest,
    store: &Store,
    here: Here<'_>,
    peer: impl Fn(NodeId) -> Option<Peer>,
) -> Result<Vec<Share>, UnpackError> {
    let mut unpacking = Unpacking { store, here, parts: Vec::new() };
    manifest.shares.iter().map(|share| unpacking.share(share, manifest.epoch, &peer)).collect()
}

/// Makes a part of what lies in `store`.
pub fn prepare(part: &PartOf, store: &Store, here: Here<'_>) -> Result<Part, UnpackError> {
    let pieces = part.pieces.iter().map(|piece| drawn(piece, store, here.sandbox)).collect::<Result<_, _>>()?;
    Ok(Blueprint { pieces, takes: part.takes.clone(), gives: part.gives.clone() }.prepare(here.backends)?)
}

struct Unpacking<'a> {
    store: &'a Store,
    here: Here<'a>,
    /// Plans share parts.
    parts: Vec<(PartOf, Arc<Part>)>,
}

impl Unpacking<'_> {
    fn share(
        &mut self,
        share: &ShareOf,
        epoch: u32,
        peer: &impl Fn(NodeId) -> Option<Peer>,
    ) -> Result<Share, UnpackError> {
        let takes = share.takes.iter().map(|taken| self.codec(&taken.coding)).collect::<Result<Vec<_>, _>>()?;
        let slot = |(codec, spec): (&Codec, &TensorSpec)| Slot {
            bytes_max: codec.bytes_max(spec).0,
            codec: codec.to_string(),
            early: codec.decodes_early(spec),
            spec: spec.clone(),
        };
        let contract = Contract {
            plan: share.plan,
            epoch,
            hop: share.hop,
            takes: takes.iter().zip(share.takes.iter().map(|taken| &taken.spec)).map(slot).collect(),
            returns: share.returns.clone(),
            answers_in: Duration::from_micros(share.answers_in_us),
        };
        let [decode, compute, encode] = share.planned_ns.map(Duration::from_nanos);
        let planned = Emulation { decode, compute, encode };
        let stage = share.part.as_ref().map(|part| self.part(part)).transpose()?;
        let onward = share.onward.as_ref().map(|onward| {
            let peer = peer(onward.peer).ok_or(UnpackError::NoSuchPeer { id: onward.peer })?;
            let coded = onward.crossing.iter().map(|(pick, coding)| Ok((picked(*pick), self.codec(coding)?)));
            Ok::<_, UnpackError>(Onward { peer, crossing: coded.collect::<Result<_, UnpackError>>()? })
        });
        Ok(Share {
            contract,
            takes,
            stage: stage.map(|stage| stage as Arc<dyn Compute>),
            answers: share.answers.iter().copied().map(picked).collect(),
            onward: onward.transpose()?,
            emulation: if self.here.emulates { planned } else { Emulation::NONE },
        })
    }

    fn part(&mut self, part: &PartOf) -> Result<Arc<Part>, UnpackError> {
        if let Some((_, prepared)) = self.parts.iter().find(|(known, _)| known == part) {
            return Ok(prepared.clone());
        }
        let prepared = Arc::new(prepare(part, self.store, self.here)?);
        self.parts.push((part.clone(), prepared.clone()));
        Ok(prepared)
    }

    fn codec(&self, coding: &CodingOf) -> Result<Codec, UnpackError> {
        let codec: Codec = coding.codec.parse().map_err(|_| UnpackError::Codec { name: coding.codec.clone() })?;
        Ok(match (codec, &coding.book, coding.pixels) {
            (codec @ Codec::Features { .. }, Some((file, spec)), _) => {
                codec.with_book(&Arc::new(Book::from_bytes(&self.store.read(file)?, spec)?))
            }
            (Codec::Picture { format, quality, .. }, _, Some((mean, scale))) => {
                Codec::Picture { format, quality, pixels: Pixels { mean, scale } }
            }
            (codec, _, _) => codec,
        })
    }
}

fn drawn(piece: &PieceOf, store: &Store, sandbox: Option<&Sandbox>) -> Result<DrawnPiece, UnpackError> {
    let body = match &piece.runs {
        RunsOf::Model(files) => PieceBody::Model(Box::new(Partition::from_files(&read_files(files, store)?)?)),
        RunsOf::Module(of) => PieceBody::Module(Arc::new(module(&piece.step, of, store, sandbox)?)),
    };
    let take = |take: &TakeOf| match take {
        TakeOf::Made(tensor) => Ok(Take::Made(*tensor)),
        TakeOf::Nothing(spec) => {
            let nothing = Tensor::new(spec.clone(), Vec::new());
            Ok(Take::Nothing(nothing.map_err(|_| UnpackError::NotEmpty { spec: spec.clone() })?))
        }
    };
    let takes = piece.takes.iter().map(take).collect::<Result<_, UnpackError>>()?;
    Ok(DrawnPiece { step: piece.step.clone(), body, takes, gives: piece.gives.clone() })
}

/// The files of a partition, from the store.
pub fn read_files(files: &BTreeMap<String, FileEntry>, store: &Store) -> Result<Vec<PartFile>, StoreError> {
    let read = |(name, file): (&String, &FileEntry)| Ok(PartFile { name: name.clone(), bytes: store.read(file)? });
    files.iter().map(read).collect()
}

fn module(step: &str, of: &ModuleOf, store: &Store, sandbox: Option<&Sandbox>) -> Result<PreparedModule, UnpackError> {
    let sandbox = sandbox.ok_or_else(|| UnpackError::NoSandbox { module: of.name.clone() })?;
    let component = store.read(&of.component)?;
    let limits = limits(of.limits)?;
    let loaded = sandbox.load(&of.name, &component, &Grants::default(), &limits)?;
    let stage = sandbox::Stage::new(loaded, &of.settings, limits)?;
    let origin = ModuleOrigin {
        name: of.name.clone(),
        component: component.into(),
        settings: of.settings.clone(),
        limits,
        text_bytes: of.text_bytes,
        runs_models: false,
    };
    Ok(PreparedModule::new(step, stage, origin))
}

fn limits(numbers: [u64; 9]) -> Result<Limits, NoLimit> {
    let [memory, tables, instances, handles, time, calls, bytes, outputs, output_bytes] = numbers;
    Ok(Limits {
        memory_bytes: Limit::new(memory)?,
        table_elements: Limit::new(tables)?,
        instances: Limit::new(instances)?,
        handles: Limit::new(handles)?,
        time_ms: Limit::new(time)?,
        host_calls: Limit::new(calls)?,
        host_bytes: Limit::new(bytes)?,
        outputs: Limit::new(outputs)?,
        output_bytes: Limit::new(output_bytes)?,
    })
}

fn picked(pick: PickOf) -> Pick {
    match pick {
        PickOf::Taken(index) => Pick::Taken(index),
        PickOf::Made(index) => Pick::Made(index),
    }
}
