//! Emulation of links: real UDP packets under quinn, delayed, thinned out and held back as a link profile says.
//!
//! In process and without root. [`Shaper`] decides and reads no clock; [`ShapedSocket`] is the socket that obeys it,
//! at quinn's `AsyncUdpSocket` seam; [`Trace`] is a recorded link that a shaper replays. [`Relay`] puts such a
//! link between processes.

mod trace;
mod jitter;
mod shaper;
mod flight;
mod socket;
mod relay;

pub use relay::{Passed, Relay, Way};
pub use shaper::{Counters, DropReason, Shaper, Verdict};
pub(crate) use socket::buffers;
pub use socket::{ShapedSocket, bind};
pub use trace::{Trace, TraceError};
