//! Why there is no plan, grouped by what has to change: the topology, the model, the memory, or the placement asked for.

use std::fmt;

use crate::Bytes;

/// Why [`plan`](crate::plan()) or [`evaluate`](crate::evaluate()) has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum PlanError {
    /// There is nowhere to run.
    #[error("the topology has no tier: add at least the one that has the input")]
    EmptyTopology,
    /// Tiers along a path take one link fewer than there are tiers.
    #[error("{tiers} tiers along a path take {} links, but there are {links}", tiers - 1)]
    LinkCount { tiers: usize, links: usize },
    /// Nothing would ever arrive over this direction of a link.
    #[error("the link from `{sender}` to `{receiver}` has no bandwidth: give it more than 0 bit/s")]
    NoBandwidth { sender: String, receiver: String },

    /// A tensor's id is past the end of the list of tensors.
    #[error("{place} names tensor {tensor}, but the graph has only {tensors} tensors")]
    NoSuchTensor { place: String, tensor: usize, tensors: usize },
    /// The layers are not in an order in which they can run, or one reads what nobody makes.
    #[error("layer `{layer}` reads `{tensor}`, which is no input and which no layer before it writes")]
    ReadBeforeWritten { layer: String, tensor: String },
    /// A tensor has two sources.
    #[error("layer `{layer}` writes `{tensor}`, which is an input or was written by a layer before it")]
    WrittenTwice { layer: String, tensor: String },
    /// The caller asks for what nobody makes.
    #[error("output `{tensor}` is no input and no layer writes it")]
    OutputNeverMade { tensor: String },

    /// A part that cannot be cut any further fits on no tier.
    #[error("the model fits on no tier: {0}, and no tier has more")]
    NoTierFits(Shortage),
    /// Each part fits somewhere, but in the order of the path the tiers cannot hold them all.
    #[error("the tiers are too small together: when each takes as many layers as fit, {0}")]
    TiersTooSmall(Shortage),
    /// The first tier cannot run the whole model, and nothing can leave it.
    #[error(
        "{shortage}, and the model cannot be cut: nowhere do at most {live_max} tensors cross that all offer one of \
         the codecs {}",
        listed(codecs)
    )]
    NoCut { shortage: Shortage, live_max: usize, codecs: Vec<String> },

    /// A placement takes one codec a cut, and no more cuts than there are links.
    #[error(
        "{cuts} cuts and {codecs} codecs were given: give as many codecs as cuts, and at most {links} of each, one a link"
    )]
    WrongCount { cuts: usize, codecs: usize, links: usize },
    /// Data flows up only.
    #[error("cut {cut} is below the cut {before} before it: cuts must not decrease")]
    CutsDecrease { before: usize, cut: usize },
    /// A cut past the last layer.
    #[error("there is no cut {cut}: the model has {layers} layers, so cuts go from 0 to {layers}")]
    CutOutOfRange { cut: usize, layers: usize },
    /// A tensor that crosses a link cannot be sent in this way.
    #[error(
        "`{tensor}` crosses from `{sender}` to `{receiver}` but does not offer the codec {codec}: it offers {}",
        listed(offers)
    )]
    CodecNotOffered { tensor: String, sender: String, receiver: String, codec: String, offers: Vec<String> },
    /// A tier without layers does not decode what it passes on.
    #[error(
        "`{tier}` has no layers and passes on what it gets, so it cannot get {gets} and send {sends}: use one codec"
    )]
    CodecChanges { tier: String, gets: String, sends: String },
    /// This part does not fit on the tier that it was given to.
    #[error("{0}")]
    DoesNotFit(Shortage),
}

/// A part and a tier that is too small for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortage {
    /// Names of the first and the last layer of the part.
    pub part: (String, String),
    /// Weights and activations of the part: see [`Graph::memory`](crate::Graph::memory).
    pub needs: Bytes,
    /// Name of the tier.
    pub tier: String,
    /// What a plan may use of the tier: its memory less the headroom.
    pub has: Bytes,
}

impl fmt::Display for Shortage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = &self.part;
        write!(out, "layers `{first}` to `{last}` need {} for weights and activations, but ", self.needs)?;
        write!(out, "`{}` has {} after 20 % headroom", self.tier, self.has)
    }
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "(none)".to_owned() } else { names.join(", ") }
}
