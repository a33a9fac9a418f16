//! What the configuration files promise: defaults hold, paths resolve, every key is documented, no text panics.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use serde::de::DeserializeOwned;
use thalweg_codec::Codec;
use thalweg_devices::device::DeviceProfile;
use thalweg_devices::link::{Outage, Shape, Source as Figure};
use thalweg_modules::Layout;
use thalweg_modules::random::Range;
use thalweg_planner::{Bandwidth, Bytes};

use super::input::{InputKeys, RandomKeys};
use super::node::NodeKeys;
use super::objective::{GoalKeys, LimitsKeys};
use super::pipeline::{AnswerKeys, PipelineKeys};
use super::read::Source;
use super::step::StepKeys;
use super::topology::{LinkKeys, TierKeys, TopologyKeys};
use super::*;

pub(super) fn pipeline(text: &str) -> Result<Pipeline, ConfigError> {
    Pipeline::from_source(&Source::new(Path::new("pipeline.toml"), text.into())?)
}

pub(super) fn topology(text: &str) -> Result<Topology, ConfigError> {
    Topology::from_source(&Source::new(Path::new("topology.toml"), text.into())?)
}

/// A pipeline whose files exist: tests run in the folder of the package.
pub(super) const PIPELINE: &str = r#"
name = "any"
model = "Cargo.toml"
"#;

/// Three tiers without links.
pub(super) const TIERS: &str =
    "name = \"any\"\n[[tier]]\nname = \"device\"\n[[tier]]\nname = \"edge\"\n[[tier]]\nname = \"cloud\"\n";

#[test]
fn a_short_pipeline_has_defaults() {
    let read = pipeline(&format!("{PIPELINE}[[input]]\nzeros = true")).unwrap();
    assert_eq!(read.codecs, [Codec::F32, Codec::F16]);
    assert_eq!(read.deadline, Duration::from_secs(5));
    assert_eq!(read.inputs, [Input { name: None, shape: None, origin: Origin::Zeros }]);
    let Runs::Model { file, codebooks: None } = &read.steps[0].runs else { panic!("{:?}", read.steps) };
    assert!(file.is_absolute() && read.topology.is_absolute() && read.topology.ends_with("topology.toml"));
}

#[test]
fn every_origin_is_read() {
    let read = pipeline(&format!(
        r#"{PIPELINE}
        [[input]]
        name = "picture"
        shape = [1, 224, 224, 3]
        image = "Cargo.toml"
        mean = [123.7, 116, 103.5]
        scale = 58
        layout = "nhwc"
        [[input]]
        name = "ids"
        npy = "Cargo.toml"
        [[input]]
        name = "noise"
        random = {{ seed = 7, low = 0, high = 2.5 }}
        "#
    ))
    .unwrap();
    let [Input { origin: Origin::Photo { normalise, .. }, shape, .. }, ids, noise] = read.inputs.as_slice() else {
        panic!("{read:?}")
    };
    assert_eq!((normalise.mean, normalise.scale), ([123.7, 116.0, 103.5], [58.0; 3]));
    assert_eq!((normalise.layout, shape.as_deref()), (Layout::Nhwc, Some([1, 224, 224, 3].as_slice())));
    assert!(matches!(&ids.origin, Origin::Npy { file } if file.is_absolute()));
    assert_eq!(noise.origin, Origin::Random { seed: 7, range: Some(Range { low: 0.0, high: 2.5 }) });
}

