//! Clocks of the day that are years off, and jump.
//!
//! The nodes run under libfaketime, which answers for the system what time it is and lets spans of time be.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::sleep;

use crate::Settings;
use crate::load::Seen;
use crate::report::Outcome;
use crate::site::{Failed, Plan, Site};

/// How far the clocks of cloud, edge and device are off, from one jump to the next.
const CLOCKS: [[&str; 3]; 3] = [["+10y", "+0", "-10y"], ["-10y", "+10y", "+0"], ["+0", "-10y", "+10y"]];

pub(crate) async fn clock(settings: Settings, outcome: &mut Outcome) -> Result<(), Failed> {
    let Some(library) = library() else {
        outcome.figure("not tried", "there is no libfaketime here: install the package libfaketime");
        return Ok(());
    };
    let span = Duration::from_secs(if settings.long { 20 } else { 4 });
    let mut site = Site::deployed(Plan::default()).await?;
    set_clocks(&site, CLOCKS[0])?;
    for place in 0..3 {
        site.kill(place);
        site.posts[place].environment = lying(&library, &site.posts[place].folder);
    }
    for place in 0..3 {
        site.start(place).await?;
    }
    site.settled(Duration::from_secs(60)).await?;
    let load = site.load().await?;
    sleep(span).await;
    for clocks in &CLOCKS[1..] {
        set_clocks(&site, *clocks)?;
        sleep(span).await;
    }
    let report = site.deploy().await?;
    outcome.check("deployed", report["state"] == "serving", &report["state"]);
    sleep(span).await;
    let seen = Seen::of(load.stop().await.iter());
    outcome.timed("all answered", seen.answered == seen.requests, format!("{} of {}", seen.answered, seen.requests));
    outcome.requests("clocks 10 years off that jump", seen);
    let years: Vec<i32> = (0..3).filter_map(|place| year(&site.posts[place].folder)).collect();
    let apart = years.iter().max().zip(years.iter().min()).map(|(last, first)| last - first);
    outcome.check("the nodes saw it", apart == Some(20), format!("their logs end in {years:?}"));
    Ok(())
}

/// Where the system keeps the library: Debian and its like in a folder for each kind of processor.
fn library() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|folder| folder.path());
    let known = folders.chain([PathBuf::from("/usr/lib64")]);
    known.map(|folder| folder.join("faketime/libfaketimeMT.so.1")).find(|file| file.exists())
}

/// What makes a node that keeps its files in `folder` ask `library` what time it is.
fn lying(library: &Path, folder: &Path) -> Vec<(&'static str, PathBuf)> {
    vec![
        ("LD_PRELOAD", library.to_owned()),
        ("FAKETIME_TIMESTAMP_FILE", folder.join("clock")),
        ("FAKETIME_CACHE_DURATION", "1".into()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
    ]
}

/// From now on the clocks of cloud, edge and device are so far off.
fn set_clocks(site: &Site, clocks: [&str; 3]) -> Result<(), Failed> {
    for (post, clock) in site.posts.iter().zip(clocks) {
        // As a whole: a node reads it at any moment.
        let next = post.folder.join("clock.next");
        fs::write(&next, clock)?;
        fs::rename(&next, post.folder.join("clock"))?;
    }
    Ok(())
}

/// The year in which a node has written the last line of its log.
fn year(folder: &Path) -> Option<i32> {
    let log = fs::read_to_string(folder.join("log")).ok()?;
    log.lines().rev().find_map(|line| line.get(..4)?.parse().ok())
}
