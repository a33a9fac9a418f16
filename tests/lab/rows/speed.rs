//! What nodes take when nothing is wrong.

use std::time::{Duration, Instant};

use crate::Settings;
use crate::load::{Fate, Seen, ask};
use crate::report::Outcome;
use crate::site::{Failed, Plan, Site};

/// What a device node may take beside the weights of its part.
const BESIDE_WEIGHTS_MIB: f64 = 60.0;

pub(crate) async fn speed(settings: Settings, outcome: &mut Outcome) -> Result<(), Failed> {
    let requests = if settings.long { 200 } else { 20 };
    let mut site = Site::open(Plan::default()).await?;
    let idle = site.memory(2);
    let report = site.deploy().await?;
    site.settled(Duration::from_secs(60)).await?;
    for node in report["nodes"].as_array().into_iter().flatten() {
        let (bytes, ms) = (node["fetched_bytes"].as_f64().unwrap_or(0.0), node["took_ms"].as_f64().unwrap_or(0.0));
        let what = format!("{} prepares", node["name"].as_str().unwrap_or_default());
        outcome.figure(
            what,
            format!(
                "{:.1} MB of which {:.2} MB are new, in {ms:.0} ms",
                node["bytes"].as_f64().unwrap_or(0.0) / 1e6,
                bytes / 1e6
            ),
        );
    }
    let again = site.deploy().await?;
    let new: f64 =
        again["nodes"].as_array().into_iter().flatten().filter_map(|node| node["fetched_bytes"].as_f64()).sum();
    // Links were measured anew, so there may be other plans; their weights are the same.
    outcome.check("deployed again, less than a tenth travels", new < 1.8e6, format!("{:.1} kB", new / 1e3));
    let spoken = site.spoken(2).await?;
    let mut sent = Vec::new();
    for _ in 0..requests {
        sent.push(ask(&spoken, &site.question).await);
    }
    outcome.requests("one after the other", Seen::of(sent.iter()));
    outcome.figure("memory of a node without a deployment", format!("{idle:.0} MiB"));
    for (place, post) in site.posts.iter().enumerate() {
        outcome.figure(format!("memory of {}", post.name), format!("{:.0} MiB at most", site.memory(place)));
    }
    let weights = site.status(2).await?.deployments.first().map_or(0.0, |of| of.bytes as f64 / (1 << 20) as f64);
    outcome.figure(
        "files of the device's parts, its local copy among them",
        format!("{weights:.1} MiB; it takes {BESIDE_WEIGHTS_MIB} MiB beside them at most when only its part is there"),
    );
    drop(spoken);
    site.kill(2);
    let start = Instant::now();
    let ready = site.start(2).await?;
    let first = ask(&site.spoken(2).await?, &site.question).await;
    let answered = matches!(first.fate, Fate::Answered { .. });
    outcome.check("answers after a restart", answered, &first.reason);
    outcome.figure("start to ready, and to the first answer", format!("{ready:.0?}, {:.0?}", start.elapsed()));
    Ok(())
}
