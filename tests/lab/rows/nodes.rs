//! Nodes that end, stop, or have too little.

use std::path::Path;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::Settings;
use crate::load::{Seen, back_after, longest_gap};
use crate::report::Outcome;
use crate::site::{Failed, Plan, Site, serving, signal_to};

/// A fail-over takes no longer.
const FAIL_OVER: Duration = Duration::from_millis(500);
/// A node that starts is up again after this, or it is not.
const RETURN_MAX: Duration = Duration::from_secs(10);

/// Which of edge and cloud helps the device.
pub(crate) async fn helper(site: &Site) -> Result<usize, Failed> {
    let status = site.status(2).await?;
    Ok(usize::from(serving(&status).is_some_and(|decision| decision.contains("edge"))))
}

/// How the time after a fault went, under a request each `every`: the longest silence beyond what an answer takes anyway.
fn check_fail_over(outcome: &mut Outcome, gap: Duration, every: Duration) {
    // Between two answers lies at least the time between two requests, and what the device takes by itself: half of that.
    let over = gap.saturating_sub(every + every / 2);
    outcome.timed(
        "fail-over within 500 ms",
        over <= FAIL_OVER,
        format!("{over:.0?} beyond the device's own time, longest silence {gap:.0?}"),
    );
}

pub(crate) async fn kill(settings: Settings, outcome: &mut Outcome) -> Result<(), Failed> {
    let rounds = if settings.long { 10 } else { 1 };
    let mut site = Site::deployed(Plan::default()).await?;
    for round in 0..rounds {
        site.settled(Duration::from_secs(60)).await?;
        let (helper, load) = (helper(&site).await?, site.load().await?);
        let every = load.every;
        sleep(Duration::from_secs(2)).await;
        let killed = Instant::now();
        site.kill(helper);
        sleep(Duration::from_secs(3)).await;
        let name = site.posts[helper].name;
        let (up, returned) = (Instant::now(), site.tells("a link is up again", name, RETURN_MAX));
        let start = site.start(helper).await?;
        sleep(Duration::from_secs(5)).await;
        let sent = load.stop().await;
        outcome.requests(format!("round {round}, before"), Seen::of(sent.iter().filter(|sent| sent.at < killed)));
        outcome.requests(format!("round {round}, after"), Seen::of(sent.iter().filter(|sent| sent.at >= killed)));
        check_fail_over(outcome, longest_gap(&sent, killed, up), every);
        outcome.figure("start to ready, from the verified cache", format!("{start:.0?}"));
        let back = back_after(&sent, up + start).map_or("not within 5 s".to_owned(), |back| format!("{back:.1?}"));
        outcome.figure("up again to first request with help", back);
        check_return(outcome, &site, helper, returned.await?.ok().map(|at| at.saturating_duration_since(up + start)))
            .await?;
    }
    Ok(())
}

/// How soon after a node was up the device had an answer of it, which is a round trip after it was connected.
async fn check_return(outcome: &mut Outcome, site: &Site, place: usize, after: Option<Duration>) -> Result<(), Failed> {
    let name = site.posts[place].name;
    let links = site.status(2).await?.links;
    let trip = links.iter().find(|link| link.to == name).ok_or("the device has no link to it")?.round_trip_ms;
    let trips = after.map_or(f64::INFINITY, |after| after.as_secs_f64() * 1e3 / trip);
    let measured = format!("{trips:.1} round trips of {trip:.1} ms after {name} was up");
    outcome.timed("connected again within 2 round trips", trips <= 2.0, measured);
    Ok(())
}

