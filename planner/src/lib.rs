//! Decides where a model is cut.
//!
//! Pure: this crate reads no clock, no file, no socket and no environment. A [`Graph`] says what a model costs, a
//! [`Topology`] what the places and links are capable of, an [`Objective`] what is wanted, and a [`Plan`] is the
//! answer. It also owns the vocabulary that all other crates share: quantities and tensors.
//!
//! # The cost model
//!
//! **Placement.** A plan walks along a *path* of tiers t₀, t₁, … , from the tier where the input is; neighbours are
//! joined by a link in each direction. Every layer gets a place on the path. Data flows up: a layer runs at the place
//! of the layers whose tensors it reads, or further on. A tensor that is made at place a and read at places up to b
//! crosses each link between them once, however many layers read it. Each tensor on each link has a codec of its own. A
//! tier with layers decodes what it gets and encodes what it sends. A tier without layers passes bytes on as they came,
//! unless the plan gives a tensor another codec from there on: then it decodes and encodes everything, as if it had
//! layers. The first tier always encodes. The answer goes from the tiers that make its outputs to the tier where it is
//! wanted, uncoded: back over the links below, or up.
//!
//! **Time of one request.** One request at a time, nothing overlapped. The latency is the sum of these times, each in
//! whole nanoseconds, so that sums and comparisons are exact.
//!
//! | symbol | meaning | unit | source |
//! |---|---|---|---|
//! | r(i) | time of layer i on the reference machine | ns | [`Layer::reference`], measured |
//! | s(t, class) | slowdown of tier t against the reference machine | 1 | [`Tier::slowdown`], measured or published |
//! | n(x, k) | size of tensor x in codec k | bytes | [`Coding::bytes`], measured |
//! | e(x, k), d(x, k) | time to encode, to decode it on the reference machine | ns | [`Coding`], measured |
//! | a(x, k) | accuracy that is lost | 10⁻⁶ | [`Coding::loss`], measured |
//! | h | header of a message | bytes | 128: names, plan, deadline and specs in one frame |
//! | p, o | stream bytes in a datagram; what each datagram adds | bytes | 1,416 and 64: RFC 9000, 9001, 768, 791 |
//! | B, D | bandwidth and delay of one direction of a link | bit/s, ns | [`Direction`], measured or given |
//! | u(x) | size of an output, which goes uncoded | bytes | its type and shape |
//! | w(t), q | power of a tier above idle; energy of a byte on a link | W, nJ/byte | [`Tier::watts`], [`Direction::nanojoules_byte`] |
//! | c(t), g | price of a tier's time; of a byte on a link | currency/h, currency/GB | [`Tier::price_hour`], [`Direction::price_gb`] |
//! | π(j) | share of the requests at exit j that end there | 1 | [`Exit::probability`], measured |
//! | l(j) | accuracy that exit j loses when it is in use | 10⁻⁶ | [`Exit::loss`], measured |
//!
//! - *Compute* of layer i on tier t: s(t, class of i) · r(i).
//! - *Encode* and *decode* of tensor x: s(t, memory bound) · e(x, k) on the sender and s(u, memory bound) · d(x, k) on
//!   the receiver. Codecs read and write more than they compute.
//! - *Wire* of a message with payload n: D + 8 · 10⁹ · (h + o + n · (p + o) / p) / B. The connection is up and its
//!   congestion window open; acknowledgements travel the other way and are not counted. Each payload pays its share of
//!   the datagrams' headers rather than whole datagrams, so that tensors add up; that is too much by less than one
//!   datagram's headers.
//! - *Answer* on a link below which it is wanted: a message with payload Σ u(x), even when it carries no outputs. Above
//!   which it is wanted the outputs go up with the tensors, and there is always a message.
//!
//! **What else a request takes.** *Interval*: the longest time that a request keeps one stage busy, where stages are
//! tiers (decode, compute, encode) and directions of links (wire without delay); requests that follow each other
//! through all stages leave at that interval. *Energy*: w(t) for a tier's busy time, and q for each byte on a link.
//! *Bytes*: all bytes on all links, both ways, with headers. *Price*: c(t) for a tier's busy time, and g for each byte.
//! *Loss*: the sum of a(x, k) over the crossings where a tensor is coded anew, and of l(j) over the exits in use: the
//! first-order sum of losses that were measured one by one.
//!
//! **Exits.** A request that reaches exit j ends there with probability π(j). The layer that makes the exit's output
//! decides; it decides one exit only. Layers behind it in the graph's order wait for it: they run with probability Π (1
//! − π) over the exits in use before them, and none of those that read what lies ready runs below it. What they cause
//! counts by that share; a message over a link by the largest share among the layers above it; and a tensor that lies
//! ready while an exit above decides by the share of that exit's layer, because it has come along. Then all times are
//! means. A graph has at most 6 exits, and all sets of them are tried.
//!
//! **Memory.** Weights and uncoded activations of a tier's layers ([`Graph::memory_of`]) times 1.2 must fit into its
//! memory: a headroom of 20 % for the engine's own buffers, coded copies of tensors, and the rest of the system.
//!
//! # How it is solved
//!
//! For a goal that adds up (latency, energy, bytes, price, and weighted sums of them) the best placement along one path
//! is a minimum cut, and exact; each set of exits and each path is a cut of its own. Limits, memory and the slowest
//! stage do not add up. If the minimum cut keeps to them it is the answer. If not, all cuts of the layers' order where
//! few tensors cross are searched with everything that is limited, and the bound of a Lagrangian relaxation says how
//! far the best plan of all could be below: [`Plan::gap`]. The minimum cuts of that relaxation give other orders to
//! search.
//!
//! A path has at most 8 tiers with layers, and at most 20,000 paths are searched. Of the ways to get to one state of
//! the limited search so many are kept at most that its work stays bounded; what that costs is in the gap.
//!
//! # A fleet
//!
//! Many sources of requests share edges, clouds and links: [`Fleet::place`]. Source i sends λ(i) requests a second and
//! gets one of its choices c, each of which is a plan ([`choices`]) or anything else that has times.
//!
//! | symbol | meaning | unit | source |
//! |---|---|---|---|
//! | λ(i) | rate of source i | 1/s | [`Source::rate`], given |
//! | τ(c) | latency of a request that never waits | s | [`Choice::time`], planned |
//! | b(c, j) | how long a request keeps server j busy | s | [`Choice::uses`] and [`Choice::own`], planned |
//! | ρ(j) | load of server j, Σ λ(i) · b(c(i), j): at most 0.999 | 1 | [`Placing::loads`] |
//!
//! A server is a tier or one direction of a link. Requests arrive at random and independent times (Poisson), and a
//! server shares itself evenly among the requests that it has, as an operating system shares a processor and congestion
//! control a link. Then a request that would keep it busy for b stays for b / (1 − ρ) in the mean, whatever the
//! distribution of busy times (Sakata, Noguchi and Oizumi, Operations Research 19(2), 1971; Kleinrock, Queueing
//! Systems, volume 2, 1976, chapter 4), and this holds for each server of a network of them (Baskett, Chandy, Muntz and
//! Palacios, JACM 22(2), 1975). So
//!
//! - the *mean latency of source i* is τ(c) + Σ b(c, j) · ρ(j) / (1 − ρ(j)) over all servers j that it uses. On what
//!   only this source uses, ρ is its own load.
//! - the *mean latency* over all requests is (Σ λ(i) · τ(c(i)) + Σ ρ(j)² / (1 − ρ(j))) / Σ λ(i), with the second sum
//!   over all servers j. A server that takes one request after the other has the same second sum if its busy times are
//!   exponential, and half of it if they are all the same (Pollaczek and Khinchine: Kleinrock, volume 1, 1975, chapter
//!   5).
//!
//! Loads are sums and ρ² / (1 − ρ) is convex. So when sources may be divided among choices, the least mean latency is a
//! convex program with one simplex for each source: its dual is [`Placing::bound`]. That holds for the choices that the
//! fleet was given, not for plans that are not among them. The program's solution is rounded, and bettered by moving
//! one source or two.