#[test]
fn a_topology_takes_profiles_and_its_own_figures() {
    let read = topology(&format!(
        r#"{TIERS}
        device = "cloud-cpu"
        memory = "2 GiB"
        emulate = false
        gpu = true
        watts = 60
        price_hour = 0.4
        [[link]]
        from = "edge"
        to = "cloud"
        seed = 9
        price_gb = 0.08
        [link.up]
        rate = "5 Mbit/s"
        delay = "20 ms"
        [link.down]
        rate = "20 Mbit/s"
        delay = "20 ms"
        [[link]]
        from = "device"
        to = "edge"
        link = "wifi-5ghz"
        "#
    ))
    .unwrap();
    let [device, _, cloud] = read.tiers.as_slice() else { panic!("{read:?}") };
    assert_eq!((&device.profile, device.memory, device.emulate), (&None, None, false));
    assert_eq!((cloud.profile.is_some(), cloud.memory, cloud.emulate), (true, Some(Bytes(2 << 30)), false));
    assert_eq!((cloud.gpu, cloud.watts, cloud.price_hour), (true, 60.0, 0.4));
    let [wifi, wan] = read.links.as_slice() else { panic!("{read:?}") };
    assert_eq!((wan.from, wan.to, wan.nanojoules_byte, wan.price_gb), (1, 2, 0.0, 0.08));
    assert_eq!((wifi.profile.as_ref().map(|link| link.title.starts_with("Wi-Fi")), wifi.seed), (Some(true), 1));
    let wan_up = wan.profile.as_ref().map(|link| link.up.rate);
    assert_eq!((wan_up, wan.seed), (Some(Bandwidth(5_000_000)), 9));
}

#[test]
fn links_make_a_graph_of_several_edges_and_clouds() {
    let ends = [("device", "edge"), ("edge", "cloud"), ("device", "cloud"), ("other", "device")];
    let links = ends.map(|(from, to)| format!("[[link]]\nfrom = \"{from}\"\nto = \"{to}\"\n"));
    let read = topology(&format!("{TIERS}[[tier]]\nname = \"other\"\n{}", links.concat())).unwrap();
    let joined: Vec<_> = read.links.iter().map(|link| (link.from, link.to, link.seed)).collect();
    assert_eq!(joined, [(0, 1, 1), (0, 2, 2), (1, 2, 3), (3, 0, 4)]);
}

#[test]
fn a_folder_stands_for_its_file_and_paths_start_there() {
    let folder = tempfile::tempdir().unwrap();
    let text = "name = \"any\"\nmodel = \"models/../model.onnx\"\n[[input]]\nzeros = true";
    fs::create_dir(folder.path().join("models")).unwrap();
    fs::write(folder.path().join("model.onnx"), "").unwrap();
    fs::write(folder.path().join("pipeline.toml"), text).unwrap();
    let read = Pipeline::read(folder.path()).unwrap();
    let Runs::Model { file, .. } = &read.steps[0].runs else { panic!("{:?}", read.steps) };
    assert_eq!(*file, folder.path().canonicalize().unwrap().join("model.onnx"));
    assert_eq!(read.topology, folder.path().join("topology.toml"));
}

#[test]
fn a_faulty_profile_is_the_place_of_its_error() {
    let folder = tempfile::tempdir().unwrap();
    let profile = folder.path().join("mine.toml");
    let good =
        "title = \"mine\"\ncores = 4\nmemory = \"1 GiB\"\nmatrix_product = \"8 GMAC/s\"\nmemory_copy = \"4 GB/s\"\n";
    let read = |text: String| {
        fs::write(&profile, text).unwrap();
        topology(&format!("name = \"any\"\n[[tier]]\nname = \"a\"\nprofile = {profile:?}"))
    };
    assert_eq!(read(good.to_owned()).unwrap().tiers[0].memory, Some(Bytes(1 << 30)));
    let error = read(good.replace('4', "0")).unwrap_err();
    assert_eq!((error.file.file_name(), error.place), (profile.file_name(), Some(Place { line: 2, column: 9 })));
}

#[test]
fn large_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("topology.toml");
    fs::write(&file, "#".repeat(FILE_BYTES_MAX.0 as usize + 1)).unwrap();
    assert_eq!(*Topology::read(folder.path()).unwrap_err().problem, Problem::TooLarge);
    fs::write(&file, "#".repeat(FILE_BYTES_MAX.0 as usize)).unwrap();
    assert_eq!(*Topology::read(folder.path()).unwrap_err().problem, Problem::MissingKey { key: "name".into() });
}

#[test]
fn the_examples_are_valid() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let pipeline = Pipeline::read(&examples.join("classify")).unwrap();
    let topology = Topology::read(&pipeline.topology).unwrap();
    assert_eq!((topology.tiers.len(), topology.links.len()), (3, 2));
    let topology = Topology::read(&examples.join("choice")).unwrap();
    assert_eq!((topology.tiers.len(), topology.links.len()), (5, 4));
}

