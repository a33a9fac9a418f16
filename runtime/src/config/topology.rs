//! `topology.toml`: the places that a model can run on, the first of them where its input is born, and the links
//! between them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thalweg_devices::catalogue;
use thalweg_devices::device::DeviceProfile;
use thalweg_devices::link::{LinkProfile, Shape};
use thalweg_planner::Bytes;

use crate::emulate::Trace;

use super::read::{Document, Source, wrong_value};
use super::{ConfigError, Problem};

/// Tiers, at least one, and the links between them, over which each can be reached from the first.
#[derive(Debug, Clone, PartialEq)]
pub struct Topology {
    /// What people call it.
    pub name: String,
    /// The first is where requests are made; no name twice.
    pub tiers: Vec<Tier>,
    /// At most one for each pair of tiers, in the order of `from`, then of `to`.
    pub links: Vec<Link>,
}

/// A place that a model can run on.
#[derive(Debug, Clone, PartialEq)]
pub struct Tier {
    /// Its name: `device`, `edge`, `cloud`, …
    pub name: String,
    /// The machine, which is valid; `None` for the one that reads this.
    pub profile: Option<DeviceProfile>,
    /// Memory for the model; `None` for what this machine has.
    pub memory: Option<Bytes>,
    /// Whether this machine is slowed down to the speed of `profile`, which is given then.
    pub emulate: bool,
    /// Where its node listens; `None` for a free port of the loopback.
    pub listen: Option<SocketAddr>,
    /// Whether layers that need a GPU can run here.
    pub gpu: bool,
    /// What it draws while it computes, above what it draws when idle, in watts; finite, 0 or above.
    pub watts: f64,
    /// What an hour of its computing costs, in any one currency; finite, 0 or above.
    pub price_hour: f64,
}

/// What joins two tiers, in both directions.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// Index of the tier from which `up` leads.
    pub from: usize,
    /// Index of the tier to which `up` leads.
    pub to: usize,
    /// How it shapes packets, which is valid, with an absolute path to its trace; `None` for a loopback that is not
    /// shaped.
    pub profile: Option<LinkProfile>,
    /// What decides which packets are lost or late: the same seed, the same fate.
    pub seed: u64,
    /// Energy that both ends spend on a byte, in nanojoules; finite, 0 or above.
    pub nanojoules_byte: f64,
    /// What a gigabyte (10⁹ bytes) costs, in the currency of [`Tier::price_hour`]; finite, 0 or above.
    pub price_gb: f64,
}

impl Topology {
    /// Reads a topology file, or `topology.toml` in a folder.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let file = if path.is_dir() { path.join("topology.toml") } else { path.to_owned() };
        Self::from_source(&Source::open(&file)?)
    }

    pub(super) fn from_source(source: &Source) -> Result<Self, ConfigError> {
        let document = source.parse()?;
        let keys: TopologyKeys = document.read()?;
        let tiers = keys.tier.into_iter().enumerate().map(|(at, keys)| tier(&document, &format!("tier.{at}"), keys));
        let tiers: Vec<Tier> = tiers.collect::<Result<_, _>>()?;
        if tiers.is_empty() {
            return Err(document.error("", Problem::Empty { table: "tier" }));
        }
        let links = links(&document, &tiers, keys.link)?;
        check_reached(&document, &tiers, &links)?;
        Ok(Self { name: keys.name, tiers, links })
    }
}

/// The keys of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TopologyKeys {
    name: String,
    #[serde(default)]
    tier: Vec<TierKeys>,
    #[serde(default)]
    link: Vec<LinkKeys>,
}

/// The keys of `[[tier]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TierKeys {
    name: String,
    device: Option<String>,
    profile: Option<PathBuf>,
    memory: Option<Bytes>,
    emulate: Option<bool>,
    listen: Option<SocketAddr>,
    #[serde(default)]
    gpu: bool,
    #[serde(default)]
    watts: f64,
    #[serde(default)]
    price_hour: f64,
}

/// The keys of `[[link]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LinkKeys {
    from: String,
    to: String,
    link: Option<String>,
    up: Option<Shape>,
    down: Option<Shape>,
    seed: Option<u64>,
    #[serde(default)]
    nanojoules_byte: f64,
    #[serde(default)]
    price_gb: f64,
}

