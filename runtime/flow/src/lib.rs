//! What a node decides.
//!
//! Pure: this crate reads no clock, no socket, no file. Times are arguments, as durations since a start that the node
//! chose. The modules stand in the order in which a request meets them.

mod wire;
mod contract;
mod installed;
mod cost;
mod admission;
mod assemble;
mod request;
mod trace;
mod message;
mod estimate;
mod alternative;
mod hold;
mod backlog;
mod switch;
mod budget;
mod attempt;
mod gossip;

pub use admission::{Admission, Busy, ShareId, Ticket, Turn};
pub use alternative::{Alternative, CrossingCost, Estimates, HopCost};
pub use assemble::{Assembly, Payload};
pub use attempt::{
    AttemptAction, AttemptEvent, Attempts, KEPT_FREE, LATE_MAX, LATE_MIN, LOCAL_MARGIN_PERCENT, WAYS_MAX, too_busy,
};
pub use budget::{RETRIES_MAX, RETRIES_SECOND, RETRY_PERCENT, RetryBudget};
pub use contract::{Announced, Contract, Slot};
pub use estimate::{LinkEstimate, TierEstimate};
pub use gossip::{BODY_BYTES_MAX, BodyTooLong, DIGEST_MAX, Gossip, Health, Merged, Pace, Tick};
pub use hold::{HOLD_HALVES, HOLD_MAX, HOLD_MIN};
pub use installed::Installed;
pub use request::{Action, Course, Event, Request};
pub use switch::{
    BETTER_MIN, BETTER_PERCENT, Bar, DWELL, Explanation, FAILURES, Standing, Switch, Way, Why, is_better,
};
pub use trace::{Clocks, Coarse, Departure, Span, SpanKind, crossing_spans};
pub use wire::{
    Answer, Body, Call, Coded, Digest, FRAME_BYTES_MAX, Frame, GossipFrame, Hello, Known, NodeKey, NodeState, Open,
    PREFIX_BYTES, PlanId, Reason, Refusal, Reply, Text, VERSION, WireError, decode, encode, frame_length, micros,
};
