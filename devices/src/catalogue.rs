//! The catalogue: profiles of well-known devices and links by name, each figure with its public source.
//!
//! The files under `catalogue/` are part of the program, so a name works on a machine that has nothing else.

use serde::de::DeserializeOwned;

use crate::device::DeviceProfile;
use crate::figure::InvalidFigure;
use crate::link::LinkProfile;

/// A name and the text of its file.
type Entry = (&'static str, &'static str);

macro_rules! embed {
    ($folder:literal: $($name:literal)*) => {
        &[$(($name, include_str!(concat!("../catalogue/", $folder, "/", $name, ".toml")))),*]
    };
}

/// From the smallest machine to the largest, those that compute on a GPU last.
const DEVICES: &[Entry] = embed! { "devices":
    "raspberry-pi-zero-2-w" "raspberry-pi-3b-plus" "raspberry-pi-4" "raspberry-pi-5" "x86-gateway" "cloud-cpu"
    "jetson-nano" "jetson-orin-nano" "jetson-agx-orin" "cloud-gpu"
};

const LINKS: &[Entry] = embed! { "links":
    "wifi-2.4ghz" "wifi-5ghz" "ethernet-100" "ethernet-gigabit" "lte" "5g" "satellite-leo" "satellite-geo"
    "lora-like" "wan-100"
};

/// How alike a name has to be to be offered: 1 is the same, 0 has nothing in common (Jaro-Winkler).
const ALIKE_MIN: f64 = 0.6;

/// Why the catalogue cannot give a profile.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CatalogueError {
    /// A name that is not in the catalogue.
    #[error("the catalogue has no {kind} \"{name}\"{}; it has {}", did_you_mean(*.nearest), .known.join(", "))]
    Unknown {
        /// `device` or `link`.
        kind: &'static str,
        /// What was asked for.
        name: String,
        /// The known name that is most like it, unless none is.
        nearest: Option<&'static str>,
        /// All known names.
        known: Vec<&'static str>,
    },
    /// A file of the catalogue that is not a profile: the program was built from a damaged one.
    #[error("the catalogue's {kind} \"{name}\" does not read as a profile: {reason}")]
    Unreadable {
        /// `device` or `link`.
        kind: &'static str,
        /// The name of the file.
        name: &'static str,
        /// What the file's reader says.
        reason: toml::de::Error,
    },
    /// A file of the catalogue with a figure that makes no sense: the program was built from a damaged one.
    #[error("the catalogue's {kind} \"{name}\" makes no sense: {reason}")]
    Invalid {
        /// `device` or `link`.
        kind: &'static str,
        /// The name of the file.
        name: &'static str,
        /// The figure.
        reason: InvalidFigure,
    },
}

/// The profile of a kind of machine, such as `raspberry-pi-4`.
pub fn device(name: &str) -> Result<DeviceProfile, CatalogueError> {
    find("device", DEVICES, name, DeviceProfile::validate)
}

/// The profile of a kind of link, such as `wifi-5ghz`.
pub fn link(name: &str) -> Result<LinkProfile, CatalogueError> {
    find("link", LINKS, name, LinkProfile::validate)
}

/// The machines that [`device`] knows, from the slowest to the fastest.
pub fn device_names() -> impl Iterator<Item = &'static str> {
    DEVICES.iter().map(|(name, _)| *name)
}

/// The links that [`link`] knows.
pub fn link_names() -> impl Iterator<Item = &'static str> {
    LINKS.iter().map(|(name, _)| *name)
}

fn find<Profile: DeserializeOwned>(
    kind: &'static str,
    entries: &'static [Entry],
    name: &str,
    validate: fn(&Profile) -> Result<(), InvalidFigure>,
) -> Result<Profile, CatalogueError> {
    let Some(&(name, text)) = entries.iter().find(|(known, _)| *known == name) else {
        return Err(unknown(kind, entries, name));
    };
    let profile = toml::from_str(text).map_err(|reason| CatalogueError::Unreadable { kind, name, reason })?;
    validate(&profile).map_err(|reason| CatalogueError::Invalid { kind, name, reason })?;
    Ok(profile)
}

