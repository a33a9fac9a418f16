//! Peers that may not what they ask for.

use std::fs;
use std::time::Duration;

use thalweg::client::{Client, ORDER_TIME, join};
use thalweg::config::NodeFile;
use thalweg::daemon::Order;
use thalweg::link::Peer;
use thalweg::trust::{KeyFile, Role};
use tokio::time::sleep;

use crate::Settings;
use crate::load::{Load, Seen};
use crate::report::Outcome;
use crate::site::{Failed, Plan, Site};

/// A revocation has reached all nodes by then: gossip ticks twice a second.
const KNOWN: Duration = Duration::from_secs(6);

pub async fn strangers(_: Settings, outcome: &mut Outcome) -> Result<(), Failed> {
    let mut site = Site::deployed(Plan::default()).await?;
    let load = Load::start(site.spoken(2).await?, site.question.clone(), Duration::from_millis(300));
    let id = KeyFile::new(site.config(0)?.state.join("key")).read()?.id();
    let cloud = Peer { id, address: site.posts[0].link.address() };

    // Somebody who was never invited.
    let stranger = node_file(&site, "stranger", "device")?;
    KeyFile::new(stranger.state.join("key")).make()?;
    let refused = Client::of(&stranger)?.to(cloud).await;
    outcome.check(
        "a stranger is not let in",
        refused.is_err(),
        refused.err().map_or("let in".into(), |error| error.to_string()),
    );

    // A device that orders what operators may.
    let device = Client::of(&site.config(2)?)?.to(cloud).await?;
    let invite = Order::Invite { role: Role::Edge, valid_s: 60, address: cloud.address.to_string() };
    for (what, order) in [("invite", invite.clone()), ("revoke", Order::Revoke { id })] {
        let refused = device.order::<serde_json::Value>(&order, ORDER_TIME).await;
        outcome.check(
            format!("a device may not {what}"),
            refused.is_err(),
            refused.err().map_or("done".into(), |error| error.to_string()),
        );
    }

    // An invitation opens once.
    let invitation: String = site.spoken(0).await?.order(&invite, ORDER_TIME).await?;
    let first = node_file(&site, "first", "edge")?;
    join(&first, &invitation.parse()?).await?;
    let replayed = join(&node_file(&site, "second", "edge")?, &invitation.parse()?).await;
    outcome.check(
        "a replayed invitation is refused",
        replayed.is_err(),
        replayed.err().map_or("let in".into(), |error| error.to_string()),
    );
    let brief = Order::Invite { role: Role::Edge, valid_s: 1, address: cloud.address.to_string() };
    let invitation: String = site.spoken(0).await?.order(&brief, ORDER_TIME).await?;
    sleep(Duration::from_millis(1500)).await;
    let expired = join(&node_file(&site, "third", "edge")?, &invitation.parse()?).await;
    outcome.check(
        "an expired invitation is refused",
        expired.is_err(),
        expired.err().map_or("let in".into(), |error| error.to_string()),
    );

    // A key that is revoked, while it has a connection.
    let member = Client::of(&first)?.to(cloud).await?;
    let first_id = KeyFile::new(first.state.join("key")).read()?.id();
    site.spoken(0).await?.order::<()>(&Order::Revoke { id: first_id }, ORDER_TIME).await?;
    sleep(Duration::from_millis(200)).await;
    let gone = member.order::<serde_json::Value>(&Order::Status, Duration::from_secs(2)).await;
    outcome.check(
        "a revoked key's connection ends",
        gone.is_err(),
        gone.err().map_or("goes on".into(), |error| error.to_string()),
    );
    sleep(KNOWN).await;
    let edge_id = KeyFile::new(site.config(1)?.state.join("key")).read()?.id();
    let edge = Peer { id: edge_id, address: site.posts[1].link.address() };
    let elsewhere = Client::of(&first)?.to(edge).await;
    outcome.check(
        "nor is it let in elsewhere",
        elsewhere.is_err(),
        elsewhere.err().map_or("let in".into(), |error| error.to_string()),
    );

    // A key that hands over while requests go over it.
    let rotated: thalweg::identity::NodeId = site.spoken(1).await?.order(&Order::Rotate, ORDER_TIME).await?;
    outcome.check("a key hands over", rotated != edge_id, rotated);
    sleep(KNOWN).await;
    let sent = load.stop().await;
    let seen = Seen::of(sent.iter());
    outcome.check("no request was dropped", seen.refused == 0, seen.refused);
    outcome.requests("all the while", seen);
    outcome.check("all nodes live", (0..3).all(|place| site.lives(place)), "they do");
    Ok(())
}

/// A node that is not started.
fn node_file(site: &Site, name: &str, role: &str) -> Result<NodeFile, Failed> {
    let folder = site.posts[0].folder.with_file_name(name);
    fs::create_dir_all(folder.join("state"))?;
    let text = format!("name = \"{name}\"\nrole = \"{role}\"\nlisten = \"127.0.0.1:9\"\n");
    fs::write(folder.join("node.toml"), text)?;
    Ok(NodeFile::read(&folder)?)
}
