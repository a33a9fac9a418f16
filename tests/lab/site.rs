//! Three nodes as processes of their own on emulated links, and a deployment over them.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use thalweg::client::{Client, ORDER_TIME, Spoken, join};
use thalweg::config::NodeFile;
use thalweg::daemon::{DeploymentShown, Order, Status};
use thalweg::emulate::{Relay, Shaper, Way};
use thalweg::run::Subject;
use thalweg_devices::link::Shape;
use thalweg_devices::{Shapes, Stage};
use thalweg_modules::signature::Trust;
use thalweg_planner::{Bandwidth, Bytes};
use tokio::task::JoinHandle;
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use crate::load::{Load, Question};

/// What the deployment is called.
pub(crate) const NAME: &str = "eyes";
/// The model is EfficientNet-Lite0, with codecs that change nothing: every answer equals that of the whole model, bit by
/// bit.
const PIPELINE: &str = r#"
name = "eyes"
model = "MODEL"
codecs = ["f32"]
inputs_stay = true
deadline = "2 s"

[[input]]
name = "x"
shape = [1, 3, 224, 224]
image = "PHOTO"
mean = 127
scale = 128
"#;

/// A node, and the link that leads to it.
pub(crate) struct Post {
    pub(crate) name: &'static str,
    pub(crate) folder: PathBuf,
    pub(crate) link: Relay,
    pub(crate) child: Option<Child>,
    /// What its process is started with, beside what this one was.
    pub(crate) environment: Vec<(&'static str, PathBuf)>,
}

/// All of them. What still runs is ended when this is dropped.
pub(crate) struct Site {
    folder: TempDir,
    /// Cloud, edge, device.
    pub(crate) posts: Vec<Post>,
    pub(crate) question: Question,
}

/// How the nodes of a site are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// What links carry.
    pub(crate) mbit: f64,
    /// How long a bit is on the way.
    pub(crate) delay: Duration,
    /// How many times as long the device takes as this machine.
    pub(crate) device_slowdown: f64,
    /// How many times as long edge and cloud take.
    pub(crate) server_slowdown: f64,
    /// Requests that a node computes at a time.
    pub(crate) threads: u32,
}

impl Default for Plan {
    /// A good link, and a device so weak that help makes it faster over this link and over one of 20 Mbit/s: at 8 times it was not.
    fn default() -> Self {
        Self { mbit: 100.0, delay: Duration::from_millis(4), device_slowdown: 16.0, server_slowdown: 1.0, threads: 1 }
    }
}

/// A link of so many Mbit/s, whose queue holds what it carries in 100 ms, but at least some packets.
pub(crate) fn link(mbit: f64, delay: Duration) -> Shape {
    let queue = Bytes(((mbit * 1e6 / 80.0) as u64).clamp(16 << 10, 256 << 10));
    Shape { queue, ..Shape::new(Bandwidth((mbit * 1e6) as u64), delay) }
}

pub(crate) type Failed = Box<dyn std::error::Error + Send + Sync>;

impl Site {
    /// Founds a cluster, lets edge and device join it, and deploys the model over all three.
    pub(crate) async fn deployed(plan: Plan) -> Result<Self, Failed> {
        let site = Self::open(plan).await?;
        site.deploy().await?;
        site.settled(Duration::from_secs(60)).await?;
        Ok(site)
    }

