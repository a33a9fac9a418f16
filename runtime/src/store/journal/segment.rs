//! How a segment of a journal stands in its file.

use std::path::Path;

use crate::store::Hash;

/// Begins each file.
const MAGIC: [u8; 16] = *b"thalweg journal1";
/// Bytes before the first record.
pub(super) const HEAD_BYTES: usize = MAGIC.len() + MARK_BYTES;
/// Bytes before the body of a record.
pub(super) const PREFIX_BYTES: usize = LENGTH_BYTES + MARK_BYTES;

const LENGTH_BYTES: usize = 4;
const MARK_BYTES: usize = 32;
const ENDING: &str = "log";

/// The file of the segment that begins with this record: names sort as numbers do.
pub(super) fn name(first: u64) -> String {
    format!("{first:020}.{ENDING}")
}

/// The number of the first record, by the file's name; none of a file that is no segment.
pub(super) fn number(file: &Path) -> Option<u64> {
    let first = file.file_stem()?.to_str()?.parse().ok().filter(|first| *first > 0)?;
    (file.file_name()?.to_str()? == name(first)).then_some(first)
}

/// The beginning of a file.
pub(super) fn head(before: Hash) -> Vec<u8> {
    [MAGIC.as_slice(), before.as_bytes()].concat()
}

/// The mark of the record before the first one; none of what is no segment.
pub(super) fn mark_before(content: &[u8]) -> Option<Hash> {
    let mark: [u8; MARK_BYTES] = content.strip_prefix(&MAGIC)?.first_chunk().copied()?;
    Some(mark.into())
}

/// The mark of a record, by the mark before it.
pub(super) fn mark_of(before: Hash, body: &[u8]) -> Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(before.as_bytes()).update(body);
    Hash::from(*hasher.finalize().as_bytes())
}

/// Reads records as long as each follows the one before.
pub(super) struct Walk<'a> {
    rest: &'a [u8],
    number: u64,
    mark: Option<Hash>,
}

/// A record in its segment.
pub(super) struct Found<'a> {
    pub(super) number: u64,
    pub(super) follows: Hash,
    pub(super) mark: Hash,
    pub(super) body: &'a [u8],
}

impl<'a> Walk<'a> {
    /// Through the content of the segment whose first record has this number.
    pub(super) fn of(content: &'a [u8], first: u64) -> Self {
        Self { rest: content.get(HEAD_BYTES..).unwrap_or_default(), number: first, mark: mark_before(content) }
    }

    /// The next record; none at the end, where the next one would have the number `end`, and where it is damaged.
    pub(super) fn next_before(&mut self, end: u64) -> Option<Found<'a>> {
        let follows = self.mark.filter(|_| self.number < end)?;
        let (length, rest) = self.rest.split_first_chunk::<LENGTH_BYTES>()?;
        let (mark, rest) = rest.split_first_chunk::<MARK_BYTES>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (body, rest) = rest.split_at_checked(length)?;
        let mark = Hash::from(*mark);
        if mark_of(follows, body) != mark {
            return None;
        }
        let found = Found { number: self.number, follows, mark, body };
        (self.rest, self.mark) = (rest, Some(mark));
        self.number += 1;
        Some(found)
    }

    /// What is behind the records that were read.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }
}