fn tier(document: &Document<'_>, table: &str, keys: TierKeys) -> Result<Tier, ConfigError> {
    if keys.name.is_empty() {
        return Err(document.out_of_range(&format!("{table}.name"), "write a name, such as \"device\""));
    }
    if keys.memory == Some(Bytes(0)) {
        return Err(document.out_of_range(&format!("{table}.memory"), "write a size above zero, such as \"512 MiB\""));
    }
    not_negative(document, table, [("watts", keys.watts), ("price_hour", keys.price_hour)])?;
    let profile = match (&keys.device, &keys.profile) {
        (None, None) => None,
        (Some(name), None) => Some(catalogued(
            document,
            &format!("{table}.device"),
            "device in the catalogue",
            catalogue::device(name),
            catalogue::device_names(),
        )?),
        (None, Some(path)) => Some(device_file(&document.resolve_file(&format!("{table}.profile"), path)?)?),
        (Some(_), Some(_)) => {
            let (given, otherwise) = (vec!["device", "profile"], Some("this machine"));
            return Err(document.error(table, Problem::OneOf { given, keys: &["device", "profile"], otherwise }));
        }
    };
    if profile.is_none() && keys.emulate == Some(true) {
        let problem = Problem::Needs { key: "emulate".into(), owner: "`device` or `profile`" };
        return Err(document.error(&format!("{table}.emulate"), problem));
    }
    let emulate = keys.emulate.unwrap_or(profile.is_some());
    let memory = keys.memory.or(profile.as_ref().map(|profile| profile.memory));
    let TierKeys { name, listen, gpu, watts, price_hour, .. } = keys;
    Ok(Tier { name, profile, memory, emulate, listen, gpu, watts, price_hour })
}

/// Refuses figures that no power, energy or price can be.
fn not_negative(document: &Document<'_>, table: &str, figures: [(&str, f64); 2]) -> Result<(), ConfigError> {
    match figures.into_iter().find(|(_, value)| !(value.is_finite() && *value >= 0.0)) {
        Some((key, _)) => Err(document.out_of_range(&format!("{table}.{key}"), "write a number, 0 or above")),
        None => Ok(()),
    }
}

/// A profile of the catalogue.
fn catalogued<Profile>(
    document: &Document<'_>,
    address: &str,
    kind: &'static str,
    found: Result<Profile, catalogue::CatalogueError>,
    known: impl Iterator<Item = &'static str>,
) -> Result<Profile, ConfigError> {
    found.map_err(|error| match error {
        catalogue::CatalogueError::Unknown { .. } => {
            document.unknown_name(address, kind, known.map(str::to_owned).collect())
        }
        damaged => document.error(address, wrong_value(kind.into(), &damaged.to_string())),
    })
}

/// A profile in a file of its own, as `thalweg profile` writes it. Errors name that file.
pub fn device_file(path: &Path) -> Result<DeviceProfile, ConfigError> {
    let source = Source::open(path)?;
    let document = source.parse()?;
    let profile: DeviceProfile = document.read()?;
    profile.validate().map_err(|figure| document.out_of_range(&figure.key, figure.advice))?;
    Ok(profile)
}

/// The links in the order of the tiers that they join; they may stand in any order in the file.
fn links(document: &Document<'_>, tiers: &[Tier], links: Vec<LinkKeys>) -> Result<Vec<Link>, ConfigError> {
    let mut places = BTreeMap::new();
    for (at, tier) in tiers.iter().enumerate() {
        if let Some(first) = places.insert(tier.name.as_str(), at) {
            let first = document.line(&format!("tier.{first}.name"));
            let address = format!("tier.{at}.name");
            let value = document.written(&address);
            return Err(document.error(&address, Problem::Twice { kind: "tier", value, first }));
        }
    }
    let mut joined = BTreeMap::new();
    let mut read = Vec::new();
    for (at, keys) in links.into_iter().enumerate() {
        let table = format!("link.{at}");
        let place = |key: &str, name: &str| {
            let names = || tiers.iter().map(|tier| tier.name.clone()).collect();
            let place = places.get(name).copied();
            place.ok_or_else(|| document.unknown_name(&format!("{table}.{key}"), "tier", names()))
        };
        let (from, to) = (place("from", &keys.from)?, place("to", &keys.to)?);
        if from == to {
            return Err(document.out_of_range(&format!("{table}.to"), "name another tier than in `from`"));
        }
        if let Some(earlier) = joined.insert((from.min(to), from.max(to)), at) {
            let first = document.line(&format!("link.{earlier}.from"));
            let value = format!("between \"{}\" and \"{}\"", keys.from, keys.to);
            return Err(document.error(&format!("{table}.from"), Problem::Twice { kind: "link", value, first }));
        }
        not_negative(document, &table, [("nanojoules_byte", keys.nanojoules_byte), ("price_gb", keys.price_gb)])?;
        read.push((from, to, table, keys));
    }
    read.sort_by_key(|(from, to, ..)| (*from, *to));
    let link = |(index, (from, to, table, keys)): (usize, (usize, usize, String, LinkKeys))| {
        let LinkKeys { seed, nanojoules_byte, price_gb, .. } = keys;
        let profile = link_profile(document, &table, keys)?;
        Ok(Link { from, to, profile, seed: seed.unwrap_or(index as u64 + 1), nanojoules_byte, price_gb })
    };
    read.into_iter().enumerate().map(link).collect()
}

