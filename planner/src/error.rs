//! Why there is no plan, grouped by what has to change: the topology, the model, the memory, or the placement asked
//! for.

use std::fmt;

use crate::Bytes;

/// Why [`plan`](crate::plan()) or [`evaluate`](crate::evaluate()) has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum PlanError {
    /// There is nowhere to run.
    #[error("the topology has no tier: add at least the one that has the input")]
    EmptyTopology,
    /// A link, or the objective, speaks of a tier that is not there.
    #[error("{place} names tier {tier}, but the topology has only {tiers}")]
    NoSuchTier { place: String, tier: usize, tiers: usize },
    /// Two links in the same direction, or one that leads nowhere.
    #[error("there is more than one link from `{sender}` to `{receiver}`, or the two are the same tier: keep one")]
    LinkTwice { sender: String, receiver: String },
    /// Nothing would ever arrive over this direction of a link.
    #[error("the link from `{sender}` to `{receiver}` has no bandwidth: give it more than 0 bit/s")]
    NoBandwidth { sender: String, receiver: String },
    /// A speed, power, price, probability or weight that is none.
    #[error("{place} is {value}: write a finite number, {range}")]
    NotANumber { place: String, value: String, range: &'static str },
    /// The answer is wanted where no path leads.
    #[error("no path leads from `{from}` to `{to}` and back: links in both directions are needed")]
    Unreachable { from: String, to: String },
    /// More paths than can be searched in bearable time.
    #[error(
        "more than {max} paths lead from `{from}` through the topology: leave out links or tiers that are no choice"
    )]
    TooManyPaths { from: String, max: usize },

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

    /// An exit whose output is no output of the graph, or that no layer writes.
    #[error("exit {exit} ends with `{tensor}`, which has to be an output of the graph that a layer writes")]
    NoExit { exit: usize, tensor: String },
    /// Two exits with outputs of one layer.
    #[error("layer `{layer}` decides two exits: give each a layer of its own")]
    ExitTwice { layer: String },
    /// A placement uses an exit that is not there, or one twice.
    #[error("the placement uses exit {exit}: name each of the graph's {exits} exits at most once, counting from 0")]
    NoSuchExit { exit: usize, exits: usize },
    /// More exits than can be tried together.
    #[error("the graph has {exits} exits: at most {max} can be planned with")]
    TooManyExits { exits: usize, max: usize },

    /// A limit that no plan keeps to.
    #[error("no plan keeps to {limit}: none takes less than {least}")]
    LimitMissed { limit: String, least: String },
    /// Limits that are kept one by one, but by no plan together.
    #[error("no plan was found that keeps to all limits together; the nearest one misses {misses}")]
    LimitsMissed { misses: String },
    /// Nothing was found, and nothing was proven either: some plan may cut the layers in another order, or more
    /// tensors.
    #[error(
        "no plan was found that fits, though there may be one: of those that cut the layers in their order where at \
         most {live_max} tensors cross there is none; {reason}"
    )]
    NoneFound { live_max: usize, reason: String },
    /// Layers are pinned so that data would have to flow down, or to tiers that no path reaches.
    #[error("no placement keeps to the pins: `{layer}` may run on no tier that its inputs can reach")]
    Pinned { layer: String },
    /// A part that cannot be cut any further fits on no tier.
    #[error("the model fits on no tier: {0}, and no tier has more")]
    NoTierFits(Shortage),
    /// Each part fits somewhere, but in the order of the path the tiers cannot hold them all.
    #[error("the tiers are too small together: when each takes as many layers as fit, {0}")]
    TiersTooSmall(Shortage),
    /// The first tier cannot run the whole model, and nothing can leave it.
    #[error(
        "{shortage}, and the model cannot be cut: nowhere in the order of its layers do at most {live_max} tensors cross, \
         each of which offers one of the codecs {}",
        listed(codecs)
    )]
    NoCut { shortage: Shortage, live_max: usize, codecs: Vec<String> },

    /// A cut that was named, at a tensor that cannot be sent.
    #[error(
        "a tensor that would cross offers none of the codecs {}, or may not leave: allow another or cut elsewhere",
        listed(codecs)
    )]
    NoCodec { codecs: Vec<String> },
    /// A cut that was named, by what is not there.
    #[error(
        "no layer and no tensor of the model is called `{name}`: `thalweg plan --explain` lists where it can be cut"
    )]
    NoSuchName { name: String },
    /// A path that cannot be walked.
    #[error("the path goes from `{from}` to `{to}`, but there are no links in both directions between them")]
    NoWay { from: String, to: String },
    /// A path that begins elsewhere.
    #[error("the path begins at `{start}`, but the input is at `{input_at}`: begin there")]
    WrongStart { start: String, input_at: String },
    /// A path that is empty, or passes a tier twice.
    #[error("a path has a tier and passes none twice: this one has {tiers} and does not")]
    NoPath { tiers: usize },
    /// A placement says for each layer where it runs.
    #[error("the placement has places for {places} layers, but the graph has {layers}, and its path has {tiers} tiers")]
    PlaceCount { places: usize, layers: usize, tiers: usize },
    /// Data flows up only.
    #[error("`{layer}` runs on `{tier}`, but reads `{tensor}`, which is made above it")]
    FlowsDown { layer: String, tier: String, tensor: String },
    /// A layer that may not run there.
    #[error("`{layer}` may not run on `{tier}`: {reason}")]
    MayNotRun { layer: String, tier: String, reason: &'static str },
    /// One codec a tensor.
    #[error(
        "{tensors} tensors cross from `{sender}` to `{receiver}`, but {codecs} codecs were given: give one for each"
    )]
    CodecCount { sender: String, receiver: String, tensors: usize, codecs: usize },
    /// Cuts take one codec each, and there are no more of them than links.
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
    /// This part does not fit on the tier that it was given to.
    #[error("{0}")]
    DoesNotFit(Shortage),
}

/// A part and a tier that is too small for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortage {
    /// Names of the first and the last layer of the part.
    pub part: (String, String),
    /// Weights and activations of the part: see [`Graph::memory_of`](crate::Graph::memory_of).
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