/// The keys that serde knows at the top of a `T`, from its refusal of another one.
fn keys_of<T: DeserializeOwned>() -> Vec<String> {
    let source = Source::new(Path::new("any"), b"\"?\" = 0".to_vec()).unwrap();
    match source.parse().unwrap().read::<T>().err().map(|error| *error.problem) {
        Some(Problem::UnknownKey { known, .. }) => known,
        other => panic!("serde's message for unknown keys has another form: {other:?}"),
    }
}

/// The first column of the table under a heading of the reference.
fn documented(heading: &str) -> Vec<&'static str> {
    let under =
        include_str!("README.md").lines().skip_while(|line| line.trim_start_matches('#') != format!(" {heading}"));
    let section = under.skip(1).take_while(|line| !line.starts_with('#'));
    section.filter_map(|line| line.strip_prefix("| `")?.split_once('`').map(|(key, _)| key)).collect()
}

#[test]
fn the_reference_has_every_key_and_no_other() {
    assert_eq!(documented("Pipeline"), keys_of::<PipelineKeys>());
    assert_eq!(documented("Goal"), keys_of::<GoalKeys>());
    assert_eq!(documented("Limits"), keys_of::<LimitsKeys>());
    assert_eq!(documented("Input"), keys_of::<InputKeys>());
    assert_eq!(documented("Random"), keys_of::<RandomKeys>());
    assert_eq!(documented("Step"), keys_of::<StepKeys>());
    assert_eq!(documented("Draw"), keys_of::<Draw>());
    assert_eq!(documented("Answer"), keys_of::<AnswerKeys>());
    assert_eq!(documented("Topology"), keys_of::<TopologyKeys>());
    assert_eq!(documented("Tier"), keys_of::<TierKeys>());
    assert_eq!(documented("Link"), keys_of::<LinkKeys>());
    assert_eq!(documented("Shape"), keys_of::<Shape>());
    assert_eq!(documented("Outage"), keys_of::<Outage>());
    assert_eq!(documented("Node"), keys_of::<NodeKeys>());
    assert_eq!(documented("Device profile"), keys_of::<DeviceProfile>());
    assert_eq!(documented("Source"), keys_of::<Figure>());
}

const EXAMPLE: &str = include_str!("../../../examples/classify/pipeline.toml");
const EXAMPLE_TOPOLOGY: &str = include_str!("../../../examples/classify/topology.toml");

/// Reads any bytes as either file. What is not refused is printable; what is refused has a message.
fn survive(bytes: &[u8]) {
    if let Ok(source) = Source::new(Path::new("any"), bytes.to_vec()) {
        let _ = Pipeline::from_source(&source).map_err(|error| error.to_string());
        let _ = Topology::from_source(&source).map_err(|error| error.to_string());
    }
}

#[test]
fn deep_files_never_exhaust_the_stack() {
    const DEPTH: usize = 300_000;
    for opening in ["[", "a=[", "{a=", "a={a=", "a.", "[a."] {
        survive(opening.repeat(DEPTH).as_bytes());
    }
    survive(format!("{}a = 1", "a.".repeat(DEPTH)).as_bytes());
    survive(format!("[{}a]", "a.".repeat(DEPTH)).as_bytes());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn arbitrary_text_never_panics(text in "(\\[\\[?(tier|link|input|é)\\]?\\]\n|[a-z]{1,6} ?= ?|\"|\\PC|[0-9.]|\n|\\{|\\}|,){0,40}") {
        survive(text.as_bytes());
    }

    #[test]
    fn mutated_files_never_panic(
        topology: bool,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = if topology { EXAMPLE_TOPOLOGY } else { EXAMPLE }.as_bytes().to_vec();
        for (place, value) in changes {
            let at = place.index(bytes.len());
            bytes[at] = value;
        }
        survive(&bytes);
        survive(&bytes[..cut.index(bytes.len())]);
    }
}
