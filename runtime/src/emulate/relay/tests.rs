//! Sends packets through a relay over loopback: what arrives, and what does not.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use thalweg_devices::link::{Outage, Shape};
use thalweg_flow::{Frame, Hello, Reason, Refusal, VERSION};
use thalweg_planner::Bandwidth;

use super::*;
use crate::emulate::ShapedSocket;
use crate::identity::Identity;
use crate::link::{Endpoint, Peer, Tuning};

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Within this what arrives at all has arrived, on however busy a machine.
const LONG: Duration = Duration::from_secs(20);

/// What has not arrived by now is lost. A slow machine makes a test that fails pass, never the other way round.
const SHORT: Duration = Duration::from_millis(200);

fn shaper() -> Shaper {
    Shaper::new(&Shape::new(Bandwidth(100_000_000), Duration::from_millis(2)), None, 1)
}

fn plain() -> UdpSocket {
    UdpSocket::bind(ANY).unwrap()
}

/// A target, and a relay to it.
fn relayed() -> (UdpSocket, Relay) {
    let target = plain();
    let relay = Relay::start(ANY, target.local_addr().unwrap(), shaper(), shaper()).unwrap();
    (target, relay)
}

fn hear(socket: &UdpSocket, patience: Duration) -> Option<(Vec<u8>, SocketAddr)> {
    socket.set_read_timeout(Some(patience)).unwrap();
    let mut buffer = [0; 2048];
    let (length, from) = socket.recv_from(&mut buffer).ok()?;
    Some((buffer[..length].to_vec(), from))
}

