//! What the pipeline says a plan has to be best at, and what it has to keep to.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use thalweg_codec::Codec;
use thalweg_planner::{Bytes, Energy, Goal, Limits, Loss, Measure, Mode, Price, duration};

use super::ConfigError;
use super::read::{Document, wrong_value};

/// What `goal` says.
pub(super) enum GoalKey {
    /// One thing alone.
    Least(Measure),
    /// A weighted sum.
    Sum(GoalKeys),
}

/// The keys of `goal` as a table: what one ms, mJ, kB or millionth of the currency counts.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
pub(super) struct GoalKeys {
    latency: f64,
    interval: f64,
    energy: f64,
    bytes: f64,
    price: f64,
}

/// The keys of `[limits]`.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LimitsKeys {
    deadline: Option<Time>,
    interval: Option<Time>,
    energy: Option<Energy>,
    bytes: Option<Bytes>,
    price: Option<Price>,
    loss: Option<Loss>,
}

/// What `mode` says.
#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ModeKey {
    MustMeet,
    BestEffort,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(transparent)]
pub(super) struct Time(#[serde(with = "duration")] pub(super) Duration);

/// Where layers may run, by their names.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pins {
    /// Layers that run where the input is.
    pub stay: Vec<String>,
    /// Layers that run on a tier with a GPU.
    pub gpu: Vec<String>,
}

/// The goal in the planner's units; the least latency where the file says nothing.
pub(super) fn goal(document: &Document<'_>, key: Option<GoalKey>) -> Result<Goal, ConfigError> {
    let keys = match key {
        None => return Ok(Goal::least(Measure::Latency)),
        Some(GoalKey::Least(measure)) => return Ok(Goal::least(measure)),
        Some(GoalKey::Sum(keys)) => keys,
    };
    // From what a person reads to base units: nanoseconds, nanojoules, bytes and billionths of the currency.
    let goal = Goal {
        latency: keys.latency / 1e6,
        interval: keys.interval / 1e6,
        energy: keys.energy / 1e6,
        bytes: keys.bytes / 1e3,
        price: keys.price / 1e3,
    };
    let weights = Measure::ALL.map(|measure| goal.weight(measure));
    let good = weights.iter().all(|weight| weight.is_finite() && *weight >= 0.0) && weights.iter().sum::<f64>() > 0.0;
    if good {
        Ok(goal)
    } else {
        Err(document.out_of_range("goal", "write numbers, 0 or above, and one of them above 0"))
    }
}

/// What codecs lose, by their names, which have to be those of codecs.
pub(super) fn losses(
    document: &Document<'_>,
    keys: BTreeMap<String, Loss>,
) -> Result<BTreeMap<String, Loss>, ConfigError> {
    for name in keys.keys() {
        let known: Result<Codec, _> = name.parse();
        known.map_err(|error| document.error("losses", wrong_value("losses".into(), &error.to_string())))?;
    }
    Ok(keys)
}

impl LimitsKeys {
    /// The limits in the planner's words.
    pub(super) fn limits(&self) -> Limits {
        Limits {
            deadline: self.deadline.map(|time| time.0),
            interval: self.interval.map(|time| time.0),
            energy: self.energy,
            bytes: self.bytes,
            price: self.price,
            loss: self.loss,
        }
    }
}

impl From<ModeKey> for Mode {
    fn from(key: ModeKey) -> Self {
        match key {
            ModeKey::MustMeet => Self::MustMeet,
            ModeKey::BestEffort => Self::BestEffort,
        }
    }
}

impl<'de> Deserialize<'de> for GoalKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrWeights)
    }
}

struct OneOrWeights;

/// What `goal` can be where it is a text.
const GOALS: [(&str, Measure); 5] = [
    ("latency", Measure::Latency),
    ("throughput", Measure::Interval),
    ("energy", Measure::Energy),
    ("bytes", Measure::Bytes),
    ("price", Measure::Price),
];

