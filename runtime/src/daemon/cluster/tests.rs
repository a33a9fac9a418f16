//! What a node knows of its cluster, across restarts.
#![allow(clippy::unwrap_used)]

use super::*;

/// A node's state folder. It founds a cluster.
struct Home {
    _folder: tempfile::TempDir,
    state: State,
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(folder.path()).unwrap();
        Self { _folder: folder, state }
    }

    /// As a node that starts finds it.
    fn open(&self) -> Cluster {
        Cluster::open(&self.state, Clock::start()).unwrap()
    }
}

#[test]
fn an_old_key_is_retired_though_the_node_restarts_before() {
    let home = Home::new();
    let (cluster, address) = (home.open(), "127.0.0.1:1".parse().unwrap());
    cluster.tell_of_self("edge", Role::Edge, address).unwrap();
    let mut keys = vec![cluster.id()];
    for _ in 0..2 {
        let (new, _) = cluster.announce_key().unwrap();
        cluster.take_key(&new).unwrap();
        keys.push(new.id());
    }
    drop(cluster);
    let cluster = home.open();
    let roles = |cluster: &Cluster| keys.iter().map(|id| cluster.roster().role_of(*id)).collect::<Vec<_>>();
    assert_eq!((cluster.id(), roles(&cluster)), (keys[2], vec![Some(Role::Edge); 3]));
    let retirements = cluster.retirements().unwrap();
    assert_eq!(retirements.iter().map(|one| one.old).collect::<Vec<_>>(), keys[..2]);
    cluster.retire(&retirements[0]).unwrap();
    assert_eq!(home.open().retirements().unwrap(), retirements[1..]);
    cluster.retire(&retirements[1]).unwrap();
    assert_eq!(roles(&home.open()), [None, None, Some(Role::Edge)]);
    assert_eq!(home.open().retirements().unwrap(), []);
}

#[test]
fn a_node_that_ends_while_it_changes_its_key_has_one_key_and_retires_the_other() {
    let home = Home::new();
    let cluster = home.open();
    cluster.tell_of_self("edge", Role::Edge, "127.0.0.1:1".parse().unwrap()).unwrap();
    // It ends before others were told.
    let old = cluster.id();
    let never = KeyFile::new(home.state.next_key()).make().unwrap();
    let retires = Rotation::sign(&cluster.identity(), &never, true, cluster.roster().authority());
    write_json(&home.state.retirements(), &[retires]).unwrap();
    let cluster = home.open();
    assert_eq!((cluster.id(), cluster.retirements().unwrap()), (old, vec![]));
    // And afterwards.
    let (new, retires) = cluster.announce_key().unwrap();
    let cluster = home.open();
    assert_eq!((cluster.id(), cluster.retirements().unwrap()), (new.id(), vec![retires]));
}

/// A founder, and the home of a device that it has admitted, which is at this address.
fn admitted(address: SocketAddr) -> (Home, Cluster, Home) {
    let (founder, home) = (Home::new(), Home::new());
    let (edge, identity) = (founder.open(), KeyFile::new(home.state.key()).make().unwrap());
    edge.tell_of_self("edge", Role::Edge, "127.0.0.1:1".parse().unwrap()).unwrap();
    let member =
        Member { id: identity.id(), name: "device".into(), role: Role::Device, address, version: 0, revoked: false };
    let invitation = edge.invite(edge.id(), Role::Device, Duration::from_secs(60), "edge:1").unwrap();
    let told = edge.admit(*invitation.secret().as_bytes(), member).unwrap();
    let mut roster = Roster::join(told.authority);
    roster.merge_all(told.records, told.rotations, told.addresses);
    roster.save(&home.state.roster()).unwrap();
    (founder, edge, home)
}

#[test]
fn a_member_that_is_not_the_authority_says_where_it_is_by_now_also_under_its_next_key() {
    let address = "127.0.0.1:2".parse().unwrap();
    let (_founder, edge, home) = admitted(address);
    let device = home.open();
    device.tell_of_self("device", Role::Device, address).unwrap();
    assert_eq!(device.roster().addresses().count(), 0, "nothing is new");
    let moved = "127.0.0.1:3".parse().unwrap();
    device.tell_of_self("device", Role::Device, moved).unwrap();
    assert_ne!(device.digest(), edge.digest());
    edge.hear(device.told()).unwrap();
    assert_eq!(edge.peer(device.id()).unwrap().address, moved);
    let (new, _) = device.announce_key().unwrap();
    edge.hear(device.told()).unwrap();
    assert_eq!(edge.peer(new.id()).unwrap().address, moved);
    assert_eq!(edge.digest(), device.digest());
}

#[test]
fn a_member_that_moves_again_and_again_is_believed_every_few_seconds() {
    let (_founder, edge, home) = admitted("127.0.0.1:2".parse().unwrap());
    let device = home.open();
    let hears = |port, at| {
        device.tell_of_self("device", Role::Device, ([127, 0, 0, 1], port).into()).unwrap();
        edge.hear_at(device.told(), at).unwrap();
        edge.peer(device.id()).unwrap().address.port()
    };
    let moment = Duration::from_millis(1);
    assert_eq!(hears(3, moment), 3);
    let digest = edge.digest();
    assert_eq!(hears(4, 2 * moment), 3);
    assert_eq!(hears(5, MOVES_EVERY), 3);
    assert_eq!(edge.digest(), digest, "nothing was written down");
    assert_eq!(hears(6, MOVES_EVERY + moment), 6);
    assert_eq!(hears(7, MOVES_EVERY + 2 * moment), 6);
}

#[test]
fn a_key_that_others_were_told_is_the_one_that_follows_however_often_it_is_begun() {
    let home = Home::new();
    let cluster = home.open();
    cluster.tell_of_self("edge", Role::Edge, "127.0.0.1:1".parse().unwrap()).unwrap();
    let (first, retires) = cluster.announce_key().unwrap();
    let (second, again) = cluster.announce_key().unwrap();
    assert_eq!((second.id(), &again), (first.id(), &retires));
    assert_eq!(cluster.retirements().unwrap(), [retires]);
    cluster.take_key(&second).unwrap();
    let cluster = home.open();
    assert_eq!(cluster.id(), first.id());
    assert_eq!(cluster.roster().role_of(first.id()), Some(Role::Edge), "it is no stranger");
    // The next one is another.
    assert_ne!(cluster.announce_key().unwrap().0.id(), first.id());
}

#[test]
fn stateless_resets_are_the_same_whichever_key_a_node_has() {
    let home = Home::new();
    let cluster = home.open();
    cluster.tell_of_self("edge", Role::Edge, "127.0.0.1:1".parse().unwrap()).unwrap();
    let (id, resets) = (cluster.id(), cluster.identity().resets());
    assert_eq!(home.open().identity().resets(), resets);
    for _ in 0..2 {
        let (new, _) = cluster.announce_key().unwrap();
        assert_ne!(new.resets(), resets);
        cluster.take_key(&new).unwrap();
        let again = home.open().identity();
        assert_eq!((again.id(), again.resets()), (new.id(), resets));
        assert_ne!(again.id(), id);
    }
}