/// Waits for what the relay's thread will have done soon.
fn until(done: impl Fn() -> bool) {
    let patience = Instant::now() + LONG;
    while !done() {
        assert!(Instant::now() < patience, "it has not happened after {LONG:?}");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn clients_get_the_replies_to_their_own_packets() {
    let (target, relay) = relayed();
    let clients = [(); 3].map(|()| plain());
    let mut known = Vec::new();
    for (number, client) in (0..).zip(&clients) {
        client.send_to(&[number], relay.address()).unwrap();
        let (contents, from) = hear(&target, LONG).unwrap();
        assert_eq!(contents, [number]);
        known.push(from);
    }
    for (number, from) in (0..3).zip(&known).rev() {
        target.send_to(&[10 + number], from).unwrap();
    }
    for (number, client) in (0..).zip(&clients) {
        assert_eq!(hear(client, LONG), Some((vec![10 + number], relay.address())));
    }
    let passed = [Way::Up, Way::Down].map(|way| relay.passed(way).shaped);
    assert_eq!(passed.map(|shaped| (shaped.packets, shaped.bytes)), [(3, 87), (3, 87)]);
}

#[test]
fn a_way_that_is_cut_is_cut_one_way_and_can_be_mended() {
    let (target, relay) = relayed();
    let client = plain();
    let ask = || client.send_to(b"ask", relay.address()).unwrap();
    ask();
    let (_, from) = hear(&target, LONG).unwrap();
    let reply = || target.send_to(b"reply", from).unwrap();
    relay.cut(Way::Down, true);
    reply();
    until(|| relay.passed(Way::Down).cut == 1);
    ask();
    assert_eq!(hear(&client, SHORT), None);
    assert_eq!(hear(&target, LONG), Some((b"ask".to_vec(), from)));
    relay.cut(Way::Up, true);
    relay.cut(Way::Down, false);
    ask();
    reply();
    until(|| relay.passed(Way::Up).cut == 1);
    assert_eq!(hear(&client, LONG), Some((b"reply".to_vec(), relay.address())));
    assert_eq!(hear(&target, SHORT), None);
    relay.cut(Way::Up, false);
    ask();
    assert_eq!(hear(&target, LONG), Some((b"ask".to_vec(), from)));
    let passed = [Way::Up, Way::Down].map(|way| relay.passed(way));
    assert_eq!(passed.map(|passed| (passed.cut, passed.shaped.packets)), [(1, 3), (1, 1)]);
}

#[test]
fn what_is_on_a_way_that_is_cut_is_lost() {
    let (target, relay) = relayed();
    relay.shape(Way::Up, Shaper::new(&Shape::new(Bandwidth(1_000_000), 4 * SHORT), None, 1));
    plain().send_to(b"late", relay.address()).unwrap();
    until(|| relay.passed(Way::Up).shaped.packets == 1);
    relay.cut(Way::Up, true);
    assert_eq!(hear(&target, 6 * SHORT), None);
}

#[test]
fn a_link_that_changes_counts_on() {
    let (target, relay) = relayed();
    let client = plain();
    client.send_to(b"one", relay.address()).unwrap();
    assert!(hear(&target, LONG).is_some());
    let down = Outage { every: LONG, length: LONG };
    let shape = Shape { outage: Some(down), ..Shape::new(Bandwidth(1_000_000), Duration::ZERO) };
    relay.shape(Way::Up, Shaper::new(&shape, None, 1));
    client.send_to(b"two", relay.address()).unwrap();
    until(|| relay.passed(Way::Up).shaped.outage == 1);
    assert_eq!(hear(&target, SHORT), None);
    relay.shape(Way::Up, shaper());
    client.send_to(b"three", relay.address()).unwrap();
    assert_eq!(hear(&target, LONG).map(|heard| heard.0), Some(b"three".to_vec()));
    let shaped = relay.passed(Way::Up).shaped;
    assert_eq!((shaped.packets, shaped.outage, shaped.delivered()), (3, 1, 2));
}

/// How many bits of each packet are wrong that goes through a lane that damages this share.
fn wrong_bits(share: f64, seed: u64, sent: &[u8]) -> Vec<u32> {
    let mut lane = Lane::new(shaper());
    (lane.corrupt, lane.random) = (share, Pcg64::seed_from_u64(seed));
    let wrong = |got: Arc<[u8]>| got.iter().zip(sent).map(|(got, sent)| (got ^ sent).count_ones()).sum();
    (0..1000).map(|_| wrong(lane.damaged(sent))).collect()
}

#[test]
fn as_many_packets_as_asked_have_a_few_wrong_bits_and_the_same_for_the_same_seed() {
    for length in [1, 7, 1200] {
        let sent = vec![0b1010_0110; length];
        let found = wrong_bits(0.3, 4, &sent);
        assert_eq!(found, wrong_bits(0.3, 4, &sent));
        assert_ne!(found, wrong_bits(0.3, 5, &sent));
        let hit = found.iter().filter(|bits| **bits > 0).count();
        assert!((250..350).contains(&hit), "{hit} of 1000");
        assert!(found.iter().all(|bits| *bits <= 8), "{found:?}");
        assert!(wrong_bits(1.0, 1, &sent).iter().all(|bits| *bits > 0));
        assert!(wrong_bits(0.0, 1, &sent).iter().all(|bits| *bits == 0));
    }
    assert_eq!(wrong_bits(1.0, 1, &[])[0], 0);
}

fn endpoint(identity: &Identity, allowed: BTreeSet<crate::identity::NodeId>) -> Endpoint {
    let socket = Arc::new(ShapedSocket::new(bind(ANY).unwrap()).unwrap());
    Endpoint::open(socket, identity.clone(), Arc::new(allowed), Tuning::default(), BTreeMap::new()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quic_gets_everything_through_a_relay_that_damages_loses_doubles_and_reorders() {
    const BYTES: usize = 3_000_000;
    let [server, client] = [(); 2].map(|()| Identity::generate().unwrap().0);
    let listening = endpoint(&server, BTreeSet::from([client.id()]));
    let shape = Shape::new(Bandwidth(100_000_000), Duration::from_millis(2));
    let shape = Shape { loss: 0.005, duplicate: 0.01, reorder: 0.005, ..shape };
    let [up, down] = [1, 2].map(|seed| Shaper::new(&shape, None, seed));
    let relay = Relay::start(ANY, listening.address().unwrap(), up, down).unwrap();
    relay.corrupt(Way::Up, 0.01, 3);
    relay.corrupt(Way::Down, 0.01, 4);
    let sent: Vec<u8> = (0..BYTES).map(|index| (index % 251) as u8).collect();
    let asking = endpoint(&client, BTreeSet::new());
    let word = Frame::Refuse(Refusal { hop: 0, reason: Reason::Stopping });
    let send = async {
        let connection = asking.connect(Peer { id: server.id(), address: relay.address() }).await.unwrap();
        let mut exchange = connection.open().await.unwrap();
        exchange.send(&word, vec![sent.clone()]).await.unwrap();
        exchange.released().await;
    };
    let receive = async {
        let hello = Hello { version: VERSION, name: "server".into() };
        let connection = listening.accept().await.unwrap().greet(&listening, |_| hello).await.unwrap();
        let mut exchange = connection.accept().await.unwrap();
        assert_eq!(exchange.read_frame().await.unwrap(), word);
        let mut got = Vec::new();
        while let Some(piece) = exchange.read_piece(BYTES).await.unwrap() {
            got.extend_from_slice(&piece);
        }
        got
    };
    let ((), got) = tokio::join!(send, receive);
    assert!(got == sent, "{} of {BYTES} bytes came, or others", got.len());
    let up = relay.passed(Way::Up);
    assert!(up.corrupted > 0 && up.shaped.lost > 0 && up.shaped.duplicated > 0 && up.shaped.reordered > 0, "{up:?}");
}
