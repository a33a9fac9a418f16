//! A journal beside a list: cut at every byte, damaged, without power at any step.

use std::fs;
use std::sync::Arc;

use proptest::prelude::*;
use rand::SeedableRng as _;
use rand_pcg::Pcg64;
use tempfile::TempDir;

use super::*;
use crate::store::power::Failing;

/// Segments of few records, so that there are several.
const SMALL: u64 = 200;

fn body(number: u64) -> Vec<u8> {
    (0..number * 7 % 60).map(|at| (at * number) as u8).collect()
}

fn never() -> Arc<Failing> {
    Arc::new(Failing::new(u64::MAX, u64::MAX, 0))
}

fn small(folder: &Path) -> Journal {
    Journal::open_on(folder, never(), SMALL).expect("it opens")
}

fn fill(journal: &mut Journal, count: u64) {
    for number in 1..=count {
        assert_eq!(journal.append(&body(number)).expect("there is room"), number);
    }
}

fn all(journal: &Journal) -> Vec<Record> {
    let page = journal.read(0, usize::MAX, usize::MAX).expect("it is read");
    assert_eq!((page.damaged, page.through), (0, journal.newest()));
    page.records
}

fn last_file(folder: &Path) -> PathBuf {
    let files = fs::read_dir(folder).expect("read").map(|found| found.expect("a file").path());
    files.max().expect("a segment")
}

#[test]
fn what_was_appended_is_there_after_reopening() {
    let folder = TempDir::new().expect("a folder");
    let mut journal = small(folder.path());
    assert_eq!((journal.newest(), journal.oldest()), (0, 1));
    fill(&mut journal, 30);
    let records = all(&journal);
    assert!(records.iter().all(|record| record.body == body(record.number)) && records.len() == 30);
    let again = small(folder.path());
    assert_eq!((again.newest(), again.mark(), again.bytes()), (30, journal.mark(), journal.bytes()));
    assert_eq!(all(&again), records);
    assert_eq!(again.find(records[3].mark).expect("read"), Some(4));
    assert_eq!(again.find(Hash::of(b"another")).expect("read"), None);
    let page = again.read(3, 2, usize::MAX).expect("read");
    assert_eq!((page.records.as_slice(), page.follows, page.through), (&records[3..5], Some(records[2].mark), 5));
    assert_eq!(again.read(3, 9, 1).expect("read").records, records[3..4], "one, however long it is");
}

#[test]
fn equal_records_of_two_journals_have_other_marks() {
    let folders = [(); 2].map(|()| TempDir::new().expect("a folder"));
    let marks = folders.map(|folder| {
        let mut journal = small(folder.path());
        journal.append(b"the same").expect("there is room");
        journal.mark()
    });
    assert_ne!(marks[0], marks[1]);
}

#[test]
fn a_journal_that_follows_another_comes_to_its_mark() {
    let folders = [(); 2].map(|()| TempDir::new().expect("a folder"));
    let (mut one, mut other) = (small(folders[0].path()), small(folders[1].path()));
    one.append(b"first").expect("there is room");
    other.append(b"its own").expect("there is room");
    other.follow(one.mark()).expect("there is room");
    for journal in [&mut one, &mut other] {
        journal.append(b"second").expect("there is room");
    }
    assert_eq!((one.mark(), one.newest()), (other.mark(), other.newest()));
    assert_eq!(all(&small(folders[1].path())), all(&other));
}

#[test]
fn what_was_taken_is_gone_and_its_room_free() {
    let folder = TempDir::new().expect("a folder");
    let mut journal = small(folder.path());
    fill(&mut journal, 20);
    let (mark, records) = (journal.mark(), all(&journal));
    for through in [0, 1, 2, 7, 7, 3, 19] {
        journal.take(through).expect("taken");
        let left = small(folder.path());
        assert_eq!((left.newest(), left.mark()), (20, mark));
        let gone = records.iter().filter(|record| record.number < left.oldest()).count();
        assert_eq!(all(&left), records[gone..], "up to {through}");
        assert!(left.oldest() > through);
    }
    let before = journal.oldest();
    assert_eq!(before, 20);
    journal.take(20).expect("taken");
    let left = small(folder.path());
    assert_eq!((left.newest(), left.oldest(), left.mark(), left.bytes()), (20, 21, mark, HEAD_BYTES as u64));
    assert_eq!(journal.append(b"next").expect("there is room"), 21);
}

#[test]
fn whole_segments_are_taken_without_writing() {
    let folder = TempDir::new().expect("a folder");
    let mut journal = small(folder.path());
    fill(&mut journal, 20);
    let records = all(&journal);
    for through in 0..=20 {
        journal.take_whole(through).expect("taken");
        let gone = journal.oldest() as usize - 1;
        assert!(gone as u64 <= through);
        assert_eq!(all(&small(folder.path())), records[gone..]);
    }
    assert!(journal.oldest() > 1 && journal.bytes() <= 2 * SMALL);
}

