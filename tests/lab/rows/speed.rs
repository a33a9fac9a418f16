//! What nodes take when nothing is wrong.

use std::sync::Arc;
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
    drop(spoken);
    site.kill(2);
    let start = Instant::now();
    let ready = site.start(2).await?;
    let first = ask(&site.spoken(2).await?, &site.question).await;
    let answered = matches!(first.fate, Fate::Answered { .. });
    outcome.check("answers after a restart", answered, &first.reason);
    outcome.figure("start to ready, and to the first answer", format!("{ready:.0?}, {:.0?}", start.elapsed()));
    small(&mut site, outcome).await
}

/// A device with too little memory for the whole model holds the part of one plan.
async fn small(site: &mut Site, outcome: &mut Outcome) -> Result<(), Failed> {
    site.kill(2);
    site.configure(2, "memory = \"8 MiB\"")?;
    site.start(2).await?;
    let report = site.deploy().await?;
    site.settled(Duration::from_secs(60)).await?;
    // What timing the model took is given back when the process ends.
    site.kill(2);
    site.start(2).await?;
    site.settled(Duration::from_secs(60)).await?;
    let first = ask(&site.spoken(2).await?, &site.question).await;
    outcome.check("a small device answers with help", first.fate == Fate::Answered { local: false }, &first.reason);
    let status = site.status(2).await?;
    let weights = status.deployments.first().map_or(0.0, |of| of.bytes as f64 / f64::from(1 << 20));
    let plans = report["plans"].as_array().map_or(0, Vec::len);
    let (resident, program) = (site.resident(2), site.program(2));
    let measured = format!(
        "{resident:.0} MiB, {program:.0} MiB of them the program, {weights:.1} MiB the files of its parts of {plans} plans"
    );
    outcome.timed("it takes its weights and 60 MiB at most", resident <= weights + BESIDE_WEIGHTS_MIB, measured);
    Ok(())
}

/// Requests a second of one node that computes all of the model, beside the model in a loop on as many threads.
pub(crate) async fn rate(settings: Settings, outcome: &mut Outcome) -> Result<(), Failed> {
    let span = Duration::from_secs(if settings.long { 20 } else { 4 });
    let site = Site::open(Plan { threads: 2, ..Plan::default() }).await?;
    site.deploy_for("edge").await?;
    let (model, mut rates) = (Arc::new(site.model()?), [0.0, 0.0]);
    let inputs = Arc::new(site.question.inputs.clone());
    // In turns, so that what else this machine does hits both.
    for _ in 0..3 {
        let looped = (0..2).map(|_| {
            let (model, inputs) = (model.clone(), inputs.clone());
            tokio::task::spawn_blocking(move || {
                let (start, mut runs) = (Instant::now(), 0.0);
                while start.elapsed() < span / 3 {
                    model.run(&inputs)?;
                    runs += 1.0;
                }
                Ok::<f64, Failed>(runs / start.elapsed().as_secs_f64())
            })
        });
        for looped in looped.collect::<Vec<_>>() {
            rates[0] += looped.await?? / 3.0;
        }
        let mut asking = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let (spoken, question) = (site.spoken(1).await?, site.question.clone());
            asking.spawn(async move {
                let (start, mut answered) = (Instant::now(), 0.0);
                while start.elapsed() < span / 3 {
                    answered +=
                        f64::from(u8::from(matches!(ask(&spoken, &question).await.fate, Fate::Answered { .. })));
                }
                answered / start.elapsed().as_secs_f64()
            });
        }
        while let Some(asked) = asking.join_next().await {
            rates[1] += asked? / 3.0;
        }
    }
    let [looped, asked] = rates;
    outcome.check("answers", asked > 0.0, format!("{asked:.1} requests a second"));
    outcome.figure("the model in a loop", format!("{looped:.1} a second"));
    outcome.figure(
        "the node beside it",
        format!("{:.0} %, each request with 602 kB over a connection", asked / looped * 1e2),
    );
    Ok(())
}