    /// Founds a cluster, and lets edge and device join it.
    pub(crate) async fn open(plan: Plan) -> Result<Self, Failed> {
        let folder = tempfile::tempdir()?;
        let question = write_pipeline(folder.path())?;
        let mut posts = Vec::new();
        for (name, slowdown) in
            [("cloud", plan.server_slowdown), ("edge", plan.server_slowdown), ("device", plan.device_slowdown)]
        {
            let listen = free_port()?;
            let shaper = |seed| Shaper::new(&link(plan.mbit, plan.delay), None, seed);
            let relay = Relay::start(SocketAddr::from(([127, 0, 0, 1], 0)), listen, shaper(1), shaper(2))?;
            let folder = folder.path().join(name);
            fs::create_dir(&folder)?;
            let text = format!(
                "name = \"{name}\"\nrole = \"{name}\"\nlisten = \"{listen}\"\naddress = \"{}\"\nthreads = {}\n\
                 slowdown = {slowdown:?}\n",
                relay.address(),
                plan.threads
            );
            fs::write(folder.join("node.toml"), text)?;
            posts.push(Post { name, folder, link: relay, child: None, environment: Vec::new() });
        }
        let mut site = Self { folder, posts, question };
        site.start(0).await?;
        for place in [1, 2] {
            let order = Order::Invite {
                role: site.config(place)?.role,
                valid_s: 60,
                address: site.posts[0].link.address().to_string(),
            };
            let invitation: String = site.spoken(0).await?.order(&order, ORDER_TIME).await?;
            join(&site.config(place)?, &invitation.parse()?).await?;
            site.start(place).await?;
        }
        Ok(site)
    }

    /// From the next deployment on answers are delivered to a node.
    pub(crate) fn deliver_to(&self, name: &str) -> Result<(), Failed> {
        let file = self.folder.path().join("pipeline.toml");
        let text = fs::read_to_string(&file)?;
        Ok(fs::write(file, text.replace("deadline =", &format!("deliver_to = \"{name}\"\ndeadline =")))?)
    }

    pub(crate) fn config(&self, place: usize) -> Result<NodeFile, Failed> {
        Ok(NodeFile::read(&self.posts[place].folder)?)
    }