#[test]
fn a_tail_that_was_torn_at_any_byte_is_cut_off() {
    let folder = TempDir::new().expect("a folder");
    let mut journal = Journal::open(folder.path()).expect("it opens");
    fill(&mut journal, 5);
    let (file, records) = (last_file(folder.path()), all(&journal));
    let whole = fs::read(&file).expect("the segment");
    let ends: Vec<usize> = records
        .iter()
        .scan(HEAD_BYTES, |end, record| {
            *end += PREFIX_BYTES + record.body.len();
            Some(*end)
        })
        .collect();
    for length in HEAD_BYTES..=whole.len() {
        fs::write(&file, &whole[..length]).expect("torn");
        let mut torn = Journal::open(folder.path()).expect("it opens");
        let count = ends.iter().filter(|end| **end <= length).count();
        assert_eq!(all(&torn), records[..count], "{length} bytes");
        let number = torn.append(b"after it").expect("there is room");
        let again = all(&Journal::open(folder.path()).expect("it opens"));
        assert_eq!(
            (number, again.last().map(|record| record.body.as_slice())),
            (count as u64 + 1, Some(&b"after it"[..]))
        );
    }
}

#[test]
fn a_beginning_that_is_damaged_costs_its_segment_alone() {
    let folder = TempDir::new().expect("a folder");
    let mut journal = small(folder.path());
    fill(&mut journal, 12);
    let file = last_file(folder.path());
    let mut content = fs::read(&file).expect("the segment");
    content[3] ^= 1;
    fs::write(&file, content).expect("the disk lies");
    let mut left = small(folder.path());
    assert!(left.newest() > 0 && left.newest() < 12, "{left:?}");
    assert_eq!(left.append(b"next").expect("there is room"), left.newest());
    assert_eq!(small(folder.path()).newest(), left.newest());
}

#[test]
fn damage_is_left_out_and_never_read() {
    let folder = TempDir::new().expect("a folder");
    let mut journal = small(folder.path());
    fill(&mut journal, 40);
    let records = all(&journal);
    let segments: Vec<PathBuf> =
        fs::read_dir(folder.path()).expect("read").map(|one| one.expect("one").path()).collect();
    let mut random = Pcg64::seed_from_u64(5);
    for _ in 0..300 {
        let file = &segments[random.random_range(0..segments.len())];
        let good = fs::read(file).expect("the segment");
        let mut bad = good.clone();
        let at = random.random_range(0..bad.len());
        bad[at] ^= 1 << random.random_range(0..8);
        fs::write(file, &bad).expect("the disk lies");
        let (mut after, mut seen, mut lost) = (0, 0, 0);
        while after < 40 {
            let page = journal.read(after, 7, usize::MAX).expect("it is read");
            assert!(page.records.iter().all(|record| records.contains(record)), "byte {at} of {}", file.display());
            (after, seen, lost) = (page.through, seen + page.records.len() as u64, lost + page.damaged);
        }
        assert_eq!(seen + lost, 40);
        fs::write(file, &good).expect("mended");
    }
}

#[test]
fn a_full_disk_refuses_and_keeps_what_is_there() {
    let folder = TempDir::new().expect("a folder");
    let disk = Arc::new(Failing::new(u64::MAX, 300, 0));
    let mut journal = Journal::open_on(folder.path(), disk, 10_000).expect("it opens");
    let mut count = 0;
    while journal.append(&[7; 40]).is_ok() {
        count += 1;
    }
    assert_eq!((count, journal.newest()), (3, 3));
    let error = journal.append(&[7; 40]).expect_err("there is no room");
    assert!(error.to_string().contains("the disk is full"), "{error}");
    assert_eq!(all(&small(folder.path())).len(), 3);
}

fn sync(journal: &mut Journal) -> Result<u64, StoreError> {
    journal.unsynced()?.sync()
}

#[test]
fn a_disk_that_failed_to_make_records_safe_is_believed_when_they_were_written_anew() {
    let (folder, disk) = (TempDir::new().expect("a folder"), never());
    let mut journal = Journal::open_on(folder.path(), disk.clone(), 10_000).expect("it opens");
    journal.append(b"first").expect("there is room");
    sync(&mut journal).expect("safe");
    journal.append(b"second").expect("there is room");
    let [before, beside] = [(); 2].map(|()| journal.unsynced().expect("it is not doubtful"));
    disk.refuse_sync_after(0);
    before.sync().expect_err("it fails");
    beside.sync().expect_err("what the disk says now is not believed");
    journal.append(b"third").expect("there is room");
    disk.refuse_sync_after(0);
    sync(&mut journal).expect_err("it fails again");
    assert_eq!(sync(&mut journal).expect("safe"), 3);
    let records = all(&journal);
    disk.lose_power();
    assert_eq!((records.len(), all(&small(folder.path()))), (3, records));
}