fn unknown(kind: &'static str, entries: &'static [Entry], name: &str) -> CatalogueError {
    let written = name.to_lowercase();
    let nearest = entries
        .iter()
        .map(|(known, _)| (strsim::jaro_winkler(&written, known), *known))
        .filter(|(alike, _)| *alike >= ALIKE_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known);
    let known = entries.iter().map(|(known, _)| *known).collect();
    CatalogueError::Unknown { kind, name: name.to_owned(), nearest, known }
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map(|known| format!(", did you mean \"{known}\"")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/catalogue");

    /// The keys of a profile's figures, with their tables: `up.rate`.
    fn figures(table: &toml::Table, prefix: &str, found: &mut BTreeSet<String>) {
        for (key, value) in table.iter().filter(|(key, _)| !matches!(key.as_str(), "title" | "source")) {
            match value {
                toml::Value::Table(inner) => figures(inner, &format!("{prefix}{key}."), found),
                _ => drop(found.insert(format!("{prefix}{key}"))),
            }
        }
    }

    #[test]
    fn every_profile_reads_and_makes_sense() {
        for name in device_names() {
            device(name).unwrap_or_else(|error| panic!("{error}"));
        }
        for name in link_names() {
            link(name).unwrap_or_else(|error| panic!("{error}"));
        }
    }

    #[test]
    fn every_figure_has_a_source_and_every_source_a_figure() {
        for (name, text) in DEVICES.iter().chain(LINKS) {
            let table: toml::Table = text.parse().expect("TOML");
            let mut wanted = BTreeSet::new();
            figures(&table, "", &mut wanted);
            let sources = table["source"].as_array().expect("sources");
            let given = sources.iter().flat_map(|source| source["keys"].as_array().expect("keys"));
            let given: BTreeSet<String> = given.map(|key| key.as_str().expect("a key").to_owned()).collect();
            assert_eq!(given, wanted, "sources and figures of {name}");
            for said in sources.iter().flat_map(|source| [&source["document"], &source["says"]]) {
                assert!(said.as_str().is_some_and(|text| text.len() > 5), "an empty source in {name}");
            }
        }
    }

    #[test]
    fn every_file_is_embedded() {
        for (folder, entries) in [("devices", DEVICES), ("links", LINKS)] {
            let files = std::fs::read_dir(Path::new(FOLDER).join(folder)).expect("the catalogue");
            let files: BTreeSet<String> =
                files.map(|file| file.expect("a file").file_name().into_string().expect("UTF-8")).collect();
            let embedded: BTreeSet<String> = entries.iter().map(|(name, _)| format!("{name}.toml")).collect();
            assert_eq!(files, embedded, "{folder}");
        }
    }

    #[test]
    fn the_readme_states_the_main_figures() {
        let readme = std::fs::read_to_string(Path::new(FOLDER).join("README.md")).expect("the table");
        let device_keys = &["matrix_product", "memory_copy", "memory", "cores"][..];
        let link_keys = &["up.rate", "down.rate", "up.delay"][..];
        for (entries, keys) in [(DEVICES, device_keys), (LINKS, link_keys)] {
            for (name, text) in entries {
                let row = readme.lines().find(|line| line.starts_with(&format!("| `{name}` |")));
                let row = row.unwrap_or_else(|| panic!("no row for {name}"));
                let file: toml::Value = toml::from_str(text).expect("TOML");
                for key in keys {
                    let figure = key.split('.').fold(&file, |table, part| &table[part]);
                    let written = figure.as_str().map_or_else(|| figure.to_string(), str::to_owned);
                    assert!(row.contains(&format!("| {written} |")), "the row of {name} lacks {key} = {written}");
                }
            }
        }
    }

    #[test]
    fn the_machines_stand_from_slow_to_fast() {
        let rates: Vec<_> = device_names().map(|name| device(name).expect("a profile").matrix_product).collect();
        assert!(rates.is_sorted(), "{rates:?}");
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest_and_all() {
        let error = device("Raspberry-Pi4").expect_err("not a name").to_string();
        let start = "the catalogue has no device \"Raspberry-Pi4\", did you mean \"raspberry-pi-4\"; it has ";
        assert!(error.starts_with(start) && device_names().all(|name| error.contains(name)), "{error}");
        let nearest = |name: &str| match link(name) {
            Err(CatalogueError::Unknown { nearest, .. }) => nearest,
            other => panic!("{other:?}"),
        };
        assert_eq!(nearest("wifi5"), Some("wifi-5ghz"));
        assert_eq!(nearest("LTE"), Some("lte"));
        assert_eq!(nearest("???"), None);
        assert_eq!(nearest(""), None);
    }
}
