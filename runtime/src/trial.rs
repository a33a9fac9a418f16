//! Tries out a part that came from elsewhere, in a process of its own that may take only so much memory and time.
//!
//! Files of a few bytes can make the engine ask for gigabytes, compute for hours, panic, or call itself until the stack
//! ends. So the first to load them is a child: this program, called as `thalweg try-part`. It sets its own limits
//! before it reads a byte, gets the files over its standard input, loads them, runs the part once on zeros, and says
//! what that took. Whatever happens to it, this process lives.

mod child;

use std::fmt;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thalweg_devices::PartFile;
use thalweg_planner::{Bytes, print_duration};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{ChildStdin, Command};

pub use child::try_part;

/// Bytes of what the child prints that are kept: its result has about a hundred, and a message a few hundred.
const SAID_MAX: usize = 4 << 10;
/// What the system sends to a process whose processor time is used up, and to one that has asked to end itself (POSIX).
const SIGXCPU: i32 = 24;
const SIGKILL: i32 = 9;
/// What is said where there is no memory: by Rust where it ends the process and where it reads, and by the engine.
const NO_MEMORY: [&str; 3] = ["memory allocation of ", "out of memory", "failed to allocate"];

/// What a part may take while it is tried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Address space of the process: its program, the files, what the engine makes of them, and one run.
    pub memory: Bytes,
    /// Processor time, in whole seconds.
    pub cpu: Duration,
    /// Time on the clock, also when the machine is busy with other things.
    pub time: Duration,
}

/// What it took to load the part and to run it once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tried {
    /// Microseconds from files to a graph that is optimised for this machine.
    pub prepare_us: u64,
    /// Microseconds of the first run. Later ones are faster.
    pub run_us: u64,
    /// The most memory that was resident, in bytes; none where the system does not tell.
    pub memory_bytes: Option<u64>,
}

/// Why a part is not to be trusted, or could not be tried out.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum TrialError {
    #[error("the part asks for more memory than the {limit} that it may have here: {said}")]
    Memory { limit: Bytes, said: Said },
    #[error("the part needs more processor time than the {} that it may have here", print_duration(*limit))]
    Cpu { limit: Duration },
    #[error("the part was not ready within {}, the time that it may take here", print_duration(*limit))]
    Time { limit: Duration },
    #[error("the part cannot be used: {said}")]
    Refused { said: Said },
    #[error("the part ended the process that tried it out ({status}): {said}")]
    Crashed { status: ExitStatus, said: Said },
    #[error("{}: cannot be started to try out a part: {cause}", program.display())]
    Start { program: PathBuf, cause: io::Error },
    #[error("{}: is another version of this program: as the result of a trial it printed {said}", program.display())]
    OtherProgram { program: PathBuf, said: Said },
    #[error("the limits of a trial cannot be set: {cause}")]
    Limit { cause: io::Error },
    #[error("the files of a part cannot be read from standard input: {cause}")]
    Input { cause: String },
}

/// The beginning of what the child has printed. Parts name their nodes as they like, so only what can be printed is
/// kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said(String);

impl Said {
    fn new(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let plain = |letter: char| if letter.is_control() { ' ' } else { letter };
        Self(text.trim().trim_start_matches("error: ").chars().map(plain).collect())
    }
}

impl fmt::Display for Said {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(if self.0.is_empty() { "it said nothing" } else { &self.0 })
    }
}

/// Tries a part out with `program`, which is this program's own file.
///
/// The child is ended when this future is dropped.
pub async fn run(program: &Path, files: &[PartFile], limits: &Limits) -> Result<Tried, TrialError> {
    let start = |cause| TrialError::Start { program: program.to_owned(), cause };
    let mut command = Command::new(program);
    command.arg("try-part").arg(limits.memory.0.to_string()).arg(cpu_seconds(limits.cpu).to_string());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(start)?;
    let (input, out, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let all = async { tokio::join!(send(input, files), beginning(out), beginning(errors), child.wait()) };
    let Ok(((), out, errors, status)) = tokio::time::timeout(limits.time, all).await else {
        // It may have ended in this very moment, which is as good.
        let _ = child.kill().await;
        return Err(TrialError::Time { limit: limits.time });
    };
    let (status, said) = (status.map_err(start)?, Said::new(&errors));
    if status.success() {
        let wrong = |_| TrialError::OtherProgram { program: program.to_owned(), said: Said::new(&out) };
        return serde_json::from_slice(&out).map_err(wrong);
    }
    Err(match status.signal() {
        _ if NO_MEMORY.iter().any(|message| said.0.contains(message)) => {
            TrialError::Memory { limit: limits.memory, said }
        }
        // The second is sent a second later, to who has not ended then.
        Some(SIGXCPU | SIGKILL) => TrialError::Cpu { limit: limits.cpu },
        Some(_) => TrialError::Crashed { status, said },
        None => TrialError::Refused { said },
    })
}

/// The limit of processor time as the system takes it: at least one second.
fn cpu_seconds(limit: Duration) -> u64 {
    limit.as_millis().div_ceil(1000).clamp(1, u128::from(u32::MAX)) as u64
}

/// A line that names the files and their lengths, then their bytes.
async fn send(input: Option<ChildStdin>, files: &[PartFile]) {
    let Some(mut input) = input else { return };
    let listed: Vec<(&str, usize)> = files.iter().map(|file| (file.name.as_str(), file.bytes.len())).collect();
    let Ok(mut line) = serde_json::to_vec(&listed) else { return };
    line.push(b'\n');
    for bytes in std::iter::once(line.as_slice()).chain(files.iter().map(|file| file.bytes.as_slice())) {
        // A child that has ended says why on its way.
        if input.write_all(bytes).await.is_err() {
            return;
        }
    }
}

/// Reads to the end, so that nobody waits, and keeps the beginning.
async fn beginning(from: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let Some(mut from) = from else { return Vec::new() };
    let (mut kept, mut chunk) = (Vec::new(), [0; 1024]);
    while let Ok(length @ 1..) = from.read(&mut chunk).await {
        let room = SAID_MAX - kept.len();
        kept.extend_from_slice(&chunk[..length.min(room)]);
    }
    kept
}