mod quantity;
mod tensor;
mod graph;
mod topology;
mod objective;
mod plan;
mod error;
mod check;
mod cost;
mod memory;
mod reach;
mod evaluate;
mod times;
mod path;
mod tariff;
mod flow;
mod cut;
mod lattice;
mod bound;
mod order;
mod search;
mod shortage;
mod baseline;
mod setting;
mod explain;
mod manual;
mod saved;
mod calibrate;
mod fleet;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod naive;

pub use baseline::{Baseline, baselines};
pub use calibrate::{Observed, calibrate};
pub use error::{PlanError, Shortage};
pub use evaluate::{Placement, evaluate};
pub use explain::{Binding, Candidate, Constraint, Flip, bindings, candidates, flips};
pub use fleet::{Choice, Fleet, FleetError, Kind, LOAD_MAX, Placing, Shared, Source, Use, choices};
pub use graph::{Coding, Exit, Graph, Layer, OpClass, Pin, Separator, TensorCost, TensorId};
pub use manual::manual;
pub use memory::usable;
pub use objective::{Goal, LIVE_MAX, Limits, Measure, Miss, Mode, Objective, UNCODED};
pub use plan::{Crossing, Hop, Plan, Sent, Totals};
pub use quantity::{
    Bandwidth, ByteRate, Bytes, Energy, Loss, MacRate, Macs, Price, QuantityError, duration, parse_duration,
    print_duration,
};
pub use saved::{SavedPlan, SavedPlanError};
pub use search::{Planner, plan};
pub use setting::{Setting, times};
pub use tensor::{DType, Tensor, TensorSpec, WrongLength};
pub use topology::{Direction, Link, Slowdown, Tier, Topology};
