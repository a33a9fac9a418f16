//! `topology.toml`: the places that a model can run on, from where its input is born upwards, and the links between them.

use std::collections::BTreeMap;
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

/// Tiers along a path, at least one; `links[i]` joins `tiers[i]` and `tiers[i + 1]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Topology {
    /// What people call it.
    pub name: String,
    /// From the device upwards, no name twice.
    pub tiers: Vec<Tier>,
    /// One fewer than tiers.
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
}

/// What joins two neighbouring tiers.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// How it shapes packets, which is valid, with an absolute path to its trace; `None` for a loopback that is not shaped.
    pub profile: Option<LinkProfile>,
    /// What decides which packets are lost or late: the same seed, the same fate.
    pub seed: u64,
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
        let links = path_links(&document, &tiers, keys.link)?;
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
}

fn tier(document: &Document<'_>, table: &str, keys: TierKeys) -> Result<Tier, ConfigError> {
    if keys.name.is_empty() {
        return Err(document.out_of_range(&format!("{table}.name"), "write a name, such as \"device\""));
    }
    if keys.memory == Some(Bytes(0)) {
        return Err(document.out_of_range(&format!("{table}.memory"), "write a size above zero, such as \"512 MiB\""));
    }
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
    Ok(Tier { name: keys.name, profile, memory, emulate, listen: keys.listen })
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

/// One link for each step up the path, in the order of the path; they may stand in any order in the file.
fn path_links(document: &Document<'_>, tiers: &[Tier], links: Vec<LinkKeys>) -> Result<Vec<Link>, ConfigError> {
    let mut places = BTreeMap::new();
    for (at, tier) in tiers.iter().enumerate() {
        if let Some(first) = places.insert(tier.name.as_str(), at) {
            let first = document.line(&format!("tier.{first}.name"));
            let address = format!("tier.{at}.name");
            let value = document.written(&address);
            return Err(document.error(&address, Problem::Twice { kind: "tier", value, first }));
        }
    }
    let names = || tiers.iter().map(|tier| tier.name.clone()).collect();
    let mut steps: Vec<Option<(usize, Link)>> = vec![None; tiers.len() - 1];
    for (at, keys) in links.into_iter().enumerate() {
        let table = format!("link.{at}");
        let place = |key: &str, name: &str| {
            let place = places.get(name).copied();
            place.ok_or_else(|| document.unknown_name(&format!("{table}.{key}"), "tier", names()))
        };
        let (from, to) = (place("from", &keys.from)?, place("to", &keys.to)?);
        if to != from + 1 {
            let problem = Problem::NotAStep { from: keys.from, to: keys.to, path: names() };
            return Err(document.error(&format!("{table}.to"), problem));
        }
        if let Some((earlier, _)) = &steps[from] {
            let first = document.line(&format!("link.{earlier}.from"));
            let value = format!("from \"{}\" to \"{}\"", keys.from, keys.to);
            return Err(document.error(&format!("{table}.from"), Problem::Twice { kind: "link", value, first }));
        }
        steps[from] = Some((at, link(document, &table, keys, from)?));
    }
    let joined = steps.into_iter().enumerate().map(|(from, step)| {
        let missing = || {
            let problem = Problem::MissingLink { from: tiers[from].name.clone(), to: tiers[from + 1].name.clone() };
            document.error(&format!("tier.{}.name", from + 1), problem)
        };
        step.map(|(_, link)| link).ok_or_else(missing)
    });
    joined.collect()
}

fn link(document: &Document<'_>, table: &str, keys: LinkKeys, from: usize) -> Result<Link, ConfigError> {
    let missing = |key: &str| document.error(table, Problem::MissingKey { key: key.into() });
    let profile = match (keys.link, keys.up, keys.down) {
        (None, None, None) => None,
        (Some(name), None, None) => Some(catalogued(
            document,
            &format!("{table}.link"),
            "link in the catalogue",
            catalogue::link(&name),
            catalogue::link_names(),
        )?),
        (None, Some(up), Some(down)) => {
            let title = "a link of its own".to_owned();
            let profile = LinkProfile { title, up, down, source: Vec::new() };
            let invalid = |figure: thalweg_devices::InvalidFigure| {
                document.out_of_range(&format!("{table}.{}", figure.key), figure.advice)
            };
            profile.validate().map_err(invalid)?;
            Some(with_traces(document, table, profile)?)
        }
        (None, Some(_), None) => return Err(missing("down")),
        (None, None, Some(_)) => return Err(missing("up")),
        (Some(_), up, down) => {
            let tables = [("up", up.is_some()), ("down", down.is_some())];
            let mut given = vec!["link"];
            given.extend(tables.iter().filter_map(|(key, is_given)| is_given.then_some(*key)));
            let otherwise = Some("a loopback that is not shaped");
            return Err(document.error(table, Problem::OneOf { given, keys: &["link", "up and down"], otherwise }));
        }
    };
    Ok(Link { profile, seed: keys.seed.unwrap_or(from as u64 + 1) })
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
