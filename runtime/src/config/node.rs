//! `node.toml`: a node that is a process of its own.

use std::net::SocketAddr;
use std::num::NonZero;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thalweg_devices::{Backends, NotBuilt, Precision, Provider};
use thalweg_modules::signature::PublicKey;
use thalweg_planner::Bytes;

use super::ConfigError;
use super::read::Source;
use crate::trust::Role;

/// A node.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeFile {
    /// What people call it.
    pub name: String,
    /// What it is: device, edge or cloud. Operators are people, who run no node.
    pub role: Role,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where others reach it; none for where it listens.
    pub address: Option<SocketAddr>,
    /// Its folder: key, members, files of what is deployed.
    pub state: PathBuf,
    /// Requests that it computes at a time; one that is alone gets the threads of all.
    pub threads: NonZero<u32>,
    /// How many times as long it takes as its machine does, to emulate a slower one; 1 for the machine as it is.
    pub slowdown: f64,
    /// The GPU that may compute models: a part of its adapter's name, "" for the fastest of hardware, "none" for no one.
    pub adapter: String,
    /// How exactly that keeps weights.
    pub precision: Precision,
    /// A library of onnxruntime that may compute models, and what it computes on.
    pub onnxruntime: Option<(PathBuf, Provider)>,
    /// Memory for parts; none for what is free.
    pub memory: Option<Bytes>,
    /// Room on disk for results of each deployment that wait until they are delivered.
    pub outbox: Bytes,
    /// Room on disk for results that other nodes deliver here, all together.
    pub inbox: Bytes,
    /// Keys whose modules it runs, beside those that come with the program.
    pub trust: Vec<PublicKey>,
}

/// Results of a classifier of 1,000 classes, ten a second: half an hour's.
const OUTBOX_DEFAULT: Bytes = Bytes(64 << 20);
/// As many of sixteen devices.
const INBOX_DEFAULT: Bytes = Bytes(1 << 30);

/// The keys of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NodeKeys {
    name: String,
    role: Role,
    listen: SocketAddr,
    address: Option<SocketAddr>,
    state: Option<PathBuf>,
    threads: Option<NonZero<u32>>,
    memory: Option<Bytes>,
    outbox: Option<Bytes>,
    inbox: Option<Bytes>,
    slowdown: Option<f64>,
    adapter: Option<String>,
    precision: Option<Precision>,
    onnxruntime: Option<PathBuf>,
    provider: Option<Provider>,
    trust: Option<Vec<String>>,
}

impl NodeFile {
    /// What may compute its parts.
    pub fn backends(&self) -> Backends {
        let backends = Backends::with(&self.adapter).precision(self.precision);
        match &self.onnxruntime {
            // Where this program cannot load it, the file was refused.
            Some((path, provider)) => backends.clone().onnxruntime(path, *provider).unwrap_or(backends),
            None => backends,
        }
    }

    /// Whether it takes longer than its machine does.
    pub fn emulates(&self) -> bool {
        self.slowdown > 1.0
    }

