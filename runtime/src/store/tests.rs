//! A store that loses its power, its bytes and its room, and what is left afterwards.
#![allow(clippy::print_stdout)]

use std::process::Command;

use rand::{Rng as _, RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64;
use tempfile::TempDir;

use super::power::Failing;
use super::replace::{make, replace, replace_on};
use super::*;

/// Points at which the power is lost.
const POINTS: u64 = 1000;
/// Beside the store: which files are installed.
const RECORD: &str = "installed.json";

fn random(chance: &mut Pcg64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    chance.fill_bytes(&mut bytes);
    bytes
}

/// Files of two versions of something: the second shares with the first.
fn versions() -> [Vec<Vec<u8>>; 2] {
    let mut chance = Pcg64::seed_from_u64(1);
    let first = [0, 1, 700, CHUNK_BYTES + 9, 2 * CHUNK_BYTES].map(|length| random(&mut chance, length));
    let mut second = first.clone();
    second[2] = random(&mut chance, 1500);
    second[3][CHUNK_BYTES + 1] ^= 1;
    [first.to_vec(), second.to_vec()]
}

fn installed(folder: &Path) -> Vec<FileEntry> {
    match fs::read(folder.join(RECORD)) {
        Ok(bytes) => serde_json::from_slice(&bytes).expect("a record is old or new, never half"),
        Err(_) => Vec::new(),
    }
}

/// Keeps the files and then records that they are there.
fn install(folder: &Path, disk: &Arc<Failing>, files: &[Vec<u8>]) -> Result<(), StoreError> {
    let store = Store::open_on(&folder.join("store"), Arc::<Failing>::clone(disk))?;
    let entries = files.iter().map(|file| store.insert(file)).collect::<Result<Vec<_>, _>>()?;
    let record = serde_json::to_vec(&entries).expect("entries are serialised");
    let file = folder.join(RECORD);
    let failed = |cause| StoreError::of_writing(&file, record.len() as u64, cause);
    replace_on(&**disk, &file, &record).map_err(failed)?;
    store.sweep(&entries).map(drop)
}

#[test]
fn no_loss_of_power_leaves_half_a_file() {
    let never = || Arc::new(Failing::new(u64::MAX, u64::MAX, 0));
    let [first, second] = versions();
    let whole = TempDir::new().expect("a folder");
    let disk = never();
    install(whole.path(), &disk, &first).and_then(|()| install(whole.path(), &disk, &second)).expect("no loss");
    let steps = disk.done();
    let (mut served, mut lost) = (0, 0);
    for seed in 0..POINTS {
        let mut chance = Pcg64::seed_from_u64(seed);
        let folder = TempDir::new().expect("a folder");
        let disk = Arc::new(Failing::new(chance.random_range(0..steps), u64::MAX, seed));
        let done = install(folder.path(), &disk, &first).and_then(|()| install(folder.path(), &disk, &second));
        lost += u64::from(done.is_err());
        // The machine starts again.
        let store = Store::open(&folder.path().join("store")).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let record = installed(folder.path());
        for entry in &record {
            let content = store.read(entry).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            assert!(first.contains(&content) || second.contains(&content), "seed {seed}");
            served += 1;
        }
        for found in fs::read_dir(store.folder()).expect("the store's folder") {
            let name = found.expect("a file").file_name().into_string().expect("a name of ours");
            assert!(name == LOCK || store.chunk(name.parse().expect("a hash")).is_ok(), "seed {seed}: {name}");
        }
        drop(store);
        install(folder.path(), &never(), &second).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let store = Store::open(&folder.path().join("store")).expect("it was closed");
        let recovered: Result<Vec<_>, _> = installed(folder.path()).iter().map(|entry| store.read(entry)).collect();
        assert_eq!(recovered.expect("all is there"), second, "seed {seed}");
    }
    assert!(lost == POINTS, "{lost} of {POINTS} points lie within the installation");
    println!("{POINTS} points of {steps} steps: {served} installed files read, none corrupt, all recovered");
}

#[test]
fn damaged_bytes_are_found_and_fetched_again() {
    let folder = TempDir::new().expect("a folder");
    let store = Store::open(folder.path()).expect("an empty folder");
    let mut chance = Pcg64::seed_from_u64(7);
    let content = random(&mut chance, 3 * CHUNK_BYTES + 77);
    let entry = store.insert(&content).expect("there is room");
    for seed in 0..200 {
        let hash = entry.chunks[chance.random_range(0..entry.chunks.len())];
        let path = store.path(hash);
        let good = fs::read(&path).expect("the chunk");
        let mut bad = good.clone();
        match chance.random_range(0..4) {
            0 => bad.truncate(chance.random_range(0..bad.len())),
            1 => bad.push(0),
            2 => bad.fill(0),
            _ => bad[chance.random_range(0..good.len())] ^= 1 << chance.random_range(0..8),
        }
        fs::write(&path, bad).expect("the disk lies");
        let error = store.read(&entry).expect_err("it is damaged");
        assert!(matches!(error, StoreError::Damaged { hash: found, .. } if found == hash), "{seed}: {error}");
        assert!(!store.has(&entry) && !path.exists());
        assert_eq!(store.missing_chunks(&entry).expect("a file"), [hash]);
        assert!(matches!(store.read(&entry), Err(StoreError::Missing { .. })));
        store.put_chunk(hash, &good).expect("fetched again");
        assert_eq!(store.read(&entry).expect("whole again"), content);
    }
}

#[test]
fn a_chunk_that_is_put_again_mends_a_damaged_one() {
    let folder = TempDir::new().expect("a folder");
    let store = Store::open(folder.path()).expect("an empty folder");
    let entry = store.insert(b"features").expect("there is room");
    fs::write(store.path(entry.chunks[0]), b"futures!").expect("as long");
    assert_eq!(store.insert(b"features").expect("written again"), entry);
    assert_eq!(store.read(&entry).expect("mended"), b"features");
}

#[test]
fn equal_content_is_kept_once_and_swept_when_nobody_needs_it() {
    let folder = TempDir::new().expect("a folder");
    let store = Store::open(folder.path()).expect("an empty folder");
    let [first, second] = versions().map(|files| files.iter().map(|file| store.insert(file)).collect::<Result<_, _>>());
    let (first, second): (Vec<FileEntry>, Vec<FileEntry>) = (first.expect("room"), second.expect("room"));
    let new = second
        .iter()
        .flat_map(|entry| &entry.chunks)
        .filter(|hash| !first.iter().any(|entry| entry.chunks.contains(hash)));
    assert_eq!(new.count(), 2, "of a file of two chunks the one that changed, and a small file");
    assert_eq!(store.sweep(first.iter().chain(&second)).expect("read"), Swept::default());
    assert_eq!(store.sweep(&second).expect("read"), Swept { chunks: 2, bytes: 709 });
    assert!(second.iter().all(|entry| store.has(entry)) && !store.has(&first[3]));
    assert_eq!(store.missing_chunks(&first[3]).expect("a file"), [first[3].chunks[1]]);
    let zeros = FileEntry::of(&vec![0; 3 * CHUNK_BYTES]);
    assert_eq!(store.missing_chunks(&zeros).expect("a file"), [zeros.chunks[0]], "each once");
}

#[test]
fn what_is_not_what_it_is_said_to_be_is_refused() {
    let folder = TempDir::new().expect("a folder");
    let store = Store::open(folder.path()).expect("an empty folder");
    let (one, other) = (Hash::of(b"one"), Hash::of(b"other"));
    assert!(matches!(store.put_chunk(one, b"other"), Err(StoreError::OtherChunk { got, .. }) if got == other));
    let long = vec![1; CHUNK_BYTES + 1];
    assert!(matches!(store.put_chunk(Hash::of(&long), &long), Err(StoreError::OtherChunk { .. })));
    let entry = store.insert(b"one").expect("there is room");
    let lie = FileEntry { hash: other, ..entry.clone() };
    assert!(matches!(store.read(&lie), Err(StoreError::OtherFile { .. })));
    for (bytes, chunks) in [(0, 1), (CHUNK_BYTES as u64 + 1, 1), (u64::MAX, 1), (FILE_BYTES_MAX + 1, 16385)] {
        let lie = FileEntry { bytes, chunks: vec![one; chunks], ..entry.clone() };
        assert!(!store.has(&lie));
        assert!(matches!(store.read(&lie), Err(StoreError::NotAFile { .. })), "{bytes} bytes");
        let text = serde_json::to_string(&lie).expect("serialised");
        let error = serde_json::from_str::<FileEntry>(&text).expect_err("refused where it is read").to_string();
        assert!(error.contains("is said to have"), "{error}");
    }
    let other = Store::open(folder.path()).expect_err("it is open");
    assert!(matches!(other, StoreError::InUse { .. }), "{other}");
    assert_eq!("0".repeat(64).parse::<Hash>(), Ok(Hash::from([0; 32])));
    for text in ["", "../../etc/passwd", &"A".repeat(64), &"0".repeat(63)] {
        assert!(text.parse::<Hash>().is_err(), "{text}");
    }
}

#[test]
fn a_full_disk_is_told_and_leaves_everything_as_it_was() {
    let folder = TempDir::new().expect("a folder");
    let room = CHUNK_BYTES as u64 + 500;
    let disk = Arc::new(Failing::new(u64::MAX, room, 0));
    let store = Store::open_on(folder.path(), disk).expect("an empty folder");
    let small = store.insert(b"it was here before").expect("there is room");
    full(&store, &small);
}

/// A file that does not fit is put into a store that holds `small`.
fn full(store: &Store, small: &FileEntry) {
    let names = || {
        let mut names: Vec<_> =
            fs::read_dir(store.folder()).expect("read").map(|found| found.expect("a file").file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    let large = random(&mut Pcg64::seed_from_u64(3), 5 * CHUNK_BYTES);
    let error = store.insert(&large).expect_err("it does not fit");
    let expected = format!(
        "{}: the disk is full: 1310720 bytes were to be written; free as many, or take another folder",
        store.folder().display()
    );
    assert_eq!(error.to_string(), expected);
    assert_eq!(names(), before);
    assert_eq!(store.read(small).expect("as it was"), b"it was here before");
}

/// The same on a disk that is really full, where this user may make a small one.
#[test]
fn a_disk_that_is_really_full_is_told() {
    let folder = TempDir::new().expect("a folder");
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(folder.path()).output();
    if !mounted.is_ok_and(|mounted| mounted.status.success()) {
        println!("skipped: this user may mount no file system");
        return;
    }
    let result = std::panic::catch_unwind(|| {
        let store = Store::open(folder.path()).expect("an empty folder");
        let small = store.insert(b"it was here before").expect("there is room");
        full(&store, &small);
        let record = folder.path().join(RECORD);
        replace(&record, b"old").expect("there is room");
        let full = replace(&record, &vec![1; 2 << 20]).expect_err("there is no room");
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        assert_eq!(fs::read(&record).expect("the record"), b"old");
    });
    let unmounted = Command::new("umount").arg(folder.path()).status();
    assert!(unmounted.is_ok_and(|status| status.success()), "{} stays mounted", folder.path().display());
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_read_what_is_replaced_or_made_whoever_could_before() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().expect("a folder");
    let mode = |file: &Path| fs::metadata(file).expect("it is there").permissions().mode() & 0o777;
    let file = folder.path().join("roster.json");
    for left in [file.clone(), folder.path().join("roster.json.new")] {
        fs::write(&left, "old").expect("written");
        fs::set_permissions(&left, fs::Permissions::from_mode(0o644)).expect("it is ours");
    }
    replace(&file, b"new").expect("there is room");
    let key = folder.path().join("key");
    make(&key, b"one").expect("there is none");
    make(&key, b"other").expect_err("there is one");
    assert_eq!((mode(&file), mode(&key)), (0o600, 0o600));
    assert_eq!((fs::read(&file).expect("there"), fs::read(&key).expect("there")), (b"new".to_vec(), b"one".to_vec()));
    assert_eq!(fs::read_dir(folder.path()).expect("there").count(), 2, "nothing is left lying");
}