#[test]
fn a_segment_that_is_there_counts_also_when_that_is_not_safe_yet() {
    // What is made safe: the segment before, the new one, that it has its name.
    for refused in 0..3 {
        let (folder, disk) = (TempDir::new().expect("a folder"), never());
        let mut journal = Journal::open_on(folder.path(), disk.clone(), 10_000).expect("it opens");
        journal.append(b"first").expect("there is room");
        disk.refuse_sync_after(refused);
        journal.follow(Hash::of(b"another")).expect_err("it fails");
        journal.append(b"second").expect("there is room");
        assert_eq!(all(&journal).len(), 2);
        assert_eq!(sync(&mut journal).expect("safe"), 2, "refused {refused}");
        let (mark, records) = (journal.mark(), all(&journal));
        disk.lose_power();
        let left = small(folder.path());
        assert_eq!((left.mark(), all(&left)), (mark, records), "refused {refused}");
    }
}

#[test]
fn what_could_not_be_removed_for_good_is_gone_and_can_be_taken_again() {
    let (folder, disk) = (TempDir::new().expect("a folder"), never());
    let mut journal = Journal::open_on(folder.path(), disk.clone(), SMALL).expect("it opens");
    fill(&mut journal, 20);
    let records = all(&journal);
    disk.refuse_sync_after(0);
    journal.take_whole(20).expect_err("it fails");
    let gone = journal.oldest() as usize - 1;
    assert!(gone > 0);
    assert_eq!(all(&journal), records[gone..]);
    // Somebody else has removed one.
    fs::remove_file(folder.path().join(name(journal.oldest()))).expect("removed");
    journal.take(20).expect("taken");
    assert_eq!((journal.oldest(), all(&small(folder.path()))), (21, Vec::new()));
}

/// What is done to a journal.
#[derive(Debug, Clone)]
enum Step {
    Append(usize),
    Sync,
    Take(u64),
    /// The power is lost after so many steps of the disk from here on, and then comes back.
    Crash(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0usize..120).prop_map(Step::Append),
        2 => Just(Step::Sync),
        2 => (0u64..12).prop_map(Step::Take),
        1 => (0u64..12).prop_map(Step::Crash),
    ]
}

/// What a journal should hold.
#[derive(Debug, Default)]
struct Model {
    bodies: Vec<Vec<u8>>,
    synced: u64,
    taken: u64,
    /// Was being appended, or taken, when the power was lost.
    begun: Option<Vec<u8>>,
}

impl Model {
    /// The power is back: nothing that was safe is gone, and nothing else is there than what was appended, in order.
    fn check(&mut self, journal: &Journal, taking: u64) {
        let newest = journal.newest();
        if newest == self.bodies.len() as u64 + 1 {
            self.bodies.extend(self.begun.take());
        }
        assert!((self.synced..=self.bodies.len() as u64).contains(&newest), "{newest}: {self:?}");
        self.bodies.truncate(newest as usize);
        let oldest = journal.oldest();
        assert!(oldest <= self.taken.max(taking) + 1, "{oldest}: {self:?}");
        let records = all(journal);
        assert_eq!(records.len() as u64, newest + 1 - oldest);
        for record in &records {
            assert_eq!(record.body, self.bodies[record.number as usize - 1], "{}", record.number);
        }
        (self.synced, self.begun, self.taken) = (newest, None, self.taken.max(oldest - 1));
    }
}

proptest! {
    #[test]
    fn a_journal_is_a_list_whatever_happens_to_its_power(
        steps in prop::collection::vec(step(), 1..60), seed in any::<u64>(),
    ) {
        let folder = TempDir::new().expect("a folder");
        let (mut model, mut taking) = (Model::default(), 0);
        let mut journal = small(folder.path());
        for (place, step) in steps.into_iter().enumerate() {
            let failed = match step {
                Step::Append(length) => {
                    let body = vec![(length + place) as u8; length];
                    let came = journal.append(&body);
                    if came.is_ok() { model.bodies.push(body) } else { model.begun = Some(body) }
                    came.is_err()
                }
                Step::Sync => match journal.unsynced().and_then(|unsynced| unsynced.sync()) {
                    Ok(through) => {
                        model.synced = through;
                        false
                    }
                    Err(_) => true,
                },
                Step::Take(count) => {
                    taking = (model.taken + count).min(model.bodies.len() as u64);
                    match journal.take(taking) {
                        Ok(()) => {
                            model.taken = taking;
                            assert!(journal.oldest() > taking);
                            false
                        }
                        Err(_) => true,
                    }
                }
                Step::Crash(steps) => {
                    let disk = Arc::new(Failing::new(steps, u64::MAX, seed ^ place as u64));
                    let opened = Journal::open_on(folder.path(), disk, SMALL);
                    opened.map(|opened| journal = opened).is_err()
                }
            };
            if failed {
                journal = small(folder.path());
                model.check(&journal, taking);
            }
        }
        let again = small(folder.path());
        prop_assert_eq!(all(&again), all(&journal));
    }
}