    /// Reads a node file, or `node.toml` in a folder.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let file = if path.is_dir() { path.join("node.toml") } else { path.to_owned() };
        let source = Source::open(&file)?;
        let document = source.parse()?;
        let keys: NodeKeys = document.read()?;
        if keys.role == Role::Operator {
            return Err(document.out_of_range("role", "write device, edge or cloud: operators run no node"));
        }
        if keys.name.trim().is_empty() || keys.name.len() > crate::trust::NAME_BYTES_MAX {
            return Err(document.out_of_range("name", "give it a name of 1 to 64 bytes"));
        }
        let is_nowhere = |address: &SocketAddr| address.ip().is_unspecified();
        if keys.address.as_ref().is_some_and(is_nowhere) || (keys.address.is_none() && is_nowhere(&keys.listen)) {
            let key = if keys.address.is_some() { "address" } else { "listen" };
            return Err(document.out_of_range(key, "say as `address` by which address and port others reach this node"));
        }
        let slowdown = keys.slowdown.unwrap_or(1.0);
        if !(1.0..=1e4).contains(&slowdown) {
            return Err(
                document.out_of_range("slowdown", "write a number from 1 to 10000: a machine cannot be sped up")
            );
        }
        if keys.onnxruntime.is_some() && !cfg!(feature = "ort") {
            return Err(document.out_of_range("onnxruntime", NotBuilt::ADVICE));
        }
        if keys.provider.is_some() && keys.onnxruntime.is_none() {
            return Err(document.out_of_range("provider", "say as `onnxruntime` where the library is that has it"));
        }
        let trust = keys.trust.unwrap_or_default().into_iter().enumerate().map(|(at, key)| {
            let wrong = |_| document.out_of_range(&format!("trust.{at}"), "write a public key: 64 hexadecimal digits");
            key.parse().map_err(wrong)
        });
        let folder = file.parent().unwrap_or(Path::new("."));
        let cores = std::thread::available_parallelism().ok().and_then(|cores| u32::try_from(cores.get()).ok());
        let cores = cores.and_then(NonZero::new).unwrap_or(NonZero::<u32>::MIN);
        Ok(Self {
            name: keys.name,
            role: keys.role,
            listen: keys.listen,
            address: keys.address,
            state: folder.join(keys.state.unwrap_or_else(|| "state".into())),
            threads: keys.threads.unwrap_or(cores),
            memory: keys.memory,
            outbox: keys.outbox.unwrap_or(OUTBOX_DEFAULT),
            inbox: keys.inbox.unwrap_or(INBOX_DEFAULT),
            slowdown,
            // A slower machine than this one has no GPU of this one.
            adapter: keys.adapter.unwrap_or(if slowdown > 1.0 { "none".into() } else { String::new() }),
            precision: keys.precision.unwrap_or_default(),
            onnxruntime: keys.onnxruntime.map(|path| (folder.join(path), keys.provider.unwrap_or_default())),
            trust: trust.collect::<Result<_, _>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;

    const GOOD: &str = "name = \"edge\"\nrole = \"edge\"\nlisten = \"127.0.0.1:7400\"\n";

    fn read(text: &str) -> Result<NodeFile, String> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("node.toml"), text).unwrap();
        NodeFile::read(folder.path()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_short_file_is_enough() {
        let node = read(GOOD).unwrap();
        assert_eq!((node.role, node.slowdown, node.address), (Role::Edge, 1.0, None));
        assert_eq!((node.adapter.as_str(), node.precision), ("", Precision::F32));
        assert_eq!(read(&format!("{GOOD}precision = \"f16\"\n")).unwrap().precision, Precision::F16);
        assert_eq!(read(&format!("{GOOD}slowdown = 2.0\n")).unwrap().adapter, "none");
        assert!(node.state.ends_with("state"));
        assert_eq!((node.outbox, node.inbox), (OUTBOX_DEFAULT, INBOX_DEFAULT));
        assert_eq!(read(&format!("{GOOD}outbox = \"2 MiB\"\n")).unwrap().outbox, Bytes(2 << 20));
        let far = format!("{}address = \"10.0.0.2:7400\"\n", GOOD.replace("127.0.0.1", "0.0.0.0"));
        assert_eq!(read(&far).unwrap().address, Some("10.0.0.2:7400".parse().unwrap()));
    }

    #[test]
    fn a_library_of_onnxruntime_is_for_programs_that_can_load_it() {
        let read = read(&format!("{GOOD}onnxruntime = \"lib/libonnxruntime.so\"\nprovider = \"cuda\"\n"));
        if cfg!(feature = "ort") {
            let (path, provider) = read.unwrap().onnxruntime.unwrap();
            assert!(path.ends_with("lib/libonnxruntime.so") && path.is_absolute(), "{}", path.display());
            assert_eq!(provider, Provider::Cuda);
        } else {
            let error = read.unwrap_err();
            assert!(error.contains("it was built without the feature `ort`, so build it with"), "{error}");
        }
    }

    #[test]
    fn the_examples_are_valid() {
        for name in ["cloud", "edge", "device"] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/nodes").join(name);
            assert_eq!(NodeFile::read(&folder).unwrap().name, name);
        }
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let cases = [
            (GOOD.replace("role = \"edge\"", "role = \"operator\""), "operators run no node"),
            (GOOD.replace("role = \"edge\"", "role = \"fog\""), "fog"),
            (GOOD.replace("127.0.0.1", "0.0.0.0"), "by which address and port others reach this node"),
            (GOOD.replace("name = \"edge\"", "name = \" \""), "1 to 64 bytes"),
            (format!("{GOOD}slowdown = 0.5\n"), "cannot be sped up"),
            (format!("{GOOD}threads = 0\n"), "threads"),
            (format!("{GOOD}inbox = 5\n"), "inbox"),
            (format!("{GOOD}provider = \"cuda\"\n"), "say as `onnxruntime` where the library is"),
            (format!("{GOOD}trust = [\"12\"]\n"), "64 hexadecimal digits"),
            (format!("{GOOD}rolle = 1\n"), "rolle"),
        ];
        for (text, said) in cases {
            let error = read(&text).expect_err(&text);
            assert!(error.contains(said) && error.contains("node.toml"), "{text}: {error}");
        }
    }
}
