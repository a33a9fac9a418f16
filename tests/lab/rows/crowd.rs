//! Many devices on one edge.

use std::fs;
use std::time::{Duration, Instant};

use thalweg::client::{Client, ORDER_TIME, Spoken, join};
use thalweg::config::NodeFile;
use thalweg::daemon::{DaemonError, Order};
use thalweg::link::Peer;
use thalweg::trust::{KeyFile, Role};

use crate::Settings;
use crate::report::Outcome;
use crate::site::{Failed, Plan, Site};

/// What the edge hears of new members by: gossip ticks twice a second.
const KNOWN: Duration = Duration::from_secs(4);

pub(crate) async fn crowd(settings: Settings, outcome: &mut Outcome) -> Result<(), Failed> {
    let count = if settings.long { 1000 } else { 50 };
    let site = Site::open(Plan::default()).await?;
    let cloud = site.spoken(0).await?;
    let address = site.config(0)?.listen.to_string();
    let mut devices = Vec::new();
    for number in 0..count {
        let folder = site.posts[0].folder.with_file_name(format!("device {number}"));
        fs::create_dir(&folder)?;
        let text = format!("name = \"device {number}\"\nrole = \"device\"\nlisten = \"127.0.0.1:9\"\n");
        fs::write(folder.join("node.toml"), text)?;
        let device = NodeFile::read(&folder)?;
        let order = Order::Invite { role: Role::Device, valid_s: 60, address: address.clone() };
        let invitation: String = cloud.order(&order, ORDER_TIME).await?;
        join(&device, &invitation.parse()?).await?;
        devices.push(device);
    }
    tokio::time::sleep(KNOWN).await;
    let before = site.memory(1);
    let id = KeyFile::new(site.config(1)?.state.join("key")).read()?.id();
    let edge = Peer { id, address: site.config(1)?.listen };
    let mut connected: Vec<(Client, Spoken)> = Vec::new();
    for device in &devices {
        let client = Client::of(device)?;
        let spoken = client.to(edge).await?;
        connected.push((client, spoken));
    }
    let mut times = Vec::new();
    for (_, spoken) in connected.iter().cycle().take(count * 2) {
        let start = Instant::now();
        let order = Order::Describe { name: "nothing".to_owned() };
        // There is no such deployment, which the edge says.
        match spoken.order::<serde_json::Value>(&order, ORDER_TIME).await {
            Err(DaemonError::Refused(_)) => times.push(start.elapsed()),
            other => return Err(format!("{other:?}").into()),
        }
    }
    times.sort_unstable();
    let grown = (site.memory(1) - before) * 1024.0 / count as f64;
    outcome.check(format!("{count} devices are connected to one edge"), connected.len() == count, connected.len());
    outcome.figure("memory a connection", format!("{grown:.0} KiB"));
    let (half, most) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    outcome.figure("a question and its answer, p50 and p99", format!("{half:.2?}, {most:.2?}"));
    Ok(())
}
