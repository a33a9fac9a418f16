//! Nodes that are processes of their own, as two of them in one process.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::net::UdpSocket;
use std::sync::Weak;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use serde::Serialize;
use tempfile::TempDir;
use thalweg_flow::{Call, Coded, PlanId, Reason, Reply};
use thalweg_planner::{DType, Tensor, TensorSpec};

use super::install::{For, install};
use super::{Daemon, DaemonError, DeploymentShown, Measured, Order, Prepared, Status};
use crate::calls;
use crate::client::{Client, ORDER_TIME, Spoken, join};
use crate::config::NodeFile;
use crate::deployment::{AlternativeOf, HopOf, Manifest, ShareOf, Signed, SourceOf};
use crate::identity::NodeId;
use crate::store::FileEntry;
use crate::trust::Role;

/// Longer than anything here takes that comes about at all.
const PATIENCE: Duration = Duration::from_secs(60);
const NAME: &str = "eyes";

/// A node, and what its file says.
struct Post {
    config: NodeFile,
    daemon: Daemon,
}

impl Post {
    async fn start(config: NodeFile) -> Self {
        let until = Instant::now() + PATIENCE;
        loop {
            // Nothing here has models, which would be tried out by a program.
            match Daemon::start(config.clone(), "none".into()).await {
                Ok(daemon) => return Self { config, daemon },
                // What a node that was stopped still had under way holds its store for some seconds.
                Err(error) => assert!(Instant::now() < until, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn id(&self) -> NodeId {
        self.daemon.peer().id
    }

    async fn spoken(&self) -> Spoken {
        Client::of(&self.config).unwrap().home(&self.config).await.unwrap()
    }

    async fn order<T: serde::de::DeserializeOwned>(&self, order: Order) -> T {
        self.spoken().await.order(&order, ORDER_TIME).await.unwrap()
    }

    /// How its deployment is, once that is as it should be.
    async fn waits_for(&self, what: &str, is_so: impl Fn(&Status) -> bool) -> Status {
        let (until, spoken) = (Instant::now() + PATIENCE, self.spoken().await);
        loop {
            let status: Status = spoken.order(&Order::Status, ORDER_TIME).await.unwrap();
            if is_so(&status) {
                return status;
            }
            assert!(Instant::now() < until, "{what}: {status:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// An edge that has founded a cluster, and a device that has joined it.
struct Site {
    _folder: TempDir,
    edge: Post,
    device: Post,
}

impl Site {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [edge, device] = ["edge", "device"].map(|name| {
            let folder = folder.path().join(name);
            fs::create_dir(&folder).unwrap();
            let listen = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let text = format!("name = \"{name}\"\nrole = \"{name}\"\nlisten = \"{listen}\"\nthreads = 1\n");
            fs::write(folder.join("node.toml"), text).unwrap();
            NodeFile::read(&folder).unwrap()
        });
        let edge = Post::start(edge).await;
        let address = edge.config.listen.to_string();
        let invitation: String = edge.order(Order::Invite { role: Role::Device, valid_s: 60, address }).await;
        join(&device, &invitation.parse().unwrap()).await.unwrap();
        Self { _folder: folder, edge, device: Post::start(device).await }
    }

    /// Has a node prepare what a manifest says, with files that lie at the device.
    async fn prepare(&self, post: &Post, manifest: &impl Serialize) {
        let text = serde_json::to_vec(manifest).unwrap();
        let file = FileEntry::of(&text);
        self.device.spoken().await.put(&[(file.clone(), text)]).await.unwrap();
        let signed = Signed::sign(file, Client::of(&self.edge.config).unwrap().identity());
        // Only who may install may have it prepared.
        let client = Client::of(&self.edge.config).unwrap();
        let spoken = client.to(post.daemon.peer()).await.unwrap();
        let order = Order::Prepare { signed, holders: vec![self.device.id()] };
        let _: Prepared = spoken.order(&order, ORDER_TIME).await.unwrap();
    }

    /// A manifest of the device, where requests are made and answered.
    fn of_source(&self, epoch: u32) -> Manifest {
        let hops = vec![HopOf { tier: 0, compute_ns: 0 }];
        let plan = AlternativeOf { plan: PlanId([1; 32]), decision: "here".into(), hops, crossings: vec![] };
        let requests = SourceOf {
            inputs: vec![],
            outputs: vec![],
            deadline_us: 1000,
            deliver_to: None,
            tiers: vec![self.device.id(), self.edge.id()],
            links: vec![],
            alternatives: vec![plan],
        };
        Manifest { name: NAME.into(), epoch, source: self.device.id(), shares: vec![], requests: Some(requests) }
    }

    /// A manifest of the edge, which has a share of a plan.
    fn of_helper(&self, epoch: u32) -> Manifest {
        let share = ShareOf {
            plan: PlanId([2; 32]),
            hop: 1,
            takes: vec![],
            returns: vec![],
            answers_in_us: 0,
            planned_ns: [0; 3],
            part: None,
            answers: vec![],
            onward: None,
        };
        Manifest { name: NAME.into(), epoch, source: self.device.id(), shares: vec![share], requests: None }
    }

    async fn activate(&self, post: &Post, epoch: u32) {
        let spoken = Client::of(&self.edge.config).unwrap().to(post.daemon.peer()).await.unwrap();
        spoken.order::<()>(&Order::Activate { name: NAME.into(), epoch }, ORDER_TIME).await.unwrap();
    }
}

fn epochs(status: &Status) -> Option<(Option<u32>, &[u32])> {
    let DeploymentShown { epoch, prepared, .. } = status.deployments.first()?;
    Some((*epoch, prepared))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_a_part_in_a_new_epoch_retires_the_former_one() {
    let site = Site::open().await;
    site.prepare(&site.device, &site.of_source(1)).await;
    site.prepare(&site.edge, &site.of_helper(1)).await;
    site.activate(&site.device, 1).await;
    site.activate(&site.edge, 1).await;
    let kept = || fs::read_dir(site.edge.config.state.join("store")).unwrap().count();
    assert_eq!(kept(), 2, "the manifest and the lock");
    site.prepare(&site.device, &site.of_source(2)).await;
    site.activate(&site.device, 2).await;
    // Nothing was said to the edge.
    site.edge.waits_for("the edge has nothing left", |status| status.deployments.is_empty()).await;
    assert_eq!(kept(), 1, "the lock");
    assert_eq!(fs::read_dir(site.edge.config.state.join("deployments")).unwrap().count(), 0);
    let only_the_second = |status: &Status| epochs(status) == Some((Some(2), &[2]));
    site.device.waits_for("the source has the second epoch", only_the_second).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_not_reached_when_an_epoch_was_activated_activates_it() {
    let site = Site::open().await;
    for epoch in [1, 2] {
        site.prepare(&site.device, &site.of_source(epoch)).await;
        site.prepare(&site.edge, &site.of_helper(epoch)).await;
        site.activate(&site.device, epoch).await;
    }
    let only_the_second = |status: &Status| epochs(status) == Some((Some(2), &[2]));
    site.edge.waits_for("the edge serves the second epoch", only_the_second).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_comes_back_under_another_address_is_found_again() {
    let Site { _folder, edge, device } = Site::open().await;
    let hears = |status: &Status| status.nodes.iter().any(|node| node.name == "device" && node.liveness == "alive");
    edge.waits_for("the edge hears of the device", hears).await;
    let Post { mut config, daemon } = device;
    daemon.stop().await;
    let before = config.listen;
    config.listen = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_ne!(before, config.listen);
    let device = Post::start(config).await;
    let address = device.config.listen.to_string();
    let knows = |status: &Status| status.nodes.iter().any(|node| node.name == "device" && node.address == address);
    edge.waits_for("the edge knows where the device is", knows).await;
    let links = vec![device.id()];
    let measured: Measured = edge.order(Order::Measure { part: None, links, holders: vec![] }).await;
    assert!(measured.links[0].up, "the edge reaches it there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_changes_its_key_does_so_though_who_has_asked_is_gone() {
    let site = Site::open().await;
    let (inner, before) = (site.edge.daemon.inner.clone(), site.edge.id());
    let spoken = site.edge.spoken().await;
    let gone = spoken.order::<NodeId>(&Order::Rotate, Duration::from_millis(500)).await;
    assert!(matches!(gone, Err(DaemonError::Silent { .. })), "{gone:?}");
    // The next one would have to wait for it.
    drop(inner.rotating.lock().await);
    let after = inner.cluster.id();
    assert_ne!(after, before);
    assert_eq!(inner.cluster.roster().role_of(after), Some(Role::Edge));
    let status: Status = site.edge.order(Order::Status).await;
    assert_eq!(status.name, "edge", "it is reached under its new key");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_prepared_for_an_order_that_was_given_up_is_not_kept() {
    let site = Site::open().await;
    let (inner, manifest) = (site.edge.daemon.inner.clone(), site.of_helper(1));
    let file = FileEntry::of(&serde_json::to_vec(&manifest).unwrap());
    let signed = Signed::sign(file, Client::of(&site.edge.config).unwrap().identity());
    // As a thread finds it that has loaded shares for somebody who is gone.
    let late = inner.blocking(move |inner| install(inner, signed, manifest, For::Order(Weak::new()))).await;
    assert!(matches!(late, Err(DaemonError::GivenUp)), "{late:?}");
    assert!(inner.held().is_empty());
    assert_eq!(fs::read_dir(site.edge.config.state.join("deployments")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_deployed_is_changed_only_once_it_is_back_after_a_restart() {
    let site = Site::open().await;
    site.prepare(&site.device, &site.of_source(1)).await;
    let restored = &site.device.daemon.inner.restored;
    restored.send_replace(false);
    let spoken = Client::of(&site.edge.config).unwrap().to(site.device.daemon.peer()).await.unwrap();
    let (name, epoch) = (NAME.to_owned(), 1);
    for order in [Order::Activate { name: name.clone(), epoch }, Order::Abort { name, epoch }] {
        let waited = spoken.order::<serde_json::Value>(&order, Duration::from_millis(200)).await;
        assert!(matches!(waited, Err(DaemonError::Silent { .. })), "{waited:?}");
    }
    let asked = async {
        for _ in 0..10 {
            let status: Status = site.device.order(Order::Status).await;
            assert_eq!(epochs(&status), Some((None, [1].as_slice())));
        }
        restored.send_replace(true);
    };
    let second = site.of_source(2);
    tokio::join!(site.prepare(&site.device, &second), asked);
    let status: Status = site.device.order(Order::Status).await;
    assert_eq!(epochs(&status), Some((None, [1, 2].as_slice())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_waits_for_no_memory() {
    let Site { _folder, edge, device } = Site::open().await;
    let connection = device.daemon.inner.node.connection(edge.daemon.peer()).await.unwrap();
    let calls = &edge.daemon.inner.calls;
    let all_of_device = calls.take(Some(device.id()), u64::MAX).await;
    let (bytes, hash) = (u64::MAX, [0; 32]);
    let coded = Coded { codec: "f32".into(), bytes };
    let refused = [
        Call::Join { secret: [0; 16], bytes },
        Call::Members { bytes },
        Call::Put { hash, bytes: 1 },
        Call::Order { bytes },
        Call::Deliver { deployment: NAME.into(), has: None, follows: hash, bytes },
        Call::Ask { deployment: NAME.into(), remaining_us: 1, tensors: vec![coded] },
    ];
    for call in refused {
        let answer = calls::call(&connection, call.clone(), Vec::new(), 0, ORDER_TIME).await;
        let Err(DaemonError::Refused(refusal)) = answer else { panic!("{call:?}: {answer:?}") };
        assert!(
            matches!(refusal.reason, Reason::NotAllowed { .. } | Reason::CallFailed { .. }),
            "{call:?}: {refusal:?}"
        );
    }
    let fetch = async || calls::call(&connection, Call::Fetch { hash }, Vec::new(), 0, ORDER_TIME).await;
    let free = async {
        edge.order::<Status>(Order::Status).await;
        drop(all_of_device);
    };
    let (fetched, ()) = tokio::join!(fetch(), free);
    assert!(matches!(fetched, Ok((Reply::NotHere, _))), "what is allowed has waited for it: {fetched:?}");
}

#[tokio::test]
async fn a_refused_request_sends_none_of_its_tensors() {
    let site = Site::open().await;
    let connection = site.device.daemon.inner.node.connection(site.edge.daemon.peer()).await.unwrap();
    let before = connection.path().sent;
    let spec = TensorSpec::new(DType::U8, [8 << 20]);
    let tensor = Tensor::new(spec, vec![1; 8 << 20]).unwrap();
    let asked = calls::ask(&connection, "nothing", vec![tensor], ORDER_TIME).await;
    assert!(matches!(asked, Err(DaemonError::Refused(_))), "{asked:?}");
    let packets = connection.path().sent - before;
    assert!(packets < 100, "{packets} packets, and 8 MiB take {}", (8 << 20) / 1452);
}

/// On one thread, which nothing may keep waiting.
#[tokio::test]
async fn a_node_answers_while_its_disk_takes_its_time() {
    let site = Site::open().await;
    site.prepare(&site.device, &site.of_source(1)).await;
    let (inner, (waits, is_waiting), (ends, ended)) = (site.device.daemon.inner.clone(), channel(), channel::<()>());
    let slow_disk = std::thread::spawn(move || {
        let _changing = inner.changing();
        waits.send(()).unwrap();
        // The other end is dropped.
        let _ = ended.recv();
    });
    is_waiting.recv().unwrap();
    let asked = async {
        for _ in 0..10 {
            let status: Status = site.device.order(Order::Status).await;
            assert_eq!(epochs(&status), Some((None, [1].as_slice())), "it does not serve yet");
        }
        drop(ends);
    };
    tokio::join!(site.activate(&site.device, 1), asked);
    slow_disk.join().unwrap();
    site.device.waits_for("it serves", |status| epochs(status) == Some((Some(1), &[1]))).await;
}
