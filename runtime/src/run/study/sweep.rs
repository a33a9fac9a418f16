//! What is decided as one thing in the world goes through a range.

use std::time::Duration;

use serde::Serialize;
use thalweg_planner::{
    Bandwidth, Graph, Objective, Setting, Topology, baselines, parse_duration, plan, print_duration, times,
};

use super::{decision, ms};

/// Values that are tried, ends included, evenly spaced on a logarithmic scale.
const POINTS: usize = 121;

/// What is swept: `bandwidth=100kbit/s..1Gbit/s`, `rtt@edge-cloud=1ms..300ms`, `device=0.1..10`.
#[derive(Debug, Clone, PartialEq)]
pub struct Knob {
    name: Name,
    /// The tiers after `@`, if any.
    at: Option<String>,
    from: f64,
    to: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    /// In bits a second.
    Bandwidth,
    /// In nanoseconds, both ways together.
    Rtt,
    /// In multiples of the tier's speed.
    Device,
}

/// Why a sweep makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum KnobError {
    #[error(
        "\"{text}\" is no sweep: write bandwidth=100kbit/s..1Gbit/s, rtt=1ms..300ms or device=0.1..10; for other links \
         and tiers rtt@edge-cloud=… and device@edge=…"
    )]
    Syntax { text: String },
    #[error("the sweep has no range of values: {cause}")]
    Value { cause: String },
    #[error("the sweep goes from {from} to {to}: write the smaller value first, and both above zero")]
    Range { from: String, to: String },
    #[error("the sweep names {at}, which the topology does not have: {known}")]
    NoSuchPlace { at: String, known: String },
}

/// The decisions over a range.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SweepRow {
    /// In words: `the bandwidth between device and edge`.
    pub setting: String,
    /// What it is now, in the same unit as in `points`; for a round trip of zero, the millisecond that it is multiplied
    /// from.
    pub now: f64,
    /// `bit/s`, `ns` or `times the speed`.
    pub unit: &'static str,
    /// In ascending order.
    pub points: Vec<PointRow>,
    /// Stretches in which one decision is the best.
    pub regions: Vec<RegionRow>,
}

/// One value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PointRow {
    /// In the unit of the sweep.
    pub value: f64,
    /// As people read it: `5 Mbit/s`.
    pub text: String,
    /// Index of its region.
    pub region: usize,
    /// Predicted latency of the plan; none where there is no plan.
    pub predicted_ms: Option<f64>,
    /// Bytes on all links, with headers.
    pub bytes: Option<u64>,
    /// Predicted latency of the whole model in one place, by the baseline's name; none where it cannot be.
    pub instead_ms: Vec<(String, Option<f64>)>,
}

/// A stretch with one decision.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RegionRow {
    /// The first and the last value that was tried in it, as people read them.
    pub from: String,
    /// See `from`.
    pub to: String,
    /// What is decided, or why nothing can be.
    pub decision: String,
}

impl std::str::FromStr for Knob {
    type Err = KnobError;

    fn from_str(text: &str) -> Result<Self, KnobError> {
        let syntax = || KnobError::Syntax { text: text.to_owned() };
        let (head, range) = text.split_once('=').ok_or_else(syntax)?;
        let (name, at) = head.split_once('@').map_or((head, None), |(name, at)| (name, Some(at.to_owned())));
        let name = match name {
            "bandwidth" => Name::Bandwidth,
            "rtt" => Name::Rtt,
            "device" => Name::Device,
            _ => return Err(syntax()),
        };
        let (low, high) = range.split_once("..").ok_or_else(syntax)?;
        let value = |text: &str| {
            let no_value = |cause: String| KnobError::Value { cause };
            match name {
                Name::Bandwidth => text.parse::<Bandwidth>().map(|it| it.0 as f64).map_err(|e| no_value(e.to_string())),
                Name::Rtt => parse_duration(text).map(|it| it.as_nanos() as f64).map_err(|e| no_value(e.to_string())),
                Name::Device => {
                    text.parse::<f64>().map_err(|_| no_value(format!("\"{text}\" is no number: write one such as 0.5")))
                }
            }
        };
        let (from, to) = (value(low)?, value(high)?);
        if !(from > 0.0 && to > from && to.is_finite()) {
            return Err(KnobError::Range { from: low.to_owned(), to: high.to_owned() });
        }
        Ok(Self { name, at, from, to })
    }
}

