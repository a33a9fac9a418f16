//! What an inbox takes, from whom, and how much of it.
#![allow(clippy::unwrap_used)]

use super::*;

const NAME: &str = "eyes";

fn open(folder: &Path, room: u64) -> Inboxes {
    Inboxes::open(&State::open(folder).unwrap(), Bytes(room)).unwrap()
}

fn body(number: u8) -> Vec<u8> {
    [&5u32.to_le_bytes()[..], &[number; 5]].concat()
}

fn bodies(inboxes: &Inboxes, from: NodeId) -> Vec<Vec<u8>> {
    let read = |journal: &mut Journal| Ok(journal.read(0, usize::MAX, usize::MAX)?.records);
    inboxes.with(&(NAME.to_owned(), from), read).unwrap().into_iter().map(|record| record.body).collect()
}

/// A journal elsewhere with this many records, and the marks of all, that before the first included.
fn source(folder: &Path, count: u8) -> Vec<Hash> {
    let mut journal = Journal::open(folder).unwrap();
    let before = journal.mark();
    let mark = |number| {
        journal.append(&[number; 5]).unwrap();
        journal.mark()
    };
    std::iter::once(before).chain((1..=count).map(mark).collect::<Vec<_>>()).collect()
}

#[test]
fn what_comes_twice_or_too_early_is_not_taken() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (marks, from) = (source(elsewhere.path(), 4), NodeId::from([1; 32]));
    let inboxes = open(folder.path(), 10_000);
    let none = Hash::from([0; 32]);
    assert_eq!(inboxes.deliver(NAME, from, (None, none), &[]).unwrap(), None);
    assert_eq!(inboxes.deliver(NAME, from, (Some(marks[1]), marks[1]), &body(2)).unwrap(), None, "too early");
    let both = [body(1), body(2)].concat();
    let now = inboxes.deliver(NAME, from, (None, marks[0]), &both).unwrap();
    assert_eq!(now, Some(marks[2]), "the marks are those of where it comes from");
    // The acknowledgement was lost.
    assert_eq!(inboxes.deliver(NAME, from, (None, marks[0]), &both).unwrap(), now);
    assert_eq!(inboxes.deliver(NAME, from, (Some(marks[3]), marks[3]), &body(4)).unwrap(), now, "too early");
    drop(inboxes);
    let inboxes = open(folder.path(), 10_000);
    assert_eq!(inboxes.deliver(NAME, from, (None, none), &[]).unwrap(), now);
    assert_eq!(inboxes.deliver(NAME, from, (now, marks[2]), &body(3)).unwrap(), Some(marks[3]));
    assert_eq!(bodies(&inboxes, from), [[1; 5], [2; 5], [3; 5]]);
}

#[test]
fn a_full_inbox_refuses_until_there_is_room() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (marks, from) = (source(elsewhere.path(), 4), NodeId::from([1; 32]));
    let inboxes = open(folder.path(), 48 + 2 * room_of(5));
    let both = [body(1), body(2)].concat();
    let full = inboxes.deliver(NAME, from, (None, marks[0]), &[both.clone(), body(3)].concat()).unwrap_err();
    assert!(full.to_string().contains("`thalweg results --forget`"), "{full}");
    inboxes.deliver(NAME, from, (None, marks[0]), &both).unwrap();
    inboxes.deliver(NAME, from, (Some(marks[2]), marks[2]), &body(3)).unwrap_err();
    inboxes.with(&(NAME.to_owned(), from), |journal| Ok(journal.take(1)?)).unwrap();
    assert_eq!(inboxes.deliver(NAME, from, (Some(marks[2]), marks[2]), &body(3)).unwrap(), Some(marks[3]));
    assert_eq!(bodies(&inboxes, from), [[2; 5], [3; 5]]);
    assert_eq!(inboxes.bytes()[0], open(folder.path(), 0).bytes()[0]);
}

#[test]
fn what_is_no_list_of_results_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let inboxes = open(folder.path(), 10_000);
    let (from, none) = (NodeId::from([1; 32]), Hash::from([0; 32]));
    for wrong in [&b"abc"[..], &[9, 0, 0, 0, 1], &u32::MAX.to_le_bytes()] {
        assert!(inboxes.deliver(NAME, from, (None, none), wrong).is_err());
    }
    let many = body(1).repeat(BATCH + 1);
    assert!(inboxes.deliver(NAME, from, (None, none), &many).is_err());
    let long = "n".repeat(NAME_BYTES_MAX + 1);
    assert!(inboxes.deliver(&long, from, (None, none), &body(1)).is_err());
    assert_eq!(inboxes.senders(), []);
}

#[test]
fn one_node_leaves_room_for_others() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second, none] = [1, 2, 0].map(|byte| [byte; 32]);
    let (first, second, none) = (NodeId::from(first), NodeId::from(second), Hash::from(none));
    let inboxes = open(folder.path(), 4 * SHARE_BYTES_MIN);
    let half = SHARE_BYTES_MIN / 2 - 1000;
    let long = [&(half as u32).to_le_bytes()[..], &vec![7; half as usize]].concat();
    inboxes.deliver("one", first, (None, none), &long).unwrap();
    inboxes.deliver("two", first, (None, none), &long).unwrap();
    let error = inboxes.deliver("three", first, (None, none), &long).unwrap_err();
    assert!(matches!(error, DaemonError::InboxShare { share: Bytes(SHARE_BYTES_MIN) }), "{error}");
    inboxes.deliver("three", second, (None, none), &long).unwrap();
    inboxes.with(&("one".to_owned(), first), |journal| Ok(journal.take(1)?)).unwrap();
    inboxes.deliver("three", first, (None, none), &long).unwrap();
    assert_eq!(inboxes.bytes()[0], open(folder.path(), 0).bytes()[0]);
}

#[test]
fn one_node_leaves_places_for_others() {
    let folder = tempfile::tempdir().unwrap();
    let inboxes = open(folder.path(), 10_000);
    let [first, second] = [1, 2].map(|byte| NodeId::from([byte; 32]));
    let begin = |number: usize, from| inboxes.begin((format!("of {number}"), from)).map(drop);
    (0..SENDERS_MAX / SHARES).for_each(|number| begin(number, first).unwrap());
    let error = begin(SENDERS_MAX, first).unwrap_err();
    assert!(matches!(error, DaemonError::InboxSenders { .. }), "{error}");
    begin(0, first).unwrap();
    begin(SENDERS_MAX, second).unwrap();
    assert_eq!(inboxes.known_as("another", |id| id == second), Some(second));
    assert_eq!(inboxes.known_as("of 0", |_| true), Some(first));
    assert_eq!(inboxes.known_as(&format!("of {SENDERS_MAX}"), |_| true), Some(second));
}
