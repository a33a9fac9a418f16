//! The child's side: what `thalweg try-part` does.

use std::io::{BufRead, BufReader, Read, Write};
use std::time::{Duration, Instant};

use rlimit::Resource;
use thalweg_devices::{FILES_MAX, PartFile, Partition, StageError};
use thalweg_planner::Tensor;

use super::{TrialError, Tried};
use crate::memory::resident_bytes_max;
use crate::run::RunError;

/// Bytes of the line that names the files: each has at most about a hundred.
const LINE_BYTES_MAX: u64 = 128 * FILES_MAX as u64;

/// Limits this process for good, reads a part from `input`, tries it out and prints one line of JSON.
pub fn try_part(memory: u64, cpu_seconds: u64, input: impl Read, out: &mut dyn Write) -> Result<(), RunError> {
    // What a crash leaves would be as large as what was asked for.
    for (resource, soft, hard) in [
        (Resource::AS, memory, memory),
        (Resource::CPU, cpu_seconds, cpu_seconds.saturating_add(1)),
        (Resource::CORE, 0, 0),
    ] {
        resource.set(soft, hard).map_err(|cause| TrialError::Limit { cause })?;
    }
    let files = read(input)?;
    let started = Instant::now();
    let part = Partition::from_files(&files)?;
    drop(files);
    let stage = part.prepare()?;
    let prepare = started.elapsed();
    let zeros = stage.takes().map(|spec| Tensor::new(spec.clone(), vec![0; spec.bytes().0 as usize]));
    let zeros = zeros.collect::<Result<Vec<_>, _>>().map_err(|cause| {
        let cause = cause.to_string();
        StageError::Run { part: "the part".to_owned(), cause }
    })?;
    let started = Instant::now();
    stage.run(&zeros)?;
    let run = started.elapsed();
    let tried = Tried { prepare_us: us(prepare), run_us: us(run), memory_bytes: resident_bytes_max() };
    let line = serde_json::to_string(&tried).map_err(|cause| RunError::Output(cause.into()))?;
    Ok(writeln!(out, "{line}")?)
}

fn us(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn read(input: impl Read) -> Result<Vec<PartFile>, TrialError> {
    let failed = |cause: String| TrialError::Input { cause };
    let mut input = BufReader::new(input);
    let mut line = Vec::new();
    (&mut input).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).map_err(|cause| failed(cause.to_string()))?;
    let listed: Vec<(String, u64)> = serde_json::from_slice(&line).map_err(|cause| failed(cause.to_string()))?;
    let files = listed.into_iter().map(|(name, length)| {
        let mut bytes = Vec::new();
        let got = (&mut input).take(length).read_to_end(&mut bytes).map_err(|cause| failed(cause.to_string()))?;
        if got as u64 != length {
            return Err(failed(format!("{name} ends after {got} of {length} bytes")));
        }
        Ok(PartFile { name, bytes })
    });
    files.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_read() {
        let files = read(&b"[[\"a\",2],[\"b\",0]]\nxy"[..]).expect("two files");
        let expected = [("a", b"xy".to_vec()), ("b", Vec::new())];
        assert_eq!(files, expected.map(|(name, bytes)| PartFile { name: name.to_owned(), bytes }));
    }

    #[test]
    fn what_is_cut_off_is_refused() {
        for input in [&b""[..], b"[[\"a\",2]", b"[[\"a\",-2]]\n"] {
            assert!(matches!(read(input), Err(TrialError::Input { .. })));
        }
        let error = read(&b"[[\"a\",200]]\nxy"[..]).expect_err("198 bytes are missing").to_string();
        assert!(error.ends_with("a ends after 2 of 200 bytes"), "{error}");
    }
}
