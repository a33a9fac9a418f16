//! What an outbox keeps, and for whom.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use super::*;

const NAME: &str = "eyes";
const ROOM: u64 = 1000;

fn open(folder: &Path) -> Outboxes {
    Outboxes::open(&State::open(folder).unwrap(), Bytes(ROOM)).unwrap()
}

fn sinks() -> [NodeId; 2] {
    [1, 2].map(|key| NodeId::from([key; 32]))
}

fn shown(outbox: &Outbox) -> DeliveryShown {
    outbox.shown(|id| id.to_string())
}

/// Delivers all that waits; the bodies.
fn deliver(outbox: &Outbox) -> Vec<u8> {
    outbox.sync().unwrap();
    let mut all = Vec::new();
    while let Some(batch) = outbox.batch().unwrap() {
        all.extend_from_slice(&batch.bytes);
        outbox.delivered(&batch).unwrap();
    }
    all
}

#[test]
fn another_node_gets_what_the_one_before_has_not() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = open(folder.path()).deliver_to(NAME, sinks()[0]).unwrap();
    outbox.store(b"first");
    assert_eq!(outbox.sink(), None, "it is not safe yet");
    assert_eq!(deliver(&outbox), b"\x05\0\0\0first");
    outbox.store(b"second");
    drop(outbox);
    let outboxes = open(folder.path());
    let outbox = outboxes.deliver_to(NAME, sinks()[0]).unwrap();
    outbox.sync().unwrap();
    // The process before knew what was delivered, this one is told.
    outbox.reconcile(Some(outbox.batch().unwrap().unwrap().mark)).unwrap();
    assert_eq!((shown(&outbox).waiting, outbox.sink()), (0, None));
    outbox.store(b"third");
    outboxes.deliver_to(NAME, sinks()[1]).unwrap();
    assert_eq!((shown(&outbox).to, shown(&outbox).waiting), (sinks()[1].to_string(), 1));
    outbox.reconcile(None).unwrap();
    assert_eq!(deliver(&outbox), b"\x05\0\0\0third");
    assert_eq!(shown(&open(folder.path()).of(NAME).unwrap()).to, sinks()[1].to_string());
}

#[test]
fn a_full_outbox_keeps_what_waits_and_counts_what_it_does_not_store() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = open(folder.path()).deliver_to(NAME, sinks()[0]).unwrap();
    (0..20).for_each(|number| outbox.store(&[number; 100]));
    let DeliveryShown { waiting, not_stored, bytes, .. } = shown(&outbox);
    assert_eq!((waiting, not_stored), (7, 13));
    assert!(bytes <= ROOM, "{bytes}");
    assert_eq!(deliver(&outbox).chunks(104).map(|one| one[4]).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5, 6]);
    outbox.store(&[21; 100]);
    assert_eq!(shown(&outbox).not_stored, 13, "there is room again");
    outbox.store(&vec![0; RESULT_BYTES_MAX + 1]);
    assert_eq!(shown(&outbox).not_stored, 14);
}

#[test]
fn a_node_that_stops_leaves_what_waits_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let outboxes = open(folder.path());
    let outbox = outboxes.deliver_to(NAME, sinks()[0]).unwrap();
    outbox.store(b"first");
    deliver(&outbox);
    outbox.store(b"second");
    outboxes.close().unwrap();
    let outbox = open(folder.path()).of(NAME).unwrap();
    assert_eq!(shown(&outbox).waiting, 1);
    assert_eq!(deliver(&outbox), b"\x06\0\0\0second");
}

#[test]
fn an_outbox_that_was_full_when_its_process_was_killed_takes_results_again() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = open(folder.path()).deliver_to(NAME, sinks()[0]).unwrap();
    (0..7).for_each(|number| outbox.store(&[number; 100]));
    outbox.sync().unwrap();
    let mark = outbox.batch().unwrap().unwrap().mark;
    drop(outbox);
    let outbox = open(folder.path()).of(NAME).unwrap();
    outbox.sync().unwrap();
    outbox.reconcile(Some(mark)).unwrap();
    assert_eq!(outbox.batch().unwrap(), None);
    outbox.store(&[8; 100]);
    assert_eq!((shown(&outbox).waiting, shown(&outbox).not_stored), (1, 0));
}

#[test]
fn a_full_outbox_gives_up_what_was_delivered_before_it_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = open(folder.path()).deliver_to(NAME, sinks()[0]).unwrap();
    outbox.store(&[0; 100]);
    outbox.sync().unwrap();
    let batch = outbox.batch().unwrap().unwrap();
    (1..7).for_each(|number| outbox.store(&[number; 100]));
    outbox.delivered(&batch).unwrap();
    (7..9).for_each(|number| outbox.store(&[number; 100]));
    assert_eq!((shown(&outbox).waiting, shown(&outbox).not_stored), (7, 1));
    assert_eq!(deliver(&outbox).chunks(104).map(|one| one[4]).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn nothing_hinders_where_nothing_waits() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = open(folder.path()).deliver_to(NAME, sinks()[0]).unwrap();
    let down = DaemonError::LinkDown { to: "cloud".into() };
    outbox.hindered_by(&down);
    assert_eq!(shown(&outbox).hindered, None);
    outbox.store(b"first");
    assert_eq!(shown(&outbox).hindered, Some(down.to_string()));
    deliver(&outbox);
    outbox.store(b"second");
    assert_eq!(shown(&outbox).hindered, None);
}

#[test]
fn a_node_that_cannot_be_written_down_gets_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let outboxes = open(folder.path());
    let outbox = outboxes.deliver_to(NAME, sinks()[0]).unwrap();
    outbox.store(b"first");
    outbox.sync().unwrap();
    // The label cannot be replaced by way of what is a folder.
    let hinders = outbox.folder.join(format!("{LABEL}.new"));
    fs::create_dir(&hinders).unwrap();
    outboxes.deliver_to(NAME, sinks()[1]).unwrap_err();
    assert_eq!(outbox.sink(), Some(sinks()[0]));
    assert_eq!(read_json::<Label>(&outbox.folder.join(LABEL)).unwrap().unwrap().sink, sinks()[0]);
    fs::remove_dir(&hinders).unwrap();
    outboxes.deliver_to(NAME, sinks()[1]).unwrap();
    assert_eq!((outbox.sink(), deliver(&outbox)), (Some(sinks()[1]), b"\x05\0\0\0first".to_vec()));
}