/// Each tier can be reached from the first one.
fn check_reached(document: &Document<'_>, tiers: &[Tier], links: &[Link]) -> Result<(), ConfigError> {
    let mut reached = BTreeSet::from([0]);
    // Each round goes one link further, and no way has more links than there are tiers.
    for _ in tiers {
        let ends = links.iter().map(|link| [link.from, link.to]);
        let next = ends.filter(|ends| ends.iter().any(|end| reached.contains(end))).flatten();
        reached = reached.iter().copied().chain(next).collect();
    }
    let name = |tier: usize| tiers[tier].name.clone();
    match (0..tiers.len()).find(|tier| !reached.contains(tier)) {
        Some(tier) => {
            let reached = reached.into_iter().map(name).collect();
            let problem = Problem::Unreachable { first: name(0), tier: name(tier), reached };
            Err(document.error(&format!("tier.{tier}.name"), problem))
        }
        None => Ok(()),
    }
}

/// How a link shapes packets; none for a loopback.
fn link_profile(document: &Document<'_>, table: &str, keys: LinkKeys) -> Result<Option<LinkProfile>, ConfigError> {
    let missing = |key: &str| document.error(table, Problem::MissingKey { key: key.into() });
    match (keys.link, keys.up, keys.down) {
        (None, None, None) => Ok(None),
        (Some(name), None, None) => {
            let (address, kind) = (format!("{table}.link"), "link in the catalogue");
            catalogued(document, &address, kind, catalogue::link(&name), catalogue::link_names()).map(Some)
        }
        (None, Some(up), Some(down)) => {
            let title = "a link of its own".to_owned();
            let profile = LinkProfile { title, up, down, source: Vec::new() };
            let invalid = |figure: thalweg_devices::InvalidFigure| {
                document.out_of_range(&format!("{table}.{}", figure.key), figure.advice)
            };
            profile.validate().map_err(invalid)?;
            with_traces(document, table, profile).map(Some)
        }
        (None, Some(_), None) => Err(missing("down")),
        (None, None, Some(_)) => Err(missing("up")),
        (Some(_), up, down) => {
            let tables = [("up", up.is_some()), ("down", down.is_some())];
            let mut given = vec!["link"];
            given.extend(tables.iter().filter_map(|(key, is_given)| is_given.then_some(*key)));
            let otherwise = Some("a loopback that is not shaped");
            Err(document.error(table, Problem::OneOf { given, keys: &["link", "up and down"], otherwise }))
        }
    }
}

/// The same profile with absolute paths to its traces, which can be read, and their mean as its rate.
fn with_traces(document: &Document<'_>, table: &str, mut profile: LinkProfile) -> Result<LinkProfile, ConfigError> {
    for (key, shape) in [("up", &mut profile.up), ("down", &mut profile.down)] {
        if let Some(trace) = &mut shape.trace {
            let address = format!("{table}.{key}.trace");
            *trace = document.resolve_file(&address, trace)?;
            let text = std::fs::read(&*trace).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            let read = text.map_err(|cause| cause.to_string());
            let read = read.and_then(|text| Trace::parse(&text).map_err(|error| error.to_string()));
            shape.rate = read.map_err(|reason| document.error(&address, wrong_value("trace".into(), &reason)))?.mean();
        }
    }
    Ok(profile)
}
