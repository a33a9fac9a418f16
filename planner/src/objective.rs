//! What a plan is to be best at, and what it may use.

use crate::{Graph, TensorId};

/// The name under which a tensor is offered as it is, whatever its type: no loss, and nothing to compute.
pub const UNCODED: &str = "f32";

/// Tensors that may cross a cut where nothing else is said: cuts of the usual vision networks have one to six, and what
/// has more is rarely worth its bytes.
pub const LIVE_MAX: usize = 8;

/// What the planner may choose from. It minimises the latency of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objective {
    /// Codecs that may be used, with their level, in order of preference where two cost the same.
    /// A name that no tensor offers is never used.
    pub codecs: Vec<String>,
    /// At most this many tensors cross a cut.
    pub live_max: usize,
    /// Whether the graph's inputs may not leave the first tier as they are. Features may still reveal much of them.
    pub inputs_stay: bool,
}

impl Objective {
    /// Whether these tensors may cross a link.
    pub(crate) fn allows(&self, graph: &Graph, live: &[TensorId]) -> bool {
        live.len() <= self.live_max && !(self.inputs_stay && live.iter().any(|tensor| graph.inputs.contains(tensor)))
    }
}

impl Default for Objective {
    /// The uncoded tensor, half precision, 8 bits a channel, and for photos what people send today: a JPEG of quality
    /// 90, which costs EfficientNet-Lite0 no accuracy. At most [`LIVE_MAX`] live tensors.
    fn default() -> Self {
        Self {
            codecs: [UNCODED, "f16", "int8", "jpeg/90"].map(str::to_owned).to_vec(),
            live_max: LIVE_MAX,
            inputs_stay: false,
        }
    }
}
