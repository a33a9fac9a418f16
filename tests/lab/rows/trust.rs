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

pub(crate) async fn strangers(_: Settings, outcome: &mut Outcome) -> Result<(), Failed> {
    let mut site = Site::deployed(Plan::default()).await?;
    let load = Load::start(site.spoken(2).await?, site.question.clone(), Duration::from_millis(300));
    let id = KeyFile::new(site.config(0)?.state.join("key")).read()?.id();
    let cloud = Peer { id, address: site.posts[0].link.address() };

    uninvited(&site, cloud, outcome).await?;
    let first = invited(&site, cloud, outcome).await?;
    revoked(&site, cloud, &first, outcome).await?;

    // A key that hands over while requests go over it.
    let before = KeyFile::new(site.config(1)?.state.join("key")).read()?.id();
    let after: thalweg::identity::NodeId = site.spoken(1).await?.order(&Order::Rotate, ORDER_TIME).await?;
    outcome.check("a key hands over", after != before, after);
    sleep(KNOWN).await;
    let seen_as = site.status(2).await?.nodes.into_iter().find(|node| node.id == after);
    let alive = seen_as.as_ref().is_some_and(|node| node.liveness == "alive");
    outcome.timed("and is known by the new one", alive, seen_as.map_or("unknown".to_owned(), |node| node.liveness));
    let sent = load.stop().await;
    let seen = Seen::of(sent.iter());
    outcome.check("no request was dropped", seen.refused == 0, seen.refused);
    outcome.requests("all the while", seen);
    outcome.check("all nodes live", (0..3).all(|place| site.lives(place)), "they do");
    Ok(())
}

/// Somebody who was never invited, and a device that orders what operators may.
async fn uninvited(site: &Site, cloud: Peer, outcome: &mut Outcome) -> Result<(), Failed> {
    let stranger = node_file(site, "stranger", "device")?;
    KeyFile::new(stranger.state.join("key")).make()?;
    let refused = Client::of(&stranger)?.to(cloud).await;
    is_refused(outcome, "a stranger is not let in", refused);

    let device = Client::of(&site.config(2)?)?.to(cloud).await?;
    for (what, order) in [("invite", invitation_to_edges(cloud, 60)), ("revoke", Order::Revoke { id: cloud.id })] {
        let refused = device.order::<serde_json::Value>(&order, ORDER_TIME).await;
        is_refused(outcome, format!("a device may not {what}"), refused);
    }
    Ok(())
}

fn invitation_to_edges(cloud: Peer, valid_s: u64) -> Order {
    Order::Invite { role: Role::Edge, valid_s, address: cloud.address.to_string() }
}

/// Invitations open once, and not for ever. Who was let in.
async fn invited(site: &Site, cloud: Peer, outcome: &mut Outcome) -> Result<NodeFile, Failed> {
    let invitation: String = site.spoken(0).await?.order(&invitation_to_edges(cloud, 60), ORDER_TIME).await?;
    let first = node_file(site, "first", "edge")?;
    join(&first, &invitation.parse()?).await?;
    let replayed = join(&node_file(site, "second", "edge")?, &invitation.parse()?).await;
    is_refused(outcome, "a replayed invitation is refused", replayed);
    let invitation: String = site.spoken(0).await?.order(&invitation_to_edges(cloud, 1), ORDER_TIME).await?;
    sleep(Duration::from_millis(1500)).await;
    let expired = join(&node_file(site, "third", "edge")?, &invitation.parse()?).await;
    is_refused(outcome, "an expired invitation is refused", expired);
    Ok(first)
}

/// A key that is revoked, while it has a connection.
async fn revoked(site: &Site, cloud: Peer, first: &NodeFile, outcome: &mut Outcome) -> Result<(), Failed> {
    let member = Client::of(first)?.to(cloud).await?;
    let first_id = KeyFile::new(first.state.join("key")).read()?.id();
    site.spoken(0).await?.order::<()>(&Order::Revoke { id: first_id }, ORDER_TIME).await?;
    sleep(Duration::from_millis(200)).await;
    let gone = member.order::<serde_json::Value>(&Order::Status, Duration::from_secs(2)).await;
    is_refused(outcome, "a revoked key's connection ends", gone);
    sleep(KNOWN).await;
    let edge_id = KeyFile::new(site.config(1)?.state.join("key")).read()?.id();
    let edge = Peer { id: edge_id, address: site.posts[1].link.address() };
    let elsewhere = Client::of(first)?.to(edge).await;
    is_refused(outcome, "nor is it let in elsewhere", elsewhere);
    Ok(())
}

/// Notes what should not come about, and why it did not.
fn is_refused<T, E: std::fmt::Display>(outcome: &mut Outcome, what: impl Into<String>, result: Result<T, E>) {
    let (refused, why) = result.map_or_else(|error| (true, error.to_string()), |_| (false, "it is done".to_owned()));
    outcome.check(what, refused, why);
}

/// A node that is not started.
fn node_file(site: &Site, name: &str, role: &str) -> Result<NodeFile, Failed> {
    let folder = site.posts[0].folder.with_file_name(name);
    fs::create_dir_all(folder.join("state"))?;
    let text = format!("name = \"{name}\"\nrole = \"{role}\"\nlisten = \"127.0.0.1:9\"\n");
    fs::write(folder.join("node.toml"), text)?;
    Ok(NodeFile::read(&folder)?)
}