impl Knob {
    /// What it turns in this topology; without a place, what is nearest to the input.
    fn setting(&self, topology: &Topology, input_at: usize) -> Result<Setting, KnobError> {
        let tier = |name: &str| topology.tiers.iter().position(|tier| tier.name == name);
        let names: Vec<&str> = topology.tiers.iter().map(|tier| tier.name.as_str()).collect();
        let lacks =
            |known: String| KnobError::NoSuchPlace { at: self.at.clone().unwrap_or("a link".to_owned()), known };
        if self.name == Name::Device {
            let at = self.at.as_deref().map_or(Some(input_at), tier);
            let known = || lacks(format!("its tiers are {}", names.join(", ")));
            return Ok(Setting::Speed { tier: at.ok_or_else(known)? });
        }
        let pair = match &self.at {
            // Names may have dashes of their own.
            Some(at) => at.match_indices('-').find_map(|(dash, _)| Some((tier(&at[..dash])?, tier(&at[dash + 1..])?))),
            None => topology.links.iter().find(|link| link.from == input_at).map(|link| (link.from, link.to)),
        };
        let linked = |(one, other): &(usize, usize)| topology.direction(*one, *other).is_some();
        let links = || topology.links.iter().filter(|link| link.from < link.to);
        let known = || {
            let links: Vec<String> = links().map(|link| format!("{}-{}", names[link.from], names[link.to])).collect();
            lacks(format!("its links are {}", links.join(", ")))
        };
        let (one, other) = pair.filter(linked).ok_or_else(known)?;
        Ok(if self.name == Name::Rtt { Setting::Delay { one, other } } else { Setting::Bandwidth { one, other } })
    }

    fn unit(&self) -> &'static str {
        match self.name {
            Name::Bandwidth => "bit/s",
            Name::Rtt => "ns",
            Name::Device => "times the speed",
        }
    }

    fn print(&self, value: f64) -> String {
        match self.name {
            Name::Bandwidth => Bandwidth(value.round() as u64).to_string(),
            Name::Rtt => print_duration(Duration::from_nanos(value.round() as u64)),
            Name::Device => times(value),
        }
    }
}

/// What a setting is in this topology, in the unit of its knob; a delay of zero counts as one millisecond, so that it
/// can be multiplied.
fn value_now(setting: &Setting, topology: &mut Topology) -> f64 {
    match setting {
        Setting::Bandwidth { one, other } => topology.direction(*one, *other).map_or(1.0, |way| way.bandwidth.0 as f64),
        Setting::Delay { one, other } => {
            let mut delays: Vec<&mut Duration> =
                topology.between_mut(*one, *other).map(|direction| &mut direction.delay).collect();
            if delays.iter().all(|delay| delay.is_zero()) {
                delays.iter_mut().for_each(|delay| **delay = Duration::from_micros(500));
            }
            delays.iter().map(|delay| delay.as_nanos() as f64).sum()
        }
        Setting::Speed { .. } | Setting::Size { .. } => 1.0,
    }
}

