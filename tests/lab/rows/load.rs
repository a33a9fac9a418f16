//! More than the nodes can do, and changes while they do it.

use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use tokio::time::sleep;

use super::nodes::helper;
use crate::Settings;
use crate::load::{Fate, Load, Seen, Sent, ask};
use crate::report::Outcome;
use crate::site::{Failed, Plan, Site, link};

pub(crate) async fn switch(settings: Settings, outcome: &mut Outcome) -> Result<(), Failed> {
    let count = if settings.long { 10 } else { 3 };
    let site = Site::deployed(Plan::default()).await?;
    let load = site.load().await?;
    let every = load.every;
    sleep(Duration::from_secs(2)).await;
    let mut changes = Vec::new();
    for _ in 0..count {
        let report = site.deploy().await?;
        changes.push(Instant::now());
        outcome.check("deployed", report["state"] == "serving", &report["state"]);
        sleep(Duration::from_secs(1)).await;
    }
    let sent = load.stop().await;
    let near = |sent: &&Sent| {
        let end = sent.at + sent.took;
        changes.iter().any(|change| sent.at <= *change + every && *change <= end + every)
    };
    let (beside, others) = (Seen::of(sent.iter().filter(near)), Seen::of(sent.iter().filter(|sent| !near(sent))));
    outcome.check("failed requests 0", beside.refused + others.refused == 0, beside.refused + others.refused);
    outcome
        .figure("slowest beside a switch, and without one", format!("{:.1?}, {:.1?}", beside.longest, others.longest));
    outcome.requests("beside a switch", beside);
    outcome.requests("all others", others);
    Ok(())
}

pub(crate) async fn replan(_: Settings, outcome: &mut Outcome) -> Result<(), Failed> {
    let mut site = Site::open(Plan::default()).await?;
    site.shape(0, &link(20.0, Plan::default().delay), 1);
    site.edge_is("alive").await?;
    site.kill(1);
    site.edge_is("down").await?;
    let mut watching = site.watch()?;
    site.settled(Duration::from_secs(60)).await?;
    let before = helper(&site).await?;
    let load = site.load().await?;
    sleep(Duration::from_secs(2)).await;
    site.start(1).await?;
    let up = Instant::now();
    let joined = site.epoch(2, Duration::from_secs(60)).await;
    let took = up.elapsed();
    sleep(Duration::from_secs(2)).await;
    let sent = load.stop().await;
    let after = helper(&site).await?;
    watching.kill()?;
    watching.wait()?;
    outcome.check("the plans of before do without the edge", before == 0, site.posts[before].name);
    outcome.check(
        "a second epoch serves",
        joined.is_ok(),
        joined.map_or_else(|error| error.to_string(), |()| "2".into()),
    );
    outcome.check("and the edge helps", after == 1, site.posts[after].name);
    outcome.figure("from when it was up", format!("{took:.1?}"));
    let seen = Seen::of(sent.iter());
    outcome.check("no request refused", seen.refused == 0, seen.refused);
    outcome.requests("throughout", seen);
    Ok(())
}