impl<'de> Visitor<'de> for OneOrWeights {
    type Value = GoalKey;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = GOALS.map(|(name, _)| format!("\"{name}\""));
        write!(out, "{}, or a table of weights", names.join(", "))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<GoalKey, E> {
        let known = GOALS.into_iter().find(|(name, _)| *name == text);
        known
            .map(|(_, measure)| GoalKey::Least(measure))
            .ok_or_else(|| Error::invalid_value(serde::de::Unexpected::Str(text), &self))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<GoalKey, A::Error> {
        GoalKeys::deserialize(MapAccessDeserializer::new(map)).map(GoalKey::Sum)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use expect_test::{Expect, expect};

    use super::*;
    use crate::config::tests::{PIPELINE, pipeline};

    fn read(keys: &str) -> Result<crate::config::Pipeline, ConfigError> {
        pipeline(&format!("{PIPELINE}{keys}\n[[input]]\nzeros = true"))
    }

    fn refused(keys: &str, expected: &Expect) {
        expected.assert_eq(&read(keys).unwrap_err().to_string());
    }

    #[test]
    fn the_least_latency_is_wanted_where_nothing_is_said() {
        let read = read("").unwrap();
        assert_eq!((read.goal, read.limits), (Goal::least(Measure::Latency), Limits::default()));
        assert_eq!(read.mode, Mode::MustMeet);
    }

    #[test]
    fn a_goal_is_one_measure_or_a_sum_per_unit_that_people_use() {
        assert_eq!(read("goal = \"throughput\"").unwrap().goal, Goal::least(Measure::Interval));
        let goal = read("goal = { latency = 1, energy = 0.5, bytes = 2, price = 3 }").unwrap().goal;
        let [ms, mj, kb, millionth] = [1e6, 1e6, 1e3, 1e3];
        let cost = goal.latency * ms + goal.energy * mj + goal.bytes * kb + goal.price * millionth;
        assert!((cost - 6.5).abs() < 1e-12, "{cost}");
    }

    #[test]
    fn limits_have_units() {
        let limits = "mode = \"best-effort\"\n[limits]\ndeadline = \"200ms\"\ninterval = \"0.1 s\"\nenergy = \"3 mJ\"\n\
                      bytes = \"40 kB\"\nprice = \"2.5 per million\"\nloss = \"0.5 %\"";
        let read = read(limits).unwrap();
        let wanted = Limits {
            deadline: Some(Duration::from_millis(200)),
            interval: Some(Duration::from_millis(100)),
            energy: Some(Energy(3_000_000)),
            bytes: Some(Bytes(40_000)),
            price: Some(Price(2500)),
            loss: Some(Loss(5000)),
        };
        assert_eq!((read.limits, read.mode), (wanted, Mode::BestEffort));
    }

    #[test]
    fn pins_name_layers() {
        let pins = read("[pins]\nstay = [\"a\", \"b\"]").unwrap().pins;
        assert_eq!((pins.stay, pins.gpu), (vec!["a".to_owned(), "b".to_owned()], Vec::new()));
        refused(
            "[pins]\nstays = [\"a\"]",
            &expect![[r#"
            pipeline.toml:5:1: `stays` is not a key here
              help: did you mean `stay`?"#]],
        );
    }

    #[test]
    fn losses_belong_to_codecs() {
        let losses = read("losses = { int8 = \"0.1 %\", \"jpeg/90\" = \"0 ppm\" }").unwrap().losses;
        let wanted = [("int8".to_owned(), Loss(1000)), ("jpeg/90".to_owned(), Loss(0))];
        assert_eq!(losses.into_iter().collect::<Vec<_>>(), wanted);
        refused(
            "losses = { int9 = \"0.1 %\" }",
            &expect![[r#"
                pipeline.toml:4:10: `losses`: "int9" is not a codec
                  help: write f32, f16, int8, lossless, jpeg/Q or webp/Q with a quality Q from 1 to 100, such as "jpeg/90", or features/L with a level L from 1 to 24"#]],
        );
    }

    #[test]
    fn each_mistake_has_its_line_and_its_advice() {
        refused(
            "goal = \"speed\"",
            &expect![[r#"
            pipeline.toml:4:8: `goal`: invalid value: string "speed"
              help: write "latency", "throughput", "energy", "bytes", "price", or a table of weights"#]],
        );
        refused(
            "goal = 3",
            &expect![[r#"
            pipeline.toml:4:8: `goal`: invalid type: integer `3`
              help: write "latency", "throughput", "energy", "bytes", "price", or a table of weights"#]],
        );
        refused(
            "goal = { latncy = 1 }",
            &expect![[r#"
            pipeline.toml:4:10: `latncy` is not a key here
              help: did you mean `latency`?"#]],
        );
        refused(
            "goal = { latency = 0 }",
            &expect![[r#"
            pipeline.toml:4:8: `goal` is { latency = 0 }
              help: write numbers, 0 or above, and one of them above 0"#]],
        );
        refused(
            "goal = { latency = 1, price = -1 }",
            &expect![[r#"
            pipeline.toml:4:8: `goal` is { latency = 1, price = -1 }
              help: write numbers, 0 or above, and one of them above 0"#]],
        );
        refused(
            "mode = \"maybe\"",
            &expect![[r#"
            pipeline.toml:4:8: `mode`: unknown variant `maybe`
              help: write `must-meet` or `best-effort`"#]],
        );
        refused(
            "[limits]\nenergy = \"3 kWh\"",
            &expect![[r#"
            pipeline.toml:5:10: `energy`: "3 kWh" is not a quantity of energy
              help: write a number, a space and one of J, mJ, uJ, nJ, µJ, such as "20 mJ""#]],
        );
        refused(
            "[limits]\ndeadlin = \"3 s\"",
            &expect![[r#"
            pipeline.toml:5:1: `deadlin` is not a key here
              help: did you mean `deadline`?"#]],
        );
    }
}
