//! Links that are cut, slow, or do other things to packets than to carry them.

use std::time::{Duration, Instant};

use thalweg::emulate::Way;
use thalweg_devices::link::Shape;
use tokio::time::sleep;

use super::nodes::helper;
use crate::Settings;
use crate::load::{Seen, back_after};
use crate::report::Outcome;
use crate::site::{Failed, Plan, Site, link};

pub(crate) async fn cut(settings: Settings, outcome: &mut Outcome) -> Result<(), Failed> {
    let spans: &[u64] = if settings.long { &[1, 5, 20, 120] } else { &[3] };
    let site = Site::deployed(Plan::default()).await?;
    let handles = site.handles(2);
    for seconds in spans {
        site.settled(Duration::from_secs(90)).await?;
        let (helper, load) = (helper(&site).await?, site.load().await?);
        sleep(Duration::from_secs(2)).await;
        let start = Instant::now();
        site.cut(helper, true);
        sleep(Duration::from_secs(*seconds)).await;
        let end = Instant::now();
        site.cut(helper, false);
        sleep(Duration::from_secs(6)).await;
        let sent = load.stop().await;
        let during = Seen::of(sent.iter().filter(|sent| (start..end).contains(&sent.at)));
        outcome.timed(
            format!("cut for {seconds} s: all answered"),
            during.answered == during.requests,
            format!("{} of {}", during.answered, during.requests),
        );
        outcome.requests(format!("cut for {seconds} s"), during);
        outcome.requests(format!("after {seconds} s"), Seen::of(sent.iter().filter(|sent| sent.at >= end)));
        let back = back_after(&sent, end).map_or("not within 6 s".to_owned(), |back| format!("{back:.1?}"));
        outcome.figure(format!("after {seconds} s, first request with help"), back);
    }
    let (files, threads) = site.handles(2);
    outcome.timed(
        "no leak",
        files <= handles.0 + 4 && threads <= handles.1 + 4,
        format!("files and threads {handles:?} before, {:?} after", (files, threads)),
    );
    Ok(())
}

pub(crate) async fn flap(settings: Settings, outcome: &mut Outcome) -> Result<(), Failed> {
    let periods = if settings.long { 60 } else { 4 };
    let site = Site::deployed(Plan::default()).await?;
    let (helper, before) = (helper(&site).await?, switches(&site).await?);
    let load = site.load().await?;
    for _ in 0..periods {
        site.cut(helper, true);
        sleep(Duration::from_secs(1)).await;
        site.cut(helper, false);
        sleep(Duration::from_secs(1)).await;
    }
    let sent = load.stop().await;
    let seen = Seen::of(sent.iter());
    outcome.timed("all answered", seen.answered == seen.requests, format!("{} of {}", seen.answered, seen.requests));
    outcome.requests("flapping", seen);
    let changes = switches(&site).await? - before;
    outcome.timed("at most one change of plan a flap", changes <= 2 * periods, format!("{changes} in {periods} flaps"));
    Ok(())
}

/// How often another plan began to serve.
async fn switches(site: &Site) -> Result<u64, Failed> {
    let status = site.status(2).await?;
    let requests = status.deployments.first().and_then(|deployment| deployment.requests.as_ref());
    Ok(requests.map_or(0, |requests| requests.counts.switches))
}

pub(crate) async fn one_way(_: Settings, outcome: &mut Outcome) -> Result<(), Failed> {
    // Twice the idle time of gossip, and a tick.
    const WITHIN: Duration = Duration::from_secs(9);
    let site = Site::deployed(Plan::default()).await?;
    let load = site.load().await?;
    let start = Instant::now();
    // What the edge says arrives, what others say to it does not.
    site.posts[1].link.cut(Way::Up, true);
    site.posts[0].link.cut(Way::Down, true);
    let mut called = [None, None];
    while start.elapsed() < WITHIN && called.contains(&None) {
        for (seen, by, of) in [(0, 0, "edge"), (1, 1, "cloud")] {
            let status = site.status(by).await?;
            let down = status.nodes.iter().any(|node| node.name == of && node.liveness == "down");
            if down && called[seen].is_none() {
                called[seen] = Some(start.elapsed());
            }
        }
        sleep(Duration::from_millis(100)).await;
    }
    let sent = load.stop().await;
    outcome.requests("partitioned", Seen::of(sent.iter()));
    for (by, called) in [("cloud calls edge down", called[0]), ("edge calls cloud down", called[1])] {
        let measured = called.map_or("never".to_owned(), |after| format!("after {after:.1?}"));
        outcome.timed(format!("{by} within twice the idle time of 4 s"), called.is_some(), measured);
    }
    Ok(())
}