    /// Starts a node and waits until it says that it listens. How long that took.
    pub(crate) async fn start(&mut self, place: usize) -> Result<Duration, Failed> {
        let post = &mut self.posts[place];
        let log = fs::OpenOptions::new().create(true).append(true).open(post.folder.join("log"))?;
        let started = Instant::now();
        let mut child = Command::new(std::env::current_exe()?)
            .args(["node", "--config"])
            .arg(&post.folder)
            .envs(post.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()?;
        let said = child.stdout.take().ok_or("a node has no output")?;
        post.child = Some(child);
        let line = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            std::io::BufRead::read_line(&mut std::io::BufReader::new(said), &mut line).map(|_| line)
        });
        if line.await??.contains("listens on") {
            return Ok(started.elapsed());
        }
        let log = fs::read_to_string(self.posts[place].folder.join("log"))?;
        Err(format!("{} did not start: {log}", self.posts[place].name).into())
    }

    /// Sends a signal to a node.
    pub(crate) fn signal(&self, place: usize, signal: &str) {
        if let Some(child) = &self.posts[place].child {
            signal_to(child.id(), signal);
        }
    }

    /// Ends a node at once.
    pub(crate) fn kill(&mut self, place: usize) {
        if let Some(mut child) = self.posts[place].child.take() {
            // One that has ended already is what was wanted.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Whether a node's process runs.
    pub(crate) fn lives(&mut self, place: usize) -> bool {
        self.posts[place].child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// A connection to a node, under its own key and not over its link.
    pub(crate) async fn spoken(&self, place: usize) -> Result<Spoken, Failed> {
        let config = self.config(place)?;
        Ok(Client::of(&config)?.home(&config).await?)
    }

    pub(crate) async fn status(&self, place: usize) -> Result<Status, Failed> {
        Ok(self.spoken(place).await?.order(&Order::Status, ORDER_TIME).await?)
    }

    /// Deploys the pipeline from the cloud's host; what the command has printed.
    pub(crate) async fn deploy(&self) -> Result<serde_json::Value, Failed> {
        self.deploy_for("device").await
    }

    /// The same, for requests that are made at another node.
    pub(crate) async fn deploy_for(&self, source: &str) -> Result<serde_json::Value, Failed> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("deploy").arg(self.folder.path()).arg("--config").arg(&self.posts[0].folder);
        command.args(["--json", "--within", "60 s", "--source", source]);
        let output = tokio::task::spawn_blocking(move || command.output()).await??;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        serde_json::from_slice(&output.stdout).map_err(|_| format!("it was not deployed: {said}").into())
    }

    /// Deploys the pipeline from the cloud's host, and again whenever that is worth it, until the process is ended.
    pub(crate) fn watch(&self) -> Result<Child, Failed> {
        let log = fs::File::create(self.folder.path().join("watch"))?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("deploy").arg(self.folder.path()).arg("--config").arg(&self.posts[0].folder);
        command.args(["--json", "--watch", "1 s"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        Ok(command.spawn()?)
    }

    /// A steady load, of half of what the device can answer where nobody helps it: this machine is slower at times. More
    /// than it can answer is the row `overload`.
    pub(crate) async fn load(&self) -> Result<Load, Failed> {
        let status = self.status(2).await?;
        let alone = status.deployments.first().and_then(alone).ok_or("the device has no plan to answer alone")?;
        Ok(Load::start(self.spoken(2).await?, self.question.clone(), 2 * alone))
    }

    /// Waits until requests go over a plan that others have a part in.
    pub(crate) async fn settled(&self, patience: Duration) -> Result<(), Failed> {
        let helped = |status: &Status| serving(status).is_some_and(|decision| decision.contains('|'));
        self.wait(2, patience, helped).await.map_err(|error| format!("nobody helps the device: {error}").into())
    }

    /// Waits until the cloud calls the edge alive, or down.
    pub(crate) async fn edge_is(&self, liveness: &str) -> Result<(), Failed> {
        let is = |status: &Status| status.nodes.iter().any(|node| node.name == "edge" && node.liveness == liveness);
        self.wait(0, Duration::from_secs(30), is).await.map_err(|_| format!("the edge is not called {liveness}").into())
    }

    /// Waits until requests go over the plans of this epoch.
    pub(crate) async fn epoch(&self, epoch: u32, patience: Duration) -> Result<(), Failed> {
        let serves = |status: &Status| status.deployments.iter().any(|of| of.epoch == Some(epoch));
        self.wait(2, patience, serves).await.map_err(|_| format!("epoch {epoch} does not serve").into())
    }

    async fn wait(&self, place: usize, patience: Duration, until: impl Fn(&Status) -> bool) -> Result<(), Failed> {
        let end = Instant::now() + patience;
        loop {
            let status = self.status(place).await?;
            if until(&status) {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(format!("{:?}", status.deployments).into());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// What the device has said of its plans so far, in order.
    pub(crate) fn changes(&self) -> Vec<String> {
        let log = fs::read_to_string(self.posts[2].folder.join("log")).unwrap_or_default();
        let served = log.lines().filter(|line| line.contains("another plan serves"));
        served.filter_map(|line| Some(line.split_once("serving=")?.1.trim_matches('"').to_owned())).collect()
    }

    /// Looks at the device's log, so long at most, until it has this line once more, of a node; when that was.
    pub(crate) fn tells(
        &self,
        line: &'static str,
        of: &'static str,
        patience: Duration,
    ) -> JoinHandle<Result<Instant, Elapsed>> {
        let log = self.posts[2].folder.join("log");
        let count = move || {
            let text = fs::read_to_string(&log).unwrap_or_default();
            text.lines().filter(|told| told.contains(line) && told.contains(of)).count()
        };
        let before = count();
        tokio::spawn(timeout(patience, async move {
            while count() == before {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            Instant::now()
        }))
    }

    /// The model, in this process.
    pub(crate) fn model(&self) -> Result<Stage, Failed> {
        let subject = Subject::load(self.folder.path(), &Shapes::new(), Trust::own())?;
        let (model, _) = subject.model(None)?;
        Ok(model.whole()?)
    }

    /// Adds a line to what a node's file says.
    pub(crate) fn configure(&self, place: usize, line: &str) -> Result<(), Failed> {
        let file = self.posts[place].folder.join("node.toml");
        Ok(fs::write(&file, format!("{}{line}\n", fs::read_to_string(&file)?))?)
    }

    /// The most memory that a node has had resident, in MiB.
    pub(crate) fn memory(&self, place: usize) -> f64 {
        self.kept_in(place, "VmHWM:")
    }

    /// The memory that a node has resident, in MiB.
    pub(crate) fn resident(&self, place: usize) -> f64 {
        self.kept_in(place, "VmRSS:")
    }

    /// How much of it is the program itself, which the system can drop and read again.
    pub(crate) fn program(&self, place: usize) -> f64 {
        self.kept_in(place, "RssFile:")
    }

    fn kept_in(&self, place: usize, what: &str) -> f64 {
        let status = self.posts[place].child.as_ref().map(|child| format!("/proc/{}/status", child.id()));
        let text = status.and_then(|file| fs::read_to_string(file).ok()).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(what)).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or_default() / 1024.0
    }

    /// How many files, sockets and threads a node has.
    pub(crate) fn handles(&self, place: usize) -> (usize, usize) {
        let count = |what: &str| {
            let child = self.posts[place].child.as_ref();
            child.and_then(|child| fs::read_dir(format!("/proc/{}/{what}", child.id())).ok()).map_or(0, Iterator::count)
        };
        (count("fd"), count("task"))
    }

    /// From now on the link to a node is like this in both directions.
    pub(crate) fn shape(&self, place: usize, shape: &Shape, seed: u64) {
        self.posts[place].link.shape(Way::Up, Shaper::new(shape, None, seed));
        self.posts[place].link.shape(Way::Down, Shaper::new(shape, None, seed + 1));
    }

    /// Cuts the link to a node in both directions, or mends it.
    pub(crate) fn cut(&self, place: usize, cut: bool) {
        self.posts[place].link.cut(Way::Up, cut);
        self.posts[place].link.cut(Way::Down, cut);
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        (0..self.posts.len()).for_each(|place| self.kill(place));
    }
}

/// What the plan decides that serves the first deployment.
pub(crate) fn serving(status: &Status) -> Option<&str> {
    let alternatives = &status.deployments.first()?.requests.as_ref()?.alternatives;
    Some(&alternatives.iter().find(|other| other.serves)?.decision)
}

/// How long the device takes where nobody helps it, by its plans.
fn alone(deployment: &DeploymentShown) -> Option<Duration> {
    let alternatives = &deployment.requests.as_ref()?.alternatives;
    let local = alternatives.iter().find(|other| !other.decision.contains('|'))?;
    Some(Duration::from_secs_f64(local.predicted_ms? / 1e3))
}

/// Sends a signal to a process.
pub(crate) fn signal_to(process: u32, signal: &str) {
    // The shell's own command: not every system has another one.
    let status = Command::new("sh").arg("-c").arg(format!("kill -{signal} {process}")).status();
    assert!(status.is_ok_and(|status| status.success()), "kill -{signal} {process}");
}

/// A port that is free just now.
fn free_port() -> std::io::Result<SocketAddr> {
    std::net::UdpSocket::bind("127.0.0.1:0")?.local_addr()
}

/// The pipeline's file in `folder`, its input, and what the whole model answers to that.
fn write_pipeline(folder: &Path) -> Result<Question, Failed> {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").canonicalize()?;
    let model = examples.join("models/efficientnet_lite0/efficientnet_lite0_op13.onnx");
    let photo = examples.join("classify/photo.jpg");
    let text = PIPELINE.replace("MODEL", &model.display().to_string()).replace("PHOTO", &photo.display().to_string());
    fs::write(folder.join("pipeline.toml"), text)?;
    let subject = Subject::load(folder, &Shapes::new(), Trust::own())?;
    let (model, _) = subject.model(None)?;
    let mut right = model.whole()?.run(&subject.inputs)?;
    let right = right.remove(0).into_data();
    Ok(Question { deployment: NAME.to_owned(), inputs: subject.inputs, right, deadline: Duration::from_secs(1) })
}