pub(crate) async fn stop(settings: Settings, outcome: &mut Outcome) -> Result<(), Failed> {
    let spans: &[u64] = if settings.long { &[5, 60] } else { &[3] };
    let site = Site::deployed(Plan::default()).await?;
    for seconds in spans {
        site.settled(Duration::from_secs(60)).await?;
        let (helper, load) = (helper(&site).await?, site.load().await?);
        let every = load.every;
        sleep(Duration::from_secs(2)).await;
        let stopped = Instant::now();
        site.signal(helper, "STOP");
        sleep(Duration::from_secs(*seconds)).await;
        let again = Instant::now();
        site.signal(helper, "CONT");
        sleep(Duration::from_secs(4)).await;
        let sent = load.stop().await;
        outcome.requests(format!("{seconds} s, before"), Seen::of(sent.iter().filter(|sent| sent.at < stopped)));
        let during = sent.iter().filter(|sent| (stopped..again).contains(&sent.at));
        outcome.requests(format!("{seconds} s, while it is stopped"), Seen::of(during));
        outcome.requests(format!("{seconds} s, after"), Seen::of(sent.iter().filter(|sent| sent.at >= again)));
        check_fail_over(outcome, longest_gap(&sent, stopped, again), every);
    }
    Ok(())
}

pub(crate) async fn slow(settings: Settings, outcome: &mut Outcome) -> Result<(), Failed> {
    let span = Duration::from_secs(if settings.long { 30 } else { 6 });
    let site = Site::deployed(Plan::default()).await?;
    let helper = helper(&site).await?;
    let process = site.posts[helper].child.as_ref().map(std::process::Child::id).ok_or("it has ended")?;
    let (before, load) = (site.status(2).await?, site.load().await?);
    sleep(Duration::from_secs(2)).await;
    let (slowed, told) = (Instant::now(), site.changes().len());
    // As a quota of 10 % in periods of 100 ms does it, and without root.
    while slowed.elapsed() < span {
        signal_to(process, "STOP");
        sleep(Duration::from_millis(90)).await;
        signal_to(process, "CONT");
        sleep(Duration::from_millis(10)).await;
    }
    let after = site.status(2).await?;
    let sent = load.stop().await;
    outcome.requests("slowed", Seen::of(sent.iter().filter(|sent| sent.at >= slowed)));
    let serving = |status: &thalweg::daemon::Status| {
        let requests = status.deployments.first().and_then(|deployment| deployment.requests.clone());
        let plan = requests.and_then(|requests| requests.alternatives.into_iter().find(|other| other.serves));
        plan.map(|plan| plan.decision).unwrap_or_default()
    };
    let (was, is) = (serving(&before), serving(&after));
    outcome.timed("the cut moves", was != is, format!("from {was} to {is}"));
    let changes = site.changes().split_off(told);
    // Away from it, and back for a look that ends the same way.
    let most = 2 + span.as_secs() / 5;
    outcome.timed("no flapping", changes.len() as u64 <= most, format!("{} changes in {span:.0?}", changes.len()));
    outcome.figure("plans that served", changes.join("; "));
    Ok(())
}

pub(crate) async fn exhausted(_: Settings, outcome: &mut Outcome) -> Result<(), Failed> {
    let mut site = Site::deployed(Plan::default()).await?;
    let helper = helper(&site).await?;
    let process = site.posts[helper].child.as_ref().map(std::process::Child::id).ok_or("it has ended")?;
    let limited = std::process::Command::new("prlimit").arg(format!("--pid={process}")).arg("--nofile=8").status();
    if !limited.is_ok_and(|status| status.success()) {
        outcome.figure("left out", "this system has no prlimit");
        return Ok(());
    }
    let load = site.load().await?;
    // To prepare something it has to open files, which it may not.
    let deployed = site.deploy().await;
    sleep(Duration::from_secs(1)).await;
    let sent = load.stop().await;
    outcome.requests("without file descriptors", Seen::of(sent.iter()));
    let said = match deployed {
        Ok(report) if report["state"] != "failed" => format!("it is {}", report["state"]),
        Ok(report) => report["remarks"].to_string(),
        Err(error) => error.to_string(),
    };
    outcome.check("a clear refusal", is_about_descriptors(&said, &site.posts[helper].folder), said);
    outcome.check("the process lives", site.lives(helper), "it does");
    Ok(())
}

/// Whether a text says what there are too few of, and where.
fn is_about_descriptors(said: &str, folder: &Path) -> bool {
    said.contains("Too many open files") && said.contains(&folder.display().to_string())
}
