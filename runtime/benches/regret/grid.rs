//! The worlds of the experiment: a device, a link, and this machine as the server.

use std::time::Duration;

use thalweg::config;
use thalweg::run::{Speed, Subject, codecs, priced_graph, priced_topology};
use thalweg::steps::StepTime;
use thalweg_codec::Codec;
use thalweg_devices::catalogue;
use thalweg_devices::device::DeviceProfile;
use thalweg_devices::link::{LinkProfile, Shape};
use thalweg_planner::{Bandwidth, Graph, Objective, Topology};

use super::Failure;

/// Names in the catalogue, from slow to fast; all slower than a server.
pub(crate) const DEVICES: [&str; 3] = ["raspberry-pi-zero-2-w", "raspberry-pi-4", "raspberry-pi-5"];

/// Name, bits a second in both directions, and the delay of one way in microseconds.
pub(crate) type GridLink = (&'static str, u64, u64);

/// From a bad rural link to a cable. Round trips are twice the delay.
pub(crate) const LINKS: [GridLink; 6] = [
    ("250 kbit/s, 100 ms", 250_000, 50_000),
    ("1 Mbit/s, 60 ms", 1_000_000, 30_000),
    ("5 Mbit/s, 40 ms", 5_000_000, 20_000),
    ("20 Mbit/s, 20 ms", 20_000_000, 10_000),
    ("100 Mbit/s, 5 ms", 100_000_000, 2_500),
    ("1 Gbit/s, 0.3 ms", 1_000_000_000, 150),
];

/// What a crossing may use.
const CODECS: [&str; 5] = ["f32", "f16", "int8", "jpeg/90", "webp/90"];

/// Everything that one cell needs.
pub(crate) struct World<'a> {
    pub(crate) subject: &'a Subject,
    pub(crate) device: &'static str,
    pub(crate) link: GridLink,
    pub(crate) places: config::Topology,
    pub(crate) graph: Graph,
    pub(crate) topology: Topology,
    pub(crate) objective: Objective,
}

impl<'a> World<'a> {
    pub(crate) fn new(
        subject: &'a Subject,
        times: &[StepTime],
        reference: &DeviceProfile,
        device: &'static str,
        link: GridLink,
        inputs_stay: bool,
    ) -> Result<Self, Failure> {
        let mut names = CODECS.map(str::to_owned).to_vec();
        // Levels of codebooks, where the pipeline names a file of them.
        let levels = subject.pipeline.iter().flat_map(|pipeline| codecs(subject, pipeline));
        names.extend(levels.map(|codec| codec.to_string()).filter(|name| !CODECS.contains(&name.as_str())));
        let codecs = names.iter().map(|name| name.parse()).collect::<Result<Vec<Codec>, _>>()?;
        let shape = Shape::new(Bandwidth(link.1), Duration::from_micros(link.2));
        let profile = LinkProfile { title: link.0.to_owned(), up: shape.clone(), down: shape, source: Vec::new() };
        let tier = |name: &str, profile: Option<DeviceProfile>| config::Tier {
            name: name.to_owned(),
            emulate: profile.is_some(),
            profile,
            memory: None,
            listen: None,
            gpu: false,
            watts: 0.0,
            price_hour: 0.0,
        };
        let places = config::Topology {
            name: format!("{device} over {}", link.0),
            tiers: vec![tier("device", Some(catalogue::device(device)?)), tier("server", None)],
            links: vec![config::Link {
                from: 0,
                to: 1,
                profile: Some(profile),
                seed: 1,
                nanojoules_byte: 0.0,
                price_gb: 0.0,
            }],
        };
        Ok(Self {
            subject,
            device,
            link,
            graph: priced_graph(subject, times, &codecs),
            topology: priced_topology(&places, reference, Speed::Shown),
            objective: Objective { codecs: names, inputs_stay, ..Objective::default() },
            places,
        })
    }
}
