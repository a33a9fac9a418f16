//! One hop's share of a plan: what it takes, what it runs, what it sends on and what it answers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use thalweg_codec::Codec;
use thalweg_flow::{Coarse, Contract, Course, Payload, Slot, Span, SpanKind, Text};
use thalweg_planner::Tensor;

use crate::clock::Clock;
use crate::link::Peer;
use crate::stage::{Compute, Emulation, slowed};

/// A hop's share of a plan.
#[derive(Clone)]
pub struct Share {
    /// What it has agreed to take, and to get back from above.
    pub contract: Contract,
    /// How each tensor that it takes is coded, with what decoding needs beside the name in the contract.
    pub takes: Vec<Codec>,
    /// What it runs; nothing where it passes on what it takes.
    pub stage: Option<Arc<dyn Compute>>,
    /// The outputs of the model that it makes. They are answered before those of the hops above.
    pub answers: Vec<Pick>,
    /// Where the rest of the model runs; none on the last hop.
    pub onward: Option<Onward>,
    /// How long its work shall take at least.
    pub emulation: Emulation,
}

/// The way up.
#[derive(Debug, Clone)]
pub struct Onward {
    /// The next hop.
    pub peer: Peer,
    /// The tensors that cross, in the order in which they are sent, and how each is coded.
    pub crossing: Vec<(Pick, Codec)>,
}

/// A tensor that a hop has in its hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pick {
    /// One that it took, by index in its contract.
    Taken(usize),
    /// One that its stage made, by index of the stage's outputs.
    Made(usize),
}

impl fmt::Debug for Share {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = self.stage.as_ref().map(|_| "a stage");
        out.debug_struct("Share")
            .field("contract", &self.contract)
            .field("stage", &stage)
            .field("answers", &self.answers)
            .field("onward", &self.onward)
            .field("emulation", &self.emulation)
            .finish()
    }
}

/// Tensors that a share starts from.
pub(crate) enum Source {
    /// As the caller gave them.
    Given(Vec<Tensor>),
    /// As they came over a link.
    Coded(Payload),
}

/// What came of running a share.
pub(crate) struct Made {
    /// Outputs of the model.
    pub(crate) answers: Vec<Tensor>,
    /// What crosses to the next hop; empty on the last.
    pub(crate) onward: Payload,
    /// When all of it was ready.
    pub(crate) ready: Duration,
    /// Where the time went.
    pub(crate) spans: Vec<Span>,
    /// What was decoded from its beginning.
    pub(crate) coarse: Vec<Coarse>,
}

impl Share {
    /// What happens to requests from the hop below. Without a stage bytes are passed on where each tensor goes on in the
    /// codec that it came in.
    pub(crate) fn course(&self) -> Course {
        match (&self.onward, &self.stage) {
            (None, _) => Course::Answer,
            (Some(onward), None) if onward.passes_on(&self.contract) => Course::Relay,
            (Some(_), _) => Course::Forward,
        }
    }

    /// Decodes, runs and encodes, one after the other on the thread that calls; `asked` is when it could have begun.
    pub(crate) fn run(&self, source: Source, clock: Clock, asked: Duration) -> Result<Made, Text> {
        let hop = self.contract.hop;
        let mut spans = Vec::with_capacity(SpanKind::ALL.len());
        spans.push(Span::between(hop, SpanKind::Wait, asked, clock.now()));
        let mut timed = |kind, (start, length)| spans.push(Span { hop, kind, start, length, bytes: 0 });

        let (taken, coarse) = match source {
            Source::Given(tensors) => (tensors, Vec::new()),
            Source::Coded(payload) => {
                let (taken, start, length) = slowed(clock, self.emulation.decode, || self.decode(&payload));
                timed(SpanKind::Decode, (start, length));
                taken?
            }
        };
        let made = match &self.stage {
            Some(stage) => {
                let (made, start, length) = slowed(clock, self.emulation.compute, || stage.run(&taken));
                timed(SpanKind::Compute, (start, length));
                made.map_err(|error| Text::from(error.to_string().as_str()))?
            }
            None => Vec::new(),
        };
        let hands = Hands { taken: &taken, made: &made };
        let mut onward = Payload::default();
        if let Some(way) = &self.onward {
            let (coded, start, length) = slowed(clock, self.emulation.encode, || way.encode(&hands));
            timed(SpanKind::Encode, (start, length));
            onward = coded?;
        }
        let answers = self.answers.iter().map(|pick| hands.find(*pick).cloned()).collect::<Result<_, _>>()?;
        Ok(Made { answers, onward, ready: clock.now(), spans, coarse })
    }

    /// The tensors, and which of them are coarse because the payload was cut.
    fn decode(&self, payload: &Payload) -> Result<(Vec<Tensor>, Vec<Coarse>), Text> {
        let mut coarse = Vec::new();
        let decode = |(index, ((slot, codec), bytes)): (usize, ((&Slot, &Codec), &[u8]))| {
            if !payload.is_cut() {
                return codec.decode(&slot.spec, bytes).map_err(text);
            }
            let (tensor, share) = codec.decode_prefix(&slot.spec, bytes).map_err(text)?;
            if share < 1.0 {
                let share_ppm = (share * 1e6) as u32;
                coarse.push(Coarse { hop: self.contract.hop, tensor: index as u16, share_ppm });
            }
            Ok(tensor)
        };
        let slots = self.contract.takes.iter().zip(&self.takes).zip(payload.tensors());
        let tensors = slots.enumerate().map(decode).collect::<Result<_, _>>()?;
        Ok((tensors, coarse))
    }
}

impl Onward {
    /// Whether all that the contract takes goes on, in the same order and in the same codecs.
    fn passes_on(&self, contract: &Contract) -> bool {
        let goes_on = |(taken, (slot, (pick, codec))): (usize, (&Slot, &(Pick, Codec)))| {
            *pick == Pick::Taken(taken) && codec.to_string() == slot.codec
        };
        self.crossing.len() == contract.takes.len()
            && contract.takes.iter().zip(&self.crossing).enumerate().all(goes_on)
    }

    fn encode(&self, hands: &Hands<'_>) -> Result<Payload, Text> {
        let mut payload = Payload::default();
        for (pick, codec) in &self.crossing {
            let tensor = hands.find(*pick)?;
            payload.append(|out| codec.encode(tensor, out)).map_err(text)?;
        }
        Ok(payload)
    }
}

/// All tensors that a hop has.
struct Hands<'a> {
    taken: &'a [Tensor],
    made: &'a [Tensor],
}

impl<'a> Hands<'a> {
    fn find(&self, pick: Pick) -> Result<&'a Tensor, Text> {
        let found = match pick {
            Pick::Taken(index) => self.taken.get(index),
            Pick::Made(index) => self.made.get(index),
        };
        found.ok_or_else(|| format!("there is no tensor {pick:?}: the plan and its stage differ").into())
    }
}

fn text(error: impl fmt::Display) -> Text {
    error.to_string().into()
}