pub(crate) async fn overload(settings: Settings, outcome: &mut Outcome) -> Result<(), Failed> {
    let span = Duration::from_secs(if settings.long { 30 } else { 5 });
    let site = Site::deployed(Plan::default()).await?;
    let spoken = site.spoken(2).await?;
    // Four at a time, as fast as they are answered: what the device's part of the plan takes is its capacity.
    let (start, mut alone) = (Instant::now(), 0);
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (spoken, question) = (spoken.clone(), site.question.clone());
        workers.spawn(async move {
            let mut answered = 0;
            while start.elapsed() < Duration::from_secs(4) {
                answered += usize::from(matches!(ask(&spoken, &question).await.fate, Fate::Answered { .. }));
            }
            answered
        });
    }
    while let Some(answered) = workers.join_next().await {
        alone += answered?;
    }
    let capacity = alone as f64 / start.elapsed().as_secs_f64();
    let every = Duration::from_secs_f64(0.1 / capacity);
    let load = Load::start(spoken, site.question.clone(), every);
    sleep(span).await;
    let sent = load.stop().await;
    let last = sent.iter().map(|sent| sent.at + sent.took).max().ok_or("nothing was sent")?;
    let first = sent.first().map(|sent| sent.at).ok_or("nothing was sent")?;
    let seen = Seen::of(sent.iter());
    let goodput = seen.answered as f64 / (last - first).as_secs_f64();
    outcome.figure("capacity, requests a second", format!("{capacity:.1}"));
    outcome.timed("goodput at least 0.9 of capacity", goodput >= 0.9 * capacity, format!("{:.2}", goodput / capacity));
    let refused = sent.iter().filter(|sent| sent.fate == Fate::Refused);
    // Before that it is not known yet how much is too much.
    let (later, soon): (Vec<&Sent>, Vec<&Sent>) = refused.partition(|sent| sent.at > first + Duration::from_secs(1));
    let [soon, later] = [soon, later].map(|refused| {
        let early = refused.iter().filter(|sent| sent.took < Duration::from_millis(5)).count();
        (early, refused.len(), early as f64 / refused.len().max(1) as f64)
    });
    outcome.figure("refusals within 5 ms, first second", format!("{} of {}", soon.0, soon.1));
    outcome.timed("refusals within 5 ms, after it: 99 %", later.2 >= 0.99, format!("{} of {}", later.0, later.1));
    outcome.requests("ten times too many", seen);
    Ok(())
}

pub(crate) async fn random(settings: Settings, outcome: &mut Outcome) -> Result<(), Failed> {
    let span = Duration::from_secs(if settings.long { 1800 } else { 15 });
    let mut random = Pcg64::seed_from_u64(settings.seed);
    let mut site = Site::deployed(Plan::default()).await?;
    let usual = link(Plan::default().mbit, Plan::default().delay);
    let load = site.load().await?;
    let (start, mut faults, mut resident) = (Instant::now(), 0, Vec::new());
    while start.elapsed() < span {
        let place = random.random_range(0..2);
        let length = Duration::from_millis(random.random_range(200..4000));
        match random.random_range(0..5) {
            0 => {
                site.kill(place);
                sleep(length).await;
                site.start(place).await?;
            }
            1 => {
                site.signal(place, "STOP");
                sleep(length).await;
                site.signal(place, "CONT");
            }
            2 => {
                site.cut(place, true);
                sleep(length).await;
                site.cut(place, false);
            }
            3 => {
                site.shape(place, &link(random.random_range(0.1..20.0), Plan::default().delay), settings.seed);
                sleep(length).await;
                site.shape(place, &usual, settings.seed);
            }
            _ => {
                site.shape(place, &thalweg_devices::link::Shape { loss: 0.2, ..usual.clone() }, settings.seed);
                sleep(length).await;
                site.shape(place, &usual, settings.seed);
            }
        }
        faults += 1;
        resident.push(site.resident(2));
        sleep(Duration::from_millis(random.random_range(100..1500))).await;
    }
    let sent = load.stop().await;
    outcome.figure("faults, seed", format!("{faults}, {}", settings.seed));
    outcome.requests("throughout", Seen::of(sent.iter()));
    let minutes = start.elapsed().as_secs_f64() / 60.0;
    // Between the middles of the two halves lies half of the time.
    let (first, second) = resident.split_at(resident.len() / 2);
    let [first, second] = [first, second].map(median);
    let slope = (second - first) / (minutes / 2.0);
    let most = site.memory(2);
    outcome.figure(
        "the device's memory",
        format!(
            "{first:.0} MiB in the first half, {second:.0} in the second: {slope:.2} more a minute; {most:.0} at most"
        ),
    );
    let recovers = site.settled(Duration::from_secs(60)).await;
    let helps = format!("{} helps", site.posts[helper(&site).await?].name);
    outcome.timed("service recovers", recovers.is_ok(), recovers.map_or_else(|error| error.to_string(), |()| helps));
    Ok(())
}

fn median(of: &[f64]) -> f64 {
    let mut sorted = of.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}