/// Plans at every value; `progress` hears how many are done, of how many.
pub fn sweep(
    graph: &Graph,
    topology: &Topology,
    objective: &Objective,
    knob: &Knob,
    mut progress: impl FnMut(usize, usize),
) -> Result<SweepRow, KnobError> {
    let mut topology = topology.clone();
    let setting = knob.setting(&topology, objective.input_at)?;
    let now = value_now(&setting, &mut topology);
    let mut row = SweepRow {
        setting: setting.name(&topology),
        now,
        unit: knob.unit(),
        points: Vec::with_capacity(POINTS),
        regions: Vec::new(),
    };
    let mut before = None;
    for index in 0..POINTS {
        progress(index, POINTS);
        let value = knob.from * (knob.to / knob.from).powf(index as f64 / (POINTS - 1) as f64);
        let (graph, topology) = setting.scaled(graph, &topology, value / now);
        let found = plan(&graph, &topology, objective);
        let text = knob.print(value);
        let same = match (&before, &found) {
            (Some(Ok(before)), Ok(found)) => found.decides_like(before),
            (Some(Err(_)), Err(_)) => true,
            _ => false,
        };
        if !same {
            let decision =
                found.as_ref().map_or_else(|error| format!("nothing: {error}"), |plan| decision(&topology, plan));
            row.regions.push(RegionRow { from: text.clone(), to: text.clone(), decision });
        }
        if let Some(region) = row.regions.last_mut() {
            region.to.clone_from(&text);
        }
        let places = baselines(&graph, &topology, objective).into_iter().filter(|baseline| baseline.single_place);
        row.points.push(PointRow {
            value,
            text,
            region: row.regions.len() - 1,
            predicted_ms: found.as_ref().ok().map(|plan| ms(plan.latency)),
            bytes: found.as_ref().ok().map(|plan| plan.totals.bytes.0),
            instead_ms: places.map(|place| (place.name, place.plan.ok().map(|plan| ms(plan.latency)))).collect(),
        });
        before = Some(found);
    }
    progress(POINTS, POINTS);
    Ok(row)
}

impl SweepRow {
    /// One line a value, with a header. Texts are quoted; a cell is empty where there is no plan.
    pub fn csv(&self) -> String {
        let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
        let number = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.6}"));
        let names = self.points.first().map_or(&[][..], |point| &point.instead_ms);
        let mut header = vec![quoted(&format!("{} [{}]", self.setting, self.unit))];
        header.extend(["region", "decision", "predicted_ms", "bytes"].map(str::to_owned));
        header.extend(names.iter().map(|(name, _)| quoted(&format!("{name} [ms]"))));
        let mut lines = vec![header.join(",")];
        for point in &self.points {
            let decision = &self.regions[point.region].decision;
            let bytes = point.bytes.map_or_else(String::new, |bytes| bytes.to_string());
            let mut cells = vec![format!("{:.6}", point.value), point.region.to_string(), quoted(decision)];
            cells.extend([number(point.predicted_ms), bytes]);
            cells.extend(point.instead_ms.iter().map(|(_, ms)| number(*ms)));
            lines.push(cells.join(","));
        }
        lines.join("\n") + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_is_read_with_its_units() {
        let knob: Knob = "bandwidth=100kbit/s..1Gbit/s".parse().expect("a sweep");
        assert_eq!((knob.from, knob.to, knob.at), (1e5, 1e9, None));
        let knob: Knob = "rtt@edge-cloud=1ms..300 ms".parse().expect("a sweep");
        assert_eq!((knob.from, knob.to, knob.at.as_deref()), (1e6, 3e8, Some("edge-cloud")));
        assert_eq!("device=0.1..10".parse::<Knob>().map(|knob| knob.to), Ok(10.0));
    }

    #[test]
    fn a_sweep_that_makes_no_sense_says_what_would() {
        for text in ["", "bandwidth", "bandwith=1Mbit/s..2Mbit/s", "rtt=1ms"] {
            assert!(matches!(text.parse::<Knob>(), Err(KnobError::Syntax { .. })), "{text}");
        }
        for text in ["rtt=2ms..1ms", "device=0..1", "device=1..inf"] {
            assert!(matches!(text.parse::<Knob>(), Err(KnobError::Range { .. })), "{text}");
        }
        assert!(matches!("bandwidth=5..6".parse::<Knob>(), Err(KnobError::Value { .. })));
    }
}