pub(crate) async fn bandwidth(settings: Settings, outcome: &mut Outcome) -> Result<(), Failed> {
    let span = Duration::from_secs(if settings.long { 20 } else { 5 });
    let site = Site::deployed(Plan::default()).await?;
    let load = site.load().await?;
    let mut most = 0;
    for mbit in [1.0, 0.1, 1.0, 100.0] {
        let before = switches(&site).await?;
        let start = Instant::now();
        (0..2).for_each(|place| site.shape(place, &link(mbit, Plan::default().delay), 7));
        let mut last = None;
        let mut count = before;
        while start.elapsed() < span {
            let now = switches(&site).await?;
            if now != count {
                (count, last) = (now, Some(start.elapsed()));
            }
            sleep(Duration::from_millis(100)).await;
        }
        most = most.max(count - before);
        let when = last.map_or("as before".to_owned(), |last| format!("last change after {last:.1?}"));
        let in_time = last.is_none_or(|last| last < Duration::from_secs(1));
        outcome.timed(format!("to {mbit} Mbit/s: within 1 s"), in_time, format!("{} changes, {when}", count - before));
    }
    let helped = site.settled(Duration::from_secs(30)).await;
    outcome.timed("with help again", helped.is_ok(), helped.map_or_else(|error| error.to_string(), |()| "yes".into()));
    outcome.timed("at most 2 changes of plan a change of the link", most <= 2, most);
    let sent = load.stop().await;
    let seen = Seen::of(sent.iter());
    outcome.timed("no request refused", seen.refused == 0, seen.refused);
    outcome.requests("all of it", seen);
    Ok(())
}

pub(crate) async fn noise(settings: Settings, outcome: &mut Outcome) -> Result<(), Failed> {
    let span = Duration::from_secs(if settings.long { 20 } else { 3 });
    let site = Site::deployed(Plan::default()).await?;
    let usual = link(Plan::default().mbit, Plan::default().delay);
    let lossy = |loss: f64| Shape { loss, ..usual.clone() };
    let cases = [
        ("loss of 1 %", lossy(0.01), 0.0),
        ("loss of 5 %", lossy(0.05), 0.0),
        ("loss of 10 %", lossy(0.1), 0.0),
        ("loss of 30 %", lossy(0.3), 0.0),
        ("reordering of 10 %", Shape { reorder: 0.1, ..usual.clone() }, 0.0),
        ("duplication of 10 %", Shape { duplicate: 0.1, ..usual.clone() }, 0.0),
        ("corruption of 5 %", usual.clone(), 0.05),
    ];
    for (name, shape, corrupt) in cases {
        for place in 0..2 {
            site.shape(place, &shape, settings.seed);
            for way in [Way::Up, Way::Down] {
                site.posts[place].link.corrupt(way, corrupt, settings.seed);
            }
        }
        let load = site.load().await?;
        sleep(span).await;
        let sent = load.stop().await;
        outcome.requests(name, Seen::of(sent.iter()));
    }
    let corrupted: u64 = (0..2).map(|place| site.posts[place].link.passed(Way::Up).corrupted).sum();
    outcome.check("packets were corrupted", corrupted > 0, corrupted);
    let status = site.status(2).await?;
    let up = status.links.iter().all(|link| link.up);
    let states: Vec<String> =
        status.links.iter().map(|link| format!("{} {}", link.to, if link.up { "up" } else { "down" })).collect();
    outcome.timed("no connection lost to it", up, states.join(", "));
    Ok(())
}
