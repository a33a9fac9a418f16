//! A disk that loses its power at a step that is chosen beforehand, and with it what was not made safe.
//!
//! It is the file system, with what a real one may forget: what was written to a file since it was last synchronised,
//! and any name that was given or removed since its folder was.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64;

use super::disk::{Disk, System};

#[derive(Debug)]
pub(super) struct Failing {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Steps that are still done.
    steps: u64,
    /// Bytes that still fit.
    room: u64,
    done: u64,
    dead: bool,
    chance: Pcg64,
    /// And how many of their first bytes are safe.
    unsafe_files: BTreeMap<PathBuf, u64>,
    /// Those that it has failed to make safe, and of which it says later that they are.
    doomed_files: BTreeMap<PathBuf, u64>,
    /// Synchronisations before the one that fails.
    until_refusal: Option<u64>,
    unsafe_names: Vec<Change>,
}

/// A file at a path before its name was given or taken.
#[derive(Debug)]
struct Change {
    path: PathBuf,
    before: Option<Vec<u8>>,
}

impl Failing {
    /// Loses its power at step `steps`, and has room for `room` bytes.
    pub(super) fn new(steps: u64, room: u64, seed: u64) -> Self {
        let chance = Pcg64::seed_from_u64(seed);
        let state = State {
            steps,
            room,
            done: 0,
            dead: false,
            chance,
            unsafe_files: BTreeMap::new(),
            doomed_files: BTreeMap::new(),
            until_refusal: None,
            unsafe_names: Vec::new(),
        };
        Self { state: Mutex::new(state) }
    }

    /// The synchronisation after so many others will fail, once.
    pub(super) fn refuse_sync_after(&self, others: u64) {
        self.state.lock().expect("no thread has panicked").until_refusal = Some(others);
    }

    /// Loses its power now.
    pub(super) fn lose_power(&self) {
        let mut state = self.state.lock().expect("no thread has panicked");
        state.dead = true;
        state.forget();
    }

    /// Steps that were done.
    pub(super) fn done(&self) -> u64 {
        self.state.lock().expect("no thread has panicked").done
    }

    fn step(&self, step: impl FnOnce(&mut State) -> io::Result<()>) -> io::Result<()> {
        let mut state = self.state.lock().expect("no thread has panicked");
        if state.dead {
            return Err(io::Error::other("the power is off"));
        }
        let result = step(&mut state);
        if state.done == state.steps {
            state.dead = true;
            state.forget();
            return Err(io::Error::other("the power is off"));
        }
        state.done += 1;
        result
    }
}

impl State {
    fn forget(&mut self) {
        for (file, safe) in std::mem::take(&mut self.unsafe_files) {
            let Ok(mut content) = fs::read(&file) else { continue };
            let safe = content.len().min(usize::try_from(safe).unwrap_or(usize::MAX));
            match self.chance.random_range(0..3) {
                0 => {}
                1 => content.truncate(self.chance.random_range(safe..=content.len())),
                _ => content[safe..].fill(0),
            }
            fs::write(&file, content).expect("the disk below works");
        }
        for (file, safe) in std::mem::take(&mut self.doomed_files) {
            let Ok(mut content) = fs::read(&file) else { continue };
            content.truncate(usize::try_from(safe).unwrap_or(usize::MAX));
            fs::write(&file, content).expect("the disk below works");
        }
        // Names of one folder may be forgotten in any combination; the latest change of a path is looked at first.
        for Change { path, before } in std::mem::take(&mut self.unsafe_names).into_iter().rev() {
            if self.chance.random_bool(0.5) {
                match before {
                    Some(content) => fs::write(&path, content).expect("the disk below works"),
                    None => drop(fs::remove_file(&path)),
                }
            }
        }
    }

    /// How many of these bytes there is room for, which they take.
    fn fits(&mut self, bytes: &[u8]) -> usize {
        let fits = bytes.len().min(usize::try_from(self.room).unwrap_or(usize::MAX));
        self.room -= fits as u64;
        fits
    }

    fn changes(&mut self, path: &Path) {
        self.unsafe_names.push(Change { path: path.to_owned(), before: fs::read(path).ok() });
    }
}

impl Disk for Failing {
    fn write(&self, file: &Path, bytes: &[u8]) -> io::Result<()> {
        self.step(|state| {
            state.unsafe_files.insert(file.to_owned(), 0);
            state.doomed_files.remove(file);
            let fits = state.fits(bytes);
            System.write(file, &bytes[..fits])?;
            if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        })
    }

    fn append(&self, file: &Path, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.step(|state| {
            let safe = state.unsafe_files.entry(file.to_owned()).or_insert(at);
            *safe = at.min(*safe);
            let fits = state.fits(bytes);
            System.append(file, at, &bytes[..fits])?;
            if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        })
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        self.step(|state| {
            let before = state.until_refusal;
            state.until_refusal = before.and_then(|before| before.checked_sub(1));
            if before == Some(0) {
                if let Some(safe) = state.unsafe_files.remove(path) {
                    state.doomed_files.insert(path.to_owned(), safe);
                }
                return Err(io::Error::other("input/output error"));
            }
            if path.is_dir() {
                state.unsafe_names.retain(|change| change.path.parent() != Some(path));
            } else {
                state.unsafe_files.remove(path);
            }
            Ok(())
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step(|state| {
            state.changes(from);
            state.changes(to);
            for files in [&mut state.unsafe_files, &mut state.doomed_files] {
                files.remove(to);
                if let Some(safe) = files.remove(from) {
                    files.insert(to.to_owned(), safe);
                }
            }
            System.rename(from, to)
        })
    }

    fn remove(&self, file: &Path) -> io::Result<()> {
        self.step(|state| {
            state.changes(file);
            System.remove(file)
        })
    }
}
