//! The rows of the laboratory.

mod clock;
mod crowd;
mod links;
mod load;
mod nodes;
mod offline;
mod speed;
mod trust;

use std::pin::Pin;

use crate::Settings;
use crate::report::Outcome;
use crate::site::Failed;

/// What a row does; it notes what it sees.
pub(crate) type Run = for<'a> fn(Settings, &'a mut Outcome) -> Pin<Box<dyn Future<Output = Result<(), Failed>> + 'a>>;

/// A fault, and what has to hold under it.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) fault: &'static str,
    pub(crate) run: Run,
}

/// All of them.
pub(crate) const ALL: &[Row] = &[
    Row {
        name: "kill",
        fault: "kill -9 of the helping node in mid-request, and restart",
        run: |s, o| Box::pin(nodes::kill(s, o)),
    },
    Row { name: "stop", fault: "SIGSTOP of the helping node", run: |s, o| Box::pin(nodes::stop(s, o)) },
    Row { name: "slow", fault: "slow node: a tenth of a core", run: |s, o| Box::pin(nodes::slow(s, o)) },
    Row { name: "exhausted", fault: "file descriptors exhausted", run: |s, o| Box::pin(nodes::exhausted(s, o)) },
    Row { name: "cut", fault: "link cut", run: |s, o| Box::pin(links::cut(s, o)) },
    Row {
        name: "offline",
        fault: "results for the cloud while it is away; device and cloud end in between",
        run: |s, o| Box::pin(offline::offline(s, o)),
    },
    Row { name: "flap", fault: "link flapping at 0.5 Hz", run: |s, o| Box::pin(links::flap(s, o)) },
    Row { name: "one-way", fault: "one-way partition", run: |s, o| Box::pin(links::one_way(s, o)) },
    Row {
        name: "bandwidth",
        fault: "bandwidth 100 → 1 → 0.1 Mbit/s and back",
        run: |s, o| Box::pin(links::bandwidth(s, o)),
    },
    Row { name: "noise", fault: "loss, reordering, duplication, corruption", run: |s, o| Box::pin(links::noise(s, o)) },
    Row { name: "switch", fault: "10 planned switches under load", run: |s, o| Box::pin(load::switch(s, o)) },
    Row {
        name: "replan",
        fault: "a node with a better link comes when plans are made without it",
        run: |s, o| Box::pin(load::replan(s, o)),
    },
    Row {
        name: "overload",
        fault: "overload to 10 times capacity, open loop",
        run: |s, o| Box::pin(load::overload(s, o)),
    },
    Row { name: "random", fault: "random faults", run: |s, o| Box::pin(load::random(s, o)) },
    Row {
        name: "strangers",
        fault: "stranger, wrong role, old key, replayed invitation",
        run: |s, o| Box::pin(trust::strangers(s, o)),
    },
    Row {
        name: "clock",
        fault: "the clock of the day jumps by 10 years and more",
        run: |s, o| Box::pin(clock::clock(s, o)),
    },
    Row { name: "crowd", fault: "many devices on one edge", run: |s, o| Box::pin(crowd::crowd(s, o)) },
    Row { name: "rate", fault: "no fault: requests a second of one node", run: |s, o| Box::pin(speed::rate(s, o)) },
    Row { name: "speed", fault: "no fault: start, transfer, memory", run: |s, o| Box::pin(speed::speed(s, o)) },
];
